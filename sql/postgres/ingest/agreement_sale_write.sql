-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order. A sale never changes.
insert into commerce.agreement_sale (
    shop_id, order_id, agreement_id, sale_id, action_type, line_type, quantity, line_item_id, product_id, variant_id,
    total_minor, presentment_total_minor, discount_minor, presentment_discount_minor, tax_minor, presentment_tax_minor
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::text[]),
    unnest($6::text[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::bigint[]),
    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::bigint[]), unnest($15::bigint[]),
    unnest($16::bigint[])
on conflict (shop_id, order_id, agreement_id, sale_id) do nothing
