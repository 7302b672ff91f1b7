-- GET /v1/what-if: what labels of a day depend on, of measurement.performance, as JSON texts, best rank first.
-- Reads: measurement_performance, newest_day. $1 shop (null is any), $2 day of computation (null is each shop's newest), $3
-- not more rows than that. Without the other columns a row takes a third of the memory.
select to_json(fact)
from (
    select
        shop_domain,
        product_id,
        product_title,
        computed_on,
        nominal_classification,
        matched_rules,
        measure,
        currency,
        is_active,
        last_activity_on,
        sales_first_7_days,
        sales_first_14_days,
        sales_last_30_days,
        net_sales_last_30_days,
        impressions_last_30_days,
        clicks_last_30_days,
        views_last_30_days,
        conversions_last_30_days,
        aggregate_measurement_value,
        rank,
        objective_spec_id,
        objective_spec_revision
    from measurement_performance as row_of_day
    where ($1::varchar is null or shop_domain = $1)
      and computed_on = coalesce(
          $2::date,
          (select newest.computed_on from newest_day as newest where newest.shop_domain = row_of_day.shop_domain)
      )
    order by shop_domain, computed_on, rank, product_id
    limit $3
) as fact;
