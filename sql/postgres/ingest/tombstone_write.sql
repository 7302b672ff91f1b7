-- The earliest telling of a deletion stays.
insert into commerce.tombstone as old (
    shop_id, resource, resource_id, deleted_at
)
select
    new.shop_id, new.resource, new.resource_id, new.deleted_at::timestamptz
from unnest(
    $1::bigint[], $2::text[], $3::bigint[], $4::text[]
) as new (
    shop_id, resource, resource_id, deleted_at
)
on conflict (shop_id, resource, resource_id) do update set deleted_at = excluded.deleted_at
where excluded.deleted_at < old.deleted_at
