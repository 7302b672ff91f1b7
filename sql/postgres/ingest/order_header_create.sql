-- Locks the rows in key order and creates those that are missing, whole and in one pass: an anchor that is filled later would
-- write each new order twice. `do update ... where false` takes the lock of a row that is there and writes nothing. Two
-- writers over the same rows wait for each other instead of deadlocking. Returns the keys that had no row before.
insert into commerce.order_header (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, completed_at,
    financial_status, fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor,
    customer_id, source_name, revision, raw, publisher_id, program_id, note_publisher_id, note_program_id, attributed_at,
    attribution_event_id
)
select
    new.shop_id, new.order_id, new.name, new.created_at::timestamptz, new.processed_at::timestamptz,
    new.updated_at::timestamptz, new.triggered_at::timestamptz, new.cancelled_at::timestamptz,
    new.completed_at::timestamptz, new.financial_status, new.fulfillment_status, new.is_test, new.taxes_included,
    new.currency, new.presentment_currency, new.total_price_minor, new.customer_id, new.source_name, new.revision,
    new.raw::jsonb, new.publisher_id, new.program_id, new.note_publisher_id, new.note_program_id,
    new.attributed_at::timestamptz, new.attribution_event_id
from unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::boolean[], $13::boolean[], $14::text[], $15::text[], $16::bigint[], $17::bigint[],
    $18::text[], $19::bigint[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[]
) as new (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, completed_at,
    financial_status, fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor,
    customer_id, source_name, revision, raw, publisher_id, program_id, note_publisher_id, note_program_id, attributed_at,
    attribution_event_id
)
on conflict (shop_id, order_id) do update set shop_id = excluded.shop_id where false
returning shop_id, order_id
