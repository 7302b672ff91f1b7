-- A backfill fills tables that PostgreSQL may last have analysed while they were empty: what checks their references then
-- reads them as a whole, by a plan that the session keeps until they are analysed again. Autovacuum comes after a minute and
-- sees only what is committed. So a page begins by analysing what has more than ten times the pages it had, which is soon and,
-- over a whole backfill, a few times a table. Whoever holds a table already is not waited for.
do $$
declare
    grown text;
begin
    for grown in
        select pg_catalog.format('%I.%I', 'commerce', relation.relname)
        from pg_catalog.pg_class as relation
        where relation.relnamespace = 'commerce'::pg_catalog.regnamespace and relation.relkind = 'r'
            -- An application may have tables of its own there.
            and relation.relname = any (array[
                'agreement_reading', 'agreement_sale', 'bulk_line', 'bulk_operation', 'customer', 'fulfillment',
                'fulfillment_line_item', 'order_edit_line', 'order_header', 'order_line_item', 'order_return', 'payment',
                'product', 'product_variant', 'refund', 'refund_adjustment', 'refund_line_item', 'sales_agreement',
                'sales_ledger', 'shop', 'tombstone', 'webhook_delivery'
            ])
            and pg_catalog.pg_relation_size(relation.oid) > 10::bigint * greatest(relation.relpages, 1)
                * pg_catalog.current_setting('block_size')::bigint
        order by relation.relname
    loop
        execute 'analyze (skip_locked) ' || grown;
    end loop;
end
$$
