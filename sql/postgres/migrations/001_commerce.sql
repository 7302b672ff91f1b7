-- Tables of weir. Ordinary objects, not owned by the extension: dumps hold their data and `drop extension` keeps it.
-- Amounts are minor units at the currency's ISO 4217 exponent. Every table and column carries its meaning and, in
-- brackets, its ontological class (BFO, IAO, CCO).

create schema if not exists commerce;
create schema if not exists privacy;
comment on schema commerce is 'Orders, products and their sales as Shopify tells of them';
comment on schema privacy is 'Secrets that tie customers to their keys outside this database';
comment on schema configuration is 'What governs weir: plans and the migrations applied';
comment on table configuration.schema_migration is 'A migration that was applied [IAO: data item]';
comment on column configuration.schema_migration.version is 'Number of the file [IAO: version number]';
comment on column configuration.schema_migration.name is 'Name of the file [CCO: designative name]';
comment on column configuration.schema_migration.applied_at is 'When it was applied [BFO: temporal instant]';

create table commerce.shop (
    shop_id bigint not null,
    shop_domain text not null unique check (shop_domain <> ''),
    name text,
    iana_time_zone text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    registered_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (shop_id)
);
comment on table commerce.shop is 'A shop whose commerce is recorded [CCO: commercial organization]';
comment on column commerce.shop.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.shop.shop_domain is 'myshopify.com domain [CCO: designative name]';
comment on column commerce.shop.name is 'The shop''s own name [CCO: designative name]';
comment on column commerce.shop.iana_time_zone is 'IANA zone that defines the shop''s days [CCO: designative name]';
comment on column commerce.shop.currency is 'ISO 4217 code of the shop money [CCO: currency]';
comment on column commerce.shop.registered_at is 'When it was made known here [BFO: temporal instant]';
comment on column commerce.shop.updated_at is 'Last change of this row [BFO: temporal instant]';

create table commerce.product (
    shop_id bigint not null,
    product_id bigint not null,
    title text,
    vendor text,
    product_type text,
    status text,
    created_at timestamptz,
    published_at timestamptz,
    updated_at timestamptz,
    triggered_at timestamptz,
    raw jsonb,
    primary key (shop_id, product_id),
    foreign key (shop_id) references commerce.shop
);
comment on table commerce.product is 'Newest version of a product; a row of nulls is an anchor of one that is only deleted [CCO: commodity]';
comment on column commerce.product.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.product.product_id is 'Shopify''s product id [IAO: identifier]';
comment on column commerce.product.title is 'Title [CCO: designative name]';
comment on column commerce.product.vendor is 'Vendor [CCO: organization]';
comment on column commerce.product.product_type is 'The shop''s product type [IAO: data item]';
comment on column commerce.product.status is 'active, archived, draft or unlisted [BFO: quality of the product]';
comment on column commerce.product.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.product.published_at is 'Launch in the online store [BFO: temporal instant]';
comment on column commerce.product.updated_at is 'Shopify''s updated_at of this version [BFO: temporal instant]';
comment on column commerce.product.triggered_at is 'When the delivery of this version was fired; breaks ties [BFO: temporal instant]';
comment on column commerce.product.raw is 'The body as received, without personal data [IAO: document]';

create table commerce.product_variant (
    shop_id bigint not null,
    product_id bigint not null,
    variant_id bigint not null,
    title text,
    sku text,
    price_minor bigint,
    primary key (shop_id, product_id, variant_id),
    foreign key (shop_id, product_id) references commerce.product on delete cascade
);
comment on table commerce.product_variant is 'A variant of the newest version of a product [CCO: commodity]';
comment on column commerce.product_variant.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.product_variant.product_id is 'Product [IAO: identifier]';
comment on column commerce.product_variant.variant_id is 'Shopify''s variant id [IAO: identifier]';
comment on column commerce.product_variant.title is 'Title [CCO: designative name]';
comment on column commerce.product_variant.sku is 'Stock keeping unit [IAO: identifier]';
comment on column commerce.product_variant.price_minor is 'Price, minor units of the shop currency [CCO: price]';

