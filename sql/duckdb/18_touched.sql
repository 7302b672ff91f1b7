-- The orders of which something new is told, as they were told before and as they are told now.
-- Reads:  touched_order (17_touched_orders.sql), commerce_new (rows since the last refresh), commerce_before (of the
--         snapshot it read, the files in which a touched order is).
-- Writes: touched_before, touched_after: all events of those orders, with the columns that 20_order_ledger.sql reads.

create or replace table touched_before as
select
    shop_domain, order_id, order_revision, order_processed_at, occurred_at, received_at, event_type, is_deleted,
    is_test, currency, sales
from commerce_before
semi join touched_order using (shop_domain, order_id);

create or replace table touched_after as
select *
from touched_before
union all
select
    shop_domain, order_id, order_revision, order_processed_at, occurred_at, received_at, event_type, is_deleted,
    is_test, currency, sales
from commerce_new
where order_revision is not null
  and order_id is not null;
