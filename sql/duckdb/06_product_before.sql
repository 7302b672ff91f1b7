-- The products of the last refresh.
-- Reads:  performance_known (rows of measurement.performance as that refresh left it), shop_before.
-- Writes: product_before.

insert into product_before by name
select
    shop_domain,
    product_id,
    product_title,
    product_type,
    is_active,
    product_published_at,
    product_state_key,
    first_sale_on,
    last_sale_on,
    last_engagement_on,
    launched_on,
    computed_on,
    measure,
    currency,
    sales_first_7_days,
    sales_first_14_days,
    sales_last_7_days,
    sales_last_14_days,
    sales_last_30_days,
    net_sales_last_30_days
from performance_known
semi join shop_before using (shop_domain, computed_on);
