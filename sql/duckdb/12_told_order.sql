-- Which event of an order counts.
-- Writes: told_order, a macro.

-- Orders an order's events: revision, then received last, then a hash. Events of one revision carry the same ledger, unless
-- a replay corrects it: the last one received counts. What is left equal is one fact stored twice, or facts of one
-- delivery and type. event_id would tell those apart, but to read it costs more than all of the others.
-- 64 bits of revision, 44 of milliseconds and 20 of the hash; the last two are put together while they are narrow.
create or replace macro told_order(order_revision, received_at, event_type) as
    order_revision::hugeint * 18446744073709551616
    + (epoch_ms(received_at::timestamptz) * 1048576 + (hash(event_type) & 1048575)::bigint);
