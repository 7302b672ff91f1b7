-- What each product sold and how it was looked at, over the windows of the specification.
-- Reads:  product_measured, sales (with the days that needed_day names), changed_key, publication_telemetry (at least what is
--         new and of the last 30 days), engagement_history, product_before, shop, shop_day, objective_spec.
-- Writes: product_windows, one row per product: by its row of product_measured (product_row).
-- Guarantees: windows are ranges of days, so a day without sales counts 0; first windows start at the launch, trailing
-- windows end with the shop's day of computation.

-- Which days a window has.
create or replace macro in_first(day, launched_on, length, until_day) as
    coalesce(day between launched_on and launched_on + length - 1 and day <= until_day, false)::integer;

create or replace macro in_last(day, length, until_day) as
    coalesce(day > until_day - length and day <= until_day, false)::integer;

-- What a product's windows hold more than those of the last refresh did; of one that does not go on from it, what they hold.
-- A row of sales counts in the windows as they are now, and is taken out of those they were (in_now, in_before). The rows
-- that orders have changed since count there with what they have more than before. By the row of product_measured
-- (product_row).
create or replace table product_sold as
with term as (
    select shop_domain, product_id, day, currency, units_sold, units_returned, gross_sales, net_sales, 1 as in_now, -1 as in_before
    from sales
    union all
    select shop_domain, product_id, day, currency, units_sold, units_returned, gross_sales, net_sales, 0 as in_now, 1 as in_before
    from changed_key
),
valued as (
    select
        product.rowid as product_row,
        day,
        launched_on,
        computed_on,
        computed_before,
        in_now,
        in_before,
        case measure
            when 'net_units' then units_sold - units_returned
            when 'net_sales' then if(term.currency = product.currency, term.net_sales, 0)
            when 'gross_sales' then if(term.currency = product.currency, term.gross_sales, 0)
        end as value,
        if(term.currency = product.currency, term.net_sales, 0) as net_sales
    from term
    join product_measured as product using (shop_domain, product_id)
    where day <= computed_on
      and (day > coalesce(computed_before, computed_on) - 30 or day between launched_on and launched_on + 13)
),
counted as (
    select
        *,
        in_now * in_first(day, launched_on, 7, computed_on)
            + in_before * in_first(day, launched_on, 7, computed_before) as in_first_7_days,
        in_now * in_first(day, launched_on, 14, computed_on)
            + in_before * in_first(day, launched_on, 14, computed_before) as in_first_14_days,
        in_now * in_last(day, 7, computed_on) + in_before * in_last(day, 7, computed_before) as in_last_7_days,
        in_now * in_last(day, 14, computed_on) + in_before * in_last(day, 14, computed_before) as in_last_14_days,
        in_now * in_last(day, 30, computed_on) + in_before * in_last(day, 30, computed_before) as in_last_30_days
    from valued
)
select
    product_row,
    sum(in_first_7_days * value) as sales_first_7_days,
    sum(in_first_14_days * value) as sales_first_14_days,
    sum(in_last_7_days * value) as sales_last_7_days,
    sum(in_last_14_days * value) as sales_last_14_days,
    sum(in_last_30_days * value) as sales_last_30_days,
    sum(in_last_30_days * net_sales) as net_sales_last_30_days
from counted
group by product_row;

-- Of each interaction (event_id), whatever the order or number of its deliveries, the first of the last 30 days on which it was
-- told, and the newest day at all. One told before these is forgotten there: whoever opens a mail again a month later has looked
-- again, and to know better would take the whole history. Grouping by columns of fixed size spills to disk; an aggregate that
-- carries lists or structs per event does not (5 million events fail at 1 GiB), nor does a window function over the raw table.
create or replace table interaction as
select
    shop_domain,
    product_id,
    event_type,
    min(day) filter (where day > computed_on - 30) as day,
    max(day) as newest_day
from (
    select *, local_date(occurred_at::timestamptz, shop_time_zone) as day
    from publication_telemetry
    join shop using (shop_domain)
    where product_id is not null
      and is_bot is distinct from true
)
join shop_day using (shop_domain)
where day <= computed_on
group by event_id, shop_domain, product_id, event_type;

