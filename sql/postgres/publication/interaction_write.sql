-- Only new ones are returned: whoever holds the row of an event_id decides what it causes. Arrays are parallel and sorted by
-- key, so that concurrent writers take locks in one order.
insert into publication.publication_telemetry (
    shop_id, event_id, event_type, occurred_at, received_at, source, publisher_id, item_id, program_id, placement,
    product_id, order_id, url, referrer_host, country, device_class, session_key, visitor_key, is_bot, engaged_seconds
)
select
    unnest($1::bigint[]), unnest($2::text[]), unnest($3::text[]), unnest($4::timestamptz[]), unnest($5::timestamptz[]),
    unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
    unnest($11::bigint[]), unnest($12::bigint[]), unnest($13::text[]), unnest($14::text[]), unnest($15::text[]),
    unnest($16::text[]), unnest($17::text[]), unnest($18::text[]), unnest($19::boolean[]), unnest($20::float8[])
on conflict (shop_id, event_id) do nothing
returning shop_id, event_id
