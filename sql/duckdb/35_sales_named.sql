-- Rows of measurement.sales as they are written.
-- Reads:  sales_row.
-- Writes: sales_written, by day.
-- Guarantees: refresh_id names the content of its day, so that a day has the same bytes whichever refresh wrote it and in
-- whichever way. The keys of a day are unique, so that no two rows cancel each other out.

create or replace table sales_written as
with digest as (
    select
        day,
        md5(concat_ws(
            '/',
            day,
            bit_xor(hash(shop_domain, product_id, currency, units_sold, units_returned, gross_sales, discounts, returns,
                net_sales, order_count, order_times)),
            bit_xor(hash('weir', shop_domain, product_id, currency, units_sold, units_returned, gross_sales, discounts,
                returns, net_sales, order_count, order_times))
        ))::uuid::varchar as refresh_id
    from sales_row
    group by day
)
select
    sales_row.* exclude (order_times),
    order_times[1] as first_event_at,
    order_times[-1] as last_event_at,
    order_times,
    digest.refresh_id
from sales_row
join digest using (day)
order by day, shop_domain, product_id, currency;
