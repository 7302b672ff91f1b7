-- Locks the rows in key order and creates those that are missing, whole and in one pass: an anchor that is filled later would
-- write each new order twice. `do update ... where false` takes the lock of a row that is there and writes nothing. Two
-- writers over the same rows wait for each other instead of deadlocking. Returns the keys that had no row before.
insert into commerce.order_header (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, completed_at,
    financial_status, fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor,
    customer_id, source_name, revision, raw, publisher_id, program_id, note_publisher_id, note_program_id, attributed_at,
    attribution_event_id, first_updated_at, quantity_since, removed_since, absent_lines,
    ledger_version
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::timestamptz[]),
    unnest($5::timestamptz[]), unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]),
    unnest($9::timestamptz[]), unnest($10::text[]), unnest($11::text[]), unnest($12::boolean[]), unnest($13::boolean[]),
    unnest($14::text[]), unnest($15::text[]), unnest($16::bigint[]), unnest($17::bigint[]), unnest($18::text[]),
    unnest($19::bigint[]), unnest($20::jsonb[]), unnest($21::text[]), unnest($22::text[]), unnest($23::text[]),
    unnest($24::text[]), unnest($25::timestamptz[]), unnest($26::text[]), unnest($27::timestamptz[]),
    unnest($28::jsonb[]), unnest($29::jsonb[]), unnest($30::jsonb[]),
    -- None of an order that is not told yet (revision 0): no ledger of it was written.
    ($31::smallint * nullif(least(unnest($19::bigint[]), 1), 0))::smallint
on conflict (shop_id, order_id) do update set shop_id = excluded.shop_id where false
returning shop_id, order_id
