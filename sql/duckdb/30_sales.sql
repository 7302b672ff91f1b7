-- measurement.sales.
-- Reads:  order_ledger; variable sales_refresh_id.
-- Writes: sales, key (shop_domain, product_id, day, currency).
-- Guarantees: a reversal counts on its own day; currencies are never summed; sums are exact, an overflow of 64 bits is an
-- error (sum() of bigint is 128 bits wide and the cast back is checked).

create or replace table sales as
select
    shop_domain,
    product_id,
    day,
    currency,
    sum(units_sold)::bigint as units_sold,
    sum(units_returned)::bigint as units_returned,
    sum(gross_sales)::bigint as gross_sales,
    sum(discounts)::bigint as discounts,
    sum(returns)::bigint as returns,
    sum(net_sales)::bigint as net_sales,
    count(distinct order_id) filter (where kind = 'sale') as order_count,
    min(occurred_at) as first_event_at,
    max(occurred_at) as last_event_at,
    getvariable('sales_refresh_id')::varchar as refresh_id
from order_ledger
group by shop_domain, product_id, day, currency
order by shop_domain, product_id, day, currency;
