-- Products and their newest state.
-- Reads:  product_told, product_sold_on, untold_product, product_before, lapsed_product, shop, line_event (events whose lines may
--         name an untold product: those since the last refresh, and all if it does not know one of them).
-- Writes: adds to product_told what lines say; product (a view), one row per (shop_domain, product_id), with the row that holds
--         its state: that of product_told (row_told) if it is newer than that of product_before (row_before; null if the last
--         refresh did not know the product); and whether its sales of then have lapsed.
-- Guarantees: a product's own events win over what order lines say, because an archived product stops selling and its
-- last line still calls it active. Lines are only read for products that sold and never told of themselves; the newest
-- line ever told counts, also of an order that was deleted since. Texts of the state stay where they are: a table copies what
-- it is given, and measures every text of it.

-- No product is told both ways: lines are only read for what never told of itself.
insert into product_told by name
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
        if(new.state_key > coalesce(product_state_key, ''), new.row_told, null) as row_told
    from before
    full join product_sold_on as sold using (shop_domain, product_id)
    full join (select *, rowid as row_told from product_told) as new using (shop_domain, product_id)
    -- One of which only sales told is none any more if they have lapsed.
    where sold.product_id is not null
       or not (has_lapsed and is_seen_only(product_state_key))
       or new.product_id is not null
)
select
    shop_domain,
    product_id,
    if(row_told is null, product_type, new_state.product_type) as product_type,
    if(row_told is null, is_active, new_state.is_active) as is_active,
    first_sale_on,
    last_sale_on,
    coalesce(
        case
            when row_told is not null then local_date(new_state.product_published_at, shop_time_zone)
            when product_published_at is not null then launched_on
        end,
        first_sale_on
    ) as launched_on,
    row_before,
    row_told,
    has_lapsed
from told
join shop using (shop_domain);
