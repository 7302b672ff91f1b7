-- The orders of which something new is told, as they were told before and as they are told now.
-- Reads:  commerce_new (rows since the last refresh), commerce_before (the snapshot it read).
-- Writes: touched_before, touched_after: all events of those orders, with the columns that 20_order_ledger.sql reads.
-- Guarantees: only the column order_id of the history is read whole; the others only where it matches.

create or replace table touched_order as
select distinct shop_domain, order_id
from commerce_new
where order_id is not null
  and order_revision is not null
  and (sales is not null or is_deleted);

create or replace table touched_before as
select
    shop_domain, order_id, order_revision, order_processed_at, occurred_at, received_at, event_id, source, is_deleted,
    is_test, currency, sales
from commerce_before
join touched_order using (shop_domain, order_id);

create or replace table touched_after as
select *
from touched_before
union all
select
    shop_domain, order_id, order_revision, order_processed_at, occurred_at, received_at, event_id, source, is_deleted,
    is_test, currency, sales
from commerce_new
join touched_order using (shop_domain, order_id);
