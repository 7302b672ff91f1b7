-- How each product is measured, and over which days.
-- Reads:  product, sales (as 40_product_told.sql), changed_day, lapsed_shop, product_before, shop_before, shop_day,
--         objective_spec (at most one per shop and product type, and one for every shop as a whole).
-- Writes: shop_currency; product_measured; newcomer: the products that the last refresh did not know; adds to needed_day the
--         days whose sales 50_windows.sql adds up.
-- Guarantees: money measures count the currency of the shop's newest sale only: a return comes in the currency of its order,
-- which the shop may have left since. The narrowest specification governs. Windows go on from those of the last refresh
-- (computed_before is not null) if they count the same amounts from the same launch.

-- A day's sales in several currencies are told apart by when the last order was placed; of what the last refresh left of a day
-- no more than the currency is known, which any row of that day therefore outdoes.
create or replace table shop_currency as
select shop_domain, max(day) as newest_sale_on, arg_max(currency, row(day, placed_at, currency)) as currency
from (
    select shop_domain, day, order_times[-1] as placed_at, currency
    from sales
    join shop_day using (shop_domain)
    where day <= computed_on
      and order_count > 0
    union all
    select shop_domain, newest_sale_on as day, '-infinity'::timestamptz as placed_at, currency
    from shop_before
    anti join lapsed_shop using (shop_domain)
    anti join changed_day on changed_day.day = newest_sale_on
    where newest_sale_on is not null
)
group by shop_domain;

create or replace table product_measured as
select
    product.* exclude (product_type),
    before.product_id is null as is_newcomer,
    shop_day.computed_on,
    coalesce(narrow.spec_number, wide.spec_number) as spec_number,
    coalesce(narrow.measure, wide.measure) as measure,
    shop_currency.currency,
    if(
        before.launched_on is not distinct from product.launched_on
        and before.measure = coalesce(narrow.measure, wide.measure)
        and before.currency is not distinct from shop_currency.currency
        and not has_lapsed,
        before.computed_on,
        null
    ) as computed_before
from product
join shop_day using (shop_domain)
join objective_spec as wide
    on wide.shop_domain = product.shop_domain
   and wide.product_type is null
left join objective_spec as narrow
    on narrow.shop_domain = product.shop_domain
   and narrow.product_type = product.product_type
left join shop_currency on shop_currency.shop_domain = product.shop_domain
left join product_before as before on before.rowid = product.row_before;

create or replace table newcomer as
select shop_domain, product_id
from product_measured
where is_newcomer;

insert into needed_day
with anew as (
    select distinct shop_domain, launched_on, computed_on
    from product_measured
    where computed_before is null
)
-- Days that come into a window or leave it: a trailing one of so many days, or by 0 those that are new to all.
select unnest(generate_series(shop_before.computed_on + 1 - length, shop_day.computed_on - length, interval 1 day))::date as day
from shop_before
join shop_day using (shop_domain)
cross join (values (0), (7), (14), (30)) as window_of(length)
union
select unnest(generate_series(computed_on - 29, computed_on, interval 1 day))::date as day
from shop_day
semi join anew using (shop_domain)
union
select unnest(generate_series(launched_on, least(launched_on + 13, computed_on), interval 1 day))::date as day
from anew;
