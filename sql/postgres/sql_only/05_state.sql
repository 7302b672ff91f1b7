-- The merge of what deliveries say of one order or product. Guarantees what domain::order_state guarantees: whole bodies by
-- (updated_at, triggered_at), parts by their ids and versions, facts that cannot be undone as minima; so the same facts in
-- any sequence and repetition give the same state.

-- Where a part of an order is told apart by, and how new it is.
create function weir_sql.part_id(kind text, part jsonb) returns bigint[] language sql immutable parallel safe
return case kind
    when 'refunds' then array[(part ->> 'refund_id')::bigint]
    when 'payments' then array[(part ->> 'payment_id')::bigint]
    when 'fulfillments' then array[(part ->> 'fulfillment_id')::bigint]
    when 'returns' then array[(part ->> 'return_id')::bigint]
    when 'edits' then array[(part ->> 'edit_id')::bigint, (part ->> 'line_item_id')::bigint]
end;

create function weir_sql.part_version(kind text, part jsonb) returns bigint[] language sql immutable parallel safe
return case kind
    -- Bulk operations tell refunds in brief; a version told in full is never replaced by such a one.
    when 'refunds' then array[case when (part ->> 'is_brief')::boolean then 0 else 1 end,
        (part ->> 'observed_at')::bigint, (part ->> 'triggered_at')::bigint]
    -- Success is terminal.
    when 'payments' then array[case part ->> 'status' when 'success' then 1 else 0 end, (part ->> 'triggered_at')::bigint]
    when 'fulfillments' then array[(part ->> 'updated_at')::bigint, (part ->> 'triggered_at')::bigint]
    when 'returns' then array[(part ->> 'triggered_at')::bigint]
    when 'edits' then
        array[(part ->> 'committed_at')::bigint, (part ->> 'added')::bigint, (part ->> 'removed')::bigint]
end;

-- Lines of a shipment, to compare.
create function weir_sql.shipped_units(lines jsonb) returns bigint[]
language plpgsql immutable parallel safe as $$
begin
    return array(
        select pair.value from jsonb_array_elements(lines) with ordinality as line (line, n)
        cross join lateral (values (1, (line.line ->> 'line_item_id')::bigint), (2, (line.line ->> 'quantity')::bigint))
            as pair (place, value)
        order by line.n, pair.place
    );
end
$$;

-- A known part and what is told of it: the newer version, an equal one replaces the known.
create function weir_sql.merge_part(
    kind text, known jsonb, part jsonb, out merged jsonb, out is_newer boolean
) language plpgsql immutable parallel safe as $$
begin
    is_newer := weir_sql.part_version(kind, part) >= weir_sql.part_version(kind, known);
    if not is_newer then
        part := known || case kind
            when 'fulfillments' then jsonb_build_object('shipped_at', part -> 'shipped_at', 'lines', part -> 'lines')
            when 'refunds' then jsonb_build_object('return_id', part -> 'return_id')
            when 'returns' then jsonb_build_object('name', part -> 'name', 'requested_at', part -> 'requested_at')
            else '{}'
        end;
    end if;
    -- What holds whichever version is newer: the first shipping, the first sight, a name or return where one was given.
    if kind = 'refunds' then
        part := part || jsonb_build_object('return_id',
            greatest((known ->> 'return_id')::bigint, (part ->> 'return_id')::bigint));
    elsif kind = 'fulfillments' then
        part := part || jsonb_build_object('shipped_at',
            least((known ->> 'shipped_at')::bigint, (part ->> 'shipped_at')::bigint),
            -- A list before none, whichever version is newer; two lists do not differ at Shopify.
            'lines', case when weir_sql.shipped_units(known -> 'lines') > weir_sql.shipped_units(part -> 'lines')
                then known -> 'lines' else part -> 'lines' end);
    elsif kind = 'returns' then
        part := part || jsonb_build_object(
            'name', greatest((known ->> 'name') collate "C", (part ->> 'name') collate "C"),
            'requested_at', least((known ->> 'requested_at')::bigint, (part ->> 'requested_at')::bigint));
    end if;
    merged := part;
