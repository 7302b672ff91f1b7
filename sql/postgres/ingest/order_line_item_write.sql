-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_line_item as old (
    shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity, current_quantity,
    unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor, tax_minor,
    presentment_tax_minor, tax_rate_billionths, is_tip
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::bigint[]),
    unnest($6::text[]), unnest($7::text[]), unnest($8::boolean[]), unnest($9::bigint[]), unnest($10::bigint[]),
    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::bigint[]), unnest($15::bigint[]),
    unnest($16::bigint[]), unnest($17::bigint[]), unnest($18::boolean[])
