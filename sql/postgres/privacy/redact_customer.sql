-- $1 shop, $2 customer, $3 orders that Shopify names. The customer may be null: somebody without an account is known by
-- their orders alone. A repetition that finds nothing keeps the first certificate. The customers that were merged into this
-- one are the same person: they go too, and each leaves a tombstone, as each of the orders does.
with person as materialized (
    select $2::bigint as customer_id where $2::bigint is not null
    union
    select known.customer_id from commerce.customer as known where known.shop_id = $1 and known.merged_into = $2
), salt as (
    -- Events of the orders are in the lake under the key of whom they named: without the salt nobody can tell whose it is. A
    -- customer who is not forgotten gets another with their next event.
    delete from privacy.salt as old
    where old.shop_id = $1 and old.customer_id in (
        select customer_id from person
        union all
        select known.customer_id from commerce.order_header as known
        where known.shop_id = $1 and known.order_id = any ($3::bigint[])
    ) returning 1
), request as (
    delete from privacy.data_request as old
    where old.shop_id = $1 and old.customer_id in (select customer_id from person) returning 1
), orders as (
    select known.order_id from commerce.order_header as known
    where known.shop_id = $1
        and (known.customer_id in (select customer_id from person) or known.order_id = any ($3::bigint[]))
), named as (
    -- Also those that are not known yet.
    select order_id from orders union select unnest($3::bigint[])
), tombstone as (
    insert into privacy.redacted_order (shop_id, order_id)
    select $1, order_id from named order by order_id
    on conflict (shop_id, order_id) do nothing
), interaction as (
    -- Who brought the buyer stays the publisher's; which visitor that was, and of which order, is severed.
    update publication.publication_telemetry as old
    set order_id = null, session_key = null, visitor_key = null, event_keys = '[]'
    where old.shop_id = $1 and old.order_id in (select order_id from named)
    returning 1
), customer as (
    delete from commerce.customer as old
    where old.shop_id = $1 and old.customer_id in (select customer_id from person) returning 1
), refund as (
    update commerce.refund as old set raw = null
    where old.shop_id = $1 and old.raw is not null and old.order_id in (select order_id from orders) returning 1
), payment as (
    update commerce.payment as old set raw = null
    where old.shop_id = $1 and old.raw is not null and old.order_id in (select order_id from orders) returning 1
), returned as (
    update commerce.order_return as old set raw = null
    where old.shop_id = $1 and old.raw is not null and old.order_id in (select order_id from orders) returning 1
), header as (
    update commerce.order_header as old set customer_id = null, raw = null
    where old.shop_id = $1
        and (old.customer_id in (select customer_id from person) or old.order_id = any ($3::bigint[]))
        and (old.customer_id is not null or old.raw is not null)
    returning 1
), line as (
    update commerce.bulk_line as old set customer_id = null, raw = null
    where old.shop_id = $1 and (old.customer_id in (select customer_id from person)
            or old.resource = 'Order' and old.node_id = any ($3::bigint[]))
        and (old.customer_id is not null or old.raw is not null)
    returning 1
), removed as (
    select (select count(*) from salt) as salts, (select count(*) from request) as requests,
        (select count(*) from header) as headers, (select count(*) from interaction) as interactions,
        (select count(*) from customer) as customers, (select count(*) from refund) as refunds,
        (select count(*) from payment) as payments, (select count(*) from returned) as returns,
        (select count(*) from line) as lines
), subject as materialized (
    select case when $2::bigint is null then 'orders' else 'customer' end as kind,
        coalesce(privacy.subject_digest($1, $2), privacy.orders_digest($1, $3::bigint[])) as digest
), certified as materialized (
    select json_build_object(
        'certificate_id', gen_random_uuid(),
        'shop_id', $1::text,
        'subject', subject.kind,
        'subject_digest', subject.digest,
        'redacted_at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'removed', json_build_object(
            'privacy.salt', removed.salts, 'privacy.data_request', removed.requests,
            'commerce.order_header', removed.headers, 'publication.publication_telemetry', removed.interactions,
            'commerce.customer', removed.customers, 'commerce.refund', removed.refunds,
            'commerce.payment', removed.payments, 'commerce.order_return', removed.returns,
            'commerce.bulk_line', removed.lines
        )
    ) as certificate
    from removed cross join subject
), merged as (
    insert into privacy.redaction as old (shop_id, subject, subject_digest, certificate)
    select $1, 'customer', privacy.subject_digest($1, person.customer_id), certified.certificate
    from person cross join certified where person.customer_id <> $2
    on conflict (shop_id, subject, subject_digest) do nothing
)
insert into privacy.redaction as old (shop_id, subject, subject_digest, certificate)
select $1, subject.kind, subject.digest, certified.certificate
from certified cross join subject
on conflict (shop_id, subject, subject_digest) do update set
    certificate = case
        when (
            select salts + requests + headers + interactions + customers + refunds + payments + returns + lines
            from removed
        ) > 0 then excluded.certificate else old.certificate
    end
returning certificate::text
