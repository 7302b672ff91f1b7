-- Only new ones are returned: whoever holds the row of an event_id decides what it causes. Arrays are parallel and sorted by
-- key, so that concurrent writers take locks in one order.
insert into publication.publication_telemetry (
    shop_id, event_id, event_type, occurred_at, received_at, source, publisher_id, item_id, program_id, placement,
    product_id, order_id, url, referrer_host, country, device_class, session_key, visitor_key, is_bot, engaged_seconds
)
select
    new.shop_id, new.event_id, new.event_type, new.occurred_at::timestamptz, new.received_at::timestamptz, new.source,
    new.publisher_id, new.item_id, new.program_id, new.placement, new.product_id, new.order_id, new.url,
    new.referrer_host, new.country, new.device_class, new.session_key, new.visitor_key, new.is_bot, new.engaged_seconds
from unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
    $18::text[], $19::boolean[], $20::float8[]
) as new (
    shop_id, event_id, event_type, occurred_at, received_at, source, publisher_id, item_id, program_id, placement,
    product_id, order_id, url, referrer_host, country, device_class, session_key, visitor_key, is_bot, engaged_seconds
)
on conflict (shop_id, event_id) do nothing
returning shop_id, event_id
