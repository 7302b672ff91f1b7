-- The orders of which something new is told.
-- Reads:  commerce_new (rows since the last refresh).
-- Writes: touched_order.

create or replace table touched_order as
select distinct shop_domain, order_id
from commerce_new
where order_id is not null
  and order_revision is not null;
