-- The single statement a user would write: [{"body": order}, ...] as jsonb in, headers and lines upserted. No dedupe of
-- deliveries, no merging of versions, no ledger, no events.
with orders as materialized (
    select d.body, o.*
    from jsonb_to_recordset($1::text::jsonb) as d (body jsonb)
    cross join lateral jsonb_to_record(d.body) as o (
        id bigint, name text, created_at timestamptz, processed_at timestamptz, updated_at timestamptz,
        cancelled_at timestamptz, financial_status text, fulfillment_status text, test boolean, taxes_included boolean,
        currency text, presentment_currency text, total_price numeric, customer jsonb, source_name text,
        line_items jsonb
    )
),
headers as (
    insert into commerce.order_header (
        shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
        fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor, customer_id,
        source_name, raw
    )
    select
        $2::bigint, id, name, created_at, processed_at, updated_at, updated_at, cancelled_at, financial_status,
        fulfillment_status, test, taxes_included, currency, presentment_currency, (total_price * 100)::bigint,
        (customer ->> 'id')::bigint, source_name, body
    from orders
    order by id
    on conflict (shop_id, order_id) do update set
        name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
        updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
        financial_status = excluded.financial_status, fulfillment_status = excluded.fulfillment_status,
        is_test = excluded.is_test, taxes_included = excluded.taxes_included, currency = excluded.currency,
        presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
        customer_id = excluded.customer_id, source_name = excluded.source_name, raw = excluded.raw
)
insert into commerce.order_line_item (
    shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity, current_quantity,
    unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor, tax_minor,
    presentment_tax_minor, tax_rate_billionths
)
select
    $2::bigint, orders.id, l.id, l.product_id, l.variant_id, l.title, l.vendor, l.gift_card, l.quantity,
    l.current_quantity, (l.price * 100)::bigint,
    ((l.price_set -> 'presentment_money' ->> 'amount')::numeric * 100)::bigint,
    (discount.amount * 100)::bigint, (discount.presentment * 100)::bigint,
    (tax.amount * 100)::bigint, (tax.presentment * 100)::bigint, (tax.rate * 1000000000)::bigint
from orders
cross join lateral jsonb_to_recordset(orders.line_items) as l (
    id bigint, product_id bigint, variant_id bigint, title text, vendor text, gift_card boolean, quantity bigint,
    current_quantity bigint, price numeric, price_set jsonb, discount_allocations jsonb, tax_lines jsonb
)
cross join lateral (
    select
        coalesce(sum(a.amount), 0) as amount,
        coalesce(sum((a.amount_set -> 'presentment_money' ->> 'amount')::numeric), 0) as presentment
    from jsonb_to_recordset(l.discount_allocations) as a (amount numeric, amount_set jsonb)
) as discount
cross join lateral (
    select
        coalesce(sum(t.price), 0) as amount,
        coalesce(sum((t.price_set -> 'presentment_money' ->> 'amount')::numeric), 0) as presentment,
        coalesce(sum(t.rate), 0) as rate
    from jsonb_to_recordset(l.tax_lines) as t (price numeric, price_set jsonb, rate numeric)
) as tax
order by orders.id, l.id
on conflict (shop_id, order_id, line_item_id) do update set
    product_id = excluded.product_id, variant_id = excluded.variant_id, title = excluded.title,
    vendor = excluded.vendor, is_gift_card = excluded.is_gift_card, quantity = excluded.quantity,
    current_quantity = excluded.current_quantity, unit_price_minor = excluded.unit_price_minor,
    presentment_unit_price_minor = excluded.presentment_unit_price_minor, discount_minor = excluded.discount_minor,
    presentment_discount_minor = excluded.presentment_discount_minor, tax_minor = excluded.tax_minor,
    presentment_tax_minor = excluded.presentment_tax_minor, tax_rate_billionths = excluded.tax_rate_billionths
