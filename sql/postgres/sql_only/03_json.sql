-- From text to JSON. Guarantees what domain::shopify::json guarantees: exact numbers; U+0000, nesting beyond 64 levels and
-- numbers that jsonb cannot hold are refused with reason and path; personal data is taken out wherever it is.

-- A JSON text in which U+FDD0 and a letter stand for what PostgreSQL refuses or would be taken for it: 0 for an escaped U+0000,
-- s for half a surrogate pair, b for an escaped backslash, m for U+FDD0 itself, which a text may hold. The character is none
-- of Unicode's, but whoever writes a note may write it.
create function weir_sql.without_bad_escapes(source text) returns text language sql immutable parallel safe
return regexp_replace(regexp_replace(replace(regexp_replace(regexp_replace(
        replace(replace(source, U&'\FDD0', U&'\FDD0m'), '\\', U&'\FDD0b'),
        '\\u[fF][dD][dD]0', U&'\FDD0m', 'g'),
        '\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})', U&'\FDD0p\005C1\005C2', 'g'),
        '\u0000', U&'\FDD00'),
    '\\u[dD][89a-fA-F][0-9a-fA-F]{2}', U&'\FDD0s', 'g'),
    U&'\FDD0p(.{4})(.{4})', '\\u\1\\u\2', 'g');

