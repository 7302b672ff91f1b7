-- Rows of measurement.sales as they are written.
-- Reads:  sales_row.
-- Writes: sales_day (every day with the name of its content), sales_written (a view, day by day).
-- Guarantees: refresh_id names the content of its day, so that a day has the same bytes whichever refresh wrote it and in
-- whichever way. The keys of a day are unique, so that no two rows cancel each other out.

create or replace table sales_day as
select
    day,
    count(*) as row_count,
    md5(concat_ws('/', day, bit_xor(content), sum(content::hugeint)))::uuid as content_id
from (
    select
        day,
        hash(shop_domain, product_id, currency, units_sold, units_returned, gross_sales, discounts, returns, net_sales,
            order_count, order_times) as content
    from sales_row
)
group by day;

-- What can be told from a row is told after sorting: a sort copies all it is given.
create or replace view sales_written as
select
    sorted.* exclude (order_times, content_id),
    order_times[1] as first_event_at,
    order_times[-1] as last_event_at,
    order_times,
    content_id::varchar as refresh_id
from (
    select sales_row.*, sales_day.content_id
    from sales_row
    join sales_day using (day)
    order by day, shop_domain, product_id, currency
) as sorted;
