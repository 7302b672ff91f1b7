-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_edit_line as old (
    shop_id, order_id, edit_id, line_item_id, committed_at, added, removed
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::timestamptz[]),
    unnest($6::bigint[]), unnest($7::bigint[])
on conflict (shop_id, order_id, edit_id, line_item_id) do update set
    committed_at = excluded.committed_at, added = excluded.added, removed = excluded.removed
where (
    old.committed_at, old.added, old.removed
) is distinct from (
    excluded.committed_at, excluded.added, excluded.removed
)
