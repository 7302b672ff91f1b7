-- The events of one day of the bench's shop. {day} counts from {first_day}; an order's number tells its day.
with moved(after, event_type, revision) as (
    values (0, 'order_created', 1), (0, 'payment_captured', 1), (1, 'order_completed', 2), (3, 'fulfillment_shipped', 3),
        (30, 'order_updated', 4)
),
told as (
    select
        event_type,
        revision,
        after,
        ({day} - after) * {orders_a_day}::bigint + n as number,
        '{first_day}'::date + ({day} - after)::integer as placed_on,
        '{first_day}'::date + {day}::integer as today
    from moved
    cross join range({orders_a_day}) as orders(n)
    where {day} >= after
      and (after < 30 or n % 50 = 0)
),
ordered as (
    select
        *,
        (hash(number) % {products})::bigint as first_product,
        (hash(number, 1) % {products})::bigint as second_product,
        hash(number, 2) % 3 = 0 and hash(number) % {products} <> hash(number, 1) % {products} as has_second,
        1 + (hash(number, 3) % 3)::bigint as units,
        100 + (hash(number, 4) % 9900)::bigint as price
    from told
),
entered as (
    select
        *,
        [
            struct_pack(product_id := first_product::varchar, day := placed_on::varchar, kind := 'sale', units_sold := units,
                units_returned := 0::bigint, gross_sales := units * price, discounts := 0::bigint, returns := 0::bigint,
                net_sales := units * price, presentment_gross_sales := units * price,
                presentment_discounts := 0::bigint, presentment_returns := 0::bigint,
                presentment_net_sales := units * price)
        ] as first_sale,
        [
            struct_pack(product_id := second_product::varchar, day := placed_on::varchar, kind := 'sale',
                units_sold := 1::bigint, units_returned := 0::bigint, gross_sales := price, discounts := 10::bigint,
                returns := 0::bigint, net_sales := price - 10, presentment_gross_sales := price,
                presentment_discounts := 10::bigint, presentment_returns := 0::bigint,
                presentment_net_sales := price - 10)
        ] as second_sale,
        [
            struct_pack(product_id := first_product::varchar, day := today::varchar, kind := 'return',
                units_sold := 0::bigint, units_returned := 1::bigint, gross_sales := 0::bigint, discounts := 0::bigint,
                returns := price, net_sales := -price, presentment_gross_sales := 0::bigint,
                presentment_discounts := 0::bigint, presentment_returns := price, presentment_net_sales := -price)
        ] as refund
    from ordered
)
select
    md5(concat_ws('/', number, event_type))::uuid::varchar as event_id,
    event_type,
    1::integer as schema_version,
    (today + to_microseconds(3600000000 + number % 80000 * 1000000))::timestamptz as occurred_at,
    (today + to_microseconds(3602000000 + number % 80000 * 1000000))::timestamptz as received_at,
    today::varchar as event_date,
    1 + (number % 80000 // 3600)::integer as event_hour,
    'webhook' as source,
    'bench.myshopify.com' as shop_domain,
    'UTC' as shop_time_zone,
    (5000000000000 + number)::varchar as order_id,
    '#' || number as order_name,
    epoch_us(placed_on::timestamp) + number % 80000 * 1000000 + revision as order_revision,
    (placed_on + to_microseconds(3600000000 + number % 80000 * 1000000))::timestamptz as order_processed_at,
    'paid' as financial_status,
    false as is_test,
    'JPY' as currency,
    0::integer as currency_exponent,
    units * price as total_price,
    md5(number::varchar) as customer_key,
    [
        struct_pack(line_item_id := number::varchar, product_id := first_product::varchar,
            variant_id := first_product::varchar, title := 'Product ' || first_product,
            product_title := 'Product ' || first_product, vendor := 'Bench', product_type := 'Type ' || first_product % 20,
            is_active := true, is_gift_card := false, quantity := units, current_quantity := units, unit_price := price,
            discount := 0::bigint)
    ] as lines,
    case
        when after = 30 then if(has_second, first_sale || second_sale, first_sale) || refund
        when has_second then first_sale || second_sale
        else first_sale
    end as sales,
    null::varchar as product_id,
    null::varchar as product_title,
    null::varchar as product_type,
    null::timestamptz as product_published_at,
    null::boolean as product_is_active,
    null::timestamptz as product_updated_at
from entered
union all by name
select
    md5('product ' || n)::uuid::varchar as event_id,
    'product_changed' as event_type,
    1::integer as schema_version,
    '{first_day}'::timestamptz as occurred_at,
    '{first_day}'::timestamptz as received_at,
    '{first_day}' as event_date,
    0::integer as event_hour,
    'bulk_sync' as source,
    'bench.myshopify.com' as shop_domain,
    'UTC' as shop_time_zone,
    n::varchar as product_id,
    'Product ' || n as product_title,
    'Type ' || n % 20 as product_type,
    '{first_day}'::timestamptz + to_days((n % 180)::integer) as product_published_at,
    n % 40 <> 0 as product_is_active,
    '{first_day}'::timestamptz as product_updated_at
from range({products}) as products(n)
where {day} = 0
