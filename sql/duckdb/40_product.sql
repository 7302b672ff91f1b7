-- Products and their newest state.
-- Reads:  commerce_telemetry, sales, shop, shop_day.
-- Writes: product, one row per (shop_domain, product_id).
-- Guarantees: a product's own events win over what order lines say, because an archived product stops selling and its
-- last line still calls it active. Lines are only read for products that sold and never told of themselves; the newest
-- line ever told counts, also of an order that was deleted since. Amounts without a product (`unknown`) are sales but no
-- product. Sales after the day of computation are not seen.

create or replace table product as
with told as (
    select
        shop_domain,
        product_id,
        arg_max(
            struct_pack(
                product_title := product_title,
                product_type := product_type,
                is_active := product_is_active,
                published_at := product_published_at
            ),
            row(coalesce(product_updated_at, occurred_at), received_at, event_id, source)
        ) as state
    from commerce_telemetry
    where event_type = 'product_changed'
      and product_id is not null
    group by shop_domain, product_id
),
sold as (
    select
        shop_domain,
        product_id,
        min(day) filter (where units_sold > 0 and day <= computed_on) as first_sale_on,
        max(day) filter (where units_sold > 0 and day <= computed_on) as last_sale_on
    from sales
    join shop_day using (shop_domain)
    where product_id <> 'unknown'
    group by shop_domain, product_id
),
untold as (
    select shop_domain, product_id
    from sold
    anti join told using (shop_domain, product_id)
),
seen as (
    select
        shop_domain,
        product_id,
        arg_max(
            struct_pack(
                product_title := coalesce(line.product_title, line.title),
                product_type := line.product_type,
                is_active := line.is_active
            ),
            row(order_revision, order_id, line.line_item_id, received_at, event_id, source)
        ) as state
    from (
        select *, line.product_id as product_id
        from (
            select shop_domain, order_id, order_revision, received_at, event_id, source, unnest(lines) as line
            from commerce_telemetry
            where order_revision is not null
              and not coalesce(is_test, false)
        )
        where line.is_gift_card is distinct from true
    )
    join untold using (shop_domain, product_id)
    group by shop_domain, product_id
),
known as (
    select shop_domain, product_id from told
    union
    select shop_domain, product_id from sold
)
select
    known.shop_domain,
    known.product_id,
    if(told.state is null, seen.state.product_title, told.state.product_title) as product_title,
    if(told.state is null, seen.state.product_type, told.state.product_type) as product_type,
    if(told.state is null, seen.state.is_active, told.state.is_active) as is_active,
    coalesce(
        (told.state.published_at::timestamptz at time zone shop.shop_time_zone)::date,
        sold.first_sale_on
    ) as launched_on,
    sold.last_sale_on
from known
join shop using (shop_domain)
left join told using (shop_domain, product_id)
left join seen using (shop_domain, product_id)
left join sold using (shop_domain, product_id);
