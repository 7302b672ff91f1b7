-- As before, but that the shop is locked before its orders, as whatever else reads both does: a migration that has the shop would
-- wait for whoever has the orders and waits for the shop (before_migrations.sql).
create or replace view commerce.order_enriched as
select
    header.shop_id, shop.shop_domain, shop.iana_time_zone, header.order_id, header.name, header.created_at,
    header.processed_at, header.updated_at, header.cancelled_at, header.completed_at, tombstone.deleted_at,
    header.financial_status, header.fulfillment_status, header.is_test, header.currency, header.presentment_currency,
    header.total_price_minor, header.source_name, header.revision,
    coalesce((
        select json_agg(json_build_object(
            'line_item_id', line.line_item_id, 'product_id', line.product_id, 'variant_id', line.variant_id,
            'title', line.title, 'product_title', product.title, 'vendor', coalesce(product.vendor, line.vendor),
            'product_type', product.product_type, 'product_status', product.status, 'is_gift_card', line.is_gift_card,
            'quantity', line.quantity, 'current_quantity', line.current_quantity,
            'unit_price_minor', line.unit_price_minor, 'discount_minor', line.discount_minor
        ) order by line.line_item_id)
        from commerce.order_line_item as line
        left join commerce.product as product
            on product.shop_id = line.shop_id and product.product_id = line.product_id
        where line.shop_id = header.shop_id and line.order_id = header.order_id
    ), '[]'::json) as lines,
    sold.units_sold, sold.units_returned, sold.gross_sales_minor, sold.discounts_minor, sold.returns_minor,
    sold.net_sales_minor, header.publisher_id, header.program_id
from commerce.shop as shop
join commerce.order_header as header on header.shop_id = shop.shop_id
left join commerce.tombstone as tombstone
    on tombstone.shop_id = header.shop_id and tombstone.resource = 'order' and tombstone.resource_id = header.order_id
cross join lateral (
    select
        coalesce(sum(ledger.units_sold), 0)::bigint as units_sold,
        coalesce(sum(ledger.units_returned), 0)::bigint as units_returned,
        coalesce(sum(ledger.gross_sales_minor), 0)::bigint as gross_sales_minor,
        coalesce(sum(ledger.discounts_minor), 0)::bigint as discounts_minor,
        coalesce(sum(ledger.returns_minor), 0)::bigint as returns_minor,
        coalesce(sum(ledger.net_sales_minor), 0)::bigint as net_sales_minor
    from commerce.sales_ledger as ledger
    where ledger.shop_id = header.shop_id and ledger.order_id = header.order_id
) as sold
where header.updated_at is not null;
