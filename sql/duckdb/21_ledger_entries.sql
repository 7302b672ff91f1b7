-- The sales ledger that events tell of their orders.
-- Writes: ledger_entries, a macro of two relations that are named by a text: events with event_row, which no two of them
--         share, and the event_row of those to be read, at most one per order. One row per ledger entry.
-- Guarantees: deleted orders and test orders vanish. An event tells order_revision only together with the order's ledger.
-- The ledger is only read by the scan that this is, which nothing has to hold.

create or replace macro ledger_entries(events, counting) as table
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
        from query_table(events)
        join query_table(counting) using (event_row)
        where is_deleted is distinct from true
          and is_test is distinct from true
    );
