-- Publication events as they land in the table: every field by name, so that a field the stream gains and this file does not
-- name fails a test instead of being dropped; times in milliseconds, whatever precision a sender used. Row-level, and no
-- now(): at Cloudflare it is fixed when the pipeline starts.
insert into publication_v1_sink
select
    event_id, event_type, schema_version,
    date_trunc('millisecond', occurred_at) as occurred_at,
    date_trunc('millisecond', received_at) as received_at,
    event_date, event_hour, source, shop_domain, publisher_id, item_id, program_id, placement, product_id, order_id,
    url, referrer_host, country, device_class, session_key, visitor_key, is_bot, engaged_seconds
from publication_v1
