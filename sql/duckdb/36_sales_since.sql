-- The days to write when a refresh was asked to write those from one day on.
-- Reads:  sales_day (all days, computed anew), sales_held (what measurement.sales holds); variable since_day.
-- Writes: changed_day; takes the other days out of sales_day, and so out of sales_written.
-- Guarantees: an earlier day is among them if it differs, so that the table as a whole is what telemetry says.

create or replace table changed_day as
with held as (select distinct day, refresh_id from sales_held)
select day
from sales_day as computed
full join held using (day)
where day >= getvariable('since_day')
   or computed.content_id::varchar is distinct from held.refresh_id;

delete from sales_day
where day not in (select day from changed_day);
