-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.fulfillment as old (
    shop_id, order_id, fulfillment_id, status, tracking_company, created_at, updated_at, triggered_at, shipped_at
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]), unnest($9::timestamptz[])
on conflict (shop_id, order_id, fulfillment_id) do update set
    status = excluded.status, tracking_company = excluded.tracking_company, created_at = excluded.created_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, shipped_at = excluded.shipped_at
where (
    old.status, old.tracking_company, old.created_at, old.updated_at, old.triggered_at, old.shipped_at
) is distinct from (
    excluded.status, excluded.tracking_company, excluded.created_at, excluded.updated_at, excluded.triggered_at,
    excluded.shipped_at
)
