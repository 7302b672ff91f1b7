-- All that names the customer. The salt itself is no answer: what it keys is found by customer_key.
select json_build_object(
    'customer', (
        select to_jsonb(known) from commerce.customer as known where known.shop_id = $1 and known.customer_id = $2
    ),
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
            )
        ) order by header.order_id)
        from commerce.order_header as header
        where header.shop_id = $1 and header.customer_id = $2
    ), '[]'),
    'bulk_lines', coalesce((
        select json_agg(to_jsonb(line) order by line.operation_id, line.node_id)
        from commerce.bulk_line as line
        where line.shop_id = $1 and line.customer_id = $2
    ), '[]'),
    'data_requests', coalesce((
        select json_agg(to_jsonb(request) order by request.request_id)
        from privacy.data_request as request
        where request.shop_id = $1 and request.customer_id = $2
    ), '[]')
)::text, (select salt from privacy.salt where shop_id = $1 and customer_id = $2)
