-- Remembers applied deliveries, so that a repetition answers with the same events.
insert into commerce.webhook_delivery as old (
    shop_id, topic, webhook_id, received_at, event_keys
)
select
    new.shop_id, new.topic, new.webhook_id, new.received_at::timestamptz, new.event_keys::json
from unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]
) as new (
    shop_id, topic, webhook_id, received_at, event_keys
)
on conflict (shop_id, topic, webhook_id) do nothing
