-- The orders of which something new is told.
-- Reads:  commerce_new (rows since the last refresh, with event_row).
-- Writes: touched_order: of each the new event that counts among the new ones, and its place in the order of events.

create or replace table touched_order as
select
    shop_domain,
    order_id,
    arg_max(event_row, told_at) as event_row,
    max(told_at) as told_at
from (
    select shop_domain, order_id, event_row, told_order(order_revision, received_at, event_type) as told_at
    from commerce_new
    where order_id is not null
      and order_revision is not null
)
group by shop_domain, order_id;