create table commerce.order_header (
    shop_id bigint not null,
    order_id bigint not null,
    name text,
    created_at timestamptz,
    processed_at timestamptz,
    updated_at timestamptz,
    triggered_at timestamptz,
    cancelled_at timestamptz,
    completed_at timestamptz,
    financial_status text,
    fulfillment_status text,
    is_test boolean,
    taxes_included boolean,
    currency text,
    presentment_currency text,
    total_price_minor bigint,
    customer_id bigint,
    source_name text,
    revision bigint not null default 0,
    raw jsonb,
    primary key (shop_id, order_id),
    foreign key (shop_id) references commerce.shop
);
comment on table commerce.order_header is 'Newest version of an order; a row without updated_at anchors one of which only parts have arrived [CCO: act of purchasing]';
comment on column commerce.order_header.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.order_header.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.order_header.name is 'The order''s name, such as #1001 [CCO: designative name]';
comment on column commerce.order_header.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.order_header.processed_at is 'When the order was placed [BFO: temporal instant]';
comment on column commerce.order_header.updated_at is 'Shopify''s updated_at of this version [BFO: temporal instant]';
comment on column commerce.order_header.triggered_at is 'When the delivery of this version was fired; breaks ties [BFO: temporal instant]';
comment on column commerce.order_header.cancelled_at is 'When it was cancelled [BFO: temporal instant]';
comment on column commerce.order_header.completed_at is 'First version that was paid, fulfilled and not cancelled [BFO: temporal instant]';
comment on column commerce.order_header.financial_status is 'Shopify''s financial_status [BFO: quality of the order]';
comment on column commerce.order_header.fulfillment_status is 'Shopify''s fulfillment_status [BFO: quality of the order]';
comment on column commerce.order_header.is_test is 'A test order counts nothing [IAO: data item]';
comment on column commerce.order_header.taxes_included is 'Prices contain tax [IAO: data item]';
comment on column commerce.order_header.currency is 'ISO 4217 code of the shop money [CCO: currency]';
comment on column commerce.order_header.presentment_currency is 'ISO 4217 code the buyer saw [CCO: currency]';
comment on column commerce.order_header.total_price_minor is 'Order total, minor units of currency [CCO: price]';
comment on column commerce.order_header.customer_id is 'Shopify''s customer id; leaves this database only as a keyed hash [IAO: identifier]';
comment on column commerce.order_header.source_name is 'Sales channel [IAO: data item]';
comment on column commerce.order_header.revision is 'Strictly increasing with every change of the order [IAO: version number]';
comment on column commerce.order_header.raw is 'The body as received, without personal data [IAO: document]';

