create table commerce.sales_agreement (
    shop_id bigint not null,
    order_id bigint not null,
    agreement_id bigint not null,
    happened_at timestamptz not null,
    reason text not null,
    refund_id bigint,
    return_id bigint,
    primary key (shop_id, order_id, agreement_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.sales_agreement is 'What shop and buyer agreed on at one moment, from Shopify''s own ledger; never changes [CCO: act of agreeing]';
comment on column commerce.sales_agreement.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.sales_agreement.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.sales_agreement.agreement_id is 'Shopify''s agreement id [IAO: identifier]';
comment on column commerce.sales_agreement.happened_at is 'When it was agreed [BFO: temporal instant]';
comment on column commerce.sales_agreement.reason is 'order, order_edit, refund, return or unknown [IAO: data item]';
comment on column commerce.sales_agreement.refund_id is 'Refund that it books [IAO: identifier]';
comment on column commerce.sales_agreement.return_id is 'Return that it books [IAO: identifier]';

create table commerce.agreement_sale (
    shop_id bigint not null,
    order_id bigint not null,
    agreement_id bigint not null,
    sale_id bigint not null,
    action_type text not null,
    line_type text not null,
    quantity bigint not null,
    line_item_id bigint,
    product_id bigint,
    variant_id bigint,
    total_minor bigint not null,
    presentment_total_minor bigint not null,
    discount_minor bigint not null,
    presentment_discount_minor bigint not null,
    tax_minor bigint not null,
    presentment_tax_minor bigint not null,
    primary key (shop_id, order_id, agreement_id, sale_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.agreement_sale is 'A row of Shopify''s own ledger; what goes back is negative; never changes [IAO: part of a data set]';
comment on column commerce.agreement_sale.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.agreement_sale.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.agreement_sale.agreement_id is 'Agreement [IAO: identifier]';
comment on column commerce.agreement_sale.sale_id is 'Shopify''s sale id [IAO: identifier]';
comment on column commerce.agreement_sale.action_type is 'order, return, update or unknown [IAO: data item]';
comment on column commerce.agreement_sale.line_type is 'product, gift_card, shipping, tip, duty, fee, adjustment, ... [IAO: data item]';
comment on column commerce.agreement_sale.quantity is 'Units [IAO: measurement datum]';
comment on column commerce.agreement_sale.line_item_id is 'Line of the order [IAO: identifier]';
comment on column commerce.agreement_sale.product_id is 'Product, unless Shopify no longer has it [IAO: identifier]';
comment on column commerce.agreement_sale.variant_id is 'Variant, unless Shopify no longer has it [IAO: identifier]';
comment on column commerce.agreement_sale.total_minor is 'After discounts, with tax, minor units of the shop currency [CCO: price]';
comment on column commerce.agreement_sale.presentment_total_minor is 'After discounts, with tax, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.agreement_sale.discount_minor is 'Discounts without tax, minor units of the shop currency [CCO: price]';
comment on column commerce.agreement_sale.presentment_discount_minor is 'Discounts without tax, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.agreement_sale.tax_minor is 'Tax, minor units of the shop currency [CCO: price]';
comment on column commerce.agreement_sale.presentment_tax_minor is 'Tax, minor units of the buyer''s currency [CCO: price]';

create table commerce.agreement_reading (
    shop_id bigint not null,
    order_id bigint not null,
    updated_at timestamptz not null,
    primary key (shop_id, order_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.agreement_reading is 'How far Shopify''s own ledger of an order was read in full; from there on it replaces the provisional one [IAO: data item]';
comment on column commerce.agreement_reading.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.agreement_reading.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.agreement_reading.updated_at is 'Shopify''s updated_at of the order when its agreements were read [BFO: temporal instant]';
