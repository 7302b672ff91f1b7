-- The days of measurement.sales that the touched orders change.
-- Reads:  gone and come (sums of the entries that are no longer told, and of those that are new).
-- Writes: changed_day, changed_key.
-- Guarantees: a day on which every order says the same as before is left alone.

create or replace table changed_day as
select day from gone union select day from come;

create or replace table changed_key as
select shop_domain, product_id, day, currency from gone
union
select shop_domain, product_id, day, currency from come;
