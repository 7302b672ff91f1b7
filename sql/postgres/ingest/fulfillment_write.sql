-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.fulfillment as old (
    shop_id, order_id, fulfillment_id, status, tracking_company, created_at, updated_at, triggered_at, shipped_at
)
select
    new.shop_id, new.order_id, new.fulfillment_id, new.status, new.tracking_company, new.created_at::timestamptz,
    new.updated_at::timestamptz, new.triggered_at::timestamptz, new.shipped_at::timestamptz
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
) as new (
    shop_id, order_id, fulfillment_id, status, tracking_company, created_at, updated_at, triggered_at, shipped_at
)
on conflict (shop_id, order_id, fulfillment_id) do update set
    status = excluded.status, tracking_company = excluded.tracking_company, created_at = excluded.created_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, shipped_at = excluded.shipped_at
where (
    old.status, old.tracking_company, old.created_at, old.updated_at, old.triggered_at, old.shipped_at
) is distinct from (
    excluded.status, excluded.tracking_company, excluded.created_at, excluded.updated_at, excluded.triggered_at,
    excluded.shipped_at
)
