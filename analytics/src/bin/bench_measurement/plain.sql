-- What somebody would write in DuckDB alone for the same answer: newest revision of each order, sales by product and day,
-- windows, rank, label; both results as Parquet. {telemetry}, {folder}, {today} and the thresholds are filled in.
create view telemetry as select * from {telemetry};

create table sales as
with newest as (
    select shop_domain, order_id, max(order_revision) as order_revision
    from telemetry
    where order_revision is not null
    group by all
),
told as (
    select distinct shop_domain, order_id, currency, order_processed_at, sales
    from telemetry
    join newest using (shop_domain, order_id, order_revision)
    where not is_test
)
select
    shop_domain,
    entry.product_id as product_id,
    entry.day::date as day,
    currency,
    sum(entry.units_sold)::bigint as units_sold,
    sum(entry.units_returned)::bigint as units_returned,
    sum(entry.gross_sales)::bigint as gross_sales,
    sum(entry.discounts)::bigint as discounts,
    sum(entry.returns)::bigint as returns,
    sum(entry.net_sales)::bigint as net_sales,
    count(*) filter (where entry.kind = 'sale') as order_count,
    min(order_processed_at) as first_event_at,
    max(order_processed_at) as last_event_at
from (select *, unnest(sales) as entry from told)
group by all;

create table product as
select
    shop_domain,
    product_id,
    arg_max(product_title, product_updated_at) as product_title,
    arg_max(product_type, product_updated_at) as product_type,
    arg_max(product_is_active, product_updated_at) as is_active,
    arg_max(product_published_at, product_updated_at)::date as launched_on
from telemetry
where event_type = 'product_changed'
group by all;

create table windows as
select
    product.*,
    coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 6), 0)::bigint
        as sales_first_7_days,
    coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 13), 0)::bigint
        as sales_first_14_days,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 7), 0)::bigint
        as sales_last_7_days,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 14), 0)::bigint
        as sales_last_14_days,
    coalesce(sum(units_sold - units_returned) filter (where day > '{today}'::date - 30), 0)::bigint
        as sales_last_30_days,
    coalesce(sum(net_sales) filter (where day > '{today}'::date - 30), 0)::bigint as net_sales_last_30_days,
    max(day) filter (where units_sold > 0) as last_sale_on
from product
left join sales using (shop_domain, product_id)
group by all;

create table performance as
with ranked as (
    select
        *,
        row_number() over (order by sales_last_30_days desc, net_sales_last_30_days desc, product_id) as rank
    from windows
)
select
    *,
    case
        when sales_first_7_days >= {threshold_7d} and sales_first_14_days >= {threshold_14d} then 'top_riser'
        when sales_last_30_days >= {threshold_30d} then 'winner'
        when sales_last_30_days > 0 and rank <= {banana_count} then 'banana'
        when not is_active or '{today}'::date - greatest(last_sale_on, launched_on) >= {stale_after_days}
            then 'archive_candidate'
        else 'none'
    end as nominal_classification
from ranked;

copy (from sales order by day, shop_domain, product_id, currency) to '{folder}/duckdb.sales.parquet'
    (format parquet, compression zstd);
copy (from performance order by shop_domain, product_id) to '{folder}/duckdb.performance.parquet'
    (format parquet, compression zstd);