end
$$;

-- A list sorted by id with parts put in, each unless a newer version is there, and which of them (their places from 0) were
-- none older. An edit may name every line of an order: both lists are passed through once, side by side.
create function weir_sql.put_parts(kind text, parts jsonb, new jsonb, out merged jsonb, out newer integer[])
language plpgsql immutable parallel safe as $$
declare
    count integer := jsonb_array_length(parts);
    place integer := 0;
    list jsonb[] := '{}';
    filled integer := 0;
    part jsonb;
    id bigint[];
    last_id bigint[];
    known jsonb;
    known_id bigint[];
    one record;
    n integer;
begin
    newer := '{}';
    -- What is told twice of one part stays in its sequence.
    foreach n in array case jsonb_array_length(new) when 1 then array[0] else array(
        select each.n - 1 from jsonb_array_elements(new) with ordinality as each (part, n)
        order by weir_sql.part_id(kind, each.part), each.n
    ) end loop
        part := new -> n;
        id := weir_sql.part_id(kind, part);
        if id = last_id then
            known := list[filled];
        else
            known := null;
            while place < count loop
                known_id := weir_sql.part_id(kind, parts -> place);
                exit when known_id > id;
                if known_id = id then
                    known := parts -> place;
                else
                    filled := filled + 1;
                    list[filled] := parts -> place;
                end if;
                place := place + 1;
            end loop;
            filled := filled + 1;
        end if;
        if known is null then
            list[filled] := part;
            newer := newer || n;
        else
            one := weir_sql.merge_part(kind, known, part);
            list[filled] := one.merged;
            if one.is_newer then
                newer := newer || n;
            end if;
        end if;
        last_id := id;
    end loop;
    while place < count loop
        filled := filled + 1;
        list[filled] := parts -> place;
        place := place + 1;
    end loop;
    merged := to_jsonb(list);
end
$$;

-- Who brought the buyer: as attributed, else as the order's body says.
create function weir_sql.referral(state jsonb) returns jsonb language sql immutable parallel safe
return coalesce(nullif(state -> 'attribution', 'null') -> 'referred_by', state -> 'header' -> 'referred_by');

create function weir_sql.without_triggers(parts jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (select coalesce(jsonb_agg(part - 'triggered_at' order by n), '[]')
        from jsonb_array_elements(parts) with ordinality as each (part, n));
end
$$;

-- The facts of a state without what only says when they were told.
create function weir_sql.without_versions(state jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return state || jsonb_build_object(
        -- It only dates what the first body has beyond the agreements.
        'first_updated_at', case when state ->> 'agreements_updated_at' is not null then greatest(
            (state ->> 'first_updated_at')::bigint, (state ->> 'agreements_updated_at')::bigint) end,
        'header', case jsonb_typeof(state -> 'header') when 'object' then (state -> 'header') - 'triggered_at' else 'null' end,
        'refunds', (
            -- `observed_at` dates a refund that has no time of its own.
            select coalesce(jsonb_agg(case when coalesce(part ->> 'processed_at', part ->> 'created_at') is null
                then part - 'triggered_at' else part - array['triggered_at', 'observed_at'] end order by n), '[]')
            from jsonb_array_elements(state -> 'refunds') with ordinality as each (part, n)
        ),
        'payments', weir_sql.without_triggers(state -> 'payments'),
        'fulfillments', weir_sql.without_triggers(state -> 'fulfillments'),
        'returns', weir_sql.without_triggers(state -> 'returns'));
end
$$;

-- Agreements by id, the known ones with those that are new: they never change.
create function weir_sql.more_agreements(known jsonb, new jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select coalesce(jsonb_agg(one.agreement order by one.id), '[]') from (
            select distinct on ((agreement ->> 'agreement_id')::bigint) agreement,
                (agreement ->> 'agreement_id')::bigint as id
            from jsonb_array_elements(known || new) with ordinality as each (agreement, n)
            order by (agreement ->> 'agreement_id')::bigint, n
        ) as one
    );
end
$$;

-- Of each line the points (so many units since then) that no earlier one with as many units precedes, sorted by line and time.
create function weir_sql.first_points(points jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select coalesce(jsonb_agg(point order by line_item_id, at), '[]')
        from (
            select told.*, max(units) over (partition by line_item_id order by at, units desc
                rows between unbounded preceding and 1 preceding) as most
            from (
                select point, (point ->> 'line_item_id')::bigint as line_item_id, (point ->> 'units')::bigint as units,
                    (point ->> 'since')::bigint as at
                from jsonb_array_elements(points) as point
            ) as told
        ) as one
        where units > coalesce(most, 0)
    );
end
$$;

-- Lines as points: their quantities since then.
create function weir_sql.quantity_points(lines jsonb, since bigint) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object('line_item_id', line -> 'line_item_id', 'units', line -> 'quantity',
            'since', since) order by n), '[]')
        from jsonb_array_elements(lines) with ordinality as each (line, n)
    );
