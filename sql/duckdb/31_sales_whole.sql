-- measurement.sales from all orders.
-- Reads:  sales_of_orders (of every order).
-- Writes: sales_row.

create or replace view sales_row as
from sales_of_orders;
