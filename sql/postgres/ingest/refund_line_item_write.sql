-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund_line_item as old (
    shop_id, order_id, refund_id, refund_line_item_id, line_item_id, product_id, is_gift_card, quantity,
    restock_type, subtotal_minor, presentment_subtotal_minor, tax_minor, presentment_tax_minor, is_tip
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[]),
    unnest($6::bigint[]), unnest($7::boolean[]), unnest($8::bigint[]), unnest($9::text[]), unnest($10::bigint[]),
    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::boolean[])
