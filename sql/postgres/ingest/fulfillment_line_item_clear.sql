-- Rows that a newer version may lack; the write that follows puts back what is still there.
delete from commerce.fulfillment_line_item as old
using unnest($1::bigint[], $2::bigint[]) as changed (shop_id, order_id)
where old.shop_id = changed.shop_id and old.order_id = changed.order_id
