-- How each product is measured, and over which days.
-- Reads:  product, sales (as 40_product_told.sql), changed_day, changed_key, lapsed_product, lapsed_shop, product_before,
--         shop_before, shop_day, objective_spec (at most one per shop and product type, and one for every shop as a whole).
-- Writes: shop_currency, product_measured; adds to needed_day the days of first windows that have to be added up.
-- Guarantees: money measures count the shop's newest currency only; the narrowest specification governs. A first window is
-- taken from the last refresh where nothing of what decides it has changed.

create or replace table shop_currency as
select shop_domain, max(day) as newest_sale_on, arg_max(currency, row(day, currency)) as currency
from (
    select shop_domain, day, currency
    from sales
    join shop_day using (shop_domain)
    where day <= computed_on
    union all
    select shop_domain, newest_sale_on as day, currency
    from shop_before
    anti join lapsed_shop using (shop_domain)
    anti join changed_day on changed_day.day = newest_sale_on
    where newest_sale_on is not null
)
group by shop_domain;

create or replace table product_measured as
-- Sales within their first window have changed.
with unsettled as (
    select distinct product.shop_domain, product.product_id
    from product
    join changed_key using (shop_domain, product_id)
    where day between launched_on and launched_on + 13
    union
    from lapsed_product
)
select
    product.*,
    shop_day.computed_on,
    coalesce(narrow.spec_number, wide.spec_number) as spec_number,
    coalesce(narrow.measure, wide.measure) as measure,
    shop_currency.currency,
    -- One that reaches into the trailing days may as well be added up with them.
    unsettled.product_id is null
    and coalesce(
        product.launched_on + 13 <= before.computed_on
        and product.launched_on = before.launched_on
        and before.measure = coalesce(narrow.measure, wide.measure),
        false
    )
    and before.currency is not distinct from shop_currency.currency as keeps_first_windows,
    before.sales_first_7_days as kept_first_7_days,
    before.sales_first_14_days as kept_first_14_days
from product
join shop_day using (shop_domain)
join objective_spec as wide
    on wide.shop_domain = product.shop_domain
   and wide.product_type is null
left join objective_spec as narrow
    on narrow.shop_domain = product.shop_domain
   and narrow.product_type = product.product_type
left join shop_currency on shop_currency.shop_domain = product.shop_domain
left join product_before as before
    on before.shop_domain = product.shop_domain
   and before.product_id = product.product_id
left join unsettled
    on unsettled.shop_domain = product.shop_domain
   and unsettled.product_id = product.product_id;

insert into needed_day
select distinct unnest(generate_series(launched_on, launched_on + 13, interval 1 day))::date as day
from product_measured
where not keeps_first_windows
  and launched_on <= computed_on - 30;
