-- The ledger entries that the superseded orders lose and gain.
-- Reads:  commerce_new with event_now, commerce_opened with event_before: the events that count now and counted before.
-- Writes: moved_entry: an entry, of whichever order, and how many times more than before it is told (times; below 0: less).
-- Guarantees: an entry told as before is not among them. No ledger is held whole.

create or replace table moved_entry as
select * replace (sum(times)::bigint as times)
from (
    select * exclude (order_id), 1 as times from ledger_entries('commerce_new', 'event_now')
    union all
    select * exclude (order_id), -1 as times from ledger_entries('commerce_opened', 'event_before')
)
group by all
having times <> 0;
