-- Who publishes what of the shop's products, and what came of it: the catalogue that the edge keeps a copy of, the
-- interactions that touch the domain, and who brought the buyer of an order. Clicks and views go to the lake alone.

create schema if not exists publication;
comment on schema publication is 'Publishers, what they publish, and the interactions that touch the domain';

create table publication.catalogue (
    shop_id bigint not null,
    revision bigint not null,
    published_at timestamptz not null default now(),
    primary key (shop_id),
    foreign key (shop_id) references commerce.shop
);
comment on table publication.catalogue is 'State of a shop''s catalogue as a whole [IAO: data set]';
comment on column publication.catalogue.shop_id is 'Shop [IAO: identifier]';
comment on column publication.catalogue.revision is 'Rises with every change of the shop''s catalogue [IAO: version number]';
comment on column publication.catalogue.published_at is 'When it last changed [BFO: temporal instant]';

-- The parts refer to each other; one publication may bring them in any order, so this is checked when it ends.
create table publication.publisher (
    shop_id bigint not null,
    publisher_id text not null,
    name text not null,
    primary key (shop_id, publisher_id),
    foreign key (shop_id) references commerce.shop
);
comment on table publication.publisher is 'Whoever shows the shop''s products [CCO: organization]';
comment on column publication.publisher.shop_id is 'Shop [IAO: identifier]';
comment on column publication.publisher.publisher_id is 'Publisher, named by the shop [IAO: identifier]';
comment on column publication.publisher.name is 'Name [CCO: designative name]';

create table publication.program (
    shop_id bigint not null,
    program_id text not null,
    name text not null,
    publisher_id text,
    primary key (shop_id, program_id),
    foreign key (shop_id) references commerce.shop,
    foreign key (shop_id, publisher_id) references publication.publisher deferrable initially deferred
);
comment on table publication.program is 'Terms under which publishers send visitors [PKO: plan specification]';
comment on column publication.program.shop_id is 'Shop [IAO: identifier]';
comment on column publication.program.program_id is 'Program [IAO: identifier]';
comment on column publication.program.name is 'Name [CCO: designative name]';
comment on column publication.program.publisher_id is 'Publisher it is for, null for all [CCO: organization]';

create table publication.item (
    shop_id bigint not null,
    item_id text not null,
    publisher_id text not null,
    title text not null,
    url text,
    kind text,
    primary key (shop_id, item_id),
    foreign key (shop_id) references commerce.shop,
    foreign key (shop_id, publisher_id) references publication.publisher deferrable initially deferred
);
comment on table publication.item is 'What a publisher published [IAO: document]';
comment on column publication.item.shop_id is 'Shop [IAO: identifier]';
comment on column publication.item.item_id is 'Item [IAO: identifier]';
comment on column publication.item.publisher_id is 'Whose it is [CCO: organization]';
comment on column publication.item.title is 'Title [CCO: designative name]';
comment on column publication.item.url is 'Where it can be read [IAO: identifier]';
comment on column publication.item.kind is 'Article, video, ... in the publisher''s own words [IAO: data item]';

create table publication.link (
    shop_id bigint not null,
    code text not null,
    url text not null,
    publisher_id text,
    item_id text,
    program_id text,
    placement text,
    primary key (shop_id, code),
    foreign key (shop_id) references commerce.shop,
    foreign key (shop_id, publisher_id) references publication.publisher deferrable initially deferred,
    foreign key (shop_id, item_id) references publication.item deferrable initially deferred,
    foreign key (shop_id, program_id) references publication.program deferrable initially deferred
);
comment on table publication.link is 'A redirect: a code, where it leads and whose it is [IAO: directive information entity]';
comment on column publication.link.shop_id is 'Shop [IAO: identifier]';
comment on column publication.link.code is 'Last part of the redirect''s address [IAO: identifier]';
comment on column publication.link.url is 'Where a visitor is sent [IAO: identifier]';
comment on column publication.link.publisher_id is 'Who shows the link [CCO: organization]';
comment on column publication.link.item_id is 'Where it is shown [IAO: document]';
comment on column publication.link.program_id is 'Under which terms [PKO: plan specification]';
comment on column publication.link.placement is 'Where on the page [BFO: site]';

