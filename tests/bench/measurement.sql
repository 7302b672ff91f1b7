-- The measurement in PostgreSQL, from the same events: what somebody would write who keeps telemetry in tables. psql runs it;
-- folder, today and the thresholds are its variables. Loading is not counted, as the others find their files ready.
\set ON_ERROR_STOP on
set max_parallel_workers_per_gather = 1;
set work_mem = '256MB';
create table telemetry (
    event_type text,
    shop_domain text,
    order_id text,
    order_revision bigint,
    currency text,
    order_processed_at timestamptz,
    is_test boolean,
    sales json,
    product_id text,
    product_is_active boolean,
    product_published_at timestamptz,
    product_updated_at timestamptz
);
\copy telemetry from pstdin csv
analyze telemetry;

\set QUIET on
\timing on
\echo computing
create table measured as
with newest as (
    select distinct on (shop_domain, order_id) shop_domain, order_id, currency, order_processed_at, is_test, sales
    from telemetry
    where order_revision is not null
    order by shop_domain, order_id, order_revision desc
)
select
    newest.shop_domain,
    entry.product_id,
    entry.day,
    newest.currency,
    sum(entry.units_sold)::bigint as units_sold,
    sum(entry.units_returned)::bigint as units_returned,
    sum(entry.gross_sales)::bigint as gross_sales,
    sum(entry.discounts)::bigint as discounts,
    sum(entry.returns)::bigint as returns,
    sum(entry.net_sales)::bigint as net_sales,
    count(*) filter (where entry.kind = 'sale') as order_count,
    min(newest.order_processed_at) as first_event_at,
    max(newest.order_processed_at) as last_event_at
from newest
cross join lateral json_to_recordset(newest.sales) as entry (
    product_id text, day date, kind text, units_sold bigint, units_returned bigint, gross_sales bigint, discounts bigint,
    returns bigint, net_sales bigint
)
where not newest.is_test
group by 1, 2, 3, 4;

create table performance as
with product as (
    select distinct on (shop_domain, product_id)
        shop_domain, product_id, product_is_active as is_active,
        (product_published_at at time zone 'UTC')::date as launched_on
    from telemetry
    where event_type = 'product_changed'
    order by shop_domain, product_id, product_updated_at desc
),
windows as (
    select
        product.*,
        coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 6), 0)::bigint
            as sales_first_7_days,
        coalesce(sum(units_sold - units_returned) filter (where day between launched_on and launched_on + 13), 0)::bigint
            as sales_first_14_days,
        coalesce(sum(units_sold - units_returned) filter (where day > :'today'::date - 7), 0)::bigint as sales_last_7_days,
        coalesce(sum(units_sold - units_returned) filter (where day > :'today'::date - 14), 0)::bigint as sales_last_14_days,
        coalesce(sum(units_sold - units_returned) filter (where day > :'today'::date - 30), 0)::bigint as sales_last_30_days,
        coalesce(sum(net_sales) filter (where day > :'today'::date - 30), 0)::bigint as net_sales_last_30_days,
        max(day) filter (where units_sold > 0) as last_sale_on
    from product
    left join measured using (shop_domain, product_id)
    group by shop_domain, product_id, is_active, launched_on
),
ranked as (
    select *,
        row_number() over (
            order by sales_last_30_days desc, net_sales_last_30_days desc, product_id collate "C"
        ) as rank
    from windows
)
select *,
    case
        when sales_first_7_days >= :threshold_7d and sales_first_14_days >= :threshold_14d then 'top_riser'
        when sales_last_30_days >= :threshold_30d then 'winner'
        when sales_last_30_days > 0 and rank <= :banana_count then 'banana'
        when not is_active or :'today'::date - greatest(last_sale_on, launched_on) >= :stale_after_days
            then 'archive_candidate'
        else 'none'
    end as nominal_classification
from ranked;
\timing off
\echo computed

\o :folder/postgres.sales.csv
copy measured to stdout (format csv, header);
\o :folder/postgres.performance.csv
copy performance to stdout (format csv, header);
