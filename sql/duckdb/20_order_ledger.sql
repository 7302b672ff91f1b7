-- The sales ledger of every order, as its newest revision tells it.
-- Reads:  commerce_event.
-- Writes: order_state (one row per order), order_ledger (one row per ledger entry).
-- Guarantees: an order counts by its newest revision alone, so a late, repeated or reordered event changes nothing;
-- deleted orders and test orders vanish.

create or replace table order_state as
select shop_domain, order_id, unnest(newest)
from (
    select
        shop_domain,
        order_id,
        arg_max(
            struct_pack(
                order_revision := order_revision,
                currency := currency,
                occurred_at := occurred_at,
                is_gone := coalesce(is_deleted, false) or coalesce(is_test, false),
                lines := lines,
                sales := sales
            ),
            row(order_revision, received_at, event_id)
        ) as newest
    from commerce_event
    where order_id is not null
      and order_revision is not null
      and (sales is not null or is_deleted)
    group by shop_domain, order_id
);

create or replace table order_ledger as
select
    shop_domain,
    order_id,
    coalesce(currency, 'XXX') as currency, -- ISO 4217: no currency
    occurred_at,
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
    select shop_domain, order_id, currency, occurred_at, unnest(sales) as entry
    from order_state
    where not is_gone
);
