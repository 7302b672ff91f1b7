-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.sales_ledger as old (
    shop_id, order_id, product_id, day, kind, units_sold, units_returned, gross_sales_minor, discounts_minor,
    returns_minor, net_sales_minor, presentment_gross_sales_minor, presentment_discounts_minor,
    presentment_returns_minor, presentment_net_sales_minor
)
select
    new.shop_id, new.order_id, new.product_id, new.day::date, new.kind, new.units_sold, new.units_returned,
    new.gross_sales_minor, new.discounts_minor, new.returns_minor, new.net_sales_minor,
    new.presentment_gross_sales_minor, new.presentment_discounts_minor, new.presentment_returns_minor,
    new.presentment_net_sales_minor
from unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[]
) as new (
    shop_id, order_id, product_id, day, kind, units_sold, units_returned, gross_sales_minor, discounts_minor,
    returns_minor, net_sales_minor, presentment_gross_sales_minor, presentment_discounts_minor,
    presentment_returns_minor, presentment_net_sales_minor
)
