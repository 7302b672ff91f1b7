-- The orders of which something new is told.
-- Reads:  commerce_new (rows since the last refresh, with event_row).
-- Writes: touched_order: of each the new event that counts among the new ones, and its place in the order of events.

create or replace table touched_order as
from last_told('commerce_new');
