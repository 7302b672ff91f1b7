-- The changed days of measurement.sales, whole.
-- Reads:  moved_entry, changed_key, changed_day, sales_before (the rows that these days had).
-- Writes: changed_times, sales_row (every row of those days).
-- Guarantees: a row that no order is left in vanishes.

create or replace view sales_of_changed_days as
select
    shop_domain, product_id, day, currency, units_sold, units_returned, gross_sales, discounts, returns, net_sales,
    order_count, order_times
from sales_before
where day in (select day from changed_day);

-- Of the keys that lose entries. Those that only gain some need not be counted.
create or replace table changed_times as
with losing as (
    select rowid as changed, shop_domain, product_id, day, currency
    from changed_key
    where fewest < 0
),
counted as (
    select changed, placed_at, sum(times)::bigint as times
    from (
        select changed, unnest(order_times) as placed_at, 1 as times
        from sales_of_changed_days
        join losing using (shop_domain, product_id, day, currency)
        union all
        select changed, placed_at, times
        from moved_entry
        join losing using (shop_domain, product_id, day, currency)
    )
    group by changed, placed_at
)
select changed, min(times) as fewest, flatten(list(repeated(placed_at, times))) as order_times
from counted
group by changed;

create or replace table sales_row as
select *
from sales_of_changed_days
anti join changed_key using (shop_domain, product_id, day, currency)
union all
select *
from (
    select
        shop_domain,
        product_id,
        day,
        currency,
        key.units_sold + coalesce(before.units_sold, 0) as units_sold,
        key.units_returned + coalesce(before.units_returned, 0) as units_returned,
        key.gross_sales + coalesce(before.gross_sales, 0) as gross_sales,
        key.discounts + coalesce(before.discounts, 0) as discounts,
        key.returns + coalesce(before.returns, 0) as returns,
        key.net_sales + coalesce(before.net_sales, 0) as net_sales,
        key.order_count + coalesce(before.order_count, 0) as order_count,
        list_sort(if(key.fewest < 0, times.order_times, list_concat(before.order_times, key.added_times))) as order_times
    from changed_key as key
    left join sales_of_changed_days as before using (shop_domain, product_id, day, currency)
    left join changed_times as times on times.changed = key.rowid
)
where len(order_times) > 0;
