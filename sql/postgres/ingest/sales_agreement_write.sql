-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order. An agreement never changes.
insert into commerce.sales_agreement (
    shop_id, order_id, agreement_id, happened_at, reason, refund_id, return_id
)
select
    new.shop_id, new.order_id, new.agreement_id, new.happened_at::timestamptz, new.reason, new.refund_id, new.return_id
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]
) as new (
    shop_id, order_id, agreement_id, happened_at, reason, refund_id, return_id
)
on conflict (shop_id, order_id, agreement_id) do nothing
