alter table commerce.product_variant add column price_text text,
    add constraint product_variant_one_price check (price_minor is null or price_text is null);
comment on column commerce.product_variant.price_text is 'The price as sent, where it is no amount of the shop currency; such a price does not hold up what else the product tells [CCO: price]';
