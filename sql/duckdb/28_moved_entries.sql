-- The ledger entries that the superseded orders lose and gain.
-- Reads:  gone_entry, come_entry (rows of order_ledger of these orders as they were told before and as they are told now).
-- Writes: moved_entry: with sign -1 an entry that is no longer told, with 1 one that is new.
-- Guarantees: an entry told as before is not among them.

create or replace table moved_entry as
select * replace (sum(sign)::bigint as sign)
from (
    select *, 1 as sign from come_entry
    union all
    select *, -1 as sign from gone_entry
)
group by all
having sum(sign) <> 0;
