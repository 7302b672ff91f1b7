-- $1 shop, $2 operation; the arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
-- Counts the readable lines that said something new. A line that could be read stays, whatever a broken copy of it says.
with written as (
    insert into commerce.bulk_line as old (
        shop_id, operation_id, resource, node_id, parent_resource, parent_id, content, customer_id, raw
    )
    select
        $1, $2, new.resource, new.node_id, new.parent_resource, new.parent_id, new.content::json, new.customer_id,
        new.raw::json
    from unnest(
        $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::text[]
    ) as new (
        resource, node_id, parent_resource, parent_id, content, customer_id, raw
    )
    on conflict (shop_id, operation_id, resource, node_id) do update set
        parent_resource = excluded.parent_resource, parent_id = excluded.parent_id, content = excluded.content,
        customer_id = excluded.customer_id, raw = excluded.raw
    where excluded.content is not null and (
        old.parent_resource, old.parent_id, old.content::text, old.customer_id, old.raw::text
    ) is distinct from (
        excluded.parent_resource, excluded.parent_id, excluded.content::text, excluded.customer_id, excluded.raw::text
    )
    returning content is not null as is_readable
)
select count(*) filter (where is_readable) from written