end
$$;

-- Lines as points: what is gone of them since then.
create function weir_sql.removed_points(lines jsonb, since bigint) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object('line_item_id', line -> 'line_item_id',
            'units', (line ->> 'quantity')::bigint - (line ->> 'current_quantity')::bigint, 'since', since) order by n), '[]')
        from jsonb_array_elements(lines) with ordinality as each (line, n)
        where (line ->> 'quantity')::bigint > (line ->> 'current_quantity')::bigint
    );
end
$$;

-- Whether two lists of lines name the same lines with the same quantities.
create function weir_sql.same_quantities(lines jsonb, other jsonb) returns boolean language sql immutable parallel safe
return lines = other
    or jsonb_path_query_array(lines, '$[*].line_item_id') = jsonb_path_query_array(other, '$[*].line_item_id')
        and jsonb_path_query_array(lines, '$[*].quantity') = jsonb_path_query_array(other, '$[*].quantity');

-- A state, before its lines change, with the quantities of a body's lines. Of a line that all bodies since the first have
-- told as the newest does, there are no points.
create function weir_sql.note_quantities(state jsonb, header jsonb, lines jsonb, is_newest boolean) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    at bigint := (header ->> 'updated_at')::bigint;
    known_first bigint := coalesce((state ->> 'first_updated_at')::bigint, at);
    first bigint := least(known_first, at);
    known jsonb := state -> 'quantity_since';
    newest jsonb := case when is_newest then lines else state -> 'lines' end;
begin
    state := jsonb_set(state, '{first_updated_at}', to_jsonb(first));
    -- So it is with almost every body.
    if jsonb_typeof(state -> 'header') <> 'object'
        or known = '[]' and weir_sql.same_quantities(state -> 'lines', lines)
    then
        return state;
    end if;
    known := weir_sql.first_points(known || weir_sql.quantity_points(lines, at) || (
        select coalesce(jsonb_agg(point), '[]')
        from jsonb_array_elements(weir_sql.quantity_points(state -> 'lines', known_first)) as point
        where not exists (
            select from jsonb_array_elements(known) as other where other -> 'line_item_id' = point -> 'line_item_id'
        )
    ));
    return jsonb_set(state, '{quantity_since}', (
        select coalesce(jsonb_agg(point order by n), '[]')
        from (
            select point, n, count(*) over (partition by point -> 'line_item_id') as of_line
            from jsonb_array_elements(known) with ordinality as each (point, n)
        ) as one
        where of_line > 1
            or not exists (select from jsonb_array_elements(weir_sql.quantity_points(newest, first)) as plain where plain = point)
    ));
end
$$;

-- What lines are for good: their products and variants, and whether they are tips.
create function weir_sql.line_origins(lines jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object('line_item_id', line -> 'line_item_id', 'product_id', line -> 'product_id',
            'variant_id', line -> 'variant_id', 'is_tip', coalesce(line -> 'is_tip', 'false')) order by n), '[]')
        from jsonb_array_elements(lines) with ordinality as each (line, n)
    );
end
$$;

