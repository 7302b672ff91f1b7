-- The days of sales that have to be read beside the changed ones, and what of the last refresh they have undone.
-- Reads:  changed_key, changed_day, sales_row (the changed days, whole), product_before, shop_before, shop_day,
--         sales_file (every data file of sales with its day).
-- Writes: lapsed_product, lapsed_shop: of these the first, last and newest sales are not known any more.
--         needed_day: those the last refresh has not looked at; all of them if anything has lapsed.

create or replace table lapsed_product as
with unsold as (
    select shop_domain, product_id, day, left_over.units_sold is null as is_gone
    from changed_key
    left join sales_row as left_over using (shop_domain, product_id, day, currency)
    where coalesce(left_over.units_sold, 0) <= 0
)
select distinct shop_domain, product_id
from unsold
join product_before using (shop_domain, product_id)
-- The row may have been the last to say that there is such a product, or its first or last sale.
where (is_gone and is_seen_only(product_state_key))
   or day in (first_sale_on, last_sale_on);

create or replace table lapsed_shop as
select shop_domain
from shop_before
semi join changed_day on changed_day.day = newest_sale_on
anti join sales_row
    on sales_row.shop_domain = shop_before.shop_domain
   and sales_row.day = newest_sale_on
   and sales_row.order_count > 0;

create or replace table needed_day as
select day
from sales_file
where day > (select min(computed_on) from shop_before)
   or exists (from lapsed_product)
   or exists (from lapsed_shop);
