-- The roots $3 with the numbers $4 and all that belongs to them, two levels down, by operation in the sequence of their
-- start.
with root as (
    select operation.started_at, line.*
    from commerce.bulk_operation as operation
    cross join unnest($3::text[], $4::bigint[]) as wanted (resource, node_id)
    join commerce.bulk_line as line
        on line.shop_id = operation.shop_id and line.operation_id = operation.operation_id
        and line.resource = wanted.resource and line.node_id = wanted.node_id
    where operation.shop_id = $1 and operation.operation_id = any ($2::bigint[])
), child as (
    select root.started_at, line.*
    from root
    join commerce.bulk_line as line
        on line.shop_id = root.shop_id and line.operation_id = root.operation_id
        and line.parent_id = root.node_id and line.parent_resource = root.resource
), grandchild as (
    select child.started_at, line.*
    from child
    join commerce.bulk_line as line
        on line.shop_id = child.shop_id and line.operation_id = child.operation_id
        and line.parent_id = child.node_id and line.parent_resource = child.resource
)
select
    node.operation_id, node.resource, node.node_id, node.parent_resource, node.parent_id, node.content::text,
    node.customer_id, node.raw::text
from (
    select * from root union all select * from child union all select * from grandchild
) as node
order by node.started_at, node.operation_id
