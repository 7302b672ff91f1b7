-- The sales ledger of orders, as the event of each that counts tells it.
-- Reads:  ledger_event (as 20_newest_event.sql), newest_event (rows of it to be read, at most one per order).
-- Writes: order_ledger (a view, one row per ledger entry).
-- Guarantees: deleted orders and test orders vanish. An event tells order_revision only together with the order's ledger.
-- The ledger is only read by the scan that the view is, which nothing has to hold.

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
