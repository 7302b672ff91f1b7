create table commerce.bulk_operation (
    shop_id bigint not null,
    operation_id bigint not null,
    kind text not null check (kind in ('orders_core', 'orders_ledger', 'products')),
    started_at timestamptz not null,
    received_at timestamptz not null,
    primary key (shop_id, operation_id)
);
comment on table commerce.bulk_operation is 'A bulk operation of Shopify whose lines are or were being read; rows may be removed a week later [BFO: process]';
comment on column commerce.bulk_operation.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.bulk_operation.operation_id is 'Shopify''s id of the operation [IAO: identifier]';
comment on column commerce.bulk_operation.kind is 'Which query it ran [IAO: data item]';
comment on column commerce.bulk_operation.started_at is 'Creation at Shopify: how new its lines are [BFO: temporal instant]';
comment on column commerce.bulk_operation.received_at is 'When its newest chunk was taken in [BFO: temporal instant]';

-- Keys in byte order: cheaper to compare than in a language's.
create table commerce.bulk_line (
    shop_id bigint not null,
    operation_id bigint not null,
    resource text collate "C" not null,
    node_id bigint not null,
    parent_resource text collate "C",
    parent_id bigint,
    content json,
    customer_id bigint,
    raw json,
    primary key (shop_id, operation_id, resource, node_id),
    check ((parent_resource is null) = (parent_id is null))
);
create index bulk_line_parent on commerce.bulk_line (shop_id, operation_id, parent_id, parent_resource)
where parent_id is not null;
create index bulk_line_customer on commerce.bulk_line (shop_id, customer_id) where customer_id is not null;
comment on table commerce.bulk_line is 'A line of a bulk operation, kept until what belongs together can be put together; removed with its operation [IAO: part of a document]';
comment on column commerce.bulk_line.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.bulk_line.operation_id is 'Operation [IAO: identifier]';
comment on column commerce.bulk_line.resource is 'Kind of node, as in its global id [IAO: data item]';
comment on column commerce.bulk_line.node_id is 'Number of its global id [IAO: identifier]';
comment on column commerce.bulk_line.parent_resource is 'Kind of the node it belongs to, null for an order or a product [IAO: data item]';
comment on column commerce.bulk_line.parent_id is 'Number of that node [IAO: identifier]';
comment on column commerce.bulk_line.content is 'What the line says, exactly; null for a line that could not be read [IAO: data item]';
comment on column commerce.bulk_line.customer_id is 'Customer of an order, until forgotten [IAO: identifier]';
comment on column commerce.bulk_line.raw is 'Line of an order or product without personal data [IAO: document]';

alter table commerce.refund add column is_brief boolean not null default false;
comment on column commerce.refund.is_brief is 'Known without its lines and adjustments, which bulk operations do not tell [IAO: data item]';
