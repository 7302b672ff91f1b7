-- A page of a shop's orders: at most $3 after the id $2, by id.
select order_id from commerce.order_header where shop_id = $1 and order_id > $2 order by order_id limit $3
