-- POST /v1/reconcile: the ledger of a shop by day, as JSON texts: what weir.reconcile says of the same days.
-- Reads: order_ledger (22_order_ledger.sql over the shop's telemetry). $1 first day, $2 last day, both included.
-- The digest is that of sql/postgres/reconcile.sql: texts are sorted by their bytes here and there.
select to_json(figures)
from (
    select
        day,
        count(*) as rows,
        count(distinct order_id) as orders,
        sum(units_sold)::bigint as units_sold,
        sum(units_returned)::bigint as units_returned,
        sum(gross_sales)::bigint as gross_sales,
        sum(discounts)::bigint as discounts,
        sum(returns)::bigint as returns,
        sum(net_sales)::bigint as net_sales,
        md5(string_agg(line, chr(10) order by line)) as digest
    from (
        select
            *,
            concat_ws('|', order_id, product_id, kind, units_sold, units_returned, gross_sales, discounts, returns,
                net_sales) as line
        from order_ledger
        where day between $1::date and $2::date
    )
    group by day
    order by day
) as figures;
