-- Everything known of the orders, each as the JSON of domain::order_state::OrderState. Instants are microseconds. And of those
-- whose ledger was written by other rules than those of version $3: the ledger as it is stored.
select header.shop_id, header.order_id, json_build_object(
    'header', case when header.updated_at is not null then json_build_object(
        'order_id', header.order_id,
        'name', header.name,
        'created_at', (extract(epoch from header.created_at) * 1000000)::bigint,
        'processed_at', (extract(epoch from header.processed_at) * 1000000)::bigint,
        'updated_at', (extract(epoch from header.updated_at) * 1000000)::bigint,
        'triggered_at', (extract(epoch from header.triggered_at) * 1000000)::bigint,
        'cancelled_at', (extract(epoch from header.cancelled_at) * 1000000)::bigint,
        'financial_status', header.financial_status,
        'fulfillment_status', header.fulfillment_status,
        'is_test', header.is_test,
        'taxes_included', header.taxes_included,
        'currency', header.currency,
        'presentment_currency', header.presentment_currency,
        'total_price', header.total_price_minor,
        'customer_id', header.customer_id,
        'source_name', header.source_name,
        'referred_by', json_build_object(
            'publisher_id', header.note_publisher_id, 'program_id', header.note_program_id
        )
    ) end,
    'lines', coalesce((
        select json_agg(json_build_object(
            'line_item_id', line.line_item_id,
            'product_id', line.product_id,
            'variant_id', line.variant_id,
            'title', line.title,
            'vendor', line.vendor,
            'is_gift_card', line.is_gift_card,
            'is_tip', line.is_tip,
            'quantity', line.quantity,
            'current_quantity', line.current_quantity,
            'unit_price', json_build_object('shop', line.unit_price_minor, 'presentment', line.presentment_unit_price_minor),
            'discount', json_build_object('shop', line.discount_minor, 'presentment', line.presentment_discount_minor),
            'tax', json_build_object('shop', line.tax_minor, 'presentment', line.presentment_tax_minor),
            'tax_rate', line.tax_rate_billionths
        ) order by line.line_item_id)
        from commerce.order_line_item as line
        where line.shop_id = header.shop_id and line.order_id = header.order_id
    ), '[]'::json),
    'absent_lines', coalesce(header.absent_lines, '[]'::jsonb),
    'first_updated_at', (extract(epoch from coalesce(header.first_updated_at, header.updated_at)) * 1000000)::bigint,
    'quantity_since', coalesce(header.quantity_since, '[]'::jsonb),
    'removed_since', coalesce(header.removed_since, '[]'::jsonb),
    'refunds', coalesce((
        select json_agg(json_build_object(
            'refund_id', refund.refund_id,
            'created_at', (extract(epoch from refund.created_at) * 1000000)::bigint,
            'processed_at', (extract(epoch from refund.processed_at) * 1000000)::bigint,
            'observed_at', (extract(epoch from refund.observed_at) * 1000000)::bigint,
            'triggered_at', (extract(epoch from refund.triggered_at) * 1000000)::bigint,
            'is_brief', refund.is_brief,
            'paid_amount', refund.paid_amount_minor,
            'paid_currency', refund.paid_currency,
            'return_id', refund.return_id,
            'lines', coalesce((
                select json_agg(json_build_object(
                    'refund_line_item_id', item.refund_line_item_id,
                    'line_item_id', item.line_item_id,
                    'product_id', item.product_id,
                    'is_gift_card', item.is_gift_card,
                    'is_tip', item.is_tip,
                    'quantity', item.quantity,
                    'restock_type', item.restock_type,
                    'subtotal', json_build_object('shop', item.subtotal_minor, 'presentment', item.presentment_subtotal_minor),
                    'tax', json_build_object('shop', item.tax_minor, 'presentment', item.presentment_tax_minor)
                ) order by item.refund_line_item_id)
                from commerce.refund_line_item as item
                where item.shop_id = header.shop_id and item.order_id = header.order_id and item.refund_id = refund.refund_id
            ), '[]'::json),
            'adjustments', coalesce((
                select json_agg(json_build_object(
                    'adjustment_id', item.adjustment_id,
                    'kind', item.kind,
                    'amount', json_build_object('shop', item.amount_minor, 'presentment', item.presentment_amount_minor),
                    'tax', json_build_object('shop', item.tax_minor, 'presentment', item.presentment_tax_minor)
                ) order by item.adjustment_id)
                from commerce.refund_adjustment as item
                where item.shop_id = header.shop_id and item.order_id = header.order_id and item.refund_id = refund.refund_id
            ), '[]'::json)
        ) order by refund.refund_id)
        from commerce.refund as refund
        where refund.shop_id = header.shop_id and refund.order_id = header.order_id
    ), '[]'::json),
    'payments', coalesce((
        select json_agg(json_build_object(
            'payment_id', payment.payment_id,
            'parent_id', payment.parent_id,
            'kind', payment.kind,
            'status', payment.status,
            'gateway', payment.gateway,
            'amount', payment.amount_minor,
            'currency', payment.currency,
            'is_test', payment.is_test,
            'created_at', (extract(epoch from payment.created_at) * 1000000)::bigint,
            'processed_at', (extract(epoch from payment.processed_at) * 1000000)::bigint,
            'triggered_at', (extract(epoch from payment.triggered_at) * 1000000)::bigint
        ) order by payment.payment_id)
        from commerce.payment as payment
        where payment.shop_id = header.shop_id and payment.order_id = header.order_id
    ), '[]'::json),
    'fulfillments', coalesce((
        select json_agg(json_build_object(
            'fulfillment_id', shipment.fulfillment_id,
            'status', shipment.status,
            'tracking_company', shipment.tracking_company,
            'created_at', (extract(epoch from shipment.created_at) * 1000000)::bigint,
            'updated_at', (extract(epoch from shipment.updated_at) * 1000000)::bigint,
            'triggered_at', (extract(epoch from shipment.triggered_at) * 1000000)::bigint,
            'shipped_at', (extract(epoch from shipment.shipped_at) * 1000000)::bigint,
            'lines', coalesce((
                select json_agg(json_build_object(
                    'line_item_id', item.line_item_id, 'quantity', item.quantity
                ) order by item.line_item_id)
                from commerce.fulfillment_line_item as item
                where item.shop_id = header.shop_id and item.order_id = header.order_id
                    and item.fulfillment_id = shipment.fulfillment_id
            ), '[]'::json)
        ) order by shipment.fulfillment_id)
        from commerce.fulfillment as shipment
        where shipment.shop_id = header.shop_id and shipment.order_id = header.order_id
    ), '[]'::json),
    'edits', coalesce((
        select json_agg(json_build_object(
            'edit_id', edit.edit_id,
            'line_item_id', edit.line_item_id,
            'committed_at', (extract(epoch from edit.committed_at) * 1000000)::bigint,
            'added', edit.added,
            'removed', edit.removed
        ) order by edit.edit_id, edit.line_item_id)
        from commerce.order_edit_line as edit
        where edit.shop_id = header.shop_id and edit.order_id = header.order_id
    ), '[]'::json),
    'returns', coalesce((
        select json_agg(json_build_object(
            'return_id', returned.return_id,
            'name', returned.name,
            'status', returned.status,
            'requested_at', (extract(epoch from returned.requested_at) * 1000000)::bigint,
            'triggered_at', (extract(epoch from returned.triggered_at) * 1000000)::bigint
        ) order by returned.return_id)
        from commerce.order_return as returned
        where returned.shop_id = header.shop_id and returned.order_id = header.order_id
    ), '[]'::json),
    'attribution', case when header.attribution_event_id is not null then json_build_object(
        'occurred_at', (extract(epoch from header.attributed_at) * 1000000)::bigint,
        'event_id', header.attribution_event_id,
        'referred_by', json_build_object('publisher_id', header.publisher_id, 'program_id', header.program_id)
    ) end,
    'agreements', coalesce((
        select json_agg(json_build_object(
            'agreement_id', agreement.agreement_id,
            'happened_at', (extract(epoch from agreement.happened_at) * 1000000)::bigint,
            'reason', agreement.reason,
            'refund_id', agreement.refund_id,
            'return_id', agreement.return_id,
            'sales', coalesce((
                select json_agg(json_build_object(
                    'sale_id', sale.sale_id,
                    'action_type', sale.action_type,
                    'line_type', sale.line_type,
                    'quantity', sale.quantity,
                    'line_item_id', sale.line_item_id,
                    'product_id', sale.product_id,
                    'variant_id', sale.variant_id,
                    'total', json_build_object('shop', sale.total_minor, 'presentment', sale.presentment_total_minor),
                    'discount', json_build_object('shop', sale.discount_minor, 'presentment', sale.presentment_discount_minor),
                    'tax', json_build_object('shop', sale.tax_minor, 'presentment', sale.presentment_tax_minor)
                ) order by sale.sale_id)
                from commerce.agreement_sale as sale
                where sale.shop_id = header.shop_id and sale.order_id = header.order_id
                    and sale.agreement_id = agreement.agreement_id
            ), '[]'::json)
        ) order by agreement.agreement_id)
        from commerce.sales_agreement as agreement
        where agreement.shop_id = header.shop_id and agreement.order_id = header.order_id
    ), '[]'::json),
    'agreements_updated_at', (extract(epoch from reading.updated_at) * 1000000)::bigint,
    'completed_at', (extract(epoch from header.completed_at) * 1000000)::bigint,
    'deleted_at', (extract(epoch from tombstone.deleted_at) * 1000000)::bigint,
    'revision', header.revision
)::text as state,
-- An order that is only anchored has none yet.
case when header.ledger_version is distinct from $3::smallint and header.revision > 0 then coalesce((
    select json_agg(json_build_object(
        'product_id', sold.product_id,
        'day', sold.day,
        'kind', sold.kind,
        'units_sold', sold.units_sold,
        'units_returned', sold.units_returned,
        'gross_sales', sold.gross_sales_minor,
        'discounts', sold.discounts_minor,
        'returns', sold.returns_minor,
        'net_sales', sold.net_sales_minor,
        'presentment_gross_sales', sold.presentment_gross_sales_minor,
        'presentment_discounts', sold.presentment_discounts_minor,
        'presentment_returns', sold.presentment_returns_minor,
        'presentment_net_sales', sold.presentment_net_sales_minor
    ) order by sold.product_id collate "C", sold.day,
        array_position(array['sale', 'return', 'cancellation', 'edit', 'adjustment'], sold.kind))
    from commerce.sales_ledger as sold
    where sold.shop_id = header.shop_id and sold.order_id = header.order_id
), '[]'::json)::text end as old_ledger
from unnest($1::bigint[], $2::bigint[]) as wanted (shop_id, order_id)
join commerce.order_header as header on header.shop_id = wanted.shop_id and header.order_id = wanted.order_id
left join commerce.agreement_reading as reading
    on reading.shop_id = header.shop_id and reading.order_id = header.order_id
left join commerce.tombstone as tombstone
    on tombstone.shop_id = header.shop_id and tombstone.resource = 'order' and tombstone.resource_id = header.order_id
