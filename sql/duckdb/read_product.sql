-- GET /v1/explain: the rows of one product on one day, as JSON texts; several if several shops have the product.
-- $1 shop (null is any), $2 day of computation (null is each shop's newest), $3 product.
with newest as (
    select shop_domain, coalesce($2::date, max(computed_on)) as computed_on
    from measurement_performance
    where $1::varchar is null or shop_domain = $1
    group by shop_domain
)
select to_json(fact)
from (
    select * replace (source_snapshot_id::varchar as source_snapshot_id)
    from measurement_performance
    semi join newest using (shop_domain, computed_on)
    where product_id = $3
    order by shop_domain
) as fact;
