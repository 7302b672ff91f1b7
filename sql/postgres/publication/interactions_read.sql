-- What interactions that were recorded before have caused.
select known.shop_id, known.event_id, known.event_keys::text
from unnest($1::bigint[], $2::text[]) as asked (shop_id, event_id)
join publication.publication_telemetry as known
    on known.shop_id = asked.shop_id and known.event_id = asked.event_id
