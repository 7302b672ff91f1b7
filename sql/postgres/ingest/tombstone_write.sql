-- The earliest telling of a deletion stays.
insert into commerce.tombstone as old (
    shop_id, resource, resource_id, deleted_at
)
select unnest($1::bigint[]), unnest($2::text[]), unnest($3::bigint[]), unnest($4::timestamptz[])
on conflict (shop_id, resource, resource_id) do update set deleted_at = excluded.deleted_at
where excluded.deleted_at < old.deleted_at
