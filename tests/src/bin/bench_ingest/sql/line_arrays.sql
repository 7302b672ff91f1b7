-- Lines parsed by the client, as parallel arrays.
insert into commerce.order_line_item (
    shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity, current_quantity,
    unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor, tax_minor,
    presentment_tax_minor, tax_rate_billionths
)
select $1::bigint, n.*
from unnest(
    $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::boolean[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
    $17::bigint[]
) as n
on conflict (shop_id, order_id, line_item_id) do update set
    product_id = excluded.product_id, variant_id = excluded.variant_id, title = excluded.title,
    vendor = excluded.vendor, is_gift_card = excluded.is_gift_card, quantity = excluded.quantity,
    current_quantity = excluded.current_quantity, unit_price_minor = excluded.unit_price_minor,
    presentment_unit_price_minor = excluded.presentment_unit_price_minor, discount_minor = excluded.discount_minor,
    presentment_discount_minor = excluded.presentment_discount_minor, tax_minor = excluded.tax_minor,
    presentment_tax_minor = excluded.presentment_tax_minor, tax_rate_billionths = excluded.tax_rate_billionths
