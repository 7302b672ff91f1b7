-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund_line_item as old (
    shop_id, order_id, refund_id, refund_line_item_id, line_item_id, product_id, is_gift_card, quantity,
    restock_type, subtotal_minor, presentment_subtotal_minor, tax_minor, presentment_tax_minor
)
select
    new.shop_id, new.order_id, new.refund_id, new.refund_line_item_id, new.line_item_id, new.product_id,
    new.is_gift_card, new.quantity, new.restock_type, new.subtotal_minor, new.presentment_subtotal_minor,
    new.tax_minor, new.presentment_tax_minor
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[],
    $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]
) as new (
    shop_id, order_id, refund_id, refund_line_item_id, line_item_id, product_id, is_gift_card, quantity,
    restock_type, subtotal_minor, presentment_subtotal_minor, tax_minor, presentment_tax_minor
)
