-- `weir reconcile`, run by a login that may read the schema commerce: what each order of shop $1 comes to on the days in
-- $2, which differ from the lake's. Lines and digest as in reconcile.sql, one digest an order.
select coalesce(json_agg(json_build_object(
    'day', to_char(day, 'YYYY-MM-DD'), 'order_id', order_id::text, 'rows', rows, 'net_sales', net_sales, 'digest', digest
) order by day, order_id), '[]')::text
from (
    select
        ledger.day, ledger.order_id, count(*) as rows, sum(ledger.net_sales_minor)::bigint as net_sales,
        md5(string_agg(line.text, chr(10) order by line.text collate "C")) as digest
    from commerce.sales_ledger as ledger
    join commerce.shop using (shop_id)
    cross join lateral (
        select concat_ws('|', ledger.order_id, ledger.product_id, ledger.kind, ledger.units_sold, ledger.units_returned,
            ledger.gross_sales_minor, ledger.discounts_minor, ledger.returns_minor, ledger.net_sales_minor) as text
    ) as line
    where shop.shop_domain = $1 and ledger.day = any($2::text[]::date[])
    group by ledger.day, ledger.order_id
) as orders
