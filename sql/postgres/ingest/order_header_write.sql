-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_header as old (
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
    $31::smallint
on conflict (shop_id, order_id) do update set
    name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
    completed_at = excluded.completed_at, financial_status = excluded.financial_status,
    fulfillment_status = excluded.fulfillment_status, is_test = excluded.is_test,
    taxes_included = excluded.taxes_included, currency = excluded.currency,
    presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
    customer_id = excluded.customer_id, source_name = excluded.source_name, revision = excluded.revision,
    raw = coalesce(excluded.raw, old.raw), publisher_id = excluded.publisher_id, program_id = excluded.program_id,
    note_publisher_id = excluded.note_publisher_id, note_program_id = excluded.note_program_id,
    attributed_at = excluded.attributed_at, attribution_event_id = excluded.attribution_event_id,
    first_updated_at = excluded.first_updated_at, quantity_since = excluded.quantity_since,
    removed_since = excluded.removed_since, absent_lines = excluded.absent_lines,
    ledger_version = excluded.ledger_version
where (
    old.name, old.created_at, old.processed_at, old.updated_at, old.triggered_at, old.cancelled_at, old.completed_at,
    old.financial_status, old.fulfillment_status, old.is_test, old.taxes_included, old.currency,
    old.presentment_currency, old.total_price_minor, old.customer_id, old.source_name, old.revision, old.publisher_id,
    old.program_id, old.note_publisher_id, old.note_program_id, old.attributed_at, old.attribution_event_id,
    old.first_updated_at, old.quantity_since, old.removed_since, old.absent_lines, old.ledger_version
) is distinct from (
    excluded.name, excluded.created_at, excluded.processed_at, excluded.updated_at, excluded.triggered_at,
    excluded.cancelled_at, excluded.completed_at, excluded.financial_status, excluded.fulfillment_status,
    excluded.is_test, excluded.taxes_included, excluded.currency, excluded.presentment_currency,
    excluded.total_price_minor, excluded.customer_id, excluded.source_name, excluded.revision, excluded.publisher_id,
    excluded.program_id, excluded.note_publisher_id, excluded.note_program_id, excluded.attributed_at,
    excluded.attribution_event_id, excluded.first_updated_at, excluded.quantity_since, excluded.removed_since,
    excluded.absent_lines, excluded.ledger_version
)
