-- All that names the customer: the one who was kept, with those who were merged into them, whichever of them asks. Salts are
-- no answer: what they key is found by customer_keys, under each domain that the shop has and had.
with kept as (
    select coalesce(
        (select known.merged_into from commerce.customer as known where known.shop_id = $1 and known.customer_id = $2), $2
    )::bigint as customer_id
), person as (
    select kept.customer_id from kept
    union
    select known.customer_id from commerce.customer as known join kept on known.merged_into = kept.customer_id
    where known.shop_id = $1
)
select json_build_object(
    'customer', (
        select to_jsonb(known) from commerce.customer as known
        where known.shop_id = $1 and known.customer_id = (select kept.customer_id from kept)
    ),
    'merged_customers', coalesce((
        select json_agg(to_jsonb(known) order by known.customer_id) from commerce.customer as known
        where known.shop_id = $1 and known.merged_into = (select kept.customer_id from kept)
    ), '[]'),
    'orders', coalesce((
        select json_agg(json_build_object(
            'order', to_jsonb(header),
            'lines', (
                select coalesce(json_agg(to_jsonb(part) order by part.line_item_id), '[]')
                from commerce.order_line_item as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'payments', (
                select coalesce(json_agg(to_jsonb(part) order by part.payment_id), '[]')
                from commerce.payment as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'fulfillments', (
                select coalesce(json_agg(to_jsonb(part) order by part.fulfillment_id), '[]')
                from commerce.fulfillment as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'refunds', (
                select coalesce(json_agg(to_jsonb(part) order by part.refund_id), '[]')
                from commerce.refund as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'returns', (
                select coalesce(json_agg(to_jsonb(part) order by part.return_id), '[]')
                from commerce.order_return as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'fulfillment_lines', (
                select coalesce(json_agg(to_jsonb(part) order by part.fulfillment_id, part.line_item_id), '[]')
                from commerce.fulfillment_line_item as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'refund_lines', (
                select coalesce(json_agg(to_jsonb(part) order by part.refund_id, part.refund_line_item_id), '[]')
                from commerce.refund_line_item as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'refund_adjustments', (
                select coalesce(json_agg(to_jsonb(part) order by part.refund_id, part.adjustment_id), '[]')
                from commerce.refund_adjustment as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'edits', (
                select coalesce(json_agg(to_jsonb(part) order by part.edit_id, part.line_item_id), '[]')
                from commerce.order_edit_line as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'agreements', (
                select coalesce(json_agg(to_jsonb(part) order by part.agreement_id), '[]')
                from commerce.sales_agreement as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'agreement_sales', (
                select coalesce(json_agg(to_jsonb(part) order by part.agreement_id, part.sale_id), '[]')
                from commerce.agreement_sale as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'sales_ledger', (
                select coalesce(json_agg(to_jsonb(part) order by part.day, part.kind, part.product_id), '[]')
                from commerce.sales_ledger as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            ),
            'interactions', (
                select coalesce(json_agg(to_jsonb(part) order by part.event_id), '[]')
                from publication.publication_telemetry as part
                where part.shop_id = header.shop_id and part.order_id = header.order_id
            )
        ) order by header.order_id)
        from commerce.order_header as header
        where header.shop_id = $1 and header.customer_id in (select person.customer_id from person)
    ), '[]'),
    'bulk_lines', coalesce((
        select json_agg(to_jsonb(line) order by line.operation_id, line.node_id)
        from commerce.bulk_line as line
        where line.shop_id = $1 and line.customer_id in (select person.customer_id from person)
    ), '[]'),
    'data_requests', coalesce((
        select json_agg(to_jsonb(request) order by request.request_id)
        from privacy.data_request as request
        where request.shop_id = $1 and request.customer_id in (select person.customer_id from person)
    ), '[]')
)::text, coalesce((
    select json_agg(json_build_object('customer_id', known.customer_id, 'salt', known.salt) order by known.customer_id)
    from privacy.salt as known where known.shop_id = $1 and known.customer_id in (select person.customer_id from person)
), '[]')::text, (
    select array_to_json(array_prepend(shop.shop_domain, shop.former_domains)) from commerce.shop as shop where shop.shop_id = $1
)::text
