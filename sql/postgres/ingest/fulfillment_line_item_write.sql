-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.fulfillment_line_item (shop_id, order_id, fulfillment_id, line_item_id, quantity)
select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[])
