-- weir.ingest: one batch, one transaction. Guarantees what the extension's does: locks are taken in one order by everyone
-- (privacy by shop, orders by key, products by key, salts by key); a delivery that comes again answers with the same
-- events; a bad one fails alone and is not remembered.

create type weir_sql.repetition as (at integer, first_at integer, known_keys jsonb);

-- Deliveries to apply, by position, and the repetitions: of one remembered (its keys) or of an earlier one of the batch.
create function weir_sql.repetitions(deliveries weir_sql.delivery[]) returns setof weir_sql.repetition
language plpgsql volatile as $$
begin
    return query
    with told as materialized (
        select given.position, given.shop_id, given.topic, given.webhook_id,
            first_value(given.position) over (
                partition by given.shop_id, given.topic, given.webhook_id order by given.position
            ) as first_at
        from unnest(deliveries) as given where given.fact is not null
    )
    select told.position, told.first_at, known.event_keys::jsonb
    from told left join weir_sql.deliveries_read(
        array(select shop_id from told where position = first_at order by position),
        array(select topic from told where position = first_at order by position),
        array(select webhook_id from told where position = first_at order by position)
    ) as known using (shop_id, topic, webhook_id);
end
$$;

-- A state with the ledger that is stored, where other rules have written it. It goes when the order is changed.
create function weir_sql.with_old_ledger(state jsonb, old_ledger text) returns jsonb language sql immutable parallel safe
return case when old_ledger is null then state else state || jsonb_build_object('old_ledger', old_ledger::jsonb) end;

-- Each open delivery about an order as a change of it, in the sequence of the batch.
create function weir_sql.order_changes(open weir_sql.delivery[]) returns weir_sql.change[] language plpgsql volatile as $$
declare
    -- Of shops that were forgotten and registered anew: since when, in microseconds. As in shop_registration.sql.
    since jsonb := (
        select jsonb_object_agg(shop.shop_id,
            (extract(epoch from greatest(shop.registered_at, redaction.redacted_at)) * 1000000)::bigint)
        from commerce.shop as shop
        join privacy.redaction as redaction on redaction.shop_id = shop.shop_id
            and redaction.subject = 'shop' and redaction.subject_digest = ''
        where shop.shop_id = any (array(select distinct given.shop_id from unnest(open) as given))
    );
begin
    return (
        with facts as materialized (
            select given.position, given.shop_id, (given.fact ->> 'order_id')::bigint as id, given.zone,
                given.received_at, case when since is null then given.fact
                    else given.fact || jsonb_build_object('since', since -> given.shop_id::text) end as fact
            from unnest(open) as given where given.fact ->> 'order_id' is not null
        ), wanted as (
            select array_agg(shop_id) as shops, array_agg(id) as ids from (select distinct shop_id, id from facts) as one
        ), states as materialized (
            select state.shop_id, state.order_id as id, weir_sql.with_old_ledger(state.state::jsonb, state.old_ledger) as state
            from wanted, weir_sql.orders_read(wanted.shops, wanted.ids) as state
        ), stepped as materialized (
            select facts.position, shop_id, id, facts.zone, facts.received_at, states.state as known,
                weir_sql.order_after(states.state, facts.fact, facts.position) over (
                    partition by shop_id, id order by facts.position
                ) as after
            from facts join states using (shop_id, id)
        ), changed as materialized (
            select position, shop_id, id, zone, received_at, (after).state as after, (after).applied as applied,
                (after).raw_from as raw_from, (after).raws as raws,
                coalesce(lag((after).state) over (partition by shop_id, id order by position), known) as before
            from stepped
        ), numbered as materialized (
            select changed.*, row_number() over (order by position) as n, after <> before as is_changed from changed
        ), ledgers as materialized (
            select after.n, after.ledger from (
                select array_agg(case when is_changed then after end order by n) as states, array_agg(zone order by n) as zones
                from numbered
            ) as given, weir_sql.ledgers(given.states, given.zones) as after
        ), earlier as materialized (
            select before.n, before.ledger from (
                select array_agg(case when is_changed then before end order by n) as states,
                    array_agg(zone order by n) as zones
                from numbered
            ) as given, weir_sql.ledgers(given.states, given.zones) as before
        )
        select array(
            select row(position, shop_id, id, zone, received_at, before, after, applied, raw_from, raws,
                coalesce(before -> 'old_ledger', earlier.ledger, '[]'), coalesce(ledgers.ledger, '[]'))::weir_sql.change
            from numbered left join ledgers using (n) left join earlier using (n) order by n
        )
    );
