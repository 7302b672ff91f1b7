-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.payment as old (
    shop_id, order_id, payment_id, parent_id, kind, status, gateway, amount_minor, currency, is_test, created_at,
    processed_at, triggered_at, raw
)
select
    new.shop_id, new.order_id, new.payment_id, new.parent_id, new.kind, new.status, new.gateway, new.amount_minor,
    new.currency, new.is_test, new.created_at::timestamptz, new.processed_at::timestamptz,
    new.triggered_at::timestamptz, new.raw::jsonb
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::text[], $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[]
) as new (
    shop_id, order_id, payment_id, parent_id, kind, status, gateway, amount_minor, currency, is_test, created_at,
    processed_at, triggered_at, raw
)
on conflict (shop_id, order_id, payment_id) do update set
    parent_id = excluded.parent_id, kind = excluded.kind, status = excluded.status, gateway = excluded.gateway,
    amount_minor = excluded.amount_minor, currency = excluded.currency, is_test = excluded.is_test,
    created_at = excluded.created_at, processed_at = excluded.processed_at, triggered_at = excluded.triggered_at,
    raw = coalesce(excluded.raw, old.raw)
where (
    old.parent_id, old.kind, old.status, old.gateway, old.amount_minor, old.currency, old.is_test, old.created_at,
    old.processed_at, old.triggered_at
) is distinct from (
    excluded.parent_id, excluded.kind, excluded.status, excluded.gateway, excluded.amount_minor, excluded.currency,
    excluded.is_test, excluded.created_at, excluded.processed_at, excluded.triggered_at
)
