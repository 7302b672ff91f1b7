-- Rows parsed by the client, as parallel arrays.
insert into commerce.order_header (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
    fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor, customer_id,
    source_name, raw
)
select
    $1::bigint, n.order_id, n.name, n.created_at::timestamptz, n.processed_at::timestamptz, n.updated_at::timestamptz,
    n.updated_at::timestamptz, n.cancelled_at::timestamptz, n.financial_status, n.fulfillment_status, n.is_test,
    n.taxes_included, n.currency, n.presentment_currency, n.total_price_minor, n.customer_id, n.source_name,
    n.raw::jsonb
from unnest(
    $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::boolean[],
    $11::boolean[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::text[], $17::text[]
) as n (
    order_id, name, created_at, processed_at, updated_at, cancelled_at, financial_status, fulfillment_status, is_test,
    taxes_included, currency, presentment_currency, total_price_minor, customer_id, source_name, raw
)
on conflict (shop_id, order_id) do update set
    name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
    financial_status = excluded.financial_status, fulfillment_status = excluded.fulfillment_status,
    is_test = excluded.is_test, taxes_included = excluded.taxes_included, currency = excluded.currency,
    presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
    customer_id = excluded.customer_id, source_name = excluded.source_name, raw = excluded.raw
