-- Which of the deliveries were applied before, and what they caused.
select known.shop_id, known.topic, known.webhook_id, known.event_keys::text
from unnest($1::bigint[], $2::text[], $3::text[]) as asked (shop_id, topic, webhook_id)
join commerce.webhook_delivery as known
    on known.shop_id = asked.shop_id and known.topic = asked.topic and known.webhook_id = asked.webhook_id
