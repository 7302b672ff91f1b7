-- Customers without anything that reaches them: no name, address, e-mail or telephone number is kept. A redaction deletes
-- the row. And what a shipment carries, and the bodies of refunds, payments and returns.

create table commerce.customer (
    shop_id bigint not null,
    customer_id bigint not null,
    created_at timestamptz,
    updated_at timestamptz,
    is_whole boolean not null,
    triggered_at timestamptz not null,
    state text,
    is_email_verified boolean not null,
    is_tax_exempt boolean not null,
    email_consent text,
    sms_consent text,
    currency text,
    deleted_at timestamptz,
    primary key (shop_id, customer_id),
    foreign key (shop_id) references commerce.shop
);
comment on table commerce.customer is 'Newest version of a customer, without direct personal data [CCO: person in a customer role]';
comment on column commerce.customer.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.customer.customer_id is 'Shopify''s customer id; leaves this database only as a keyed hash [IAO: identifier]';
comment on column commerce.customer.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.customer.updated_at is 'Shopify''s updated_at of this version; null when only an order without it tells of the customer [BFO: temporal instant]';
comment on column commerce.customer.is_whole is 'Told by a topic of its own, not inside an order [IAO: data item]';
comment on column commerce.customer.triggered_at is 'When the delivery of this version was fired; breaks ties [BFO: temporal instant]';
comment on column commerce.customer.state is 'disabled, invited, enabled or declined [BFO: quality of the customer''s account]';
comment on column commerce.customer.is_email_verified is 'The e-mail address, which is not kept, was verified [IAO: data item]';
comment on column commerce.customer.is_tax_exempt is 'Pays no tax [IAO: data item]';
comment on column commerce.customer.email_consent is 'State of the consent to e-mails [CCO: permission]';
comment on column commerce.customer.sms_consent is 'State of the consent to text messages [CCO: permission]';
comment on column commerce.customer.currency is 'ISO 4217 code of the customer''s last order [CCO: currency]';
comment on column commerce.customer.deleted_at is 'When the customer was deleted at Shopify; then nothing else is kept [BFO: temporal instant]';

create table commerce.fulfillment_line_item (
    shop_id bigint not null,
    order_id bigint not null,
    fulfillment_id bigint not null,
    line_item_id bigint not null,
    quantity bigint not null,
    primary key (shop_id, order_id, fulfillment_id, line_item_id),
    foreign key (shop_id, order_id, fulfillment_id) references commerce.fulfillment on delete cascade
);
comment on table commerce.fulfillment_line_item is 'Units of one line in a shipment [IAO: part of a shipping document]';
comment on column commerce.fulfillment_line_item.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.fulfillment_line_item.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.fulfillment_line_item.fulfillment_id is 'Shopify''s fulfillment id [IAO: identifier]';
comment on column commerce.fulfillment_line_item.line_item_id is 'Line of the order [IAO: identifier]';
comment on column commerce.fulfillment_line_item.quantity is 'Units shipped [IAO: measurement datum]';

alter table commerce.refund add column raw jsonb;
alter table commerce.payment add column raw jsonb;
alter table commerce.order_return add column raw jsonb;
comment on column commerce.refund.raw is 'The body as received, without personal data [IAO: document]';
comment on column commerce.payment.raw is 'The body as received, without personal data [IAO: document]';
comment on column commerce.order_return.raw is 'The body as received, without personal data [IAO: document]';
