-- A product's webhook tells 100 variants and names all. One that it only names stays as another body told it, which need be neither
-- the one before nor the next to come: so it is kept how new that body was.
alter table commerce.product_variant
    add column told_updated_at timestamptz,
    add column told_triggered_at timestamptz;
comment on table commerce.product_variant is 'A variant that the newest version of a product names [CCO: commodity]';
comment on column commerce.product_variant.told_updated_at is 'updated_at of the body that told the variant, null where it is the product''s newest, 1970 where none has yet [BFO: temporal instant]';
comment on column commerce.product_variant.told_triggered_at is 'When Shopify fired that body; null likewise [BFO: temporal instant]';
