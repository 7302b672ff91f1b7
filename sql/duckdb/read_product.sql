-- GET /v1/explain: the rows of one product on one day, as JSON texts; several if several shops have the product.
-- Reads: measurement_performance, newest_day. $1 shop (null is any), $2 day of computation (null is each shop's newest),
-- $3 product.
select to_json(fact)
from (
    select * replace (source_snapshot_id::varchar as source_snapshot_id)
    from measurement_performance as row_of_day
    where product_id = $3
      and ($1::varchar is null or shop_domain = $1)
      and computed_on = coalesce(
          $2::date,
          (select newest.computed_on from newest_day as newest where newest.shop_domain = row_of_day.shop_domain)
      )
    order by shop_domain
) as fact;