-- A state with the lines of a body, if it is the newest, and with what its lines are for good, which not every body says: the
-- greater value of all bodies. Of lines that the newest body does not have that is kept apart.
create function weir_sql.take_lines(state jsonb, told jsonb, is_newest boolean) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    newest jsonb := case when is_newest then told else state -> 'lines' end;
    known jsonb;
begin
    -- So it is with almost every body.
    if state -> 'absent_lines' = '[]' and (is_newest and state -> 'lines' = '[]'
        or weir_sql.line_origins(state -> 'lines') = weir_sql.line_origins(told))
    then
        return jsonb_set(state, '{lines}', newest);
    end if;
    known := (
        select coalesce(jsonb_object_agg(one.line_item_id, jsonb_build_object('line_item_id', one.line_item_id,
            'product_id', one.product_id, 'variant_id', one.variant_id, 'is_tip', one.is_tip)), '{}')
        from (
            select (origin ->> 'line_item_id')::bigint as line_item_id, max((origin ->> 'product_id')::bigint) as product_id,
                max((origin ->> 'variant_id')::bigint) as variant_id, bool_or((origin ->> 'is_tip')::boolean) as is_tip
            from jsonb_array_elements(weir_sql.line_origins((state -> 'lines') || told) || (state -> 'absent_lines')) as origin
            group by 1
        ) as one
    );
    return state || jsonb_build_object(
        'lines', (
            select coalesce(jsonb_agg(line || (known -> (line ->> 'line_item_id')) order by n), '[]')
            from jsonb_array_elements(newest) with ordinality as each (line, n)
        ),
        'absent_lines', (
            select coalesce(jsonb_agg(origin order by (origin ->> 'line_item_id')::bigint), '[]')
            from jsonb_each(known) as each (id, origin)
            where (origin ->> 'product_id' is not null or origin ->> 'variant_id' is not null or (origin ->> 'is_tip')::boolean)
                and not exists (
                    select from jsonb_array_elements(newest) as line where line -> 'line_item_id' = origin -> 'line_item_id'
                )
        ));
end
$$;

-- One step of weir_sql.order_after: merges a fact and, if it changed anything, advances the revision.
create function weir_sql.apply_to_order(step weir_sql.order_step, known jsonb, fact jsonb, at integer)
returns weir_sql.order_step language plpgsql immutable as $$
declare
    before jsonb := coalesce(step.state, known);
    state jsonb := before;
    raw_from integer := step.raw_from;
    kind text := fact ->> 'kind';
    list text;
    put record;
    header jsonb;
    is_stale boolean := false;
    is_same boolean;
    raws jsonb := coalesce(step.raws, '{}');
