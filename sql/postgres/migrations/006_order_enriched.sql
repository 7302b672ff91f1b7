create view commerce.order_enriched as
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
    sold.net_sales_minor
from commerce.order_header as header
join commerce.shop as shop on shop.shop_id = header.shop_id
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
comment on view commerce.order_enriched is 'Orders with shop, lines, products and sales, without who bought [IAO: data set]';
comment on column commerce.order_enriched.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.order_enriched.shop_domain is 'myshopify.com domain [CCO: designative name]';
comment on column commerce.order_enriched.iana_time_zone is 'IANA zone that defines the shop''s days [CCO: designative name]';
comment on column commerce.order_enriched.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.order_enriched.name is 'The order''s name, such as #1001 [CCO: designative name]';
comment on column commerce.order_enriched.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.order_enriched.processed_at is 'When the order was placed [BFO: temporal instant]';
comment on column commerce.order_enriched.updated_at is 'Shopify''s updated_at of this version [BFO: temporal instant]';
comment on column commerce.order_enriched.cancelled_at is 'When it was cancelled [BFO: temporal instant]';
comment on column commerce.order_enriched.completed_at is 'First version that was paid, fulfilled and not cancelled [BFO: temporal instant]';
comment on column commerce.order_enriched.deleted_at is 'When its deletion was told; such an order has no sales [BFO: temporal instant]';
comment on column commerce.order_enriched.financial_status is 'Shopify''s financial_status [BFO: quality of the order]';
comment on column commerce.order_enriched.fulfillment_status is 'Shopify''s fulfillment_status [BFO: quality of the order]';
comment on column commerce.order_enriched.is_test is 'A test order counts nothing [IAO: data item]';
comment on column commerce.order_enriched.currency is 'ISO 4217 code of the shop money [CCO: currency]';
comment on column commerce.order_enriched.presentment_currency is 'ISO 4217 code the buyer saw [CCO: currency]';
comment on column commerce.order_enriched.total_price_minor is 'Order total, minor units of currency [CCO: price]';
comment on column commerce.order_enriched.source_name is 'Sales channel [IAO: data item]';
comment on column commerce.order_enriched.revision is 'Strictly increasing with every change of the order [IAO: version number]';
comment on column commerce.order_enriched.lines is 'Lines with the newest facts of their products [IAO: data set]';
comment on column commerce.order_enriched.units_sold is 'Units [IAO: measurement datum]';
comment on column commerce.order_enriched.units_returned is 'Units [IAO: measurement datum]';
comment on column commerce.order_enriched.gross_sales_minor is 'Minor units of currency [CCO: price]';
comment on column commerce.order_enriched.discounts_minor is 'Minor units of currency [CCO: price]';
comment on column commerce.order_enriched.returns_minor is 'Minor units of currency [CCO: price]';
comment on column commerce.order_enriched.net_sales_minor is 'Gross less discounts less returns, minor units of currency [CCO: price]';

create index sales_ledger_day on commerce.sales_ledger (shop_id, day);