create table commerce.order_line_item (
    shop_id bigint not null,
    order_id bigint not null,
    line_item_id bigint not null,
    product_id bigint,
    variant_id bigint,
    title text,
    vendor text,
    is_gift_card boolean not null,
    quantity bigint not null,
    current_quantity bigint,
    unit_price_minor bigint not null,
    presentment_unit_price_minor bigint not null,
    discount_minor bigint not null,
    presentment_discount_minor bigint not null,
    tax_minor bigint not null,
    presentment_tax_minor bigint not null,
    tax_rate_billionths bigint not null,
    primary key (shop_id, order_id, line_item_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.order_line_item is 'A line of the newest version of an order [IAO: part of an order document]';
comment on column commerce.order_line_item.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.order_line_item.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.order_line_item.line_item_id is 'Shopify''s line item id [IAO: identifier]';
comment on column commerce.order_line_item.product_id is 'Product sold, null for a custom line [IAO: identifier]';
comment on column commerce.order_line_item.variant_id is 'Variant sold [IAO: identifier]';
comment on column commerce.order_line_item.title is 'Title at the time of the order [CCO: designative name]';
comment on column commerce.order_line_item.vendor is 'Vendor at the time of the order [CCO: organization]';
comment on column commerce.order_line_item.is_gift_card is 'Selling a gift card is no sale [IAO: data item]';
comment on column commerce.order_line_item.quantity is 'Units ordered [IAO: measurement datum]';
comment on column commerce.order_line_item.current_quantity is 'Units left after removals and refunds [IAO: measurement datum]';
comment on column commerce.order_line_item.unit_price_minor is 'Original unit price, minor units of the shop currency [CCO: price]';
comment on column commerce.order_line_item.presentment_unit_price_minor is 'Original unit price, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.order_line_item.discount_minor is 'Sum of discount allocations, minor units of the shop currency [CCO: price]';
comment on column commerce.order_line_item.presentment_discount_minor is 'Sum of discount allocations, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.order_line_item.tax_minor is 'Sum of tax lines, minor units of the shop currency [CCO: price]';
comment on column commerce.order_line_item.presentment_tax_minor is 'Sum of tax lines, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.order_line_item.tax_rate_billionths is 'Sum of the tax rates in billionths, 0 when unknown [IAO: measurement datum]';

create table commerce.refund (
    shop_id bigint not null,
    order_id bigint not null,
    refund_id bigint not null,
    created_at timestamptz,
    processed_at timestamptz,
    observed_at timestamptz not null,
    triggered_at timestamptz not null,
    paid_amount_minor bigint,
    paid_currency text,
    primary key (shop_id, order_id, refund_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.refund is 'Newest version of a refund [CCO: act of returning goods or money]';
comment on column commerce.refund.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.refund.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.refund.refund_id is 'Shopify''s refund id [IAO: identifier]';
comment on column commerce.refund.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.refund.processed_at is 'When it took effect [BFO: temporal instant]';
comment on column commerce.refund.observed_at is 'How new this version is [BFO: temporal instant]';
comment on column commerce.refund.triggered_at is 'When its delivery was fired; breaks ties [BFO: temporal instant]';
comment on column commerce.refund.paid_amount_minor is 'Money returned, minor units of paid_currency [CCO: price]';
comment on column commerce.refund.paid_currency is 'ISO 4217 code of the money returned [CCO: currency]';

create table commerce.refund_line_item (
    shop_id bigint not null,
    order_id bigint not null,
    refund_id bigint not null,
    refund_line_item_id bigint not null,
    line_item_id bigint,
    product_id bigint,
    is_gift_card boolean not null,
    quantity bigint not null,
    restock_type text,
    subtotal_minor bigint not null,
    presentment_subtotal_minor bigint not null,
    tax_minor bigint not null,
    presentment_tax_minor bigint not null,
    primary key (shop_id, order_id, refund_id, refund_line_item_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.refund_line_item is 'Goods of one line that came back [IAO: part of a refund document]';
comment on column commerce.refund_line_item.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.refund_line_item.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.refund_line_item.refund_id is 'Refund [IAO: identifier]';
comment on column commerce.refund_line_item.refund_line_item_id is 'Shopify''s refund line id [IAO: identifier]';
comment on column commerce.refund_line_item.line_item_id is 'Line of the order [IAO: identifier]';
comment on column commerce.refund_line_item.product_id is 'Product as the refund names it [IAO: identifier]';
comment on column commerce.refund_line_item.is_gift_card is 'The line was a gift card [IAO: data item]';
comment on column commerce.refund_line_item.quantity is 'Units that came back [IAO: measurement datum]';
comment on column commerce.refund_line_item.restock_type is 'What happened to the units [IAO: data item]';
comment on column commerce.refund_line_item.subtotal_minor is 'Value of the units after discount, minor units of the shop currency [CCO: price]';
comment on column commerce.refund_line_item.presentment_subtotal_minor is 'Value of the units after discount, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.refund_line_item.tax_minor is 'Tax of the units, minor units of the shop currency [CCO: price]';
comment on column commerce.refund_line_item.presentment_tax_minor is 'Tax of the units, minor units of the buyer''s currency [CCO: price]';

create table commerce.refund_adjustment (
    shop_id bigint not null,
    order_id bigint not null,
    refund_id bigint not null,
    adjustment_id bigint not null,
    kind text,
    amount_minor bigint not null,
    presentment_amount_minor bigint not null,
    tax_minor bigint not null,
    presentment_tax_minor bigint not null,
    primary key (shop_id, order_id, refund_id, adjustment_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.refund_adjustment is 'Part of a refund that belongs to no line [IAO: part of a refund document]';
comment on column commerce.refund_adjustment.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.refund_adjustment.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.refund_adjustment.refund_id is 'Refund [IAO: identifier]';
comment on column commerce.refund_adjustment.adjustment_id is 'Shopify''s adjustment id [IAO: identifier]';
comment on column commerce.refund_adjustment.kind is 'refund_discrepancy or shipping_refund [IAO: data item]';
comment on column commerce.refund_adjustment.amount_minor is 'Adjustment, minor units of the shop currency [CCO: price]';
comment on column commerce.refund_adjustment.presentment_amount_minor is 'Adjustment, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.refund_adjustment.tax_minor is 'Tax of the adjustment, minor units of the shop currency [CCO: price]';
comment on column commerce.refund_adjustment.presentment_tax_minor is 'Tax of the adjustment, minor units of the buyer''s currency [CCO: price]';

create table commerce.payment (
    shop_id bigint not null,
    order_id bigint not null,
    payment_id bigint not null,
    parent_id bigint,
    kind text,
    status text,
    gateway text,
    amount_minor bigint not null,
    currency text not null,
    is_test boolean not null,
    created_at timestamptz,
    processed_at timestamptz,
    triggered_at timestamptz not null,
    primary key (shop_id, order_id, payment_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.payment is 'A transaction of an order [CCO: act of financial exchange]';
comment on column commerce.payment.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.payment.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.payment.payment_id is 'Shopify''s transaction id [IAO: identifier]';
comment on column commerce.payment.parent_id is 'Transaction it follows, as a capture its authorization [IAO: identifier]';
comment on column commerce.payment.kind is 'sale, capture, refund, ... [CCO: act of financial exchange]';
comment on column commerce.payment.status is 'success is terminal [BFO: quality of the transaction]';
comment on column commerce.payment.gateway is 'Payment gateway [CCO: organization]';
comment on column commerce.payment.amount_minor is 'Minor units of currency [CCO: price]';
comment on column commerce.payment.currency is 'ISO 4217 code [CCO: currency]';
comment on column commerce.payment.is_test is 'A test transaction [IAO: data item]';
comment on column commerce.payment.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.payment.processed_at is 'When it took effect [BFO: temporal instant]';
comment on column commerce.payment.triggered_at is 'When its delivery was fired [BFO: temporal instant]';

create table commerce.fulfillment (
    shop_id bigint not null,
    order_id bigint not null,
    fulfillment_id bigint not null,
    status text,
    tracking_company text,
    created_at timestamptz,
    updated_at timestamptz not null,
    triggered_at timestamptz not null,
    shipped_at timestamptz,
    primary key (shop_id, order_id, fulfillment_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.fulfillment is 'Newest version of a shipment [CCO: act of transporting goods]';
comment on column commerce.fulfillment.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.fulfillment.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.fulfillment.fulfillment_id is 'Shopify''s fulfillment id [IAO: identifier]';
comment on column commerce.fulfillment.status is 'pending, success, cancelled, ... [BFO: quality of the shipment]';
comment on column commerce.fulfillment.tracking_company is 'Carrier [CCO: organization]';
comment on column commerce.fulfillment.created_at is 'Creation at Shopify [BFO: temporal instant]';
comment on column commerce.fulfillment.updated_at is 'Of this version [BFO: temporal instant]';
comment on column commerce.fulfillment.triggered_at is 'When its delivery was fired [BFO: temporal instant]';
comment on column commerce.fulfillment.shipped_at is 'First version with status success [BFO: temporal instant]';

create table commerce.order_edit_line (
    shop_id bigint not null,
    order_id bigint not null,
    edit_id bigint not null,
    line_item_id bigint not null,
    committed_at timestamptz not null,
    added bigint not null,
    removed bigint not null,
    primary key (shop_id, order_id, edit_id, line_item_id),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.order_edit_line is 'What one committed order edit did to one line [CCO: act of modifying an order]';
comment on column commerce.order_edit_line.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.order_edit_line.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.order_edit_line.edit_id is 'Shopify''s order edit id [IAO: identifier]';
comment on column commerce.order_edit_line.line_item_id is 'Line [IAO: identifier]';
comment on column commerce.order_edit_line.committed_at is 'When the edit took effect [BFO: temporal instant]';
comment on column commerce.order_edit_line.added is 'Units added [IAO: measurement datum]';
comment on column commerce.order_edit_line.removed is 'Units removed [IAO: measurement datum]';

create table commerce.sales_ledger (
    shop_id bigint not null,
    order_id bigint not null,
    product_id text not null,
    day date not null,
    kind text not null,
    units_sold bigint not null,
    units_returned bigint not null,
    gross_sales_minor bigint not null,
    discounts_minor bigint not null,
    returns_minor bigint not null,
    net_sales_minor bigint not null,
    presentment_gross_sales_minor bigint not null,
    presentment_discounts_minor bigint not null,
    presentment_returns_minor bigint not null,
    presentment_net_sales_minor bigint not null,
    primary key (shop_id, order_id, product_id, day, kind),
    foreign key (shop_id, order_id) references commerce.order_header on delete cascade
);
comment on table commerce.sales_ledger is 'What an order did to the sales of a product on a day [IAO: data set]';
comment on column commerce.sales_ledger.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.sales_ledger.order_id is 'Shopify''s order id [IAO: identifier]';
comment on column commerce.sales_ledger.product_id is 'Decimal product id, or unknown for amounts without one [IAO: identifier]';
comment on column commerce.sales_ledger.day is 'Day in the shop''s time zone [BFO: temporal interval]';
comment on column commerce.sales_ledger.kind is 'sale, return, cancellation, edit or adjustment [IAO: data item]';
comment on column commerce.sales_ledger.units_sold is 'Units [IAO: measurement datum]';
comment on column commerce.sales_ledger.units_returned is 'Units [IAO: measurement datum]';
comment on column commerce.sales_ledger.gross_sales_minor is 'Quantity x original price, minor units of the shop currency [CCO: price]';
comment on column commerce.sales_ledger.discounts_minor is 'Discounts, minor units of the shop currency [CCO: price]';
comment on column commerce.sales_ledger.returns_minor is 'Reversals, minor units of the shop currency [CCO: price]';
comment on column commerce.sales_ledger.net_sales_minor is 'Gross less discounts less returns, minor units of the shop currency [CCO: price]';
comment on column commerce.sales_ledger.presentment_gross_sales_minor is 'Quantity x original price, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.sales_ledger.presentment_discounts_minor is 'Discounts, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.sales_ledger.presentment_returns_minor is 'Reversals, minor units of the buyer''s currency [CCO: price]';
comment on column commerce.sales_ledger.presentment_net_sales_minor is 'Gross less discounts less returns, minor units of the buyer''s currency [CCO: price]';

create table commerce.tombstone (
    shop_id bigint not null,
    resource text not null check (resource in ('order', 'product')),
    resource_id bigint not null,
    deleted_at timestamptz not null,
    primary key (shop_id, resource, resource_id)
);
comment on table commerce.tombstone is 'A resource that was deleted at Shopify; terminal [BFO: process boundary]';
comment on column commerce.tombstone.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.tombstone.resource is 'Kind of resource [IAO: data item]';
comment on column commerce.tombstone.resource_id is 'Shopify''s id [IAO: identifier]';
comment on column commerce.tombstone.deleted_at is 'When its deletion was told [BFO: temporal instant]';

create table commerce.webhook_delivery (
    shop_id bigint not null,
    topic text not null,
    webhook_id text not null,
    received_at timestamptz not null,
    event_keys json not null,
    primary key (shop_id, topic, webhook_id)
);
comment on table commerce.webhook_delivery is 'A delivery that was applied; a repetition answers with the same events [IAO: information content entity]';
comment on column commerce.webhook_delivery.shop_id is 'Shop [IAO: identifier]';
comment on column commerce.webhook_delivery.topic is 'Webhook topic [IAO: data item]';
comment on column commerce.webhook_delivery.webhook_id is 'X-Shopify-Webhook-Id [IAO: identifier]';
comment on column commerce.webhook_delivery.received_at is 'When the edge took it in; rows may be removed a week later [BFO: temporal instant]';
comment on column commerce.webhook_delivery.event_keys is 'Identity and time of the events it caused [IAO: data item]';

create table privacy.salt (
    shop_id bigint not null,
    customer_id bigint not null,
    salt text not null,
    created_at timestamptz not null default now(),
    primary key (shop_id, customer_id)
);
comment on table privacy.salt is 'Secret of one customer; deleting it severs every customer_key made with it [IAO: data item]';
comment on column privacy.salt.shop_id is 'Shop [IAO: identifier]';
comment on column privacy.salt.customer_id is 'Shopify''s customer id [IAO: identifier]';
comment on column privacy.salt.salt is 'Key of the hash [IAO: data item]';
comment on column privacy.salt.created_at is 'When it was made [BFO: temporal instant]';

create table configuration.macrodata_artifact (
    artifact_id text not null,
    revision bigint not null check (revision > 0),
    kind text not null check (kind = 'objective_specification'),
    shop_domain text not null,
    product_type text,
    body json not null,
    valid_from timestamptz not null,
    published_at timestamptz not null default now(),
    primary key (artifact_id, revision)
);
comment on table configuration.macrodata_artifact is 'A revision of a plan that governs measurement; revisions are only added [IAO: plan specification]';
comment on column configuration.macrodata_artifact.artifact_id is 'Name of the artifact, as objective_spec_id [IAO: identifier]';
comment on column configuration.macrodata_artifact.revision is '1, 2, 3, ... [IAO: version number]';
comment on column configuration.macrodata_artifact.kind is 'Kind of artifact [IAO: data item]';
comment on column configuration.macrodata_artifact.shop_domain is 'Shop it governs [CCO: designative name]';
comment on column configuration.macrodata_artifact.product_type is 'Product type it is narrowed to, null for all [IAO: data item]';
comment on column configuration.macrodata_artifact.body is 'The specification as published [IAO: plan specification]';
comment on column configuration.macrodata_artifact.valid_from is 'Start of validity [BFO: temporal instant]';
comment on column configuration.macrodata_artifact.published_at is 'When it was written [BFO: temporal instant]';

create index webhook_delivery_received_at on commerce.webhook_delivery (received_at);
create index order_header_customer on commerce.order_header (shop_id, customer_id) where customer_id is not null;
