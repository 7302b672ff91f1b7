-- The ledger entries that the superseded orders lose and gain.
-- Reads:  commerce_new with event_now, commerce_opened with event_before: the events that count now and counted before.
-- Writes: moved_entry: with sign -1 an entry that is no longer told, with 1 one that is new.
-- Guarantees: an entry told as before is not among them. No ledger is held whole.

create or replace table moved_entry as
select * replace (sum(sign)::bigint as sign)
from (
    select *, 1 as sign from ledger_entries('commerce_new', 'event_now')
    union all
    select *, -1 as sign from ledger_entries('commerce_opened', 'event_before')
)
group by all
having sum(sign) <> 0;
