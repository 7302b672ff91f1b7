-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.product_variant as old (
    shop_id, product_id, variant_id, title, sku, price_minor, price_text
)
select
    new.shop_id, new.product_id, new.variant_id, new.title, new.sku, new.price_minor, new.price_text
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[]
) as new (
    shop_id, product_id, variant_id, title, sku, price_minor, price_text
)
