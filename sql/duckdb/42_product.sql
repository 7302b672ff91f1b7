-- Products and their newest state.
-- Reads:  product_told, product_sold_on, untold_product, product_before, lapsed_product, shop, line_event (events whose lines may
--         name an untold product: those since the last refresh, and all if it does not know one of them).
-- Writes: product (a view), one row per (shop_domain, product_id), with the row it had in product_before (row_before; null if
--         the last refresh did not know it) and whether its sales of then have lapsed.
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

create or replace view product as
with before as (
    select product_before.*, product_before.rowid as row_before, lapsed_product.product_id is not null as has_lapsed
    from product_before
    left join lapsed_product using (shop_domain, product_id)
),
told as (
    select
        shop_domain,
        product_id,
        before.* exclude (shop_domain, product_id, first_sale_on, last_sale_on),
        -- Null is passed over.
        least(sold.first_sale_on, if(has_lapsed, null, before.first_sale_on)) as first_sale_on,
        greatest(sold.last_sale_on, if(has_lapsed, null, before.last_sale_on)) as last_sale_on,
        new.state as new_state,
        new.state_key as new_state_key,
        coalesce(new.state_key > coalesce(product_state_key, ''), false) as is_new
    from before
    full join product_sold_on as sold using (shop_domain, product_id)
    -- No product is in both: lines are only read for what never told of itself.
    full join (from product_told union all from product_seen) as new using (shop_domain, product_id)
    -- One of which only sales told is none any more if they have lapsed.
    where sold.product_id is not null
       or not (has_lapsed and is_seen_only(product_state_key))
       or new.product_id is not null
)
select
    shop_domain,
    product_id,
    if(is_new, new_state.product_title, product_title) as product_title,
    if(is_new, new_state.product_type, product_type) as product_type,
    if(is_new, new_state.is_active, is_active) as is_active,
    if(is_new, new_state.product_published_at, product_published_at) as product_published_at,
    if(is_new, new_state_key, product_state_key) as product_state_key,
    first_sale_on,
    last_sale_on,
    coalesce(
        case
            when is_new then local_date(new_state.product_published_at, shop_time_zone)
            when product_published_at is not null then launched_on
        end,
        first_sale_on
    ) as launched_on,
    row_before,
    has_lapsed
from told
join shop using (shop_domain);
