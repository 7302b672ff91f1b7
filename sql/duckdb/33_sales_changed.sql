-- The changed days of measurement.sales, whole.
-- Reads:  gone, come, changed_day, changed_key, sales_before (the rows that these days had).
-- Writes: changed_times, sales_row (every row of those days).
-- Guarantees: a row that no order is left in vanishes.

create or replace view sales_of_changed_days as
select
    shop_domain, product_id, day, currency, units_sold, units_returned, gross_sales, discounts, returns, net_sales,
    order_count, order_times
from sales_before
where day in (select day from changed_day);

create or replace table change_term as
select *, 1 as sign from come
union all
select *, 1 as sign from sales_of_changed_days semi join changed_key using (shop_domain, product_id, day, currency)
union all
select *, -1 as sign from gone;

create or replace table changed_times as
with single as (
    select shop_domain, product_id, day, currency, sign, unnest(order_times) as placed_at
    from change_term
),
counted as (
    select shop_domain, product_id, day, currency, placed_at, sum(sign)::bigint as times
    from single
    group by shop_domain, product_id, day, currency, placed_at
)
select
    shop_domain,
    product_id,
    day,
    currency,
    min(times) as fewest,
    list_sort(flatten(list(list_transform(range(times), lambda n: placed_at)))) as order_times
from counted
where times <> 0
group by shop_domain, product_id, day, currency;

create or replace table sales_row as
select *
from sales_of_changed_days
anti join changed_key using (shop_domain, product_id, day, currency)
union all
select
    shop_domain,
    product_id,
    day,
    currency,
    sum(sign * units_sold)::bigint as units_sold,
    sum(sign * units_returned)::bigint as units_returned,
    sum(sign * gross_sales)::bigint as gross_sales,
    sum(sign * discounts)::bigint as discounts,
    sum(sign * returns)::bigint as returns,
    sum(sign * net_sales)::bigint as net_sales,
    sum(sign * order_count)::bigint as order_count,
    any_value(changed_times.order_times) as order_times
from change_term
join changed_times using (shop_domain, product_id, day, currency)
group by shop_domain, product_id, day, currency;
