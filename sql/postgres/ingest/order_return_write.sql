-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_return as old (
    shop_id, order_id, return_id, name, status, requested_at, triggered_at, raw
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::jsonb[])
on conflict (shop_id, order_id, return_id) do update set
    name = excluded.name, status = excluded.status, requested_at = excluded.requested_at,
    triggered_at = excluded.triggered_at, raw = coalesce(excluded.raw, old.raw)
where (
    old.name, old.status, old.requested_at, old.triggered_at
) is distinct from (
    excluded.name, excluded.status, excluded.requested_at, excluded.triggered_at
)
