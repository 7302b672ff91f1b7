-- Remembers which commerce events an interaction caused, so that a repetition can answer with them.
update publication.publication_telemetry as old
set event_keys = new.event_keys::json
from unnest($1::bigint[], $2::text[], $3::text[]) as new (shop_id, event_id, event_keys)
where old.shop_id = new.shop_id and old.event_id = new.event_id
