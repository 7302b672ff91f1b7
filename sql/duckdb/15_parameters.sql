-- What a refresh is told rather than reads.
-- Writes: shop_day and objective_spec, both empty; the caller fills them.
-- Guarantees: one row per shop; one specification per shop and product type, so that no join doubles a product.

create or replace table shop_day (
    shop_domain varchar primary key,
    computed_on date not null -- the shop's own date at the moment of the refresh
);

create or replace table objective_spec (
    spec_number integer primary key,
    objective_spec_id varchar not null,
    shop_domain varchar not null,
    product_type varchar,
    revision bigint not null,
    measure varchar not null,
    threshold_7d bigint,
    threshold_14d bigint,
    threshold_30d bigint,
    banana_count bigint,
    stale_after_days bigint,
    banana_pool varchar not null,
    weight_views bigint not null, -- per mille of the measure's unit
    weight_clicks bigint not null,
    weight_conversions bigint not null,
    weight_impressions bigint not null,
    precedence varchar[] not null -- all four labels
);

create unique index objective_spec_governs on objective_spec (shop_domain, coalesce(product_type, ''));
