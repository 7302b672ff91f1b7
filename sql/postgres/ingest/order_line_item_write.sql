-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_line_item as old (
    shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity, current_quantity,
    unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor, tax_minor,
    presentment_tax_minor, tax_rate_billionths
)
select
    new.shop_id, new.order_id, new.line_item_id, new.product_id, new.variant_id, new.title, new.vendor,
    new.is_gift_card, new.quantity, new.current_quantity, new.unit_price_minor, new.presentment_unit_price_minor,
    new.discount_minor, new.presentment_discount_minor, new.tax_minor, new.presentment_tax_minor,
    new.tax_rate_billionths
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::boolean[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
    $16::bigint[], $17::bigint[]
) as new (
    shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity, current_quantity,
    unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor, tax_minor,
    presentment_tax_minor, tax_rate_billionths
)
