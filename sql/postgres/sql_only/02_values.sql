-- Reading single values of a JSON object. Guarantees: numbers are read from their digits, never through a float; what is
-- not of its type raises WR001 with a reason of domain::shopify::Reason as message and `path: what was expected` as
-- detail, never a value. `path` is the prefix of the object's members, such as `line_items[0].`.
-- A body of three lines asks these some two hundred times. So what is written as it almost always is, is read by one SQL
-- expression, which plpgsql evaluates in its place; the functions `any_..._of` behind them take whatever else there may be. They
-- are stable, not immutable, so that no fault with a constant path is raised when an expression is planned.

create function weir_sql.refuse(reason text, path text, expected text) returns void
language plpgsql immutable parallel safe as $$
begin
    raise exception using errcode = 'WR001', message = reason,
        detail = case path when '' then expected else path || ': ' || expected end;
end
$$;

-- The digits of a number or text; a number with an exponent is kept by weir_sql.exact_json as a marked list.
create function weir_sql.digits(value jsonb) returns text language sql immutable parallel safe
return case jsonb_typeof(value)
    when 'string' then value #>> '{}' when 'number' then value #>> '{}'
    when 'array' then case when value -> 0 = '{"weir": "number"}' then value ->> 1 end
end;

-- Says that a member is not what it has to be; the result only gives the expression its type.
create function weir_sql.mismatch(path text, name text, expected text) returns text
language plpgsql stable parallel safe as $$
begin
    raise exception using errcode = 'WR001', message = 'type_mismatch', detail = path || name || ': expected ' || expected;
end
$$;

create function weir_sql.text_of(node jsonb, name text, path text) returns text language sql stable parallel safe
return case coalesce(jsonb_typeof(node -> name), 'null')
    when 'string' then node ->> name when 'null' then null
    else weir_sql.mismatch(path, name, 'text') end;

create function weir_sql.bool_of(node jsonb, name text, path text) returns boolean language sql stable parallel safe
return case coalesce(jsonb_typeof(node -> name), 'null')
    when 'boolean' then (node -> name)::boolean when 'null' then false
    else weir_sql.mismatch(path, name, 'true or false')::boolean end;

-- Whether a text is a 64-bit integer; a sign and leading zeros may be there.
create function weir_sql.is_int(value text) returns boolean language plpgsql immutable parallel safe as $$
begin
    if value is null or value !~ '^[+-]?[0-9]+$' then
        return false;
    end if;
    return length(value) < 19 or value::numeric between -9223372036854775808 and 9223372036854775807;
end
$$;

-- Whether a text is digits alone, from one of them to as many as always fit 64 bits.
create function weir_sql.is_digits(value text) returns boolean language sql immutable parallel safe
return octet_length(value) between 1 and 18 and translate(value, '0123456789', '') = '';

