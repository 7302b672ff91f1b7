-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.sales_ledger as old (
    shop_id, order_id, product_id, day, kind, units_sold, units_returned, gross_sales_minor, discounts_minor,
    returns_minor, net_sales_minor, presentment_gross_sales_minor, presentment_discounts_minor,
    presentment_returns_minor, presentment_net_sales_minor
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::date[]), unnest($5::text[]),
    unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), unnest($10::bigint[]),
    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::bigint[]), unnest($14::bigint[]), unnest($15::bigint[])
