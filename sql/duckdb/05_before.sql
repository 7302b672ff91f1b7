-- What the last refresh left, for one that builds on it; empty for a full one.
-- Writes: shop_before, product_before; the caller fills them.

create or replace table shop_before (
    shop_domain varchar primary key,
    shop_time_zone varchar, -- null: no event has told one yet
    told_at timestamptz,    -- received_at of the newest event that told it
    computed_on date not null
);

-- The products of the last refresh, with what engagement older than the windows still decides.
create or replace table product_before (
    shop_domain varchar not null,
    product_id varchar not null,
    last_engagement_on date
);
