create table commerce.order_return (
    shop_id bigint not null,
    order_id bigint not null,
    return_id bigint not null,
    name text,
    status text,
    requested_at timestamptz not null,
    triggered_at timestamptz not null,
    primary key (shop_id, order_id, return_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.order_return is 'Newest version of a return; goods and money are told by refunds [CCO: act of returning goods]';
comment on column commerce.order_return.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.order_return.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.order_return.return_id is 'Shopify''s return id [IAO: identifier]';
comment on column commerce.order_return.name is 'The return''s name, such as #1001-R1 [CCO: designative name]';
comment on column commerce.order_return.status is 'requested, open, closed, canceled or declined [BFO: quality of the return]';
comment on column commerce.order_return.requested_at is 'Earliest delivery about it; its bodies carry no time [BFO: temporal instant]';
comment on column commerce.order_return.triggered_at is 'When the delivery of this version was fired [BFO: temporal instant]';
