-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.order_edit_line as old (
    shop_id, order_id, edit_id, line_item_id, committed_at, added, removed
)
select
    new.shop_id, new.order_id, new.edit_id, new.line_item_id, new.committed_at::timestamptz, new.added, new.removed
from unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[]
) as new (
    shop_id, order_id, edit_id, line_item_id, committed_at, added, removed
)
on conflict (shop_id, order_id, edit_id, line_item_id) do update set
    committed_at = excluded.committed_at, added = excluded.added, removed = excluded.removed
where (
    old.committed_at, old.added, old.removed
) is distinct from (
    excluded.committed_at, excluded.added, excluded.removed
)
