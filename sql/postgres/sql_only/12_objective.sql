-- Objective specifications: validated where they are written; revisions, turns and the change log are kept by the
-- triggers of the table. Guarantees the rules of domain::objective: the first field that is wrong is named.

create function weir_sql.refuse_objective(problem text) returns void language plpgsql as $$
begin
    raise exception 'the objective specification is refused' using errcode = 'invalid_parameter_value', detail = problem,
        hint = 'Thresholds are whole numbers of units or minor units, from 0; null disables a rule.';
end
$$;

-- JSON as domain::objective writes it into a problem: without blanks, names sorted. A number is written as it was given.
create function weir_sql.compact(value jsonb) returns text language plpgsql immutable parallel safe as $$
begin
    return case jsonb_typeof(value)
        when 'object' then (
            select '{' || coalesce(string_agg(format('%s:%s', to_json(key), weir_sql.compact(member)), ',' order by key collate "C"), '')
                || '}'
            from jsonb_each(value) as each (key, member)
        )
        when 'array' then coalesce(weir_sql.digits(value), (
            select '[' || coalesce(string_agg(weir_sql.compact(item), ',' order by n), '') || ']'
            from jsonb_array_elements(value) with ordinality as each (item, n)
        ))
        else value::text
    end;
end
$$;

create function weir_sql.objective_fields(specification json) returns jsonb language plpgsql as $$
declare
    fields jsonb;
begin
    begin
        fields := (weir_sql.read_json(specification::text)).document;
    exception when sqlstate 'WR001' then
        perform weir_sql.refuse_objective('It is not JSON that PostgreSQL can store.');
    end;
    if jsonb_typeof(fields) <> 'object' then
        perform weir_sql.refuse_objective('It is not a JSON object.');
    end if;
    return fields;
end
$$;

create function weir_sql.objective_text(fields jsonb, field text, is_required boolean) returns text
language plpgsql as $$
declare
    value jsonb := nullif(fields -> field, 'null');
begin
    if value is null and is_required then
        perform weir_sql.refuse_objective(field || ': is missing');
    elsif value is not null and (jsonb_typeof(value) <> 'string' or value = '""') then
        perform weir_sql.refuse_objective(field || ': must be a non-empty text, not ' || weir_sql.compact(value));
    end if;
    return value #>> '{}';
end
$$;

create function weir_sql.objective_count(fields jsonb, field text, least_count bigint) returns bigint
language plpgsql as $$
declare
    value jsonb := nullif(fields -> field, 'null');
