-- The sales ledger of orders, as the event of each that counts tells it.
-- Reads:  ledger_event (as 20_newest_event.sql), newest_event.
-- Writes: order_ledger (a view, one row per ledger entry).

create or replace view order_ledger as
from ledger_entries('ledger_event', 'newest_event');
