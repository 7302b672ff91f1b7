-- GET /v1/performance: rows of measurement.performance as JSON texts, best rank first.
-- Reads: measurement_performance, newest_day. $1 shop (null is any), $2 day of computation (null is each shop's newest), $3
-- how many rows after the first $4. The snapshot id is text: a JavaScript number cannot hold it.
select to_json(fact)
from (
    select * replace (source_snapshot_id::varchar as source_snapshot_id)
    from measurement_performance as row_of_day
    where ($1::varchar is null or shop_domain = $1)
      and computed_on = coalesce(
          $2::date,
          (select newest.computed_on from newest_day as newest where newest.shop_domain = row_of_day.shop_domain)
      )
    order by shop_domain, computed_on, rank, product_id
    limit $3 offset $4
) as fact;
