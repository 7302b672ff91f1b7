-- What telemetry says of shops and of visitors.
-- Reads:  commerce_telemetry, publication_telemetry (views over the lake's files).
-- Writes: shop, engagement_event; macro delivery_order.
-- Guarantees: one row per event_id whatever the order or number of deliveries. Grouping by columns of fixed size spills
-- to disk; an aggregate that carries lists or structs per event does not (5 million events fail at 1 GiB), nor does a
-- window function over the raw table.

-- A total order of the deliveries of one fact: received last wins, ties by a hash of the rest.
create or replace macro delivery_order(received_at, event_id, source) as
    epoch_us(received_at::timestamptz)::hugeint * 18446744073709551616 + hash(event_id, source)::hugeint;

-- The zone that defines a shop's days: what its newest event says.
create or replace table shop as
select
    shop_domain,
    coalesce(
        arg_max(shop_time_zone, delivery_order(received_at, event_id, source)) filter (where shop_time_zone is not null),
        'UTC'
    ) as shop_time_zone
from commerce_telemetry
group by shop_domain;

create or replace table engagement_event as
select shop_domain, product_id, event_type, min(occurred_at) as occurred_at
from publication_telemetry
where product_id is not null
  and is_bot is distinct from true
group by event_id, shop_domain, product_id, event_type;
