-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund as old (
    shop_id, order_id, refund_id, created_at, processed_at, observed_at, triggered_at, paid_amount_minor,
    paid_currency, is_brief, raw
)
select
    new.shop_id, new.order_id, new.refund_id, new.created_at::timestamptz, new.processed_at::timestamptz,
    new.observed_at::timestamptz, new.triggered_at::timestamptz, new.paid_amount_minor, new.paid_currency,
    new.is_brief, new.raw::jsonb
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::text[], $10::boolean[], $11::text[]
) as new (
    shop_id, order_id, refund_id, created_at, processed_at, observed_at, triggered_at, paid_amount_minor,
    paid_currency, is_brief, raw
)
on conflict (shop_id, order_id, refund_id) do update set
    created_at = excluded.created_at, processed_at = excluded.processed_at, observed_at = excluded.observed_at,
    triggered_at = excluded.triggered_at, paid_amount_minor = excluded.paid_amount_minor,
    paid_currency = excluded.paid_currency, is_brief = excluded.is_brief, raw = coalesce(excluded.raw, old.raw)
where (
    old.created_at, old.processed_at, old.observed_at, old.triggered_at, old.paid_amount_minor, old.paid_currency,
    old.is_brief
) is distinct from (
    excluded.created_at, excluded.processed_at, excluded.observed_at, excluded.triggered_at,
    excluded.paid_amount_minor, excluded.paid_currency, excluded.is_brief
)
