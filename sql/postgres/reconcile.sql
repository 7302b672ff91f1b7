-- The ledger of a shop by day, $2 and $3 included. The digest is the MD5 of the day's ledger rows as text
-- `order_id|product_id|kind|units_sold|units_returned|gross|discounts|returns|net`, sorted by their bytes and joined by
-- line feeds: any engine makes the same from the newest ledgers of commerce.telemetry.
with days as (
    select
        ledger.day, count(*) as rows, count(distinct ledger.order_id) as orders,
        sum(ledger.units_sold)::bigint as units_sold, sum(ledger.units_returned)::bigint as units_returned,
        sum(ledger.gross_sales_minor)::bigint as gross_sales, sum(ledger.discounts_minor)::bigint as discounts,
        sum(ledger.returns_minor)::bigint as returns, sum(ledger.net_sales_minor)::bigint as net_sales,
        md5(string_agg(line.text, chr(10) order by line.text collate "C")) as digest
    from commerce.sales_ledger as ledger
    cross join lateral (
        select concat_ws('|', ledger.order_id, ledger.product_id, ledger.kind, ledger.units_sold, ledger.units_returned,
            ledger.gross_sales_minor, ledger.discounts_minor, ledger.returns_minor, ledger.net_sales_minor) as text
    ) as line
    where ledger.shop_id = $1 and ledger.day between $2 and $3
    group by ledger.day
)
select json_build_object('days', coalesce(json_agg(json_build_object(
    'day', to_char(day, 'YYYY-MM-DD'), 'rows', rows, 'orders', orders, 'units_sold', units_sold,
    'units_returned', units_returned, 'gross_sales', gross_sales, 'discounts', discounts, 'returns', returns,
    'net_sales', net_sales, 'digest', digest
) order by day), '[]'))::text
from days
