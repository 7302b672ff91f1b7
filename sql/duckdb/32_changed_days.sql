-- The keys and the days of measurement.sales that the touched orders change.
-- Reads:  moved_entry.
-- Writes: changed_key: what a key has more than before; added_times are the times of its new entries, fewest is below 0 if
--         some are taken out; changed_day; repeated, a macro: a time as often as entries have it.
-- Guarantees: a day on which the orders come to the same as before is left alone.

create or replace macro repeated(placed_at, times) as
    list_resize([placed_at], greatest(times, 0), placed_at);

create or replace table changed_key as
select
    shop_domain,
    product_id,
    day,
    currency,
    sum(times * units_sold)::bigint as units_sold,
    sum(times * units_returned)::bigint as units_returned,
    sum(times * gross_sales)::bigint as gross_sales,
    sum(times * discounts)::bigint as discounts,
    sum(times * returns)::bigint as returns,
    sum(times * net_sales)::bigint as net_sales,
    coalesce(sum(times) filter (where kind = 'sale'), 0)::bigint as order_count,
    min(times) as fewest,
    flatten(list(repeated(placed_at, times))) as added_times
from moved_entry
group by shop_domain, product_id, day, currency;

create or replace table changed_day as
select distinct day
from changed_key;
