-- The touched orders that are told otherwise than before.
-- Reads:  touched_order (17_touched_orders.sql), commerce_before (of the snapshot the last refresh read, at least the files in
--         which a touched order is, with event_row).
-- Writes: superseded: the event that counts now (row_now, of commerce_new) and the one that counted (row_before, of
--         commerce_before; null for an order nobody had told of).
-- Guarantees: an order whose new events are late or repeated is not among them. Only columns of fixed size are held, and
-- an order is its row of touched_order: to group and to join by the texts that name it costs more.

create or replace table superseded as
with told as (
    select
        now.rowid as touched,
        commerce_before.event_row,
        told_order(order_revision, received_at, event_type) as told_at
    from commerce_before
    join touched_order as now using (shop_domain, order_id)
    where order_revision is not null
),
before as (
    select touched, arg_max(event_row, told_at) as event_row, max(told_at) as told_at
    from told
    group by touched
)
select now.event_row as row_now, before.event_row as row_before
from touched_order as now
left join before on before.touched = now.rowid
where before.told_at is null
   or now.told_at > before.told_at;
