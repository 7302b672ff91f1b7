-- One row parsed by the client.
insert into commerce.order_header (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
    fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor, customer_id,
    source_name, raw
)
values (
    $1::bigint, $2::bigint, $3::text, $4::text::timestamptz, $5::text::timestamptz, $6::text::timestamptz,
    $6::text::timestamptz, $7::text::timestamptz, $8::text, $9::text, $10::boolean, $11::boolean, $12::text,
    $13::text, $14::bigint, $15::bigint, $16::text, $17::text::jsonb
)
on conflict (shop_id, order_id) do update set
    name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
    financial_status = excluded.financial_status, fulfillment_status = excluded.fulfillment_status,
    is_test = excluded.is_test, taxes_included = excluded.taxes_included, currency = excluded.currency,
    presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
    customer_id = excluded.customer_id, source_name = excluded.source_name, raw = excluded.raw
