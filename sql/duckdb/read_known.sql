-- Whether measurement.performance has a row of shop $1 and product $2; null is any. Reads: measurement_performance.
select exists (
    select 1 from measurement_performance
    where ($1::varchar is null or shop_domain = $1)
      and ($2::varchar is null or product_id = $2)
);
