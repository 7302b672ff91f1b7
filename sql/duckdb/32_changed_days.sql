-- The days of measurement.sales that the touched orders change.
-- Reads:  gone_and_kept and come_and_kept (rows of the touched orders as they were told before and now).
-- Writes: gone, come, changed_day, changed_key.
-- Guarantees: a day on which an order says the same as before is left alone.

create or replace table gone as
select * from gone_and_kept except select * from come_and_kept;

create or replace table come as
select * from come_and_kept except select * from gone_and_kept;

create or replace table changed_day as
select day from gone union select day from come;

create or replace table changed_key as
select shop_domain, product_id, day, currency from gone
union
select shop_domain, product_id, day, currency from come;