create table publication.publication_telemetry (
    shop_id bigint not null,
    event_id text not null,
    event_type text not null check (event_type in ('referral', 'conversion', 'attribution')),
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    source text not null,
    publisher_id text,
    item_id text,
    program_id text,
    placement text,
    product_id bigint,
    order_id bigint,
    url text,
    referrer_host text,
    country text,
    device_class text,
    session_key text,
    visitor_key text,
    is_bot boolean not null,
    engaged_seconds double precision,
    event_keys json not null default '[]',
    primary key (shop_id, event_id),
    foreign key (shop_id) references commerce.shop
);
comment on table publication.publication_telemetry is 'A referral, conversion or attribution; names no person, its keys rotate [IAO: information content entity about a BFO process]';
comment on column publication.publication_telemetry.shop_id is 'Shop [IAO: identifier]';
comment on column publication.publication_telemetry.event_id is 'Deterministic id of the interaction; a repetition has the same [IAO: identifier]';
comment on column publication.publication_telemetry.event_type is 'Kind of interaction [IAO: data item]';
comment on column publication.publication_telemetry.occurred_at is 'Business time [BFO: temporal instant]';
comment on column publication.publication_telemetry.received_at is 'When the edge took it in [BFO: temporal instant]';
comment on column publication.publication_telemetry.recorded_at is 'When it was written here [BFO: temporal instant]';
comment on column publication.publication_telemetry.source is 'How it came: interaction, replay, ... [PKO: procedure]';
comment on column publication.publication_telemetry.publisher_id is 'Publisher, which need not be in the catalogue yet [CCO: organization]';
comment on column publication.publication_telemetry.item_id is 'Published item [IAO: document]';
comment on column publication.publication_telemetry.program_id is 'Program [PKO: plan specification]';
comment on column publication.publication_telemetry.placement is 'Where on the page [BFO: site]';
comment on column publication.publication_telemetry.product_id is 'Product shown [IAO: identifier]';
comment on column publication.publication_telemetry.order_id is 'Order of a conversion or attribution; severed when its customer is forgotten [IAO: identifier]';
comment on column publication.publication_telemetry.url is 'Page without query, fragment and credentials [IAO: identifier]';
comment on column publication.publication_telemetry.referrer_host is 'Host that sent the visitor [IAO: identifier]';
comment on column publication.publication_telemetry.country is 'ISO 3166 country of the request [CCO: geopolitical region]';
comment on column publication.publication_telemetry.device_class is 'phone, tablet, desktop or bot [CCO: artifact]';
comment on column publication.publication_telemetry.session_key is 'Rotating keyed hash; severed with the order [IAO: identifier]';
comment on column publication.publication_telemetry.visitor_key is 'Rotating keyed hash; severed with the order [IAO: identifier]';
comment on column publication.publication_telemetry.is_bot is 'Counted apart [IAO: data item]';
comment on column publication.publication_telemetry.engaged_seconds is 'Time in view, seconds [IAO: measurement datum]';
comment on column publication.publication_telemetry.event_keys is 'Identity and time of the commerce events it caused; a repetition answers with the same [IAO: data item]';

create index publication_telemetry_order on publication.publication_telemetry (shop_id, order_id)
where order_id is not null;
create index publication_telemetry_time on publication.publication_telemetry (shop_id, occurred_at);

-- The newest attribution holds, and holds before what the order's own note attributes say. It may be here before the order.
alter table commerce.order_header
    add column publisher_id text,
    add column program_id text,
    add column note_publisher_id text,
    add column note_program_id text,
    add column attributed_at timestamptz,
    add column attribution_event_id text;
comment on column commerce.order_header.publisher_id is 'Publisher that brought the buyer: as attributed, else as noted [CCO: organization]';
comment on column commerce.order_header.program_id is 'Program under which the buyer was brought: as attributed, else as noted [PKO: plan specification]';
comment on column commerce.order_header.note_publisher_id is 'Publisher by the order''s own note attribute weir_publisher [CCO: organization]';
comment on column commerce.order_header.note_program_id is 'Program by the order''s own note attribute weir_program [PKO: plan specification]';
comment on column commerce.order_header.attributed_at is 'Business time of the attribution that holds, null when there is none [BFO: temporal instant]';
comment on column commerce.order_header.attribution_event_id is 'The attribution that holds; breaks ties of attributed_at [IAO: identifier]';

create or replace view commerce.order_enriched as
select
    header.shop_id, shop.shop_domain, shop.iana_time_zone, header.order_id, header.name, header.created_at,
    header.processed_at, header.updated_at, header.cancelled_at, header.completed_at, tombstone.deleted_at,
    header.financial_status, header.fulfillment_status, header.is_test, header.currency, header.presentment_currency,
    header.total_price_minor, header.source_name, header.revision,
    coalesce((
        select json_agg(json_build_object(
            'line_item_id', line.line_item_id, 'product_id', line.product_id, 'variant_id', line.variant_id,
            'title', line.title, 'product_title', product.title, 'vendor', coalesce(product.vendor, line.vendor),
            'product_type', product.product_type, 'product_status', product.status, 'is_gift_card', line.is_gift_card,
            'quantity', line.quantity, 'current_quantity', line.current_quantity,
            'unit_price_minor', line.unit_price_minor, 'discount_minor', line.discount_minor
        ) order by line.line_item_id)
        from commerce.order_line_item as line
        left join commerce.product as product
            on product.shop_id = line.shop_id and product.product_id = line.product_id
        where line.shop_id = header.shop_id and line.order_id = header.order_id
    ), '[]'::json) as lines,
    sold.units_sold, sold.units_returned, sold.gross_sales_minor, sold.discounts_minor, sold.returns_minor,
    sold.net_sales_minor, header.publisher_id, header.program_id
from commerce.order_header as header
join commerce.shop as shop on shop.shop_id = header.shop_id
left join commerce.tombstone as tombstone
    on tombstone.shop_id = header.shop_id and tombstone.resource = 'order' and tombstone.resource_id = header.order_id
cross join lateral (
    select
        coalesce(sum(ledger.units_sold), 0)::bigint as units_sold,
        coalesce(sum(ledger.units_returned), 0)::bigint as units_returned,
        coalesce(sum(ledger.gross_sales_minor), 0)::bigint as gross_sales_minor,
        coalesce(sum(ledger.discounts_minor), 0)::bigint as discounts_minor,
        coalesce(sum(ledger.returns_minor), 0)::bigint as returns_minor,
        coalesce(sum(ledger.net_sales_minor), 0)::bigint as net_sales_minor
    from commerce.sales_ledger as ledger
    where ledger.shop_id = header.shop_id and ledger.order_id = header.order_id
) as sold
where header.updated_at is not null;
comment on column commerce.order_enriched.publisher_id is 'Publisher that brought the buyer [CCO: organization]';
comment on column commerce.order_enriched.program_id is 'Program under which the buyer was brought [PKO: plan specification]';
