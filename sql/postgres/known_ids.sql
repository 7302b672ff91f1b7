-- The next orders or products ($2) of shop $1 after $5 that were created in [$3, $4) and are not deleted, at most $6. One of
-- which only parts have arrived has no creation yet, and is not among them.
select known.id from (
    select header.order_id as id, coalesce(header.created_at, header.processed_at) as created_at
    from commerce.order_header as header
    where $2 = 'order' and header.shop_id = $1 and header.order_id > $5
    union all
    select product.product_id, product.created_at
    from commerce.product as product
    where $2 = 'product' and product.shop_id = $1 and product.product_id > $5
) as known
where known.created_at >= $3::timestamptz and known.created_at < $4::timestamptz and not exists (
    select from commerce.tombstone as deleted
    where deleted.shop_id = $1 and deleted.resource = $2 and deleted.resource_id = known.id
)
order by known.id
limit $6
