-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order. An agreement never changes.
insert into commerce.sales_agreement (
    shop_id, order_id, agreement_id, happened_at, reason, refund_id, return_id
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::timestamptz[]), unnest($5::text[]),
    unnest($6::bigint[]), unnest($7::bigint[])
on conflict (shop_id, order_id, agreement_id) do nothing
