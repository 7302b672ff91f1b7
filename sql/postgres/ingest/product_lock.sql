-- Anchors the rows and locks them in key order: `do update ... where false` takes the lock and writes nothing. Two
-- writers over the same rows wait for each other instead of deadlocking. Returns the keys that had no row before: of them
-- nothing can be stored yet, so nothing has to be read or cleared.
insert into commerce.product (shop_id, product_id)
select unnest($1::bigint[]), unnest($2::bigint[])
on conflict (shop_id, product_id) do update set shop_id = excluded.shop_id where false
returning shop_id, product_id
