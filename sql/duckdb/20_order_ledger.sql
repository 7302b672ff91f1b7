-- The sales ledger of orders, as the newest revision of each tells it.
-- Reads:  ledger_event: all of commerce_telemetry, or all events of some orders, with event_row, which no two of them share.
-- Writes: order_ledger (one row per ledger entry).
-- Guarantees: an order counts by one row of its newest revision alone, so a late, repeated or reordered event changes
-- nothing; deleted orders and test orders vanish. An event tells order_revision only together with the order's ledger.
-- The newest event is found with columns of fixed size, which spill to disk; its list is only read by the scan that the
-- view is, which nothing has to hold.

-- Orders an order's events: revision, then received last, then a hash. Events of one revision carry the same ledger, unless
-- a replay corrects it: the last one received counts. What is left equal is one fact stored twice, or facts of one
-- delivery and type. event_id would tell those apart, but to read it costs more than all of the others.
-- 64 bits of revision, 44 of milliseconds and 20 of the hash; the last two are put together while they are narrow.
create or replace macro told_order(order_revision, received_at, event_type) as
    order_revision::hugeint * 18446744073709551616
    + (epoch_ms(received_at::timestamptz) * 1048576 + (hash(event_type) & 1048575)::bigint);

create or replace table newest_event as
select arg_max(event_row, told_order(order_revision, received_at, event_type)) as event_row
from ledger_event
where order_id is not null
  and order_revision is not null
group by shop_domain, order_id;

create or replace view order_ledger as
select
    shop_domain,
    order_id,
    currency,
    placed_at,
    entry.product_id as product_id,
    entry.day::date as day,
    entry.kind as kind,
    entry.units_sold as units_sold,
    entry.units_returned as units_returned,
    entry.gross_sales as gross_sales,
    entry.discounts as discounts,
    entry.returns as returns,
    entry.net_sales as net_sales
from (
    select
        shop_domain,
        order_id,
        coalesce(currency, 'XXX') as currency, -- ISO 4217: no currency
        coalesce(order_processed_at, occurred_at)::timestamptz as placed_at,
        unnest(sales) as entry
    from ledger_event
    join newest_event using (event_row)
    where is_deleted is distinct from true
      and is_test is distinct from true
);
