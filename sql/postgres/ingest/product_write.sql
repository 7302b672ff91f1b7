-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.product as old (
    shop_id, product_id, title, vendor, product_type, status, created_at, published_at, updated_at, triggered_at,
    raw
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::text[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]), unnest($9::timestamptz[]),
    unnest($10::timestamptz[]), unnest($11::jsonb[])
on conflict (shop_id, product_id) do update set
    title = excluded.title, vendor = excluded.vendor, product_type = excluded.product_type, status = excluded.status,
    created_at = excluded.created_at, published_at = excluded.published_at, updated_at = excluded.updated_at,
    triggered_at = excluded.triggered_at, raw = coalesce(excluded.raw, old.raw)
where (
    old.title, old.vendor, old.product_type, old.status, old.created_at, old.published_at, old.updated_at,
    old.triggered_at
) is distinct from (
    excluded.title, excluded.vendor, excluded.product_type, excluded.status, excluded.created_at,
    excluded.published_at, excluded.updated_at, excluded.triggered_at
)
