-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order. A sale never changes.
insert into commerce.agreement_sale (
    shop_id, order_id, agreement_id, sale_id, action_type, line_type, quantity, line_item_id, product_id, variant_id,
    total_minor, presentment_total_minor, discount_minor, presentment_discount_minor, tax_minor, presentment_tax_minor
)
select
    new.shop_id, new.order_id, new.agreement_id, new.sale_id, new.action_type, new.line_type, new.quantity,
    new.line_item_id, new.product_id, new.variant_id, new.total_minor, new.presentment_total_minor, new.discount_minor,
    new.presentment_discount_minor, new.tax_minor, new.presentment_tax_minor
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
    $16::bigint[]
) as new (
    shop_id, order_id, agreement_id, sale_id, action_type, line_type, quantity, line_item_id, product_id, variant_id,
    total_minor, presentment_total_minor, discount_minor, presentment_discount_minor, tax_minor, presentment_tax_minor
)
on conflict (shop_id, order_id, agreement_id, sale_id) do nothing
