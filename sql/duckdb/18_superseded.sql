-- The touched orders that are told otherwise than before.
-- Reads:  touched_order (17_touched_orders.sql), commerce_before (of the snapshot the last refresh read, at least the files in
--         which a touched order is, with event_row).
-- Writes: superseded: the event that counts now (row_now, of commerce_new) and the one that counted (row_before, of
--         commerce_before; null for an order nobody had told of).
-- Guarantees: an order whose new events are late or repeated is not among them. Only columns of fixed size are held.

create or replace view commerce_touched as
from commerce_before
semi join touched_order using (shop_domain, order_id);

create or replace table superseded as
select now.event_row as row_now, before.event_row as row_before
from touched_order as now
left join last_told('commerce_touched') as before using (shop_domain, order_id)
where before.told_at is null
   or now.told_at > before.told_at;
