-- The event of each order that counts.
-- Reads:  ledger_event: events with event_row, which no two of them share.
-- Writes: newest_event (its event_row, one row per order).

create or replace table newest_event as
select event_row
from last_told('ledger_event');