end
$$;

-- The same for products.
create function weir_sql.product_changes(open weir_sql.delivery[]) returns weir_sql.change[] language plpgsql volatile as $$
begin
    return (
        with facts as materialized (
            select given.position, given.shop_id, (given.fact ->> 'product_id')::bigint as id,
                weir_sql.product_version(given.fact) as version
            from unnest(open) as given where given.fact ->> 'product_id' is not null
        ), wanted as (
            select array_agg(shop_id) as shops, array_agg(id) as ids from (select distinct shop_id, id from facts) as one
        ), states as materialized (
            select state.shop_id, state.product_id as id, state.state::jsonb as state
            from wanted, weir_sql.products_read(wanted.shops, wanted.ids) as state
        ), stepped as materialized (
            select facts.position, shop_id, id, facts.version, states.state as known,
                weir_sql.product_after(states.state, facts.version, facts.position) over (
                    partition by shop_id, id order by facts.position
                ) as after
            from facts left join states using (shop_id, id)
        ), changed as materialized (
            select position, shop_id, id, version, (after).state as after, (after).raw_from as raw_from,
                coalesce(lag((after).state) over (partition by shop_id, id order by position), known) as before
            from stepped
        )
        select array(
            select row(position, shop_id, id, null, null, before, after, case
                when before is not null and version ->> 'deleted_at' is null and (before ->> 'deleted_at' is not null
                    or (version ->> 'updated_at')::bigint < (before ->> 'updated_at')::bigint
                    or (version ->> 'updated_at')::bigint = (before ->> 'updated_at')::bigint
                        and (version ->> 'triggered_at')::bigint < (before ->> 'triggered_at')::bigint)
                then 'stale' else 'changed' end, raw_from, null, null, null)::weir_sql.change
            from changed order by position
        )
    );
end
$$;

-- What became of the open deliveries. A fact that is about neither order nor product has nothing to keep.
create function weir_sql.fates(
    open weir_sql.delivery[], orders weir_sql.change[], products weir_sql.change[]
) returns weir_sql.fate[] language plpgsql stable as $$
begin
    return (
        select array(
            select row(given.position, 'accepted', '[]')::weir_sql.fate from unnest(open) as given
            where given.fact ->> 'order_id' is null and given.fact ->> 'product_id' is null
            union all
            select row(sold.position, case sold.applied when 'stale' then 'stale' else 'accepted' end, case
                when sold.before = sold.after then '[]'
                when told.keys = '[]' then weir_sql.order_updated_key(sold, sold.received_at)
                else told.keys end)::weir_sql.fate
            from unnest(orders) as sold
            cross join lateral (
                select weir_sql.order_keys(sold.id, sold.before, sold.after, sold.received_at) as keys
            ) as told
            union all
            select row(made.position, case made.applied when 'stale' then 'stale' else 'accepted' end,
                weir_sql.product_keys(made.before, made.after))::weir_sql.fate
            from unnest(products) as made
        )
    );
end
$$;

-- Each order or product once: from before the call to after it, those that changed, sorted by key.
create function weir_sql.whole_changes(changes weir_sql.change[]) returns weir_sql.change[] language plpgsql immutable as $$
begin
    return (
        with ends as (
            select shop_id, id, (array_agg(before order by position))[1] as before,
                (array_agg(after order by position desc))[1] as after,
                (array_agg(raw_from order by position desc))[1] as raw_from,
                (array_agg(raws order by position desc))[1] as raws,
                -- Ledgers are made for steps that changed the order.
                (array_agg(ledger_before order by position) filter (where before <> after))[1] as ledger_before,
                (array_agg(ledger_after order by position desc) filter (where before <> after))[1] as ledger_after
            from unnest(changes) group by shop_id, id
        )
        select array(
            select row(null, shop_id, id, null, null, before, after, null, raw_from, raws, ledger_before, ledger_after)::weir_sql.change
            from ends where before is distinct from after order by shop_id, id
        )
    );
