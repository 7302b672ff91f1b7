-- The day partitions of measurement.performance as they are written.
-- Reads:  performance, performance_before (what the table holds), shop_day.
-- Writes: performance_day, a view; performance_checked, one with what else the reference looks at (null in a row carried over).
-- Guarantees: a refresh replaces its own (shop, day) and nothing else: at one moment shops of different time zones have
-- different dates, so the partitions it overwrites may hold rows of other shops, which are carried over unchanged.

create or replace view performance_checked as
select *
from performance
union all by name
select *
from performance_before
where computed_on in (select computed_on from shop_day)
  and not exists (
      select 1
      from shop_day
      where shop_day.shop_domain = performance_before.shop_domain
        and shop_day.computed_on = performance_before.computed_on
  );

create or replace view performance_day as
select * exclude (spec_number, days_without_activity)
from performance_checked;
