-- Rows that a newer version may lack; the write that follows puts back what is still there.
delete from commerce.product_variant as old
using unnest($1::bigint[], $2::bigint[]) as changed (shop_id, product_id)
where old.shop_id = changed.shop_id and old.product_id = changed.product_id
