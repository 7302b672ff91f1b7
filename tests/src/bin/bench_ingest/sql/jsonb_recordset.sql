-- The single statement a user would write: [{"webhook_id", "triggered_at", "received_at", "body": order}, ...] as jsonb in,
-- every row that weir.ingest leaves of these orders out: deliveries remembered once, the newest version of an order and of
-- a customer kept, lines and sales of an older version taken out, no personal data in the raw body. It knows what the
-- generated orders need and no more: no refunds, edits, cancellations or prices with tax, no attribution, one topic.
with given as materialized (
    select
        d.webhook_id, d.triggered_at, d.received_at, o.*,
        d.body - array[
            'billing_address', 'browser_ip', 'cart_token', 'checkout_id', 'checkout_token', 'client_details',
            'contact_email', 'customer', 'email', 'landing_site', 'note', 'note_attributes', 'order_status_url', 'phone',
            'referring_site', 'shipping_address', 'token'
        ] || jsonb_build_object('line_items', (
            select jsonb_agg(item - 'properties' order by n)
            from jsonb_array_elements(o.line_items) with ordinality as listed (item, n)
        )) as raw
    from jsonb_to_recordset($1::text::jsonb) as d (
        webhook_id text, triggered_at timestamptz, received_at timestamptz, body jsonb
    )
    cross join lateral jsonb_to_record(d.body) as o (
        id bigint, name text, created_at timestamptz, processed_at timestamptz, updated_at timestamptz,
        cancelled_at timestamptz, financial_status text, fulfillment_status text, test boolean, taxes_included boolean,
        currency text, presentment_currency text, total_price numeric, customer jsonb, source_name text,
        line_items jsonb
    )
),
remembered as (
    insert into commerce.webhook_delivery (shop_id, topic, webhook_id, received_at, event_keys)
    select $2::bigint, 'orders/create', webhook_id, received_at, json_build_array(json_build_object(
        'event_type', 'order_created', 'entity_id', id, 'discriminator', '',
        'occurred_at', (extract(epoch from created_at) * 1000000)::bigint, 'order_id', id
    ))
    from given
    order by webhook_id
    on conflict (shop_id, topic, webhook_id) do nothing
    returning webhook_id
),
newest as (
    select distinct on (given.id) given.id, given.webhook_id
    from given
    join remembered using (webhook_id)
    order by given.id, given.updated_at desc, given.triggered_at desc
),
headers as (
    insert into commerce.order_header as old (
        shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
        fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor, customer_id,
        source_name, revision, raw
    )
    select
        $2::bigint, id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
        fulfillment_status, test, taxes_included, currency, presentment_currency, (total_price * 100)::bigint,
        (customer ->> 'id')::bigint, source_name, (extract(epoch from updated_at) * 1000000)::bigint, raw
    from given
    join newest using (id, webhook_id)
    order by id
    on conflict (shop_id, order_id) do update set
        name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
        updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
        financial_status = excluded.financial_status, fulfillment_status = excluded.fulfillment_status,
        is_test = excluded.is_test, taxes_included = excluded.taxes_included, currency = excluded.currency,
        presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
        customer_id = excluded.customer_id, source_name = excluded.source_name,
        revision = greatest(old.revision + 1, excluded.revision), raw = excluded.raw
    where (old.updated_at, old.triggered_at) <= (excluded.updated_at, excluded.triggered_at) or old.updated_at is null
    returning order_id
),
lines as materialized (
    select
        given.id as order_id, given.test, given.processed_at, l.id, l.product_id, l.variant_id, l.title, l.vendor,
        l.gift_card, l.quantity, l.current_quantity, (l.price * 100)::bigint as price,
        ((l.price_set -> 'presentment_money' ->> 'amount')::numeric * 100)::bigint as shown_price,
        (discount.amount * 100)::bigint as discount, (discount.presentment * 100)::bigint as shown_discount,
        (tax.amount * 100)::bigint as tax, (tax.presentment * 100)::bigint as shown_tax,
        (tax.rate * 1000000000)::bigint as tax_rate
    from headers
    join newest on newest.id = headers.order_id
    join given on given.id = newest.id and given.webhook_id = newest.webhook_id
    cross join lateral jsonb_to_recordset(given.line_items) as l (
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
),
sales as materialized (
    select
        order_id, coalesce(product_id::text, 'unknown') as product_id,
        (processed_at at time zone shop.iana_time_zone)::date as day, sum(quantity)::bigint as units,
        sum(price * quantity)::bigint as gross, sum(discount)::bigint as discounts,
        sum(shown_price * quantity)::bigint as shown_gross, sum(shown_discount)::bigint as shown_discounts
    from lines
    join commerce.shop as shop on shop.shop_id = $2::bigint
    where not gift_card and not test and quantity > 0
    group by 1, 2, 3
),
gone_lines as (
    delete from commerce.order_line_item as old
    using headers
    where old.shop_id = $2::bigint and old.order_id = headers.order_id
        and not exists (select from lines where lines.order_id = old.order_id and lines.id = old.line_item_id)
),
gone_sales as (
    delete from commerce.sales_ledger as old
    using headers
    where old.shop_id = $2::bigint and old.order_id = headers.order_id
        and not exists (
            select from sales
            where sales.order_id = old.order_id and sales.product_id = old.product_id and sales.day = old.day
                and old.kind = 'sale'
        )
),
written_lines as (
    insert into commerce.order_line_item (
        shop_id, order_id, line_item_id, product_id, variant_id, title, vendor, is_gift_card, quantity,
        current_quantity, unit_price_minor, presentment_unit_price_minor, discount_minor, presentment_discount_minor,
        tax_minor, presentment_tax_minor, tax_rate_billionths
    )
    select
        $2::bigint, order_id, id, product_id, variant_id, title, vendor, gift_card, quantity, current_quantity, price,
        shown_price, discount, shown_discount, tax, shown_tax, tax_rate
    from lines
    order by order_id, id
    on conflict (shop_id, order_id, line_item_id) do update set
        product_id = excluded.product_id, variant_id = excluded.variant_id, title = excluded.title,
        vendor = excluded.vendor, is_gift_card = excluded.is_gift_card, quantity = excluded.quantity,
        current_quantity = excluded.current_quantity, unit_price_minor = excluded.unit_price_minor,
        presentment_unit_price_minor = excluded.presentment_unit_price_minor, discount_minor = excluded.discount_minor,
        presentment_discount_minor = excluded.presentment_discount_minor, tax_minor = excluded.tax_minor,
        presentment_tax_minor = excluded.presentment_tax_minor, tax_rate_billionths = excluded.tax_rate_billionths
),
written_sales as (
    insert into commerce.sales_ledger (
        shop_id, order_id, product_id, day, kind, units_sold, units_returned, gross_sales_minor, discounts_minor,
        returns_minor, net_sales_minor, presentment_gross_sales_minor, presentment_discounts_minor,
        presentment_returns_minor, presentment_net_sales_minor
    )
    select
        $2::bigint, order_id, product_id, day, 'sale', units, 0, gross, discounts, 0, gross - discounts, shown_gross,
        shown_discounts, 0, shown_gross - shown_discounts
    from sales
    order by order_id, product_id, day
    on conflict (shop_id, order_id, product_id, day, kind) do update set
        units_sold = excluded.units_sold, gross_sales_minor = excluded.gross_sales_minor,
        discounts_minor = excluded.discounts_minor, net_sales_minor = excluded.net_sales_minor,
        presentment_gross_sales_minor = excluded.presentment_gross_sales_minor,
        presentment_discounts_minor = excluded.presentment_discounts_minor,
        presentment_net_sales_minor = excluded.presentment_net_sales_minor
),
customers as materialized (
    select distinct on (c.id)
        c.*, given.triggered_at, c.email_marketing_consent ->> 'state' as email_consent,
        c.sms_marketing_consent ->> 'state' as sms_consent
    from remembered
    join given using (webhook_id)
    cross join lateral jsonb_to_record(given.customer) as c (
        id bigint, created_at timestamptz, updated_at timestamptz, state text, verified_email boolean,
        tax_exempt boolean, email_marketing_consent jsonb, sms_marketing_consent jsonb, currency text
    )
    order by c.id, c.updated_at desc nulls last, given.triggered_at desc
),
written_customers as (
    insert into commerce.customer as old (
        shop_id, customer_id, created_at, updated_at, is_whole, triggered_at, state, is_email_verified, is_tax_exempt,
        email_consent, sms_consent, currency
    )
    select
        $2::bigint, id, created_at, updated_at, false, triggered_at, state, verified_email, tax_exempt, email_consent,
        sms_consent, currency
    from customers
    order by id
    on conflict (shop_id, customer_id) do update set
        created_at = excluded.created_at, updated_at = excluded.updated_at, is_whole = excluded.is_whole,
        triggered_at = excluded.triggered_at, state = excluded.state, is_email_verified = excluded.is_email_verified,
        is_tax_exempt = excluded.is_tax_exempt, email_consent = excluded.email_consent,
        sms_consent = excluded.sms_consent, currency = excluded.currency
    where old.deleted_at is null
        and (coalesce(excluded.updated_at, '-infinity'), excluded.is_whole, excluded.triggered_at)
            >= (coalesce(old.updated_at, '-infinity'), old.is_whole, old.triggered_at)
)
insert into privacy.salt (shop_id, customer_id, salt)
select $2::bigint, id, gen_random_uuid()::text || gen_random_uuid()::text
from customers
order by id
on conflict (shop_id, customer_id) do nothing
