-- weir.record_interactions. Guarantees what the extension's does: an interaction is held to stream publication_v1 before it
-- is believed (domain::publication), one that comes again answers with the events it caused, and whoever brought the buyer
-- reaches the order in any sequence. Locks are taken in the order of everyone else, with interactions by key between
-- privacy and orders.

-- An interaction on its way through a call; `verdict` is null while undecided, `keys` are the events it caused.
create type weir_sql.interaction as (
    position integer, event_id text, event_type text, occurred_at bigint, received_at bigint, source text,
    shop_domain text, item_id text, publisher_id text, program_id text, placement text, product_id bigint,
    order_id bigint, url text, referrer_host text, country text, device_class text, session_key text, visitor_key text,
    is_bot boolean, engaged_seconds double precision, shop_id bigint, zone text, verdict text, reason text, detail text,
    keys jsonb
);

-- Whether a text is a day, as yyyy-mm-dd.
create function weir_sql.is_day(value text) returns boolean language sql immutable strict parallel safe
return value ~ '^\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))$'
    and (right(value, 5) <> '02-29' or left(value, 4)::integer % 4 = 0
        and (left(value, 4)::integer % 100 <> 0 or left(value, 4)::integer % 400 = 0));

-- A number's digits as a 64-bit integer is written; others are floats to a JSON parser.
create function weir_sql.is_plain_int(digits text) returns boolean language sql immutable strict parallel safe
return digits ~ '^(0|-?[1-9][0-9]*)$' and weir_sql.is_int(digits);

-- What a JSON value is, in the words of telemetry::validate.
create function weir_sql.kind_of(value json) returns text language sql immutable parallel safe
return case json_typeof(value)
    when 'null' then 'null' when 'boolean' then 'a boolean' when 'string' then 'text' when 'array' then 'a list'
    when 'object' then 'an object'
    else case when weir_sql.is_plain_int(value::text) then 'an integer' else 'a number' end
end;

-- Raises WR001 where a row is none of stream publication_v1 (telemetry::publication), for the first fault in the sequence of
-- its fields; a field it does not have is refused, since the stream would drop it without a word. `fields` hold the texts
-- of the members.
create function weir_sql.check_interaction(fields jsonb) returns void language plpgsql stable as $$
declare
    field record;
    value json;
    expected text;