-- A text of such a JSON text, as it was before.
create function weir_sql.with_escapes(marked text) returns text language sql immutable parallel safe
return replace(replace(marked, U&'\FDD0b', '\'), U&'\FDD0m', U&'\FDD0');

-- Raises the first fault of a JSON text, prepared by weir_sql.without_bad_escapes, that jsonb cannot hold, in the sequence
-- of the text.
create function weir_sql.check_json(value json, path text, depth integer) returns void
language plpgsql immutable as $$
declare
    kind text := json_typeof(value);
    part record;
    digits text;
begin
    if depth > 64 then
        perform weir_sql.refuse('parse_failure', '', 'nested too deeply');
    elsif kind = 'object' then
        for part in
            select each.key, each.value, weir_sql.with_escapes(each.key) as name
            from json_each(value) with ordinality as each (key, value, n) order by each.n
        loop
            if strpos(part.key, U&'\FDD0s') > 0 then
                perform weir_sql.refuse('parse_failure', '', 'not JSON');
            elsif strpos(part.key, U&'\FDD00') > 0 then
                perform weir_sql.refuse('invalid_text', path, 'a key holds U+0000');
            end if;
            perform weir_sql.check_json(part.value, case path when '' then part.name else path || '.' || part.name end,
                depth + 1);
        end loop;
    elsif kind = 'array' then
        for part in select each.item, each.n - 1 as n from json_array_elements(value) with ordinality as each (item, n) loop
            perform weir_sql.check_json(part.item, path || '[' || part.n || ']', depth + 1);
        end loop;
    elsif kind = 'string' then
        if strpos(value::text, U&'\FDD0s') > 0 then
            perform weir_sql.refuse('parse_failure', '', 'not JSON');
        elsif strpos(value::text, U&'\FDD00') > 0 then
            perform weir_sql.refuse('invalid_text', path, 'text holds U+0000');
        end if;
    elsif kind = 'number' then
        digits := trim(value::text, E' \t\n\r');
        if weir_sql.is_too_large(digits) then
            perform weir_sql.refuse('type_mismatch', path, 'the number is too large');
        end if;
    end if;
end
$$;

-- JSON as jsonb in which a number with an exponent and a negative zero keep their text, as a marked list: jsonb writes the
-- one out and drops the sign of the other.
create function weir_sql.exact_json(value json) returns jsonb language plpgsql immutable as $$
begin
    return case json_typeof(value)
        when 'object' then (
            select coalesce(jsonb_object_agg(key, weir_sql.exact_json(each.value)), '{}')
            from json_each(value) as each (key, value)
        )
        when 'array' then (
            select coalesce(jsonb_agg(weir_sql.exact_json(item) order by n), '[]')
            from json_array_elements(value) with ordinality as each (item, n)
        )
        when 'number' then case when value::text ~ '[eE]|^\s*-0(\.0+)?\s*$'
            then jsonb_build_array('{"weir": "number"}'::jsonb, trim(value::text, E' \t\n\r')) else value::jsonb end
        else value::jsonb
    end;
end
$$;

-- The number of a JSON text is refused where jsonb could not hold it.
create function weir_sql.is_too_large(digits text) returns boolean language sql immutable parallel safe
return length(digits) > 100 or coalesce(substring(digits from '[eE][+-]?([0-9]+)$')::numeric > 300, false);

-- Raises the first fault of a text, prepared by weir_sql.without_bad_escapes, that is no JSON: what jsonb cannot hold may
-- stand before the place where it ceases to be JSON.
create function weir_sql.first_fault(source text) returns void language plpgsql immutable as $$
declare
    token text;
    -- Per open bracket: the name of the member or the index of the item that is read, null where a name is awaited.
    steps text[] := '{}';
    kinds text[] := '{}';
    path text;
begin
    for token in
        select found.token[1]
        from regexp_matches(source, '"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+|"', 'g') with ordinality as found (token, n)
        order by found.n
    loop
        path := (
            select string_agg(case when kind = '[' then '[' || step || ']' when n = 1 then step else '.' || step end, ''
                order by n)
            from unnest(kinds, steps) with ordinality as open (kind, step, n) where step is not null
        );
        if token in ('[', '{') then
            if cardinality(kinds) > 64 then
                perform weir_sql.refuse('parse_failure', '', 'nested too deeply');
            end if;
            kinds := kinds || token;
            steps := steps || case token when '[' then '0' end;
        elsif cardinality(kinds) = 0 then
            exit;
        elsif token in (']', '}') then
            kinds := trim_array(kinds, 1);
            steps := trim_array(steps, 1);
        elsif token = ',' then
            steps[cardinality(steps)] := case kinds[cardinality(kinds)]
                when '[' then (steps[cardinality(steps)]::integer + 1)::text end;
        elsif token <> ':' then
            exit when strpos(token, U&'\FDD0s') > 0 or token = '"';
            if strpos(token, U&'\FDD00') > 0 then
                perform weir_sql.refuse('invalid_text', coalesce(path, ''), case
                    when steps[cardinality(steps)] is null then 'a key holds U+0000' else 'text holds U+0000' end);
            elsif steps[cardinality(steps)] is null then
                steps[cardinality(steps)] := weir_sql.with_escapes(token::json #>> '{}');
            elsif left(token, 1) <> '"' then
                exit when token !~ '^(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null)$';
                if weir_sql.is_too_large(token) then
                    perform weir_sql.refuse('type_mismatch', coalesce(path, ''), 'the number is too large');
                end if;
            end if;
        end if;
    end loop;
    perform weir_sql.refuse('parse_failure', '', 'not JSON');
exception when data_exception then
    perform weir_sql.refuse('parse_failure', '', 'not JSON');
end
$$;

-- A text as JSON: as the body is read, and as it is stored; raises WR001. The second branch is for what jsonb refuses or
-- would write differently.
create function weir_sql.read_json(source text, out document jsonb, out raw jsonb) language plpgsql immutable as $$
declare
    value json;
begin
    begin
        raw := source::jsonb;
        if source !~ '[0-9][eE][-+]?[0-9]+([],}\s]|$)|-0(\.0+)?([],}\s]|$)|[0-9.]{99}'
            and not jsonb_path_exists(raw, '$.**{65}')
        then
            document := raw;
            return;
        end if;
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        null;
    end;
    begin
        value := weir_sql.without_bad_escapes(source)::json;
    exception
        when data_exception or statement_too_complex or program_limit_exceeded then
            perform weir_sql.first_fault(weir_sql.without_bad_escapes(source));
    end;
    perform weir_sql.check_json(value, '', 0);
    document := weir_sql.exact_json(source::json);
end
$$;

-- Members that hold personal data or a credential, wherever they occur; the same list as domain::shopify::json.
create function weir_sql.personal() returns text[] language sql immutable parallel safe
return array['customer', 'billing_address', 'shipping_address', 'default_address', 'addresses', 'destination',
    'origin_address', 'email', 'phone', 'contact_email', 'browser_ip', 'client_details', 'note', 'note_attributes',
    'customAttributes', 'customer_note', 'return_reason_note', 'order_status_url', 'token', 'cart_token', 'checkout_token', 'checkout_id', 'payment_details', 'receipt',
    'authorization', 'landing_site', 'referring_site', 'staff_note', 'properties',
    'tracking_urls', 'tracking_url', 'tracking_numbers', 'tracking_number'];

-- Whether one of them is a key in jsonb's own text; inside a string the quotes would be escaped.
create function weir_sql.names_personal(written text) returns boolean language sql immutable parallel safe
return written ~ '"(customer|billing_address|shipping_address|default_address|addresses|destination|origin_address|email|phone|contact_email|browser_ip|client_details|note|note_attributes|customAttributes|customer_note|return_reason_note|order_status_url|token|cart_token|checkout_token|checkout_id|payment_details|receipt|authorization|landing_site|referring_site|staff_note|properties|tracking_urls|tracking_url|tracking_numbers|tracking_number)": ';

-- Takes them out at every level, value by value.
create function weir_sql.impersonal_deep(value jsonb) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return case jsonb_typeof(value)
        when 'object' then (
            select coalesce(jsonb_object_agg(key, case when jsonb_typeof(member) in ('object', 'array')
                then weir_sql.impersonal_deep(member) else member end), '{}')
            from jsonb_each(value - weir_sql.personal()) as each (key, member)
        )
        when 'array' then (
            select coalesce(jsonb_agg(case when jsonb_typeof(item) in ('object', 'array')
                then weir_sql.impersonal_deep(item) else item end order by n), '[]')
            from jsonb_array_elements(value) with ordinality as each (item, n)
        )
        else value
    end;
end
$$;

-- A body without personal data on top and in its lines, where mostly all of it lies.
create function weir_sql.impersonal_above(document jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    rest jsonb := document - weir_sql.personal();
    items jsonb := rest -> 'line_items';
    cleaned jsonb[] := '{}';
begin
    if jsonb_typeof(items) is distinct from 'array' then
        return rest;
    end if;
    for n in 0 .. jsonb_array_length(items) - 1 loop
        cleaned[n + 1] := case jsonb_typeof(items -> n) when 'object' then (items -> n) - weir_sql.personal()
            else items -> n end;
    end loop;
    return jsonb_set(rest, '{line_items}', to_jsonb(cleaned));
end
$$;

-- A body without personal data. Only if any is left below is every value looked at.
create function weir_sql.impersonal(document jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    rest jsonb := weir_sql.impersonal_above(document);
begin
    return case when weir_sql.names_personal(rest::text) then weir_sql.impersonal_deep(rest) else rest end;
end
$$;

-- The same of many bodies, null where there is none. A regular expression is made ready anew for each text that it is asked
-- of, which takes as long as to search a body: so a quarter of a megabyte of them is searched at once.
create function weir_sql.impersonal_all(documents jsonb[]) returns jsonb[] language plpgsql immutable parallel safe as $$
declare
    cleaned jsonb[] := documents;
    texts text[] := '{}';
    first integer := 1;
    bytes integer := 0;
begin
    for n in 1 .. cardinality(documents) loop
        if documents[n] is not null then
            cleaned[n] := weir_sql.impersonal_above(documents[n]);
            texts[n - first + 1] := cleaned[n]::text;
            bytes := bytes + octet_length(texts[n - first + 1]);
        end if;
        if bytes > 262144 or n = cardinality(documents) then
            if weir_sql.names_personal(array_to_string(texts, ' ')) then
                for place in first .. n loop
                    if weir_sql.names_personal(texts[place - first + 1]) then
                        cleaned[place] := weir_sql.impersonal_deep(cleaned[place]);
                    end if;
                end loop;
            end if;
            texts := '{}';
            bytes := 0;
            first := n + 1;
        end if;
    end loop;
    return cleaned;
end
$$;
