-- The sales ledger of orders, as the newest revision of each tells it.
-- Reads:  ledger_event: all of commerce_telemetry, or all events of some orders.
-- Writes: order_ledger (one row per ledger entry).
-- Guarantees: an order counts by its newest revision alone, so a late, repeated or reordered event changes nothing;
-- deleted orders and test orders vanish. The newest event is found with columns of fixed size and its lists are fetched
-- by a join, because both spill to disk.

-- A total order of an order's events: revision, then received last, then a hash. Events of one revision carry the same
-- ledger, unless a replay corrects it: the last one received counts.
create or replace macro told_order(order_revision, received_at, event_id, source) as
    order_revision::hugeint * 18446744073709551616
    + epoch_ms(received_at::timestamptz)::hugeint * 4194304
    + (hash(event_id, source) & 4194303)::hugeint;

create or replace view order_event as
select *, told_order(order_revision, received_at, event_id, source) as told
from ledger_event
where order_id is not null
  and order_revision is not null
  and (sales is not null or is_deleted);

create or replace table newest_event as
select shop_domain, order_id, max(told) as told
from order_event
group by shop_domain, order_id;

-- distinct: a delivery that was stored twice to the byte is still there twice.
create or replace table order_ledger as
select distinct
    shop_domain,
    order_id,
    entry_number,
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
        unnest(sales) as entry,
        generate_subscripts(sales, 1) as entry_number
    from order_event
    join newest_event using (shop_domain, order_id, told)
    where not coalesce(is_deleted, false)
      and not coalesce(is_test, false)
);