begin
    if kind = 'order' then
        header := fact -> 'header';
        if header ->> 'financial_status' = 'paid' and header ->> 'fulfillment_status' = 'fulfilled'
            and header ->> 'cancelled_at' is null
        then
            state := jsonb_set(state, '{completed_at}', to_jsonb(
                least((state ->> 'completed_at')::bigint, (header ->> 'updated_at')::bigint)));
        end if;
        is_stale := coalesce(((header ->> 'updated_at')::bigint, (header ->> 'triggered_at')::bigint)
            < ((state -> 'header' ->> 'updated_at')::bigint, (state -> 'header' ->> 'triggered_at')::bigint), false);
        -- A body that is not the newest may be the first.
        state := weir_sql.note_quantities(state, header, fact -> 'lines', not is_stale);
        if fact -> 'lines' @? '$[*] ? (@.quantity > @.current_quantity)' then
            state := jsonb_set(state, '{removed_since}', weir_sql.first_points(state -> 'removed_since'
                || weir_sql.removed_points(fact -> 'lines', (header ->> 'updated_at')::bigint)));
        end if;
        foreach list in array array['refunds', 'fulfillments'] loop
            continue when fact -> list = '[]';
            put := weir_sql.put_parts(list, state -> list, fact -> list);
            state := jsonb_set(state, array[list], put.merged);
            if list = 'refunds' and put.newer <> '{}' then
                raws := raws || (
                    select jsonb_object_agg(place.key, place.value order by given.n)
                    from unnest(put.newer) as given (n),
                        jsonb_each(weir_sql.raw_place(list, fact, fact -> list -> given.n, at, given.n)) as place
                );
            end if;
        end loop;
        if not is_stale then
            -- An equal body keeps the stored one, so that a repetition is seen to change nothing.
            if header <> state -> 'header' then
                raw_from := at;
            end if;
            state := jsonb_set(state, '{header}', header);
        end if;
        state := weir_sql.take_lines(state, fact -> 'lines', not is_stale);
    elsif kind = 'order_deleted' then
        state := jsonb_set(state, '{deleted_at}', to_jsonb(
            least((state ->> 'deleted_at')::bigint, (fact ->> 'at')::bigint)));
    elsif kind = 'edit' then
        put := weir_sql.put_parts('edits', state -> 'edits', fact -> 'lines');
        state := jsonb_set(state, '{edits}', put.merged);
    elsif kind = 'agreements' then
        is_stale := coalesce((fact ->> 'updated_at')::bigint < (state ->> 'agreements_updated_at')::bigint, false);
        state := state || jsonb_build_object(
            'agreements', weir_sql.more_agreements(state -> 'agreements', fact -> 'agreements'),
            'agreements_updated_at',
            greatest((state ->> 'agreements_updated_at')::bigint, (fact ->> 'updated_at')::bigint));
    elsif kind = 'attribution' then
        is_stale := coalesce(weir_sql.is_newer_attribution(state -> 'attribution', fact -> 'attribution'), false);
        if not is_stale then
            state := jsonb_set(state, '{attribution}', fact -> 'attribution');
        end if;
    elsif kind = 'ledger' then
        state := state - 'old_ledger';
    else
        list := kind || 's';
        put := weir_sql.put_parts(list, state -> list, jsonb_build_array(fact -> 'part'));
        state := jsonb_set(state, array[list], put.merged);
        is_stale := put.newer = '{}';
        if not is_stale and kind <> 'fulfillment' then
            raws := raws || weir_sql.raw_place(list, fact, fact -> 'part', at, null);
        end if;
    end if;
    -- A version that only was told later says nothing new, and must not look like a change.
    is_same := state = before or jsonb_typeof(before -> 'header') = jsonb_typeof(state -> 'header')
        and weir_sql.without_versions(state) = weir_sql.without_versions(before);
    is_stale := case when is_same then is_stale or state ->> 'deleted_at' is not null else before ->> 'deleted_at' is not null end;
    -- Save that an old ledger is written anew with the order.
    if is_same and (state = before or not before ? 'old_ledger') then
        return row(state, case when is_stale then 'stale' else 'unchanged' end, raw_from, raws)::weir_sql.order_step;
    elsif before ? 'old_ledger' then
        state := state - 'old_ledger';
    end if;
    -- A deletion may be all that is known of the order, in a database that was restored or made anew, and is later than any
    -- body of it. What was told before the shop was registered anew (`since`) counted changes that nobody knows any more.
    state := jsonb_set(state, '{revision}', to_jsonb(greatest(
        (before ->> 'revision')::bigint + 1, (state -> 'header' ->> 'updated_at')::bigint, (state ->> 'deleted_at')::bigint,
        (fact ->> 'since')::bigint)));
    return row(state, case when is_stale then 'stale' else 'changed' end, raw_from, raws)::weir_sql.order_step;
end
$$;

-- Whether a known attribution, null where there is none, is newer than another.
create function weir_sql.is_newer_attribution(known jsonb, other jsonb) returns boolean
language sql immutable parallel safe
return ((known ->> 'occurred_at')::bigint, (known ->> 'event_id') collate "C",
        coalesce((known -> 'referred_by' ->> 'publisher_id') collate "C", ''),
        coalesce((known -> 'referred_by' ->> 'program_id') collate "C", ''))
    > ((other ->> 'occurred_at')::bigint, (other ->> 'event_id') collate "C",
        coalesce((other -> 'referred_by' ->> 'publisher_id') collate "C", ''),
        coalesce((other -> 'referred_by' ->> 'program_id') collate "C", ''));

