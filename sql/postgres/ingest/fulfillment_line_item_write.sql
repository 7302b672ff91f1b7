-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.fulfillment_line_item (shop_id, order_id, fulfillment_id, line_item_id, quantity)
select new.shop_id, new.order_id, new.fulfillment_id, new.line_item_id, new.quantity
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as new (
    shop_id, order_id, fulfillment_id, line_item_id, quantity
)
