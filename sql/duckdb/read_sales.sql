-- GET /v1/sales: rows of measurement.sales as JSON texts. $1 shop, $2 first day, $3 last day, $4 product; null is any.
-- $5: not more rows than that.
select to_json(fact)
from (
    select * exclude (order_times) replace (
        strftime(first_event_at::timestamptz, '%Y-%m-%dT%H:%M:%S.%gZ') as first_event_at,
        strftime(last_event_at::timestamptz, '%Y-%m-%dT%H:%M:%S.%gZ') as last_event_at
    )
    from measurement_sales
    where ($1::varchar is null or shop_domain = $1)
      and ($2::date is null or day >= $2::date)
      and ($3::date is null or day <= $3::date)
      and ($4::varchar is null or product_id = $4)
    order by shop_domain, day, product_id, currency
    limit $5
) as fact;
