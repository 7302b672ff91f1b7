create table privacy.secret (
    is_only boolean primary key default true check (is_only),
    secret text not null
);
comment on table privacy.secret is 'One row: the secret that tombstones of persons are made with [IAO: data item]';
comment on column privacy.secret.is_only is 'Allows one row [IAO: data item]';
comment on column privacy.secret.secret is 'Random, made here, never leaves [IAO: data item]';
-- gen_random_uuid is PostgreSQL's own strong generator; two of them are 244 random bits.
insert into privacy.secret (secret) values (gen_random_uuid()::text || gen_random_uuid()::text);

-- A tombstone must recognise a customer and must not name them: ids are few enough to be tried out, so it takes a secret.
create function privacy.subject_digest(shop_id bigint, customer_id bigint) returns text
language sql stable strict set search_path = '' as $$
    select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        secret || '/' || shop_id::text || '/' || customer_id::text, 'UTF8')), 'hex')
    from privacy.secret
$$;
comment on function privacy.subject_digest(bigint, bigint) is 'Stands for a forgotten customer';

create table privacy.redaction (
    shop_id bigint not null,
    subject text not null check (subject in ('customer', 'shop')),
    subject_digest text not null,
    redacted_at timestamptz not null default clock_timestamp(),
    certificate json not null,
    primary key (shop_id, subject, subject_digest)
);
comment on table privacy.redaction is 'Tombstone of a person or shop that was forgotten: nothing that arrives late brings them back [BFO: process boundary]';
comment on column privacy.redaction.shop_id is 'Shop [IAO: identifier]';
comment on column privacy.redaction.subject is 'customer or shop [IAO: data item]';
comment on column privacy.redaction.subject_digest is 'Keyed digest of the customer id, empty for a shop [IAO: identifier]';
comment on column privacy.redaction.redacted_at is 'When it was last done [BFO: temporal instant]';
comment on column privacy.redaction.certificate is 'What was removed, by table [IAO: document]';

create table privacy.data_request (
    shop_id bigint not null,
    request_id bigint not null,
    customer_id bigint not null,
    received_at timestamptz not null,
    primary key (shop_id, request_id)
);
comment on table privacy.data_request is 'A customer''s request to be told what is kept; weir.customer_data answers it [IAO: directive information entity]';
comment on column privacy.data_request.shop_id is 'Shop [IAO: identifier]';
comment on column privacy.data_request.request_id is 'Shopify''s id of the request [IAO: identifier]';
comment on column privacy.data_request.customer_id is 'Who asks [IAO: identifier]';
comment on column privacy.data_request.received_at is 'When the edge took it in [BFO: temporal instant]';
