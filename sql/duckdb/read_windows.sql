-- GET /v1/what-if with another measure: the windows of every product of one day, in every measure, as JSON texts.
-- Reads: measurement_performance, newest_day, measurement_sales. $1 shop (null is any), $2 day (null is each shop's newest).
-- The windows are those of 50_windows.sql, from the launch and the currency that the day's row names.
with fact as (
    select shop_domain, product_id, computed_on, launched_on, currency
    from measurement_performance as row_of_day
    where ($1::varchar is null or shop_domain = $1)
      and computed_on = coalesce(
          $2::date,
          (select newest.computed_on from newest_day as newest where newest.shop_domain = row_of_day.shop_domain)
      )
),
daily as (
    select
        fact.*,
        sales.day,
        measure.name as measure,
        case measure.name
            when 'net_units' then sales.units_sold - sales.units_returned
            when 'net_sales' then if(sales.currency = fact.currency, sales.net_sales, 0)
            when 'gross_sales' then if(sales.currency = fact.currency, sales.gross_sales, 0)
        end as value
    from fact
    cross join (values ('net_units'), ('net_sales'), ('gross_sales')) as measure(name)
    left join measurement_sales as sales
        on sales.shop_domain = fact.shop_domain
       and sales.product_id = fact.product_id
       and sales.day <= fact.computed_on
)
select to_json(windows)
from (
    select
        shop_domain,
        product_id,
        measure,
        coalesce(sum(value) filter (where day between launched_on and launched_on + 6), 0)::bigint
            as sales_first_7_days,
        coalesce(sum(value) filter (where day between launched_on and launched_on + 13), 0)::bigint
            as sales_first_14_days,
        coalesce(sum(value) filter (where day > computed_on - 30), 0)::bigint as sales_last_30_days
    from daily
    group by shop_domain, product_id, measure
) as windows;
