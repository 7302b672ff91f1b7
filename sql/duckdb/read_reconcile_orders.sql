-- POST /v1/reconcile: what each order of the days in $1 (yyyy-mm-dd, separated by commas) comes to, as JSON texts.
-- Reads: order_ledger (22_order_ledger.sql over the shop's telemetry). The digest is that of
-- sql/postgres/reconcile_orders.sql.
select to_json(figures)
from (
    select
        day,
        order_id,
        count(*) as rows,
        sum(net_sales)::bigint as net_sales,
        md5(string_agg(line, chr(10) order by line)) as digest
    from (
        select
            *,
            concat_ws('|', order_id, product_id, kind, units_sold, units_returned, gross_sales, discounts, returns,
                net_sales) as line
        from order_ledger
        where list_contains(string_split($1, ','), day::varchar)
    )
    group by day, order_id
    order by day, order_id
) as figures;
