-- What somebody would write in DuckDB alone for the same answer: newest revision of each order, sales by product and day,
-- windows, rank, label; both results as Parquet.
create view telemetry as select * from {telemetry};

create table newest as
select shop_domain, order_id, max(order_revision) as order_revision
from telemetry
where sales is not null
group by all;

create table entry as
select shop_domain, order_id, currency, order_processed_at, entry.*
from (
    select distinct shop_domain, order_id, currency, order_processed_at, unnest(sales) as entry
    from telemetry
    join newest using (shop_domain, order_id, order_revision)
    where not is_test
);

create table sales as
select
    shop_domain, product_id, day::date as day, currency,
    sum(units_sold)::bigint as units_sold, sum(units_returned)::bigint as units_returned,
    sum(gross_sales)::bigint as gross_sales, sum(discounts)::bigint as discounts, sum(returns)::bigint as returns,
    sum(net_sales)::bigint as net_sales, count(distinct order_id) filter (where kind = 'sale') as order_count,
    min(order_processed_at) as first_event_at, max(order_processed_at) as last_event_at
from entry
group by all;

create table product as
select
    shop_domain, product_id, arg_max(product_title, product_updated_at) as product_title,
    arg_max(product_type, product_updated_at) as product_type,
    arg_max(product_is_active, product_updated_at) as is_active,
    arg_max(product_published_at, product_updated_at)::date as launched_on
from telemetry
where event_type = 'product_changed'
group by all;

create table performance as
select
    product.*,
    coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 6), 0) as first_7,
    coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 13), 0) as first_14,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 7), 0) as last_7,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 14), 0) as last_14,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 30), 0) as last_30,
    coalesce(sum(net_sales) filter (where day > '{today}'::date - 30), 0) as net_sales,
    max(day) filter (where units_sold > 0) as last_sale_on
from product
left join sales using (shop_domain, product_id)
group by all;

create table labelled as
select *, row_number() over (order by last_30 desc, net_sales desc, product_id) as rank,
    if(is_active is false, 'archive_candidate', 'none') as label
from performance;

copy (select * from sales order by day, product_id) to '{folder}/sales.parquet' (format parquet, compression zstd);
copy labelled to '{folder}/performance.parquet' (format parquet, compression zstd);
