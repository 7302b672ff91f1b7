-- The products, each as the JSON of domain::order_state::Product. Instants are microseconds.
select product.shop_id, product.product_id, json_build_object(
    'product_id', product.product_id,
    'title', product.title,
    'vendor', product.vendor,
    'product_type', product.product_type,
    'status', product.status,
    'created_at', (extract(epoch from product.created_at) * 1000000)::bigint,
    'published_at', (extract(epoch from product.published_at) * 1000000)::bigint,
    'updated_at', (extract(epoch from product.updated_at) * 1000000)::bigint,
    'triggered_at', (extract(epoch from product.triggered_at) * 1000000)::bigint,
    'deleted_at', (extract(epoch from tombstone.deleted_at) * 1000000)::bigint,
    'variants', coalesce((
        select json_agg(json_build_object(
            'variant_id', variant.variant_id,
            'title', variant.title,
            'sku', variant.sku,
            'price', variant.price_minor,
            'price_text', variant.price_text,
            'told_updated_at', (extract(epoch from variant.told_updated_at) * 1000000)::bigint,
            'told_triggered_at', (extract(epoch from variant.told_triggered_at) * 1000000)::bigint
        ) order by variant.variant_id)
        from commerce.product_variant as variant
        where variant.shop_id = product.shop_id and variant.product_id = product.product_id
    ), '[]'::json)
)::text as state
from unnest($1::bigint[], $2::bigint[]) as wanted (shop_id, product_id)
join commerce.product as product on product.shop_id = wanted.shop_id and product.product_id = wanted.product_id
left join commerce.tombstone as tombstone
    on tombstone.shop_id = product.shop_id and tombstone.resource = 'product'
    and tombstone.resource_id = product.product_id
where product.updated_at is not null or tombstone.deleted_at is not null
