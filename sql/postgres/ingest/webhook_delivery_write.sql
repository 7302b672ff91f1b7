-- Remembers applied deliveries, so that a repetition answers with the same events.
insert into commerce.webhook_delivery as old (
    shop_id, topic, webhook_id, received_at, event_keys
)
select unnest($1::bigint[]), unnest($2::text[]), unnest($3::text[]), unnest($4::timestamptz[]), unnest($5::json[])
on conflict (shop_id, topic, webhook_id) do nothing
