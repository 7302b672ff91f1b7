-- What has to be known beforehand, reading back, and how long deliveries are remembered. Guarantees the answers and errors
-- of the extension's functions of the same names.

create or replace function weir.version() returns text language sql immutable strict parallel safe return :'version';

create or replace function weir.register_shop(shop json) returns json
language plpgsql strict volatile parallel unsafe set search_path = pg_catalog, pg_temp as $$
declare
    fields jsonb;
    problem text;
    registered jsonb;
    moved bigint := 0;
    zone text;
    known_domain text;
    strange text;
    holder bigint;
    known_fields constant text[] := array['shop_id', 'shop_domain', 'iana_time_zone', 'currency', 'name', 'move_domain',
        'change_currency'];
    usage constant text := 'Give {"shop_id": 1, "shop_domain": "demo.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JPY", "name": "Demo"}.';
begin
    if strpos(shop::text, '\u0000') > 0 or shop ->> 'shop_domain' = '' then
        raise exception 'the shop is not readable' using errcode = 'invalid_parameter_value',
            detail = 'A text is empty or holds U+0000.', hint = usage;
    end if;
    begin
        fields := (weir_sql.read_json(shop::text)).document;
        if jsonb_typeof(fields) <> 'object' or jsonb_typeof(fields -> 'shop_id') is distinct from 'number' then
            perform weir_sql.refuse('type_mismatch', '', 'a field');
        end if;
        perform weir_sql.int_of(fields, 'shop_id', ''), weir_sql.required_text(fields, 'shop_domain'),
            weir_sql.required_text(fields, 'iana_time_zone'), weir_sql.required_text(fields, 'currency'),
            weir_sql.text_of(fields, 'name', '');
        if jsonb_typeof(coalesce(fields -> 'move_domain', 'false')) <> 'boolean'
            or jsonb_typeof(coalesce(fields -> 'change_currency', 'false')) <> 'boolean'
        then
            perform weir_sql.refuse('type_mismatch', '', 'a boolean');
        end if;
    exception when sqlstate 'WR001' then
        raise exception 'the shop is not readable' using errcode = 'invalid_parameter_value',
            detail = 'A field is missing or mistyped.', hint = usage;
    end;
    select min(key collate "C") into strange from jsonb_object_keys(fields) as key where key <> all (known_fields);
    if strange is not null then
        raise exception 'the shop is not readable' using errcode = 'invalid_parameter_value',
            detail = strange || ': is not a field; known are ' || array_to_string(known_fields, ', '), hint = usage;
    end if;
    if (fields ->> 'shop_id')::bigint < 1 then
        raise exception 'the shop is not usable' using errcode = 'invalid_parameter_value',
            detail = 'shop_id is not positive.', hint = usage;
    end if;
    if fields ->> 'shop_domain' collate "C" ~ '[A-Z]' then
        raise exception 'the shop is not usable' using errcode = 'invalid_parameter_value',
            detail = 'shop_domain has capital letters, and deliveries name it without.', hint = usage;
    end if;
    if fields ->> 'shop_domain' collate "C" !~ '^[a-z0-9][a-z0-9-]*\.myshopify\.com$' then
        raise exception 'the shop is not usable' using errcode = 'invalid_parameter_value',
            detail = 'shop_domain is not a shop''s permanent domain, NAME.myshopify.com.', hint = usage;
    end if;
    -- As Shopify writes it, or a shop/update would be of another zone.
    select min(name) into zone from pg_timezone_names where lower(name) = lower(fields ->> 'iana_time_zone');
    problem := case
        when zone is null then 'iana_time_zone'
        when not weir_sql.is_known_currency(fields ->> 'currency') then 'currency'
    end;
    if problem is not null then
        raise exception 'the shop is not usable' using errcode = 'invalid_parameter_value',
            detail = 'Field ' || problem || ' is not a known value.', hint = usage;
    end if;
    perform weir_sql.lock_exclusive((fields ->> 'shop_id')::bigint);
    known_domain := weir_sql.shop_domain((fields ->> 'shop_id')::bigint);
    if known_domain <> fields ->> 'shop_domain' and not coalesce((fields -> 'move_domain')::boolean, false) then
        raise exception 'a registered shop keeps its domain' using errcode = 'invalid_parameter_value',
            detail = 'The shop is registered as ' || known_domain || ', under which the lake and its specifications know it.',
            hint = 'Give another shop_id, or, if it is the same shop, "move_domain": true as docs/operate.md says.';
    end if;
    select known.shop_id into holder from commerce.shop as known where known.shop_domain = fields ->> 'shop_domain';
    if holder <> (fields ->> 'shop_id')::bigint then
        raise exception 'the domain is another shop''s' using errcode = 'invalid_parameter_value',
            detail = 'Shop ' || holder || ' is registered as ' || (fields ->> 'shop_domain') || '.',
            hint = 'Give that shop_id, or, if the domain is not that shop''s any more, register that one under its own first, with "move_domain": true.';
    end if;
    registered := weir_sql.shop_register((fields ->> 'shop_id')::bigint, fields ->> 'shop_domain', fields ->> 'name',
        zone, fields ->> 'currency', coalesce((fields -> 'change_currency')::boolean, false));
    if registered is null then
        raise exception 'a registered shop keeps its currency' using errcode = 'invalid_parameter_value',
            detail = 'The shop is registered with another currency, in which its amounts are stored.',
            hint = 'Give that one, or, if the shop has another one now, "change_currency": true as docs/operate.md says.';
    end if;
    if registered ->> 'previous_time_zone' <> zone then
        moved := weir_sql.move_ledgers((fields ->> 'shop_id')::bigint, registered ->> 'previous_time_zone', zone);
    end if;
    return (registered || jsonb_build_object('moved_orders', moved))::json;
