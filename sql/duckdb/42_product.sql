-- Products and their newest state.
-- Reads:  product_told, product_sold_on, untold_product, product_before, shop, line_event (events whose lines may name an
--         untold product: those since the last refresh, and all if it does not know one of them).
-- Writes: product, one row per (shop_domain, product_id); newcomer.
-- Guarantees: a product's own events win over what order lines say, because an archived product stops selling and its
-- last line still calls it active. Lines are only read for products that sold and never told of themselves; the newest
-- line ever told counts, also of an order that was deleted since.

create or replace table product_seen as
select
    shop_domain,
    product_id,
    arg_max(
        struct_pack(
            product_title := coalesce(line.product_title, line.title),
            product_type := line.product_type,
            is_active := line.is_active,
            product_published_at := null::timestamptz
        ),
        state_key
    ) as state,
    max(state_key) as state_key
from (
    select
        *,
        concat_ws(
            chr(31),
            '0',
            sortable(order_revision),
            order_id,
            coalesce(line.line_item_id, ''),
            sortable(epoch_us(received_at::timestamptz)),
            event_id,
            source
        ) as state_key
    from (
        select *, line.product_id as product_id
        from (
            select shop_domain, order_id, order_revision, received_at, event_id, source, unnest(lines) as line
            from line_event
            where order_revision is not null
              and is_test is distinct from true
        )
        where line.is_gift_card is distinct from true
    )
    semi join untold_product using (shop_domain, product_id)
)
group by shop_domain, product_id;

create or replace table product as
with known as (
    select shop_domain, product_id from product_sold_on
    union
    select shop_domain, product_id from product_told
    union
    select shop_domain, product_id from product_before where not is_seen_only(product_state_key)
),
told as (
    select
        known.*,
        before.* exclude (shop_domain, product_id),
        new.state as new_state,
        new.state_key as new_state_key,
        coalesce(new.state_key > coalesce(product_state_key, ''), false) as is_new
    from known
    left join product_before as before using (shop_domain, product_id)
    -- No product is in both: lines are only read for what never told of itself.
    left join (from product_told union all from product_seen) as new using (shop_domain, product_id)
)
select
    told.shop_domain,
    told.product_id,
    if(is_new, new_state.product_title, told.product_title) as product_title,
    if(is_new, new_state.product_type, told.product_type) as product_type,
    if(is_new, new_state.is_active, told.is_active) as is_active,
    if(is_new, new_state.product_published_at, told.product_published_at) as product_published_at,
    if(is_new, new_state_key, product_state_key) as product_state_key,
    sold.first_sale_on,
    sold.last_sale_on,
    coalesce(
        case
            when is_new then local_date(new_state.product_published_at, shop_time_zone)
            when told.product_published_at is not null then told.launched_on
        end,
        sold.first_sale_on
    ) as launched_on
from told
join shop on shop.shop_domain = told.shop_domain
left join product_sold_on as sold
    on sold.shop_domain = told.shop_domain
   and sold.product_id = told.product_id;

-- Products that the last refresh did not know.
create or replace table newcomer as
select shop_domain, product_id
from product
anti join product_before using (shop_domain, product_id);
