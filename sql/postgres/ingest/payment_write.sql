-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.payment as old (
    shop_id, order_id, payment_id, parent_id, kind, status, gateway, amount_minor, currency, is_test, created_at,
    processed_at, triggered_at, raw
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::text[]),
    unnest($6::text[]), unnest($7::text[]), unnest($8::bigint[]), unnest($9::text[]), unnest($10::boolean[]),
    unnest($11::timestamptz[]), unnest($12::timestamptz[]), unnest($13::timestamptz[]), unnest($14::jsonb[])
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
