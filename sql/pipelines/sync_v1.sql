-- Sync events as they land in the table: every field by name, so that a field the stream gains and this file does not
-- name fails a test instead of being dropped; times in milliseconds, whatever precision a sender used. Row-level, and no
-- now(): at Cloudflare it is fixed when the pipeline starts.
insert into sync_v1_sink
select
    event_id, event_type, schema_version,
    date_trunc('millisecond', occurred_at) as occurred_at,
    date_trunc('millisecond', received_at) as received_at,
    event_date, event_hour, source, shop_domain, workflow, instance_id, step, attempt, status, records_read,
    records_upserted, records_unchanged, records_streamed, records_rejected,
    date_trunc('millisecond', watermark_before) as watermark_before,
    date_trunc('millisecond', watermark_after) as watermark_after,
    date_trunc('millisecond', started_at) as started_at,
    duration_ms, bytes, error_kind
from sync_v1