begin
    if value is null then
        return null;
    end if;
    if jsonb_typeof(value) = 'number' and weir_sql.is_int(value #>> '{}') then
        if (value #>> '{}')::bigint >= least_count then
            return (value #>> '{}')::bigint;
        end if;
    end if;
    perform weir_sql.refuse_objective(field || ': must be a whole number of at least ' || least_count || ', not '
        || weir_sql.compact(value));
end
$$;

create function weir_sql.objective_choice(fields jsonb, field text, choices text[]) returns text
language plpgsql as $$
declare
    value text := coalesce(weir_sql.objective_text(fields, field, false), choices[1]);
begin
    if value <> all (choices) then
        perform weir_sql.refuse_objective(
            field || ': ' || to_json(value) || ' is none of ' || array_to_string(choices, ', '));
    end if;
    return value;
end
$$;

-- What interactions weigh, in thousandths of the measure's unit; absent kinds weigh nothing (domain::engagement).
create function weir_sql.objective_weights(fields jsonb) returns jsonb language plpgsql as $$
declare
    kinds constant text[] := array['views', 'clicks', 'conversions', 'impressions'];
    given jsonb := nullif(fields -> 'engagement_weights', 'null');
    weights jsonb := '{}';
    kind text;
    weight jsonb;
begin
    if given is null then
        return null;
    elsif jsonb_typeof(given) <> 'object' then
        perform weir_sql.refuse_objective('engagement_weights: must be an object, not ' || weir_sql.compact(given));
    end if;
    select min(key collate "C") into kind from jsonb_object_keys(given) as key where key <> all (kinds);
    if kind is not null then
        perform weir_sql.refuse_objective('engagement_weights.' || kind || ': is no kind of interaction; known are '
            || array_to_string(kinds, ', '));
    end if;
    foreach kind in array kinds loop
        weight := coalesce(nullif(given -> kind, 'null'), '0');
        if jsonb_typeof(weight) <> 'number' or not weir_sql.is_int(weight #>> '{}')
            or (weight #>> '{}')::numeric not between 0 and 1000000000
        then
            perform weir_sql.refuse_objective('engagement_weights.' || kind
                || ': must be a whole number of thousandths from 0 to 1000000000, not '
                || weir_sql.compact(weight));
        end if;
        weights := weights || jsonb_build_object(kind, weight);
    end loop;
    return weights;
end
$$;

create function weir_sql.objective_precedence(fields jsonb) returns jsonb language plpgsql as $$
declare
    labels jsonb := nullif(fields -> 'precedence', 'null');
begin
    if labels is not null and jsonb_typeof(labels) <> 'array' then
        perform weir_sql.refuse_objective('precedence: must be a list of labels, not ' || weir_sql.compact(labels));
    end if;
    for n in 0 .. coalesce(jsonb_array_length(labels), 0) - 1 loop
        if labels -> n not in ('"top_riser"', '"winner"', '"banana"', '"archive_candidate"') then
            perform weir_sql.refuse_objective('precedence: ' || weir_sql.compact(labels -> n) || ' is not a label with a rule');
        end if;
        for earlier in 0 .. n - 1 loop
            if labels -> n = labels -> earlier then
                perform weir_sql.refuse_objective('precedence: names ' || (labels -> n)::text || ' twice');
            end if;
        end loop;
    end loop;
    return labels;
end
$$;

-- What the trigger on configuration.macrodata_artifact asks: the specification as it is stored, or an error.
create or replace function weir.prepare_objective(artifact_id text, revision bigint, body json) returns json
language plpgsql strict volatile parallel unsafe as $$
declare
    known text[] := array['objective_spec_id', 'shop_domain', 'product_type', 'revision', 'measure', 'threshold_7d',
        'threshold_14d', 'threshold_30d', 'banana_count', 'stale_after_days', 'banana_pool', 'engagement_weights',
        'precedence', 'valid_from'];
    fields jsonb := jsonb_build_object('objective_spec_id', artifact_id) || weir_sql.objective_fields(body)
        || jsonb_build_object('revision', revision);
    strange text;
    valid_from bigint;
    specification json;
begin
    if fields -> 'objective_spec_id' <> to_jsonb(artifact_id) then
        perform weir_sql.refuse_objective('objective_spec_id: differs from the artifact_id');
    end if;
    if jsonb_typeof(coalesce(fields -> 'valid_from', 'null')) = 'null' then
        fields := fields || jsonb_build_object('valid_from',
            weir_sql.wire_time((extract(epoch from now()) * 1000000)::bigint));
    end if;
    select min(key collate "C") into strange from jsonb_object_keys(fields) as key where key <> all (known);
    if strange is not null then
        perform weir_sql.refuse_objective(strange || ': is not a field; known are ' || array_to_string(known, ', '));
    end if;
    specification := json_build_object(
        'objective_spec_id', weir_sql.objective_text(fields, 'objective_spec_id', true),
        'shop_domain', weir_sql.objective_text(fields, 'shop_domain', true),
        'product_type', weir_sql.objective_text(fields, 'product_type', false),
        'revision', weir_sql.objective_count(fields, 'revision', 0),
        'measure', weir_sql.objective_choice(fields, 'measure', array['net_units', 'net_sales', 'gross_sales']),
        'threshold_7d', weir_sql.objective_count(fields, 'threshold_7d', 0),
        'threshold_14d', weir_sql.objective_count(fields, 'threshold_14d', 0),
        'threshold_30d', weir_sql.objective_count(fields, 'threshold_30d', 0),
        'banana_count', weir_sql.objective_count(fields, 'banana_count', 0),
        'stale_after_days', weir_sql.objective_count(fields, 'stale_after_days', 1),
        'banana_pool', weir_sql.objective_choice(fields, 'banana_pool', array['all', 'unclassified']),
        'engagement_weights', weir_sql.objective_weights(fields),
        'precedence', weir_sql.objective_precedence(fields),
        'valid_from', weir_sql.objective_text(fields, 'valid_from', true));
    valid_from := weir_sql.instant(fields ->> 'valid_from');
    if valid_from is null then
        perform weir_sql.refuse_objective(
            'valid_from: ' || to_json(fields ->> 'valid_from') || ' is not an RFC 3339 instant');
    end if;
    return (specification::jsonb || jsonb_build_object('valid_from', weir_sql.wire_time(valid_from)))::json;
end
$$;

create or replace function weir.publish_objective(specification json) returns json
language plpgsql strict volatile parallel unsafe as $$
declare
    id jsonb := coalesce(weir_sql.objective_fields(specification) -> 'objective_spec_id', '"default"');
begin
    if jsonb_typeof(id) <> 'string' then
        perform weir_sql.refuse_objective('objective_spec_id: must be text');
    end if;
    return weir_sql.objective_publish(id #>> '{}', specification::text)::json;
end
$$;

create or replace function weir.objective_snapshot() returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.objective_snapshot()::json;
end
$$;

create or replace function weir.objective_changes(after bigint) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.objective_changes(after)::json;
end
$$;
