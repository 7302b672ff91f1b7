-- The next orders or products ($3) after $4 that the operations $2 of shop $1 have read, at most $5. A line that names a
-- parent is none, whatever its id says: put together below its parent too, its own lines would count twice.
select distinct root.node_id
from unnest($2::bigint[]) as operation (operation_id)
cross join lateral (
    select line.node_id
    from commerce.bulk_line as line
    where line.shop_id = $1 and line.operation_id = operation.operation_id and line.resource = $3
        and line.node_id > $4 and line.content is not null and line.parent_id is null
    order by line.node_id
    limit $5
) as root
order by root.node_id
limit $5