create function weir_sql.any_int_of(node jsonb, name text, path text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    value jsonb := node -> name;
    digits text;
begin
    if value is null or value = 'null' then
        return null;
    end if;
    digits := weir_sql.digits(value);
    if weir_sql.is_int(digits) then
        return digits::bigint;
    end if;
    raise exception using errcode = 'WR001', message = 'type_mismatch',
        detail = path || name || ': expected a 64-bit integer';
end
$$;

create function weir_sql.int_of(node jsonb, name text, path text) returns bigint language sql stable parallel safe
return case when node ->> name is null then null
    when weir_sql.is_digits(node ->> name) then (node ->> name)::bigint
    else weir_sql.any_int_of(node, name, path) end;

create function weir_sql.any_id_of(node jsonb, name text, path text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    id bigint := weir_sql.any_int_of(node, name, path);
begin
    if id is not null then
        return id;
    end if;
    raise exception using errcode = 'WR001',
        message = case when node ? name then 'null_value' else 'missing_field' end,
        detail = path || name || ': an id is required';
end
$$;

create function weir_sql.id_of(node jsonb, name text, path text) returns bigint language sql stable parallel safe
return case when weir_sql.is_digits(node ->> name) then (node ->> name)::bigint
    else weir_sql.any_id_of(node, name, path) end;

create function weir_sql.any_quantity_of(node jsonb, name text, path text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    units bigint := coalesce(weir_sql.any_int_of(node, name, path), 0);
begin
    if units between 0 and 1000000 then
        return units;
    end if;
    raise exception using errcode = 'WR001', message = 'type_mismatch',
        detail = path || name || ': expected a quantity from 0 to 1000000';
end
$$;

create function weir_sql.quantity_of(node jsonb, name text, path text) returns bigint language sql stable parallel safe
return case when weir_sql.is_digits(node ->> name) and octet_length(node ->> name) < 7 then (node ->> name)::bigint
    else weir_sql.any_quantity_of(node, name, path) end;

-- An RFC 3339 time as microseconds since 1970; null when it is none, or outside the years 1900 to 9998. Seconds and the
-- minutes of an offset may be left out.
create function weir_sql.instant(value text) returns bigint language plpgsql stable parallel safe as $$
declare
    micros bigint;
    ahead text[];
begin
    -- As Shopify writes them. A regular expression over so short a text costs more than all else here, so what PostgreSQL
    -- reads is taken where it can only mean the same: it knows the hour 24, the minute and second 60, and years without end.
    if translate(value, '123456789-', '000000000+') in ('0000+00+00T00:00:00+00:00', '0000+00+00T00:00:00Z', '0000+00+00T00:00:00.000Z')
        and value like '____-__-%' and value collate "C" between '1900-01-03' and '9998'
        and strpos(value, 'T24') = 0 and strpos(value, ':60') = 0
    then
        begin
            return (extract(epoch from value::timestamptz) * 1000000)::bigint;
        exception when data_exception then
            null;
        end;
    end if;
    if value !~ '^(1899|19\d\d|[2-9]\d{3})-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))[Tt ]([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)(\.\d{1,9})?)?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)$'
    then
        return null;
    end if;
    if substr(value, 6, 5) = '02-29' then
        if substr(value, 1, 4)::integer % 4 <> 0
            or substr(value, 1, 4)::integer % 100 = 0 and substr(value, 1, 4)::integer % 400 <> 0
        then
            return null;
        end if;
    end if;
    -- PostgreSQL would round what is finer than a microsecond.
    if length(value) > 26 then
        value := regexp_replace(value, '(\.\d{6})\d+', '\1');
    end if;
    -- A leap second is the second before it.
    if substr(value, 17, 3) = ':60' then
        value := overlay(value placing ':59' from 17);
    end if;
    -- PostgreSQL knows no offset of 16 hours or more.
    ahead := regexp_match(value, '([+-])(\d\d):?(\d\d)?$');
    micros := (extract(epoch from (regexp_replace(value, '([Zz]|[+-]\d\d:?(\d\d)?)$', 'Z'))::timestamptz) * 1000000)::bigint;
    if ahead is not null then
        micros := micros - (ahead[1] || '60000000')::bigint * (ahead[2]::bigint * 60 + coalesce(ahead[3], '0')::bigint);
    end if;
    if micros >= -2208988800000000 and micros < 253370764800000000 then
        return micros;
    end if;
    return null;
end
$$;

create function weir_sql.time_of(node jsonb, name text, path text) returns bigint
language plpgsql stable parallel safe as $$
declare
    value text := weir_sql.text_of(node, name, path);
    micros bigint;
begin
    if value is null then
        return null;
    end if;
    micros := weir_sql.instant(value);
    if micros is not null then
        return micros;
    end if;
    raise exception using errcode = 'WR001', message = 'type_mismatch',
        detail = path || name || ': expected an RFC 3339 time from 1900 to 9998';
end
$$;

-- Microseconds since 1970 as what they are.
create function weir_sql.at(micros bigint) returns timestamptz language sql stable strict parallel safe
return to_timestamp(micros / 1000000) + (micros % 1000000) * interval '1 microsecond';

-- A time zone under a name that can only mean it: PostgreSQL takes an abbreviation before the zone of the same name, and it
-- knows CET as one hour ahead of UTC in summer too. These are tzdata's own aliases (file backward, 2024b).
create function weir_sql.zone(name text) returns text language sql immutable parallel safe
return case upper(name collate "C")
    when 'CET' then 'Europe/Brussels' when 'MET' then 'Europe/Brussels' when 'EET' then 'Europe/Athens'
    when 'WET' then 'Europe/Lisbon' when 'EST' then 'America/Panama' when 'MST' then 'America/Phoenix'
    when 'HST' then 'Pacific/Honolulu' else name
end;

-- As on the wire: RFC 3339 UTC with milliseconds.
create function weir_sql.wire_time(micros bigint) returns text language sql stable strict parallel safe
return to_char(weir_sql.at(micros) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- What PostgreSQL reads without loss under every DateStyle.
create function weir_sql.exact_time(micros bigint) returns text language sql stable strict parallel safe
return to_char(weir_sql.at(micros) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

create function weir_sql.currency_of(node jsonb, name text, path text) returns text language sql stable parallel safe
return case when node ->> name is null then null
    when jsonb_typeof(node -> name) <> 'string' then weir_sql.mismatch(path, name, 'text')
    when octet_length(node ->> name) = 3 and translate(node ->> name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = '' then node ->> name
    else weir_sql.mismatch(path, name, 'an ISO 4217 code') end;

-- Decimals of the minor unit. Source: ISO 4217 list one, 2024; the same table as domain::money. Not strict: a strict
-- function of this kind is not inlined, which costs ten times what it does.
create function weir_sql.exponent(currency text) returns integer language sql immutable parallel safe
return case
    when currency in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF',
        'XOF', 'XPF') then 0
    when currency in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
    else 2
end;

-- Whether a shop can have it: the same list as domain::money.
create function weir_sql.is_known_currency(currency text) returns boolean language sql immutable parallel safe
return currency in (
    'AED', 'AFN', 'ALL', 'AMD', 'ANG', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BGN', 'BHD', 'BIF',
    'BMD', 'BND', 'BOB', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BYR', 'BZD', 'CAD', 'CDF', 'CHF', 'CLP', 'CNY', 'COP',
    'CRC', 'CUP', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD', 'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL',
    'GHS', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD', 'HNL', 'HRK', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IQD', 'IRR',
    'ISK', 'JEP', 'JMD', 'JOD', 'JPY', 'KES', 'KGS', 'KHR', 'KID', 'KMF', 'KPW', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK',
    'LBP', 'LKR', 'LRD', 'LSL', 'LTL', 'LVL', 'LYD', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRU', 'MUR',
    'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP',
    'PKR', 'PLN', 'PYG', 'QAR', 'RON', 'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE',
    'SLL', 'SOS', 'SRD', 'SSP', 'STD', 'STN', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TND', 'TOP', 'TRY', 'TTD', 'TWD',
    'TZS', 'UAH', 'UGX', 'USD', 'UYU', 'UZS', 'VED', 'VEF', 'VES', 'VND', 'VUV', 'WST', 'XAF', 'XCD', 'XCG', 'XOF',
    'XPF', 'YER', 'ZAR', 'ZMW', 'ZWG'
);

-- The digits of an amount, given as a number or as text.
create function weir_sql.decimal_of(node jsonb, name text, path text) returns text
language plpgsql immutable parallel safe as $$
declare
    value jsonb := node -> name;
    digits text;
begin
    if value is null or value = 'null' then
        return null;
    end if;
    digits := weir_sql.digits(value);
    if digits is not null then
        return digits;
    end if;
    raise exception using errcode = 'WR001', message = 'type_mismatch',
        detail = path || name || ': expected a decimal amount';
end
$$;

-- A decimal text as minor units of a currency; null when it is none, or has more decimals than the currency, or does not
-- fit 64 bits. Nothing is rounded.
create function weir_sql.minor(digits text, currency text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    decimals integer := weir_sql.exponent(currency);
    value numeric;
begin
    if decimals = 2 then
        if digits !~ '^-?[0-9]+(\.[0-9]{1,2}0*)?$' then
            return null;
        end if;
        value := digits::numeric * 100;
    elsif decimals = 0 then
        if digits !~ '^-?[0-9]+(\.0+)?$' then
            return null;
        end if;
        value := digits::numeric;
    else
        if digits !~ '^-?[0-9]+(\.[0-9]{1,3}0*)?$' then
            return null;
        end if;
        value := digits::numeric * 1000;
    end if;
    if value between -9223372036854775807 and 9223372036854775807 then
        return value::bigint;
    end if;
    return null;
end
$$;

-- An amount as Shopify writes almost every one, of at most 15 digits with both of its decimals; null for any other.
create function weir_sql.plain_minor(digits text, currency text) returns bigint language sql immutable parallel safe
return case when octet_length(digits) between 4 and 16 and translate(digits, '0123456789', '') = '.'
        and strpos(digits, '.') = octet_length(digits) - 2 and weir_sql.exponent(currency) = 2
    then replace(digits, '.', '')::bigint end;

create function weir_sql.any_money_of(node jsonb, name text, path text, currency text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    digits text := weir_sql.decimal_of(node, name, path);
    amount bigint;
begin
    if digits is null then
        return null;
    end if;
    amount := weir_sql.minor(digits, currency);
    if amount is null then
        raise exception using errcode = 'WR001', message = 'type_mismatch',
            detail = path || name || ': expected a decimal amount of the currency';
    elsif amount not between -1000000000000000 and 1000000000000000 then
        raise exception using errcode = 'WR001', message = 'type_mismatch',
            detail = path || name || ': expected an amount below 10^15 minor units';
    end if;
    return amount;
end
$$;

create function weir_sql.money_of(node jsonb, name text, path text, currency text) returns bigint
language sql stable parallel safe
return coalesce(weir_sql.plain_minor(node ->> name, currency), weir_sql.any_money_of(node, name, path, currency));

-- A member that is an object, or null where there is none.
create function weir_sql.object_of(node jsonb, name text, path text) returns jsonb language sql stable parallel safe
return case coalesce(jsonb_typeof(node -> name), 'null')
    when 'object' then node -> name when 'null' then null
    else weir_sql.mismatch(path, name, 'an object')::jsonb end;

-- A member that is a list of objects, or an empty list where there is none.
create function weir_sql.objects_of(node jsonb, name text, path text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    items jsonb := node -> name;
begin
    if items = '[]' or items is null or items = 'null' then
        return '[]';
    end if;
    if jsonb_typeof(items) <> 'array' or items -> 0 = '{"weir": "number"}' then
        raise exception using errcode = 'WR001', message = 'type_mismatch', detail = path || name || ': expected a list';
    end if;
    for index in 0 .. jsonb_array_length(items) - 1 loop
        if jsonb_typeof(items -> index) <> 'object' then
            raise exception using errcode = 'WR001', message = 'type_mismatch',
                detail = path || name || '[' || index || ']: expected an object';
        end if;
    end loop;
    return items;
end
$$;

-- `<name>` and `<name>_set` as {shop, presentment} in minor units. The set wins, since it says both currencies. Without a
-- presentment currency (null) the presentment amount is the shop's where none is given.
create function weir_sql.amount_of(node jsonb, name text, path text, currency text, presentment text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    pair jsonb := node -> (name || '_set');
    inner_path text;
    money jsonb := pair -> 'shop_money';
    shop bigint;
    shown bigint;
begin
    -- So it is with almost every amount; all else is read step by step.
    if money ->> 'currency_code' = currency then
        shop := weir_sql.plain_minor(money ->> 'amount', currency);
        money := pair -> 'presentment_money';
        if shop is not null and money ->> 'currency_code' = presentment then
            shown := weir_sql.plain_minor(money ->> 'amount', presentment);
            if shown is not null then
                return jsonb_build_object('shop', shop, 'presentment', shown);
            end if;
        end if;
        shop := null;
    end if;
    pair := weir_sql.object_of(node, name || '_set', path);
    if pair is not null then
        inner_path := path || name || '_set.';
        money := weir_sql.object_of(pair, 'shop_money', inner_path);
        if money is not null then
            shop := weir_sql.money_of(money, 'amount', inner_path || 'shop_money.',
                coalesce(weir_sql.currency_of(money, 'currency_code', inner_path || 'shop_money.'), currency));
        end if;
        money := weir_sql.object_of(pair, 'presentment_money', inner_path);
        if money is not null then
            shown := weir_sql.money_of(money, 'amount', inner_path || 'presentment_money.', coalesce(
                weir_sql.currency_of(money, 'currency_code', inner_path || 'presentment_money.'), presentment, currency));
        end if;
    end if;
    if shop is null then
        shop := coalesce(weir_sql.money_of(node, name, path, currency), 0);
    end if;
    -- Guessing an exchange rate would falsify the presentment ledger.
    if shown is null and shop <> 0 and presentment <> currency then
        raise exception using errcode = 'WR001', message = 'missing_field',
            detail = path || name || '_set: an order in two currencies needs the amount in both';
    end if;
    return jsonb_build_object('shop', shop, 'presentment', coalesce(shown, shop));
end
$$;

-- The sum of two amounts.
create function weir_sql.plus(a jsonb, b jsonb) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return jsonb_build_object('shop', weir_sql.clamped((a ->> 'shop')::numeric + (b ->> 'shop')::bigint),
        'presentment', weir_sql.clamped((a ->> 'presentment')::numeric + (b ->> 'presentment')::bigint));
end
$$;

-- A sum as 64 bits; larger ones no body that is read can reach, and none may end a batch.
create function weir_sql.clamped(total numeric) returns bigint language sql immutable parallel safe
return least(greatest(total, -9223372036854775808), 9223372036854775807)::bigint;

-- A list without items whose id an earlier item has, sorted by id.
create function weir_sql.by_id(items jsonb, id text) returns jsonb language plpgsql immutable parallel safe as $$
declare
    place integer := 1;
    count integer := jsonb_array_length(items);
    last bigint;
    this bigint;
begin
    -- Mostly they come so.
    if count < 2 then
        return items;
    end if;
    last := (items -> 0 ->> id)::bigint;
    loop
        this := (items -> place ->> id)::bigint;
        exit when this <= last;
        last := this;
        place := place + 1;
        if place = count then
            return items;
        end if;
    end loop;
    return (
        select jsonb_agg(one.item order by one.id) from (
            select distinct on ((item ->> id)::bigint) item, (item ->> id)::bigint as id
            from jsonb_array_elements(items) with ordinality as given (item, n) order by (item ->> id)::bigint, n
        ) as one
    );
end
$$;
