-- Shopify may ask to forget somebody by their orders alone. An order that was redacted stays so, whoever a later or older
-- telling of it names. The id in clear: commerce.order_header keeps it too, and every delivery looks here.
create table privacy.redacted_order (
    shop_id bigint not null,
    order_id bigint not null,
    redacted_at timestamptz not null default clock_timestamp(),
    primary key (shop_id, order_id)
);
comment on table privacy.redacted_order is 'Tombstone of who bought: nothing that is told of the order later names them again [BFO: process boundary]';
comment on column privacy.redacted_order.shop_id is 'Shop [IAO: identifier]';
comment on column privacy.redacted_order.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column privacy.redacted_order.redacted_at is 'When it was first done [BFO: temporal instant]';

alter table privacy.redaction drop constraint redaction_subject_check;
alter table privacy.redaction add constraint redaction_subject_check check (subject in ('customer', 'orders', 'shop'));
comment on column privacy.redaction.subject is 'customer, orders (of somebody without a customer id) or shop [IAO: data item]';
comment on column privacy.redaction.subject_digest is 'Keyed digest of the customer id, or of the order ids in ascending sequence; empty for a shop [IAO: identifier]';

-- The same orders give the same digest, in whatever sequence and however often each is named.
create function privacy.orders_digest(shop_id bigint, orders bigint[]) returns text
language sql stable strict set search_path = '' as $$
    select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        secret || '/' || shop_id::text || '/orders/' || (
            select pg_catalog.string_agg(named.order_id::text, ',' order by named.order_id)
            from (select distinct pg_catalog.unnest(orders)) as named (order_id)
        ), 'UTF8')), 'hex')
    from privacy.secret
$$;
comment on function privacy.orders_digest(bigint, bigint[]) is 'Stands for somebody who was forgotten by their orders';
