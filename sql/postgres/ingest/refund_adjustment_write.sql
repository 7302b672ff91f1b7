-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund_adjustment as old (
    shop_id, order_id, refund_id, adjustment_id, kind, amount_minor, presentment_amount_minor, tax_minor,
    presentment_tax_minor
)
select
    new.shop_id, new.order_id, new.refund_id, new.adjustment_id, new.kind, new.amount_minor,
    new.presentment_amount_minor, new.tax_minor, new.presentment_tax_minor
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[]
) as new (
    shop_id, order_id, refund_id, adjustment_id, kind, amount_minor, presentment_amount_minor, tax_minor,
    presentment_tax_minor
)