begin
    for field in
        select * from (values ('event_id', 'text', true), ('event_type', 'text', true), ('schema_version', 'int32', true),
            ('occurred_at', 'time', true), ('received_at', 'time', true), ('event_date', 'day', true),
            ('event_hour', 'int32', true), ('source', 'text', true), ('shop_domain', 'text', true),
            ('publisher_id', 'text', false), ('item_id', 'text', false), ('program_id', 'text', false),
            ('placement', 'text', false), ('product_id', 'text', false), ('order_id', 'text', false),
            ('url', 'text', false), ('referrer_host', 'text', false), ('country', 'text', false),
            ('device_class', 'text', false), ('session_key', 'text', false), ('visitor_key', 'text', false),
            ('is_bot', 'bool', false), ('engaged_seconds', 'float', false)) as known (name, kind, is_required)
    loop
        value := (fields ->> field.name)::json;
        if coalesce(json_typeof(value), 'null') = 'null' then
            if field.is_required then
                perform weir_sql.refuse(case when value is null then 'missing_field' else 'null_value' end, field.name,
                    'required by the stream');
            end if;
            fields := fields - field.name;
            continue;
        end if;
        expected := case field.kind
            when 'text' then case when json_typeof(value) <> 'string' then 'text without NUL' end
            when 'bool' then case when json_typeof(value) <> 'boolean' then 'a boolean' end
            when 'float' then case when json_typeof(value) <> 'number' then 'a number' end
            when 'int32' then case when json_typeof(value) = 'number' and weir_sql.is_plain_int(value::text)
                and (value::text)::bigint between -2147483648 and 2147483647 then null else 'a 32-bit integer' end
            when 'day' then case when json_typeof(value) = 'string' and weir_sql.is_day(value #>> '{}') then null
                else 'a day as yyyy-mm-dd' end
            else case when json_typeof(value) = 'string' and weir_sql.is_day(left(value #>> '{}', 10))
                and substr(value #>> '{}', 11) ~ '^[Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?Z$' then null
                else 'an RFC 3339 time in UTC' end
        end;
        if expected is not null then
            perform weir_sql.refuse('type_mismatch', field.name,
                'expected ' || expected || ', found ' || weir_sql.kind_of(value));
        end if;
        fields := fields - field.name;
    end loop;
    if fields <> '{}' then
        perform weir_sql.refuse('type_mismatch', (select min(name collate "C") from jsonb_object_keys(fields) as name),
            'not a field of the stream');
    end if;
end
$$;

create function weir_sql.catalogue_id_of(node jsonb, name text) returns text language plpgsql immutable as $$
begin
    if not weir_sql.is_catalogue_id(node ->> name) then
        perform weir_sql.refuse('type_mismatch', name, 'expected 1 to 128 letters, digits and . _ : / -');
    end if;
    return node ->> name;
end
$$;

create function weir_sql.shopify_id_of(node jsonb, name text) returns bigint language plpgsql immutable as $$
begin
    if node ->> name is null then
        return null;
    elsif not weir_sql.is_int(node ->> name) then
        perform weir_sql.refuse('type_mismatch', name, 'expected a decimal 64-bit id');
    end if;
    return (node ->> name)::bigint;
end
$$;

create function weir_sql.stream_time_of(node jsonb, name text) returns bigint language plpgsql stable as $$
declare
    micros bigint := weir_sql.instant(node ->> name);
begin
    if micros is null then
        perform weir_sql.refuse('type_mismatch', name, 'expected a time from 1900 to 9998');
    end if;
    return micros;
end
$$;

-- Scheme, host and path. Queries and credentials can name a person; an address that is none is not kept, nor a path with an at
-- sign inside of a part, however often it is percent-encoded.
create function weir_sql.address_only(url text) returns text
language plpgsql immutable parallel safe as $$
begin
    return (
        select case when authority <> '' and strpos(authority, '@') = 0 then
            case when regexp_replace(substr(address, host_end), '%(25)+', '%', 'g') ~* sign
                then left(address, host_end - 1) else address end
        end
        from (
            select substring(url from '^[^?#]*') as address,
                '[^/](@|\uff20|\ufe6b|%40|%ef%bc%a0|%ef%b9%ab)' as sign
        ) as whole
        cross join lateral (select split_part(split_part(address, '//', 2), '/', 1) as authority) as part
        cross join lateral (select strpos(address, '//') + 2 + length(authority) as host_end) as place
    );
end
$$;

-- Reads one interaction; raises WR001.
create function weir_sql.interaction(item json, given weir_sql.interaction) returns weir_sql.interaction
language plpgsql stable as $$
declare
    node jsonb;
    fields jsonb;
begin
    if octet_length(item::text) > 1000000 then
        perform weir_sql.refuse('type_mismatch', '', 'an interaction is at most 1 MB');
    end if;
    node := (weir_sql.read_json(item::text)).document;
    -- A float holds no more; numbers of that size have an exponent.
    if exists (
        select from jsonb_path_query(node, '$.** ? (@[0].weir == "number")') as number
        where jsonb_typeof(number) = 'array' and (number ->> 1)::numeric not between -1.7976931348623158e308
            and 1.7976931348623158e308
    ) then
        perform weir_sql.refuse('parse_failure', '', 'not JSON');
    elsif json_typeof(item) <> 'object' then
        perform weir_sql.refuse('parse_failure', '', 'expected an object, found ' || weir_sql.kind_of(item));
    end if;
    -- As texts, since jsonb does not tell -0 and 1.0 from integers; of a repeated name the last.
    select coalesce(jsonb_object_agg(one.key, one.text), '{}') into fields from (
        select distinct on (each.key) each.key, trim(each.value::text, E' \t\n\r') as text
        from json_each(item) with ordinality as each (key, value, n) order by each.key, each.n desc
    ) as one;
    perform weir_sql.check_interaction(fields);
    given.event_type := node ->> 'event_type';
    if given.event_type not in ('referral', 'conversion', 'attribution') then
        perform weir_sql.refuse('type_mismatch', 'event_type', 'expected referral, conversion or attribution');
    end if;
    given.event_id := node ->> 'event_id';
    if octet_length(given.event_id) not between 1 and 128 then
        perform weir_sql.refuse('type_mismatch', 'event_id', 'expected 1 to 128 bytes');
    end if;
    given.occurred_at := weir_sql.stream_time_of(node, 'occurred_at');
    given.received_at := weir_sql.stream_time_of(node, 'received_at');
    given.source := node ->> 'source';
    given.shop_domain := node ->> 'shop_domain';
    given.item_id := weir_sql.catalogue_id_of(node, 'item_id');
    given.publisher_id := weir_sql.catalogue_id_of(node, 'publisher_id');
    given.program_id := weir_sql.catalogue_id_of(node, 'program_id');
    given.placement := node ->> 'placement';
    given.product_id := weir_sql.shopify_id_of(node, 'product_id');
    given.order_id := weir_sql.shopify_id_of(node, 'order_id');
    given.url := weir_sql.address_only(node ->> 'url');
    given.referrer_host := node ->> 'referrer_host';
    given.country := node ->> 'country';
    given.device_class := node ->> 'device_class';
    given.session_key := node ->> 'session_key';
    given.visitor_key := node ->> 'visitor_key';
    given.is_bot := coalesce((node ->> 'is_bot')::boolean, false);
    begin
        given.engaged_seconds := weir_sql.digits(nullif(node -> 'engaged_seconds', 'null'))::double precision;
    exception when numeric_value_out_of_range then
        -- Nearer to 0 than any float is; what is larger than all of them was refused above.
        given.engaged_seconds := case left(weir_sql.digits(node -> 'engaged_seconds'), 1) when '-' then '-0' else '0' end;
    end;
    if given.event_type = 'attribution' then
        if given.order_id is null then
            perform weir_sql.refuse('missing_field', 'order_id', 'an attribution names its order');
        elsif given.publisher_id is null and given.program_id is null then
            perform weir_sql.refuse('missing_field', 'publisher_id', 'an attribution names a publisher or a program');
        end if;
    end if;
    return given;
end
$$;

-- Reads an interaction of a batch, or decides that it goes no further; a bad one is refused alone.
create function weir_sql.read_interaction(item json, n bigint) returns weir_sql.interaction language plpgsql stable as $$
declare
    given weir_sql.interaction;
    node jsonb;
begin
    given.position := n;
    begin
        return weir_sql.interaction(item, given);
    exception when sqlstate 'WR001' then
        given.verdict := 'rejected';
        get stacked diagnostics given.reason = message_text, given.detail = pg_exception_detail;
    end;
    begin
        node := (weir_sql.read_json(item::text)).document;
        if jsonb_typeof(node -> 'event_id') = 'string' then
            given.event_id := node ->> 'event_id';
        end if;
    exception when sqlstate 'WR001' then
        null;
    end;
    return given;
end
$$;

-- The interactions of a batch with their shops, without those of a shop that is not known or was forgotten.
create function weir_sql.interactions(batch json) returns weir_sql.interaction[] language plpgsql as $$
declare
    given weir_sql.interaction[];
    gone bigint[];
    severed text[];
begin
    given := array(
        select row(one.position, one.event_id, one.event_type, one.occurred_at, one.received_at, one.source,
            one.shop_domain, one.item_id, one.publisher_id, one.program_id, one.placement, one.product_id, one.order_id,
            one.url, one.referrer_host, one.country, one.device_class, one.session_key, one.visitor_key, one.is_bot,
            one.engaged_seconds, shop.shop_id, shop.iana_time_zone,
            case when one.verdict is null and shop.shop_id is null then 'rejected' else one.verdict end,
            case when one.verdict is null and shop.shop_id is null then 'unknown_shop' else one.reason end,
            case when one.verdict is null and shop.shop_id is null then 'the shop is not registered' else one.detail end,
            '[]')::weir_sql.interaction
        from json_array_elements(batch) with ordinality as item (item, n)
        cross join lateral weir_sql.read_interaction(item.item, item.n) as one
        left join commerce.shop as shop on shop.shop_domain = one.shop_domain
        order by item.n
    );
    perform weir_sql.lock_privacy(array(
        select distinct shop_id from unnest(given) where verdict is null order by shop_id
    ));
    -- Again, now that they are locked: a registration that was waited for may have moved one to another time zone or domain.
    for n in 1 .. cardinality(given) loop
        continue when given[n].verdict is not null;
        given[n].zone := (select shop.iana_time_zone from commerce.shop as shop
            where shop.shop_id = given[n].shop_id and shop.shop_domain = given[n].shop_domain);
        if given[n].zone is null then
            given[n].verdict := 'rejected';
            given[n].reason := 'unknown_shop';
            given[n].detail := 'the shop is not registered';
        end if;
    end loop;
    select coalesce(array_agg(redacted.shop_id) filter (where redacted.order_id is null), '{}'),
        coalesce(array_agg(redacted.shop_id || ' ' || redacted.order_id) filter (where redacted.order_id is not null), '{}')
    into gone, severed from (
        select array_agg(shop_id) as shops, array_agg(0::bigint) as none
        from (select distinct shop_id from unnest(given) where verdict is null) as one
    ) as asked, (
        select array_agg(shop_id) as shops, array_agg(order_id) as orders
        from (select distinct shop_id, order_id from unnest(given) where verdict is null and order_id is not null) as one
    ) as named, weir_sql.redacted_read(asked.shops, asked.none, named.shops, named.orders) as redacted;
    if gone = '{}' and severed = '{}' then
        return given;
    end if;
    for n in 1 .. cardinality(given) loop
        continue when given[n].verdict is not null;
        if given[n].shop_id = any (gone) then
            given[n].verdict := 'ignored';
            given[n].reason := 'redacted';
        elsif given[n].shop_id || ' ' || given[n].order_id = any (severed) then
            -- Whom the order named is forgotten, and so is which visitor that was.
            given[n].session_key := null;
            given[n].visitor_key := null;
        end if;
    end loop;
    return given;
end
$$;

-- Takes part in the privacy of shops, given in the sequence of their ids, to the end of the transaction.
create function weir_sql.lock_privacy(shops bigint[]) returns void language plpgsql as $$
declare
    shop_id bigint;
begin
    foreach shop_id in array shops loop
        perform weir_sql.lock_shared(shop_id);
    end loop;
end
$$;

-- Writes what is new; what was recorded before, in this batch too, is a duplicate and has the events it had.
create function weir_sql.write_interactions(given weir_sql.interaction[]) returns weir_sql.interaction[]
language plpgsql as $$
declare
    new text[];
    keys jsonb;
    firsts integer[];
begin
    firsts := array(
        select min(position) from unnest(given) where verdict is null group by shop_id, event_id
    );
    new := array(
        select written.shop_id || ' ' || written.event_id from (
            select array_agg(shop_id) as a, array_agg(event_id) as b, array_agg(event_type) as c,
                array_agg(weir_sql.exact_time(occurred_at)) as d, array_agg(weir_sql.exact_time(received_at)) as e,
                array_agg(source) as f, array_agg(publisher_id) as g, array_agg(item_id) as h, array_agg(program_id) as i,
                array_agg(placement) as j, array_agg(product_id) as k, array_agg(order_id) as l, array_agg(url) as m,
                array_agg(referrer_host) as n, array_agg(country) as o, array_agg(device_class) as p,
                array_agg(session_key) as q, array_agg(visitor_key) as r, array_agg(is_bot) as s,
                array_agg(engaged_seconds) as t
            from (
                select * from unnest(given) where position = any (firsts) order by shop_id, event_id collate "C"
            ) as one
        ) as rows, weir_sql.interaction_write(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t) as written
    );
    -- The row of another call has committed by now: writing ours has waited for it.
    select jsonb_object_agg(known.shop_id || ' ' || known.event_id, known.event_keys::jsonb) into keys from (
        select array_agg(shop_id) as shops, array_agg(event_id) as ids from unnest(given)
        where position = any (firsts) and shop_id || ' ' || event_id <> all (new)
    ) as asked, weir_sql.interactions_read(asked.shops, asked.ids) as known;
    for n in 1 .. cardinality(given) loop
        continue when given[n].verdict is not null;
        if n = any (firsts) and given[n].shop_id || ' ' || given[n].event_id = any (new) then
            given[n].verdict := 'accepted';
        else
            given[n].verdict := 'duplicate';
            given[n].keys := coalesce(keys -> (given[n].shop_id || ' ' || given[n].event_id), '[]');
        end if;
    end loop;
    return given;
end
$$;

-- Applies attributions that are new in the sequence of the batch, and gives each the events it caused.
create function weir_sql.attribute(given weir_sql.interaction[], told weir_sql.delivery[]) returns weir_sql.interaction[]
language plpgsql as $$
declare
    open weir_sql.delivery[];
    changes weir_sql.change[];
    fate weir_sql.fate;
begin
    perform weir_sql.order_header_lock(array_agg(shop_id), array_agg(id)) from (
        select distinct shop_id, (fact ->> 'order_id')::bigint as id from unnest(told) order by 1, 2
    ) as one having count(*) > 0;
    open := array(select one from unnest(told) as one where given[one.position].verdict = 'accepted'
        order by one.position);
    changes := weir_sql.order_changes(open);
    foreach fate in array weir_sql.fates(open, changes, '{}') loop
        given[fate.position].keys := fate.keys;
    end loop;
    perform weir_sql.write_orders(weir_sql.whole_changes(changes), open);
    perform weir_sql.interaction_events_write(array_agg(shop_id), array_agg(event_id), array_agg(keys::text))
    from unnest(given) where verdict = 'accepted' and keys <> '[]' having count(*) > 0;
    return given;
end
$$;

create function weir_sql.record_interactions(batch json) returns json language plpgsql
set jit = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan as $$
declare
    given weir_sql.interaction[];
    told weir_sql.delivery[];
begin
    if json_typeof(batch) <> 'array' then
        raise exception 'the interactions are not a JSON list' using errcode = 'invalid_parameter_value',
            detail = 'The argument is not a JSON array.',
            hint = 'Give events of publication_v1: [{"event_id": "...", "event_type": "attribution", "order_id": "1", "publisher_id": "...", ...}].';
    end if;
    given := weir_sql.write_interactions(weir_sql.interactions(batch));
    -- Attributions as deliveries about their orders.
    told := array(
        select row(position, event_id, null, shop_domain, occurred_at, received_at, source, shop_id, zone, null, null,
            null, null, jsonb_build_object('kind', 'attribution', 'order_id', order_id,
                'attribution', jsonb_build_object('occurred_at', occurred_at, 'event_id', event_id,
                    'referred_by', jsonb_build_object('publisher_id', publisher_id, 'program_id', program_id))),
            null)::weir_sql.delivery
        from unnest(given) where verdict in ('accepted', 'duplicate') and event_type = 'attribution' order by position
    );
    if told <> '{}' then
        given := weir_sql.attribute(given, told);
    end if;
    return (
        with event as materialized (
            select distinct on (one.shop_domain, one.id) one.*
            from weir_sql.rendered(told, array(
                select row(position, verdict, keys)::weir_sql.fate from unnest(given) order by position
            ), '{}') as one
            order by one.shop_domain, one.id, one.position, one.n
        )
        select json_build_object('interactions', (
            select coalesce(json_agg(json_build_object('event_id', event_id, 'verdict', verdict, 'reason', reason,
                'detail', detail) order by position), '[]') from unnest(given)
        ), 'events', (
            select coalesce(json_agg(event.event order by shop_domain collate "C", position, n), '[]') from event
        ))
    );
end
$$;

create or replace function weir.record_interactions(interactions json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.record_interactions(interactions);
end
$$;
