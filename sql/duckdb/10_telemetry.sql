-- Telemetry, each event once.
-- Reads:  commerce_telemetry, publication_telemetry (views over the lake's files).
-- Writes: commerce_event, engagement_event, shop.
-- Guarantees: one row per event_id whatever the order or number of deliveries; of two deliveries the one received last
-- holds. Grouping spills to disk; a window function over the raw table would not fit in memory.

create or replace table commerce_event as
select unnest(fact)
from (
    select arg_max(
        struct_pack(
            event_id := event_id,
            event_type := event_type,
            shop_domain := shop_domain,
            occurred_at := occurred_at,
            received_at := received_at,
            shop_time_zone := shop_time_zone,
            order_id := order_id,
            order_revision := order_revision,
            is_test := is_test,
            is_deleted := is_deleted,
            currency := currency,
            lines := lines,
            sales := sales,
            product_id := product_id,
            product_title := product_title,
            product_type := product_type,
            product_published_at := product_published_at,
            product_is_active := product_is_active,
            product_updated_at := product_updated_at
        ),
        row(received_at, source)
    ) as fact
    from commerce_telemetry
    group by event_id
);

create or replace table engagement_event as
select unnest(fact)
from (
    select arg_max(
        struct_pack(
            shop_domain := shop_domain,
            product_id := product_id,
            event_type := event_type,
            occurred_at := occurred_at
        ),
        row(received_at, source)
    ) as fact
    from publication_telemetry
    where product_id is not null
      and is_bot is distinct from true
    group by event_id
);

-- The zone that defines a shop's days: what its newest event says.
create or replace table shop as
select
    shop_domain,
    coalesce(
        arg_max(shop_time_zone, row(received_at, event_id)) filter (where shop_time_zone is not null),
        'UTC'
    ) as shop_time_zone
from commerce_event
group by shop_domain;
