-- Which event of an order counts.
-- Writes: told_order and last_told, macros.
-- Guarantees: an order counts by one row of its newest revision alone, so a late, repeated or reordered event changes
-- nothing. It is found with columns of fixed size, which spill to disk.

-- Orders an order's events: revision, then received last, then a hash. Events of one revision carry the same ledger, unless
-- a replay corrects it: the last one received counts. What is left equal is one fact stored twice, or facts of one
-- delivery and type. event_id would tell those apart, but to read it costs more than all of the others.
-- 64 bits of revision, 43 of milliseconds and 20 of the hash; the last two are put together while they are narrow. A time
-- before 1970 or after 2248 is a mistake, and counts as the nearest of these.
create or replace macro told_order(order_revision, received_at, event_type) as
    order_revision::hugeint * 18446744073709551616
    + (greatest(0, least(8796093022207, epoch_ms(received_at::timestamptz))) * 1048576 + (hash(event_type) & 1048575)::bigint);

-- Of each order the event that counts, of a relation (named by a text) of events with event_row, which no two of them share;
-- and its place in the order of events.
create or replace macro last_told(events) as table
    select shop_domain, order_id, arg_max(event_row, told_at) as event_row, max(told_at) as told_at
    from (
        select shop_domain, order_id, event_row, told_order(order_revision, received_at, event_type) as told_at
        from query_table(events)
        where order_id is not null
          and order_revision is not null
    )
    group by shop_domain, order_id;