end
$$;

-- The events of deliveries, each as it is now. One with the same id may come more than once. `fates` stand at the positions
-- of their deliveries, `changes` are whole. Sets are looked up by place or key: of arrays the planner knows no sizes, and
-- would join them row by row.
create function weir_sql.rendered(
    deliveries weir_sql.delivery[], fates weir_sql.fate[], changes weir_sql.change[]
) returns table ("position" integer, n bigint, shop_domain text, id text, event jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    orders weir_sql.order_of_event[] := weir_sql.orders_of_events(deliveries, fates, changes);
    places jsonb := (
        select jsonb_object_agg(one.shop_id || '/' || one.id, one.n)
        from unnest(orders) with ordinality as one (shop_id, id, state, facts, ledger, n)
    );
begin
    return query
    with told as materialized (
        select given.position, given.shop_id, given.shop_domain, given.zone, given.received_at, given.source, key.n, key.key,
            weir_sql.event_id(given.shop_domain,
            key.key ->> 'event_type', weir_sql.entity_gid(key.key ->> 'event_type', key.key ->> 'entity_id'),
            key.key ->> 'discriminator') as id,
            (places ->> (given.shop_id || '/' || (key.key ->> 'order_id')))::integer as place
        from unnest(deliveries) as given
        cross join lateral jsonb_array_elements((fates[given.position]).keys) with ordinality as key (key, n)
    ), made as materialized (
        select distinct on (product.shop_id, product.product_id) product.shop_id, product.product_id,
            product.state::jsonb as state
        from (
            select array_agg(one.shop_id) as shops, array_agg((one.key ->> 'entity_id')::bigint) as ids
            from told as one where one.key ->> 'order_id' is null
        ) as asked, weir_sql.products_read(asked.shops, asked.ids) as product
    )
    select told.position, told.n, told.shop_domain, told.id,
        weir_sql.envelope(told.key, told.id, told.received_at, told.source, told.shop_domain, told.zone)
            || case when told.key ->> 'order_id' is null then weir_sql.product_facts(made.state)
                else (orders[told.place]).facts || weir_sql.part_facts(told.key, (orders[told.place]).state) end
    from told
    left join made on made.shop_id = told.shop_id and told.key ->> 'order_id' is null
        and made.product_id = (told.key ->> 'entity_id')::bigint
    where told.place is not null or made.product_id is not null;
end
$$;

-- The answer: every delivery in the sequence of the batch, every event once.
create function weir_sql.answer(deliveries weir_sql.delivery[], fates weir_sql.fate[], changes weir_sql.change[])
returns text language plpgsql volatile as $$
begin
    return (
        with rendered as materialized (
            select * from weir_sql.rendered(deliveries, fates, changes)
        ), ids as materialized (
            select jsonb_object_agg(one.position, one.ids) as by_position
            from (select position, jsonb_agg(id order by n) as ids from rendered group by position) as one
        )
        select json_build_object(
            'deliveries', coalesce((
                select json_agg(json_build_object('webhook_id', given.webhook_id, 'topic', given.topic,
                    'shop_domain', given.shop_domain,
                    'verdict', coalesce((fates[given.position]).verdict, given.verdict), 'reason', given.reason,
                    'detail', given.detail, 'event_ids', coalesce(ids.by_position -> given.position::text, '[]'))
                    order by given.position)
                from unnest(deliveries) as given cross join ids
            ), '[]'),
            'events', coalesce((
                select json_agg(one.event order by one.position, one.n)
                from (select distinct on (id) * from rendered order by id, position, n) as one
            ), '[]')
        )::text
    );
end
$$;

-- An order with its ledger, null until it is known, and what every event tells of it.
create type weir_sql.order_of_event as (shop_id bigint, id bigint, state jsonb, facts jsonb, ledger jsonb);

-- The orders that events are about, as they are now, with what every event tells of them. Only orders that this call
-- locked: those that it changed are known, the others are read.
create function weir_sql.orders_of_events(
    deliveries weir_sql.delivery[], fates weir_sql.fate[], changes weir_sql.change[]
) returns weir_sql.order_of_event[] language plpgsql as $$
declare
    found weir_sql.order_of_event[];
    wanted jsonb;
    missing text[];
begin
    wanted := (
        select coalesce(jsonb_object_agg(one.shop_id || '/' || one.id, null), '{}') from (
            select given.shop_id, given.fact ->> 'order_id' as id
            from unnest(deliveries) as given where given.fact ->> 'order_id' is not null
            intersect
            select given.shop_id, key ->> 'order_id' from unnest(deliveries) as given
            cross join lateral jsonb_array_elements((fates[given.position]).keys) as key
        ) as one
    );
    found := array(
        select row(shop_id, id, after, null, ledger_after)::weir_sql.order_of_event
        from unnest(changes) where wanted ? (shop_id || '/' || id)
    );
    missing := array(
        select jsonb_object_keys(wanted) except select shop_id || '/' || id from unnest(found)
    );
    if missing <> '{}' then
        found := found || array(
            select row(state.shop_id, state.order_id, state.state::jsonb, null, state.old_ledger::jsonb)::weir_sql.order_of_event
            from weir_sql.orders_read(
                array(select split_part(one, '/', 1)::bigint from unnest(missing) with ordinality as each (one, n) order by n),
                array(select split_part(one, '/', 2)::bigint from unnest(missing) with ordinality as each (one, n) order by n)
            ) as state
        );
    end if;
    return weir_sql.with_facts(found);
end
$$;

-- The same orders with what every event tells of them; makes the salts of their customers.
create function weir_sql.with_facts(orders weir_sql.order_of_event[]) returns weir_sql.order_of_event[]
language plpgsql set jit = off as $$
begin
    if orders = '{}' then
        return orders;
    end if;
    perform weir_sql.salts_make(array_agg(shop_id), array_agg(customer_id)) from (
        select distinct one.shop_id, (one.state -> 'header' ->> 'customer_id')::bigint as customer_id
        from unnest(orders) as one where one.state -> 'header' ->> 'customer_id' is not null order by 1, 2
    ) as one having count(*) > 0;
    return array(
        with given as materialized (
            select one.n, one.shop_id, one.id, one.state, one.ledger, shop.shop_domain, shop.currency,
                shop.iana_time_zone as zone, (one.state -> 'header' ->> 'customer_id')::bigint as customer_id
            from unnest(orders) with ordinality as one (shop_id, id, state, facts, ledger, n)
            join commerce.shop as shop on shop.shop_id = one.shop_id
        ), customers as (
            select salt.* from (
                select array_agg(shop_id) as shops, array_agg(customer_id) as ids
                from (select distinct shop_id, customer_id from given where customer_id is not null) as one
            ) as asked, weir_sql.salts_read(asked.shops, asked.ids) as salt
        ), line as materialized (
            select given.n, given.shop_id, line.place, line.line, (line.line ->> 'product_id')::bigint as product_id
            from given, jsonb_array_elements(given.state -> 'lines') with ordinality as line (line, place)
        ), product as (
            select product.shop_id, product.product_id, product.state::jsonb as state from (
                select array_agg(shop_id) as shops, array_agg(product_id) as ids
                from (select distinct shop_id, product_id from line where product_id is not null) as one
            ) as asked, weir_sql.products_read(asked.shops, asked.ids) as product
        ), told as (
            select line.n, jsonb_agg(weir_sql.event_line(line.line, product.state) order by line.place) as lines
            from line left join product using (shop_id, product_id) group by 1
        ), sold as (
            select missing.n, ledgers.ledger from (
                select array_agg(n) as places, array_agg(state) as states, array_agg(zone) as zones
                from given where ledger is null
            ) as asked
            cross join lateral weir_sql.ledgers(asked.states, asked.zones) as ledgers
            cross join lateral (select asked.places[ledgers.n] as n) as missing
        )
        select row(given.shop_id, given.id, given.state, weir_sql.order_facts(given.id, given.state,
            coalesce(given.ledger, sold.ledger, '[]'), coalesce(told.lines, '[]'), given.currency,
            weir_sql.customer_key(customers.salt, given.shop_domain, given.customer_id)), null)::weir_sql.order_of_event
        from given
        left join told using (n)
        left join customers on customers.shop_id = given.shop_id and customers.customer_id = given.customer_id
        left join sold using (n)
        order by given.shop_id, given.id
    );
end
$$;

-- Compiling such statements takes far longer than running them, and their estimates would have it done. A plan for the very
-- arrays of a call would copy them several times; the sets of 500 deliveries stay in memory.
create function weir_sql.ingest(batch json, bodies text[] default null) returns text language plpgsql
set jit = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan as $$
declare
    deliveries weir_sql.delivery[];
    open weir_sql.delivery[];
    orders weir_sql.change[];
    products weir_sql.change[];
    changes weir_sql.change[];
    fates weir_sql.fate[] := '{}';
    fate weir_sql.fate;
    again weir_sql.repetition[];
    repeated weir_sql.repetition;
    opens integer[];
begin
    if json_typeof(batch) <> 'array' then
        perform weir_sql.refuse_batch();
    end if;
    deliveries := weir_sql.with_privacy(weir_sql.deliveries(batch, bodies));
    perform weir_sql.order_header_lock(array_agg(shop_id), array_agg(id)) from (
        select distinct shop_id, (fact ->> 'order_id')::bigint as id from unnest(deliveries)
        where fact ->> 'order_id' is not null order by 1, 2
    ) as one having count(*) > 0;
    perform weir_sql.product_lock(array_agg(shop_id), array_agg(id)) from (
        select distinct shop_id, (fact ->> 'product_id')::bigint as id from unnest(deliveries)
        where fact ->> 'product_id' is not null order by 1, 2
    ) as one having count(*) > 0;
    -- Asked after the locks: the other delivery of the same webhook id is about the same order or product, and has
    -- committed by now.
    again := array(select told from weir_sql.repetitions(deliveries) as told order by told.at);
    opens := array(select at from unnest(again) where known_keys is null and at = first_at order by at);
    open := case when cardinality(opens) = cardinality(deliveries) then deliveries
        else array(select deliveries[n] from unnest(opens) as n order by n) end;
    orders := weir_sql.order_changes(open);
    products := weir_sql.product_changes(open);
    foreach fate in array weir_sql.fates(open, orders, products) loop
        fates[fate.position] := fate;
    end loop;
    changes := weir_sql.whole_changes(orders);
    perform weir_sql.write_orders(changes, deliveries);
    perform weir_sql.write_products(weir_sql.whole_changes(products), deliveries);
    perform weir_sql.write_customers(open);
    perform weir_sql.webhook_delivery_write(array_agg(one.shop_id), array_agg(one.topic), array_agg(one.webhook_id),
        array_agg(weir_sql.exact_time(one.received_at)), array_agg(one.keys::text))
    from (
        select given.shop_id, given.topic, given.webhook_id, given.received_at, (fates[given.position]).keys
        from unnest(open) as given order by given.shop_id, given.topic collate "C", given.webhook_id collate "C"
    ) as one having count(*) > 0;
    foreach repeated in array again loop
        if repeated.known_keys is not null or repeated.at <> repeated.first_at then
            fates[repeated.at] := row(repeated.at, 'duplicate',
                coalesce(repeated.known_keys, (fates[repeated.first_at]).keys))::weir_sql.fate;
        end if;
    end loop;
    return weir_sql.answer(weir_sql.without_bodies(deliveries), fates, changes);
end
$$;

-- Deliveries without what is done with: only which order they are about is left of their facts.
create function weir_sql.without_bodies(deliveries weir_sql.delivery[]) returns weir_sql.delivery[] language plpgsql as $$
begin
    return array(
        select row(position, webhook_id, topic, shop_domain, triggered_at, received_at, source, shop_id, zone, currency,
            verdict, reason, detail, case when fact ? 'order_id' then jsonb_build_object('order_id', fact -> 'order_id') end,
            null)::weir_sql.delivery
        from unnest(deliveries) order by position
    );
end
$$;

create function weir_sql.refuse_batch(reason text default 'The argument is not a JSON array.') returns void
language plpgsql as $$
begin
    raise exception 'the deliveries are not a JSON list' using errcode = 'invalid_parameter_value', detail = reason,
        hint = 'Give [{"webhook_id": "...", "topic": "orders/create", "shop_domain": "demo.myshopify.com", "triggered_at": null, "received_at": "2026-11-24T10:00:00.000Z", "source": "webhook", "body": "..."}], the body as text; or, as text, the line {"body_bytes": [2, ...]}, the line [the same without body, ...] and after them the bodies as they are, of so many bytes each.';
end
$$;

-- The form in which nobody quotes a body: a line of sizes, a line of deliveries, and after them the bodies as they came. The
-- sizes stand apart from the deliveries, so that one that is not readable does not hide where the next body begins.
create function weir_sql.ingest_unquoted(given text) returns text language plpgsql as $$
declare
    lines constant text[] := array[split_part(given, E'\n', 1), split_part(given, E'\n', 2)];
    rest constant bytea := convert_to(substr(given, length(lines[1]) + length(lines[2]) + 3), 'UTF8');
    sizes json;
    batch json;
    bodies text[];
begin
    begin
        sizes := lines[1]::json -> 'body_bytes';
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        sizes := null;
    end;
    begin
        batch := lines[2]::json;
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        batch := null;
    end;
    if json_typeof(sizes) is distinct from 'array' or exists (
        select from json_array_elements(sizes) as size where json_typeof(size) <> 'number' or size::text !~ '^[0-9]{1,18}$'
    ) then
        perform weir_sql.refuse_batch('The first line is not a JSON object with body_bytes, a list of sizes.');
    elsif json_typeof(batch) is distinct from 'array' then
        perform weir_sql.refuse_batch('The second line is not a JSON array.');
    elsif json_array_length(sizes) <> json_array_length(batch) then
        perform weir_sql.refuse_batch('body_bytes has not as many sizes as there are deliveries.');
    elsif octet_length(rest) <> (
        select coalesce(sum(size::text::bigint), 0) from json_array_elements(sizes) as size
    ) then
        perform weir_sql.refuse_batch('The bodies are not as long as body_bytes says.');
    end if;
    begin
        bodies := array(
            select convert_from(substring(rest from (one.stop - one.size + 1)::integer for one.size::integer), 'UTF8')
            from (
                select n, size::text::bigint as size, sum(size::text::bigint) over (order by n) as stop
                from json_array_elements(sizes) with ordinality as given (size, n)
            ) as one
            order by one.n
        );
    exception when character_not_in_repertoire then
        -- A size that ends within a character.
        perform weir_sql.refuse_batch('The bodies are not as long as body_bytes says.');
    end;
    return weir_sql.ingest(batch, bodies);
end
$$;

create or replace function weir.ingest(deliveries json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    if substr(deliveries::text, 1, 1) = '{' then
        return weir_sql.ingest_unquoted(deliveries::text)::json;
    end if;
    return weir_sql.ingest(deliveries)::json;
end
$$;

create or replace function weir.ingest(deliveries text) returns text
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    batch json;
begin
    if substr(deliveries, 1, 1) = '{' then
        return weir_sql.ingest_unquoted(deliveries);
    end if;
    begin
        batch := deliveries::json;
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        perform weir_sql.refuse_batch();
    end;
    return weir_sql.ingest(batch);
end
$$;
