-- Makes the salts of whoever a page may tell: of the orders $2 of shop $1, which are locked, the customers that are kept and those that
-- the operations $3 name. A page is told piece by piece, each in the sequence of its orders, and would make them in that of
-- nobody else. None of somebody who was forgotten.
insert into privacy.salt (shop_id, customer_id, salt)
select $1::bigint, told.customer_id, gen_random_uuid()::text || gen_random_uuid()::text
from (
    select kept.customer_id from commerce.order_header as kept
    where kept.shop_id = $1 and kept.order_id = any ($2::bigint[])
    union
    select line.customer_id
    from unnest($3::bigint[]) as operation (operation_id)
    join commerce.bulk_line as line on line.shop_id = $1 and line.operation_id = operation.operation_id
        and line.resource = 'Order' and line.node_id = any ($2::bigint[]) and line.parent_id is null
    where not exists (
        select from privacy.redacted_order as redacted
        where redacted.shop_id = $1 and redacted.order_id = line.node_id
    )
) as told
where told.customer_id is not null and (
    (select true from privacy.redaction as anybody where anybody.shop_id = $1 limit 1) is null
    or not exists (
        select from privacy.redaction as redaction
        where redaction.shop_id = $1 and redaction.subject = 'customer'
            and redaction.subject_digest = privacy.subject_digest($1, told.customer_id)
    )
)
order by told.customer_id
on conflict (shop_id, customer_id) do nothing
