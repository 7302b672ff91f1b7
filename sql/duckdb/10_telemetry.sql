-- What telemetry says of shops.
-- Reads:  commerce_new (rows since the last refresh; all of them in a full one), shop_before.
-- Writes: told_zone, shop (a view of it).

-- Every zone that is told of a shop; the caller takes those out (null) that are none.
create or replace table told_zone as
select shop_domain, shop_time_zone, max(received_at)::timestamptz as told_at
from commerce_new
group by shop_domain, shop_time_zone
union all
select shop_domain, shop_time_zone, told_at
from shop_before;

-- The zone that defines a shop's days: what its event received last says.
create or replace view shop as
select
    shop_domain,
    coalesce(
        arg_max(shop_time_zone, row(told_at, shop_time_zone)) filter (where shop_time_zone is not null),
        'UTC'
    ) as shop_time_zone,
    max(told_at) filter (where shop_time_zone is not null) as told_at
from told_zone
group by shop_domain;
