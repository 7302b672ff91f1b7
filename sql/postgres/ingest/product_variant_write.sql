-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.product_variant as old (
    shop_id, product_id, variant_id, title, sku, price_minor, price_text, told_updated_at, told_triggered_at
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::bigint[]), unnest($7::text[]), unnest($8::timestamptz[]), unnest($9::timestamptz[])
