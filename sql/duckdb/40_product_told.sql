-- What is told of products since the last refresh, and which of them sold.
-- Reads:  commerce_new, sales (in a refresh that builds on another: the days it has not looked at and the changed ones),
--         product_before, lapsed_product, shop_day.
-- Writes: product_told; product_sold_on, when those products first and last sold that did so in these sales; untold_product.
-- Guarantees: one row per product in each. Amounts without a product (`unknown`) are sales but no product. Sales after
-- the day of computation are not seen.

create or replace table product_told as
select
    shop_domain,
    product_id,
    arg_max(
        struct_pack(
            product_title := product_title,
            product_type := product_type,
            is_active := product_is_active,
            product_published_at := product_published_at::timestamptz
        ),
        state_key
    ) as state,
    max(state_key) as state_key
from (
    select
        *,
        concat_ws(
            chr(31),
            '1',
            sortable(epoch_us(coalesce(product_updated_at, occurred_at)::timestamptz)),
            sortable(epoch_us(received_at::timestamptz)),
            event_id,
            source
        ) as state_key
    from commerce_new
    where event_type = 'product_changed'
      and product_id is not null
)
group by shop_domain, product_id;

create or replace table product_sold_on as
select
    shop_domain,
    product_id,
    min(day) filter (where units_sold > 0 and day <= computed_on) as first_sale_on,
    max(day) filter (where units_sold > 0 and day <= computed_on) as last_sale_on
from sales
join shop_day using (shop_domain)
where product_id <> 'unknown'
group by shop_domain, product_id;

create or replace table untold_product as
with seen_only as (
    select shop_domain, product_id, known.product_id is null as is_newcomer
    from product_sold_on
    left join product_before as known using (shop_domain, product_id)
    where is_seen_only(product_state_key)
    union
    select shop_domain, product_id, false as is_newcomer
    from product_before
    anti join lapsed_product using (shop_domain, product_id)
    where is_seen_only(product_state_key)
)
from seen_only
anti join product_told using (shop_domain, product_id);
