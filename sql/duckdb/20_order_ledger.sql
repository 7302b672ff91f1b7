-- The sales ledger of every order, as its newest revision tells it.
-- Reads:  commerce_telemetry.
-- Writes: newest_delivery (one row per order), order_ledger (one row per ledger entry).
-- Guarantees: an order counts by its newest revision alone, so a late, repeated or reordered event changes nothing;
-- deleted orders and test orders vanish. The newest event is found with columns of fixed size and its lists are fetched
-- by a join, because both spill to disk.

create or replace view order_event as
select *
from commerce_telemetry
where order_id is not null
  and order_revision is not null
  and (sales is not null or is_deleted);

create or replace table newest_revision as
select shop_domain, order_id, max(order_revision) as order_revision
from order_event
group by shop_domain, order_id;

-- Several events can tell of one revision (created, paid, refunded); they carry the same ledger.
create or replace table newest_delivery as
select shop_domain, order_id, order_revision, max(delivery_order(received_at, event_id, source)) as delivery
from order_event
join newest_revision using (shop_domain, order_id, order_revision)
group by shop_domain, order_id, order_revision;

create or replace view order_state as
select order_event.*
from order_event
join newest_delivery using (shop_domain, order_id, order_revision)
where delivery_order(received_at, event_id, source) = delivery
  and not coalesce(is_deleted, false)
  and not coalesce(is_test, false);

-- distinct: a delivery that was stored twice to the byte is still there twice.
create or replace table order_ledger as
select distinct
    shop_domain,
    order_id,
    entry_number,
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
    select
        shop_domain,
        order_id,
        currency,
        occurred_at,
        unnest(sales) as entry,
        generate_subscripts(sales, 1) as entry_number
    from order_state
);
