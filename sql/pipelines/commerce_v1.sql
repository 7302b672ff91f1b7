-- Commerce events as they land in the table: every field by name, so that a field the stream gains and this file does not
-- name fails a test instead of being dropped; times in milliseconds, whatever precision a sender used. Row-level, and no
-- now(): at Cloudflare it is fixed when the pipeline starts.
insert into commerce_v1_sink
select
    event_id, event_type, schema_version,
    date_trunc('millisecond', occurred_at) as occurred_at,
    date_trunc('millisecond', received_at) as received_at,
    event_date, event_hour, source, shop_domain, shop_time_zone, order_id, order_name, order_revision,
    date_trunc('millisecond', order_updated_at) as order_updated_at,
    date_trunc('millisecond', order_processed_at) as order_processed_at,
    date_trunc('millisecond', order_cancelled_at) as order_cancelled_at,
    financial_status, fulfillment_status, is_test, is_deleted, currency, currency_exponent, presentment_currency,
    total_price, customer_key, publisher_id, program_id, source_name, lines, sales, payment_id, payment_kind,
    payment_gateway, payment_amount, payment_currency, refund_id, fulfillment_id, fulfillment_tracking_company,
    return_id, return_status, product_id, product_title, product_vendor, product_type, product_status,
    date_trunc('millisecond', product_published_at) as product_published_at,
    product_is_active, product_is_deleted,
    date_trunc('millisecond', product_updated_at) as product_updated_at
from commerce_v1