-- Where the raw body of a part is: at a delivery, as its whole body or as its refund `n`. Bulk operations tell none.
create function weir_sql.raw_place(list text, fact jsonb, part jsonb, at integer, n integer) returns jsonb
language sql stable parallel safe
return jsonb_build_object(array_to_string(weir_sql.part_id(list, part), '/') || list,
    case when not fact ? 'is_bulk' then jsonb_build_object('at', at, 'n', n) end);

-- The order after each of its facts, over (partition by order order by position).
create aggregate weir_sql.order_after(known jsonb, fact jsonb, at integer) (
    sfunc = weir_sql.apply_to_order, stype = weir_sql.order_step, initcond = '(,,,)'
);

-- On sale, by a link alone if it is unlisted, and not deleted; null when the status is unknown.
create function weir_sql.is_active(product jsonb) returns boolean language sql immutable parallel safe
return case when product ->> 'deleted_at' is not null then false else product ->> 'status' in ('active', 'unlisted') end;

-- The variants of the newer of two versions of a product. Those that it only names are taken from the older one, if that has them
-- newer; `version` is the older one's.
create function weir_sql.named_variants(variants jsonb, older jsonb, version bigint[]) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    -- So it is with almost every product.
    if not variants @? '$[*] ? (@.told_updated_at != null)' then
        return variants;
    end if;
    return (
        select jsonb_agg(case when known.told > array[(variant ->> 'told_updated_at')::bigint, (variant ->> 'told_triggered_at')::bigint]
            then known.other || jsonb_build_object('told_updated_at', known.told[1], 'told_triggered_at', known.told[2])
            else variant end order by n)
        from jsonb_array_elements(variants) with ordinality as each (variant, n)
        left join (
            select other -> 'variant_id' as id, other, case when other ->> 'told_updated_at' is null then version
                else array[(other ->> 'told_updated_at')::bigint, (other ->> 'told_triggered_at')::bigint] end as told
            from jsonb_array_elements(older) as other
        ) as known on variant ->> 'told_updated_at' is not null and known.id = variant -> 'variant_id'
    );
end
$$;

-- The newer of two versions of a product; a deletion stays, whatever comes after it.
create function weir_sql.apply_to_product(step weir_sql.product_step, known jsonb, new jsonb, at integer)
returns weir_sql.product_step language plpgsql immutable as $$
declare
    before jsonb := coalesce(step.state, known);
    state jsonb := new;
    older jsonb := before;
    raw_from integer := at;
begin
    if before is null then
        return row(new, at)::weir_sql.product_step;
    end if;
    -- A version of which only the deletion is known is older than any other.
    if (coalesce((new ->> 'updated_at')::bigint, -9223372036854775808),
        coalesce((new ->> 'triggered_at')::bigint, -9223372036854775808))
        < (coalesce((before ->> 'updated_at')::bigint, -9223372036854775808),
        coalesce((before ->> 'triggered_at')::bigint, -9223372036854775808))
    then
        state := before;
        older := new;
        raw_from := step.raw_from;
    end if;
    return row(state || jsonb_build_object('deleted_at', least((before ->> 'deleted_at')::bigint, (new ->> 'deleted_at')::bigint),
        'variants', weir_sql.named_variants(state -> 'variants', older -> 'variants',
            array[(older ->> 'updated_at')::bigint, (older ->> 'triggered_at')::bigint])),
        raw_from)::weir_sql.product_step;
end
$$;

create aggregate weir_sql.product_after(known jsonb, fact jsonb, at integer) (
    sfunc = weir_sql.apply_to_product, stype = weir_sql.product_step, initcond = '(,)'
);

-- What a product delivery says, as a version of the product.
create function weir_sql.product_version(fact jsonb) returns jsonb language sql stable parallel safe
return case fact ->> 'kind'
    when 'product' then fact -> 'product'
    when 'product_deleted' then jsonb_build_object('product_id', fact -> 'product_id', 'title', null, 'vendor', null,
        'product_type', null, 'status', null, 'created_at', null, 'published_at', null, 'updated_at', null,
        'triggered_at', null, 'deleted_at', fact -> 'at', 'variants', '[]'::jsonb)
end;
