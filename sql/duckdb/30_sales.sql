-- The rows of measurement.sales that ledger entries give.
-- Reads:  ledger_entry (rows of order_ledger: all, or those of some days).
-- Writes: sales_of_entries (a view), key (shop_domain, product_id, day, currency).
-- Guarantees: a reversal counts on its own day; currencies are never summed; sums are exact, an overflow of 64 bits is an
-- error (sum() of bigint is 128 bits wide and the cast back is checked). Every column can be added to and taken from
-- another row of the key: that is how a refresh replaces what an order said before. For that order_times keeps the time
-- of each ledger entry; a first and a last time alone could not be taken out again. An order's ledger has one entry for
-- each product, day and kind, so that its sales are counted once. The list does not spill to disk: who asks for more keys
-- than fit into memory asks for some days at a time.

create or replace view sales_of_entries as
select
    shop_domain,
    product_id,
    day,
    currency,
    sum(units_sold)::bigint as units_sold,
    sum(units_returned)::bigint as units_returned,
    sum(gross_sales)::bigint as gross_sales,
    sum(discounts)::bigint as discounts,
    sum(returns)::bigint as returns,
    sum(net_sales)::bigint as net_sales,
    count(*) filter (where kind = 'sale') as order_count,
    list_sort(list(placed_at)) as order_times
from ledger_entry
group by shop_domain, product_id, day, currency;