create or replace table product_engagement as
with daily as (
    select shop_domain, product_id, event_type, day, newest_day
    from interaction
    union all
    -- Older than the windows, they only tell when somebody looked last.
    select shop_domain, product_id, null as event_type, null as day, last_engagement_on as newest_day
    from product_before
    where last_engagement_on is not null
    union all
    -- Of products that the last refresh did not know nobody has kept when they were looked at.
    select
        event.shop_domain,
        event.product_id,
        null as event_type,
        null as day,
        local_date(event.occurred_at::timestamptz, shop.shop_time_zone) as newest_day
    from engagement_history as event
    join newcomer using (shop_domain, product_id)
    join shop using (shop_domain)
    where event.is_bot is distinct from true
)
select
    shop_domain,
    product_id,
    max(newest_day) as last_engagement_on,
    count(*) filter (where event_type = 'impression' and day > computed_on - 7) as impressions_last_7_days,
    count(*) filter (where event_type = 'click' and day > computed_on - 7) as clicks_last_7_days,
    count(*) filter (where event_type = 'view' and day > computed_on - 7) as views_last_7_days,
    count(*) filter (where event_type = 'conversion' and day > computed_on - 7) as conversions_last_7_days,
    count(*) filter (where event_type = 'impression' and day is not null) as impressions_last_30_days,
    count(*) filter (where event_type = 'click' and day is not null) as clicks_last_30_days,
    count(*) filter (where event_type = 'view' and day is not null) as views_last_30_days,
    count(*) filter (where event_type = 'conversion' and day is not null) as conversions_last_30_days
from daily
join shop_day using (shop_domain)
where newest_day <= computed_on
group by shop_domain, product_id;

create or replace table product_windows as
with windowed as (
    select
        product.rowid as product_row,
        product.product_id,
        product.is_active,
        product.computed_on,
        -- greatest() passes over nulls: the launch counts as the first activity, once it has come.
        greatest(
            product.last_sale_on,
            engagement.last_engagement_on,
            if(product.launched_on <= product.computed_on, product.launched_on, null)
        ) as last_activity_on,
        engagement.last_engagement_on,
        product.spec_number,
        (coalesce(before.sales_first_7_days, 0) + coalesce(sold.sales_first_7_days, 0))::bigint as sales_first_7_days,
        (coalesce(before.sales_first_14_days, 0) + coalesce(sold.sales_first_14_days, 0))::bigint as sales_first_14_days,
        (coalesce(before.sales_last_7_days, 0) + coalesce(sold.sales_last_7_days, 0))::bigint as sales_last_7_days,
        (coalesce(before.sales_last_14_days, 0) + coalesce(sold.sales_last_14_days, 0))::bigint as sales_last_14_days,
        (coalesce(before.sales_last_30_days, 0) + coalesce(sold.sales_last_30_days, 0))::bigint as sales_last_30_days,
        (coalesce(before.net_sales_last_30_days, 0) + coalesce(sold.net_sales_last_30_days, 0))::bigint
            as net_sales_last_30_days,
        coalesce(impressions_last_7_days, 0) as impressions_last_7_days,
        coalesce(clicks_last_7_days, 0) as clicks_last_7_days,
        coalesce(views_last_7_days, 0) as views_last_7_days,
        coalesce(conversions_last_7_days, 0) as conversions_last_7_days,
        coalesce(impressions_last_30_days, 0) as impressions_last_30_days,
        coalesce(clicks_last_30_days, 0) as clicks_last_30_days,
        coalesce(views_last_30_days, 0) as views_last_30_days,
        coalesce(conversions_last_30_days, 0) as conversions_last_30_days
    from product_measured as product
    left join product_engagement as engagement using (shop_domain, product_id)
    left join product_sold as sold on sold.product_row = product.rowid
    left join product_before as before
        on before.rowid = product.row_before
       and before.computed_on = product.computed_before
)
-- Weights are thousandths of the measure's unit per interaction. Whole numbers throughout: what is left over is dropped
-- once, from the sum.
select
    windowed.* exclude (computed_on),
    (
        sales_last_30_days::hugeint
        + (
            views_last_30_days::hugeint * spec.weight_views
            + clicks_last_30_days::hugeint * spec.weight_clicks
            + conversions_last_30_days::hugeint * spec.weight_conversions
            + impressions_last_30_days::hugeint * spec.weight_impressions
        ) // 1000
    )::bigint as aggregate_measurement_value,
    computed_on - last_activity_on as days_without_activity
from windowed
join objective_spec as spec using (spec_number);