end
$$;

-- A shop that moves to another time zone takes the days of its ledgers with it: those that differ are written anew, and their
-- orders get a new revision, so that their next event is newer than those that were told with the old days. How many did.
-- Guarantees that a stored ledger is the one that the order's facts give in the shop's zone.
create function weir_sql.move_ledgers(shop_id bigint, zone_before text, zone text) returns bigint language plpgsql
set jit = off set plan_cache_mode = force_generic_plan as $$
declare
    ids bigint[];
    shops bigint[];
    changes weir_sql.change[];
    moved bigint := 0;
begin
    loop
        ids := array(select page.id from weir_sql.shop_orders(shop_id,
            coalesce(ids[cardinality(ids)], -9223372036854775808), 500) as page order by page.id);
        exit when ids = '{}';
        shops := array_fill(shop_id, array[cardinality(ids)]);
        perform weir_sql.order_header_lock(shops, ids);
        changes := array(
            with known as materialized (
                select row_number() over (order by read.order_id) as n, read.order_id, read.state::jsonb as state,
                    read.old_ledger::jsonb as old_ledger
                from weir_sql.orders_read(shops, ids) as read
            ), given as materialized (
                select array_agg(known.state order by known.n) as states from known
            ), old as materialized (
                select old.n, old.ledger from given
                cross join lateral weir_sql.ledgers(given.states, array_fill(zone_before, array[cardinality(ids)])) as old
            ), new as materialized (
                select new.n, new.ledger from given
                cross join lateral weir_sql.ledgers(given.states, array_fill(zone, array[cardinality(ids)])) as new
            )
            select row(null, move_ledgers.shop_id, known.order_id, null, null, known.state,
                jsonb_set(known.state, '{revision}', to_jsonb((known.state ->> 'revision')::bigint + 1)), null, null, null,
                stored.ledger, coalesce(new.ledger, '[]'))::weir_sql.change
            from known left join old using (n) left join new using (n)
            cross join lateral (select coalesce(known.old_ledger, old.ledger, '[]') as ledger) as stored
            where stored.ledger <> coalesce(new.ledger, '[]') order by known.n
        );
        perform weir_sql.write_orders(changes, '{}');
        moved := moved + cardinality(changes);
    end loop;
    return moved;
end
$$;

create or replace function weir.order_event(order_ids bigint[]) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    shop_id bigint;
    orders weir_sql.order_of_event[];
