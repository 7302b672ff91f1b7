-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_return as old (
    shop_id, order_id, return_id, name, status, requested_at, triggered_at, raw
)
select
    new.shop_id, new.order_id, new.return_id, new.name, new.status, new.requested_at::timestamptz,
    new.triggered_at::timestamptz, new.raw::jsonb
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]
) as new (
    shop_id, order_id, return_id, name, status, requested_at, triggered_at, raw
)
on conflict (shop_id, order_id, return_id) do update set
    name = excluded.name, status = excluded.status, requested_at = excluded.requested_at,
    triggered_at = excluded.triggered_at, raw = coalesce(excluded.raw, old.raw)
where (
    old.name, old.status, old.requested_at, old.triggered_at
) is distinct from (
    excluded.name, excluded.status, excluded.requested_at, excluded.triggered_at
)
