-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund as old (
    shop_id, order_id, refund_id, created_at, processed_at, observed_at, triggered_at, paid_amount_minor,
    paid_currency, is_brief, raw, return_id
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::timestamptz[]),
    unnest($5::timestamptz[]), unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::bigint[]),
    unnest($9::text[]), unnest($10::boolean[]), unnest($11::jsonb[]), unnest($12::bigint[])
on conflict (shop_id, order_id, refund_id) do update set
    created_at = excluded.created_at, processed_at = excluded.processed_at, observed_at = excluded.observed_at,
    triggered_at = excluded.triggered_at, paid_amount_minor = excluded.paid_amount_minor,
    paid_currency = excluded.paid_currency, is_brief = excluded.is_brief, raw = coalesce(excluded.raw, old.raw),
    return_id = excluded.return_id
where (
    old.created_at, old.processed_at, old.observed_at, old.triggered_at, old.paid_amount_minor, old.paid_currency,
    old.is_brief, old.return_id
) is distinct from (
    excluded.created_at, excluded.processed_at, excluded.observed_at, excluded.triggered_at,
    excluded.paid_amount_minor, excluded.paid_currency, excluded.is_brief, excluded.return_id
)
