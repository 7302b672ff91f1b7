-- Sales that a refresh of the same telemetry wrote before it broke off: nobody knows which days it had changed.
-- Reads:  product_before, shop_before, sales_file.
-- Writes: lapsed_product, lapsed_shop and needed_day: everything.

create or replace table lapsed_product as
select shop_domain, product_id
from product_before;

create or replace table lapsed_shop as
select shop_domain
from shop_before;

create or replace table needed_day as
select distinct day
from sales_file;
