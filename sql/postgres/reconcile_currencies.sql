-- `weir reconcile`, run by a login that may read the schema commerce: the currencies of the ledger of shop $1 on each of the days
-- in $2. One is the rule: a shop that has changed its currency at Shopify has days with orders in both, of which no sum says
-- anything.
select coalesce(json_object_agg(day, currencies), '{}')::text
from (
    select to_char(ledger.day, 'YYYY-MM-DD') as day,
        json_agg(distinct enriched.currency) filter (where enriched.currency is not null) as currencies
    -- In the sequence in which a migration locks them.
    from commerce.order_enriched as enriched
    join commerce.shop using (shop_id)
    join commerce.sales_ledger as ledger
        on ledger.shop_id = enriched.shop_id and ledger.order_id = enriched.order_id
    where shop.shop_domain = $1 and ledger.day = any($2::text[]::date[])
    group by ledger.day
) as days
