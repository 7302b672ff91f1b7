-- GET /v1/history: what was said of a product on each day of computation, as JSON texts, by shop and day.
-- Reads: measurement_performance. $1 shop (null is any), $2 product, $3 first day, $4 last day (null does not restrict).
-- previous_classification is the label of the day of computation before it, whether or not that day is asked for.
select to_json(fact)
from (
    select * exclude (product_id)
    from (
        select
            shop_domain,
            product_id,
            computed_on,
            product_title,
            nominal_classification,
            lag(nominal_classification) over (partition by shop_domain order by computed_on) as previous_classification,
            matched_rules,
            rank,
            is_active,
            measure,
            currency,
            sales_first_7_days,
            sales_first_14_days,
            sales_last_7_days,
            sales_last_14_days,
            sales_last_30_days,
            net_sales_last_30_days,
            aggregate_measurement_value,
            objective_spec_id,
            objective_spec_revision,
            refresh_id
        from measurement_performance
        where product_id = $2
          and ($1::varchar is null or shop_domain = $1)
    )
    where ($3::date is null or computed_on >= $3::date)
      and ($4::date is null or computed_on <= $4::date)
    order by shop_domain, computed_on
) as fact;
