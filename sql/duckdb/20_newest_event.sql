-- The event of each order that counts.
-- Reads:  ledger_event: events with event_row, which no two of them share.
-- Writes: newest_event (its event_row, one row per order).
-- Guarantees: an order counts by one row of its newest revision alone, so a late, repeated or reordered event changes
-- nothing. It is found with columns of fixed size, which spill to disk.

create or replace table newest_event as
select arg_max(event_row, told_order(order_revision, received_at, event_type)) as event_row
from ledger_event
where order_id is not null
  and order_revision is not null
group by shop_domain, order_id;
