-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.product as old (
    shop_id, product_id, title, vendor, product_type, status, created_at, published_at, updated_at, triggered_at,
    raw
)
select
    new.shop_id, new.product_id, new.title, new.vendor, new.product_type, new.status, new.created_at::timestamptz,
    new.published_at::timestamptz, new.updated_at::timestamptz, new.triggered_at::timestamptz, new.raw::jsonb
from unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[]
) as new (
    shop_id, product_id, title, vendor, product_type, status, created_at, published_at, updated_at, triggered_at,
    raw
)
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
