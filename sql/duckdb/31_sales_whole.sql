-- measurement.sales from the orders of which all entries are read.
-- Reads:  sales_of_entries.
-- Writes: sales_row.

create or replace table sales_row as
from sales_of_entries;