begin
    -- What is read from here on, no redaction changes before the end of the transaction.
    for shop_id in select distinct known.shop_id from weir_sql.orders_of_shops(order_ids) as known order by 1 loop
        perform weir_sql.lock_shared(shop_id);
    end loop;
    orders := array(
        -- What is told is what is stored.
        select row(state.shop_id, state.order_id, state.state::jsonb, null, state.old_ledger::jsonb)::weir_sql.order_of_event from (
            select array_agg(known.shop_id) as shops, array_agg(known.order_id) as ids
            from weir_sql.orders_of_shops(order_ids) as known
        ) as asked, weir_sql.orders_read(asked.shops, asked.ids) as state
    );
    orders := weir_sql.with_facts(orders);
    return (
        select coalesce(json_agg(weir_sql.envelope(told.key, weir_sql.event_id(shop.shop_domain, 'order_updated',
            weir_sql.entity_gid('order_updated', one.id::text), told.key ->> 'discriminator'),
            (extract(epoch from now()) * 1000000)::bigint, 'replay', shop.shop_domain, shop.iana_time_zone) || one.facts
            order by shop.shop_domain collate "C", one.id), '[]')
        from unnest(orders) as one join commerce.shop as shop on shop.shop_id = one.shop_id
        cross join lateral (
            select weir_sql.key('order_updated', one.id, one.state ->> 'revision',
                coalesce((one.state ->> 'deleted_at')::bigint, (one.state -> 'header' ->> 'updated_at')::bigint), one.id)
        ) as told (key)
        -- An order of which only parts have arrived has nothing to tell yet.
        where told.key ->> 'occurred_at' is not null
    );
end
$$;

create or replace function weir.reconcile(shop_domain text, first_day date, last_day date) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    known record;
begin
    select * into known from commerce.shop as shop where shop.shop_domain = reconcile.shop_domain;
    if known.shop_id is null then
        raise exception 'the shop is not registered' using errcode = 'invalid_parameter_value',
            detail = 'No shop has this shop_domain.', hint = 'Register it with weir.register_shop(json).';
    end if;
    return weir_sql.reconcile(known.shop_id, first_day, last_day)::jsonb
        || jsonb_build_object('shop_domain', known.shop_domain, 'currency', known.currency);
end
$$;

create or replace function weir.known_ids(shop text, request json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    fields jsonb;
    known_shop bigint := (select known.shop_id from commerce.shop as known where known.shop_domain = shop);
    most bigint;
    problem text;
    ids bigint[];
begin
    begin
        fields := (weir_sql.read_json(request::text)).document;
        if jsonb_typeof(fields) <> 'object' or jsonb_typeof(fields -> 'after') is distinct from 'number'
            or jsonb_typeof(fields -> 'limit') is distinct from 'number'
        then
            perform weir_sql.refuse('type_mismatch', '', 'a field');
        end if;
        perform weir_sql.required_text(fields, 'resource'), weir_sql.required_text(fields, 'created_from'),
            weir_sql.required_text(fields, 'created_before'), weir_sql.int_of(fields, 'after', '');
        most := weir_sql.int_of(fields, 'limit', '');
    exception when sqlstate 'WR001' then
        problem := 'A field is missing or mistyped.';
    end;
    problem := coalesce(problem, case
        when fields ->> 'resource' not in ('order', 'product') then 'resource is neither order nor product.'
        when most not between 1 and 100000 then 'limit is not from 1 to 100000.'
        when weir_sql.instant(fields ->> 'created_from') is null
            or weir_sql.instant(fields ->> 'created_before') is null then 'A time is not RFC 3339.'
    end);
    if problem is not null then
        raise exception 'the request is not readable' using errcode = 'invalid_parameter_value', detail = problem,
            hint = 'Give {"resource": "order", "created_from": "2025-01-01T00:00:00.000Z", "created_before": "2026-11-24T10:00:00.000Z", "after": 0, "limit": 10000}; resource is order or product.';
    end if;
    if known_shop is null then
        raise exception 'the shop is not registered' using errcode = 'invalid_parameter_value',
            detail = 'No shop has this shop_domain.', hint = 'Register it with weir.register_shop(json).';
    end if;
    ids := array(select known.id from weir_sql.known_ids(known_shop, fields ->> 'resource',
        weir_sql.exact_time(weir_sql.instant(fields ->> 'created_from')),
        weir_sql.exact_time(weir_sql.instant(fields ->> 'created_before')), (fields ->> 'after')::bigint, most) as known);
    return json_build_object('ids', ids::text[],
        'next', case when cardinality(ids) = most then ids[cardinality(ids)]::text end);
end
$$;

create or replace function weir.registration(shop text) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.shop_registration(shop)::json;
end
$$;

create or replace function weir.purge_deliveries(older_than interval) returns bigint
language plpgsql strict volatile parallel unsafe as $$
begin
    -- Shopify's repetitions of a delivery end within it.
    if older_than < interval '48 hours' then
        raise exception 'deliveries are not forgotten so early' using errcode = 'invalid_parameter_value',
            detail = 'Shopify may still repeat deliveries of the last 48 hours.',
            hint = 'Give an interval of 48 hours or more, such as interval ''7 days''.';
    end if;
    return weir_sql.purge_deliveries(older_than);
end
$$;
