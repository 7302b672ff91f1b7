-- Headers parsed by the client, newer versions only; says which were written, and which of them had no row before.
insert into commerce.order_header as old (
    shop_id, order_id, name, created_at, processed_at, updated_at, triggered_at, cancelled_at, financial_status,
    fulfillment_status, is_test, taxes_included, currency, presentment_currency, total_price_minor, customer_id,
    source_name, revision, raw
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::timestamptz[]),
    unnest($5::timestamptz[]), unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]),
    unnest($9::text[]), unnest($10::text[]), unnest($11::boolean[]), unnest($12::boolean[]), unnest($13::text[]),
    unnest($14::text[]), unnest($15::bigint[]), unnest($16::bigint[]), unnest($17::text[]), unnest($18::bigint[]),
    unnest($19::jsonb[])
on conflict (shop_id, order_id) do update set
    name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
    updated_at = excluded.updated_at, triggered_at = excluded.triggered_at, cancelled_at = excluded.cancelled_at,
    financial_status = excluded.financial_status, fulfillment_status = excluded.fulfillment_status,
    is_test = excluded.is_test, taxes_included = excluded.taxes_included, currency = excluded.currency,
    presentment_currency = excluded.presentment_currency, total_price_minor = excluded.total_price_minor,
    customer_id = excluded.customer_id, source_name = excluded.source_name,
    revision = greatest(old.revision + 1, excluded.revision), raw = excluded.raw
where (old.updated_at, old.triggered_at) <= (excluded.updated_at, excluded.triggered_at) or old.updated_at is null
returning order_id, xmax = 0 as is_new
