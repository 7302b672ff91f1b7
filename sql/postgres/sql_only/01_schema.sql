-- weir without a custom extension: the functions of the extension `weir` as SQL, for managed PostgreSQL 15 or newer.
-- Guarantees: run in one transaction, again as often as wanted; tables and their data are not touched; refuses to stand
-- beside the extension; says what is missing. Schema weir holds the API, schema weir_sql what it is made of.
-- `:'name'` stands for the text of a file of sql/postgres, quoted: psql and `weir db install --sql-only` both fill it in.
do $$
begin
    if exists (select from pg_catalog.pg_extension where extname = 'weir') then
        raise exception 'the extension weir is installed in this database'
            using errcode = 'object_not_in_prerequisite_state',
            detail = 'The extension and the SQL-only functions have the same names.',
            hint = 'Use the extension, or run "drop extension weir" first; tables and their data stay.';
    end if;
    if pg_catalog.current_setting('server_version_num')::integer < 150000 then
        raise exception 'PostgreSQL 15 or newer is needed' using errcode = 'feature_not_supported',
            detail = 'This server is ' || pg_catalog.current_setting('server_version') || '.',
            hint = 'Upgrade the server.';
    end if;
    if pg_catalog.getdatabaseencoding() <> 'UTF8' then
        raise exception 'the database is not encoded in UTF-8' using errcode = 'feature_not_supported',
            detail = 'Its encoding is ' || pg_catalog.getdatabaseencoding() || '.',
            hint = 'Create a database with encoding UTF8.';
    end if;
    -- Event ids are UUIDs of version 5 (SHA-1) and customer keys are HMACs: PostgreSQL has neither by itself. A server that
    -- has no pgcrypto reckons them in plpgsql (below), 0.13 ms for each event.
    if not exists (select from pg_catalog.pg_extension where extname = 'pgcrypto')
        and exists (select from pg_catalog.pg_available_extensions where name = 'pgcrypto')
    then
        begin
            create extension pgcrypto;
        exception when insufficient_privilege then
            raise exception 'pgcrypto is not created in this database' using errcode = 'insufficient_privilege',
                detail = 'This login may not create extensions here.',
                hint = 'Let the owner of the database run "create extension pgcrypto", then install weir again.';
        end;
    end if;
end
$$;

-- Where migrations are missing, this waits for what is under way before it takes anything of its own away: whoever has read the tables
-- may call a function next, would wait for what is dropped here, and be waited for by the migrations.
select pg_catalog.set_config('weir.before_migrations', :'before_migrations', true);
do $$
declare
    -- Those of 18_migrate.sql, which a test compares.
    versions constant integer[] := array[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25];
    is_missing boolean := false;
begin
    if pg_catalog.to_regclass('configuration.schema_migration') is not null then
        execute 'select exists (
            select from pg_catalog.unnest($1) as wanted (version)
            where wanted.version not in (select known.version from configuration.schema_migration as known)
        )' into is_missing using versions;
    end if;
    if is_missing then
        execute pg_catalog.current_setting('weir.before_migrations');
    end if;
end
$$;

-- The tables that functions name are made after them, by weir.migrate().
set local check_function_bodies = off;

create schema if not exists weir;
drop schema if exists weir_sql cascade;
create schema weir_sql;

-- Raises unless each statement of the transaction sees what others have committed: batches and redactions wait for each other,
-- and whoever went on with what it saw before would bring the person back.
create function weir_sql.require_read_committed() returns void language plpgsql as $$
begin
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'the transaction is not read committed' using errcode = 'object_not_in_prerequisite_state',
            detail = 'It would not see what was forgotten while it waited.',
            hint = 'Call it under read committed: alter role ... set default_transaction_isolation to ''read committed''.';
    end if;
end
$$;

-- SHA-1 of FIPS 180-4, where pgcrypto is not to be had.
create function weir_sql.reckoned_sha1(data bytea) returns bytea language plpgsql immutable strict parallel safe as $$
declare
    -- Padded to blocks of 64 bytes: a one, zeros, the length in bits.
    message bytea := data || '\x80'::bytea || decode(repeat('00', (119 - length(data) % 64) % 64), 'hex')
        || int8send(length(data)::bigint * 8);
    h bigint[] := array[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    w bigint[];
    a bigint;
    b bigint;
    c bigint;
    d bigint;
    e bigint;
    x bigint;
begin
    for block in 0 .. length(message) / 64 - 1 loop
        for t in 0 .. 15 loop
            w[t] := ('x' || encode(substr(message, block * 64 + t * 4 + 1, 4), 'hex'))::bit(32)::bigint;
        end loop;
        for t in 16 .. 79 loop
            x := ((w[t - 3] # w[t - 8]) # w[t - 14]) # w[t - 16];
            w[t] := ((x << 1) & 4294967295) | (x >> 31);
        end loop;
        a := h[1];
        b := h[2];
        c := h[3];
        d := h[4];
        e := h[5];
        for t in 0 .. 79 loop
            x := (((a << 5) & 4294967295) | (a >> 27)) + e + w[t] + case
                when t < 20 then ((b & c) | ((~b) & d & 4294967295)) + 1518500249
                when t < 40 then ((b # c) # d) + 1859775393
                when t < 60 then ((b & c) | (b & d) | (c & d)) + 2400959708
                else ((b # c) # d) + 3395469782 end;
            e := d;
            d := c;
            c := ((b << 30) & 4294967295) | (b >> 2);
            b := a;
            a := x & 4294967295;
        end loop;
        h := array[(h[1] + a) & 4294967295, (h[2] + b) & 4294967295, (h[3] + c) & 4294967295, (h[4] + d) & 4294967295,
            (h[5] + e) & 4294967295];
    end loop;
    return substr(int8send(h[1]), 5) || substr(int8send(h[2]), 5) || substr(int8send(h[3]), 5) || substr(int8send(h[4]), 5)
        || substr(int8send(h[5]), 5);
end
$$;

-- HMAC of RFC 2104 over SHA-256, which PostgreSQL has.
create function weir_sql.reckoned_hmac_sha256(data bytea, key bytea) returns bytea
language plpgsql immutable strict parallel safe as $$
declare
    padded bytea := case when length(key) > 64 then sha256(key) else key end;
    inside bytea;
    outside bytea;
begin
    padded := padded || decode(repeat('00', 64 - length(padded)), 'hex');
    inside := padded;
    outside := padded;
    for n in 0 .. 63 loop
        inside := set_byte(inside, n, get_byte(padded, n) # 54);
        outside := set_byte(outside, n, get_byte(padded, n) # 92);
    end loop;
    return sha256(outside || sha256(inside || data));
end
$$;

-- pgcrypto may lie in any schema; found once, when installing.
do $$
declare
    place text := (select n.nspname from pg_catalog.pg_extension as e
        join pg_catalog.pg_namespace as n on n.oid = e.extnamespace where e.extname = 'pgcrypto');
begin
    execute 'create function weir_sql.sha1(data bytea) returns bytea language sql immutable strict parallel safe return '
        || coalesce(pg_catalog.quote_ident(place) || '.digest(data, ''sha1'')', 'weir_sql.reckoned_sha1(data)');
    execute 'create function weir_sql.hmac_sha256(data bytea, key bytea) returns bytea language sql immutable strict
            parallel safe return '
        || coalesce(pg_catalog.quote_ident(place) || '.hmac(data, key, ''sha256'')', 'weir_sql.reckoned_hmac_sha256(data, key)');
end
$$;

-- A delivery on its way through a call; `verdict` is null while undecided, `raw` is its body.
create type weir_sql.delivery as (
    position integer, webhook_id text, topic text, shop_domain text, triggered_at bigint, received_at bigint, source text,
    shop_id bigint, zone text, currency text, verdict text, reason text, detail text, fact jsonb, raw jsonb
);

-- A registered shop.
create type weir_sql.known_shop as (shop_id bigint, shop_domain text, zone text, currency text);

-- A global id, such as gid://shopify/Order/1.
create type weir_sql.gid as (resource text, id bigint);

-- What became of a delivery: the verdict and the events it caused (as domain::events::EventKey).
create type weir_sql.fate as (position integer, verdict text, keys jsonb);

-- An order after a delivery: all that is known (as domain::order_state::OrderState), what the delivery did to it, the
-- position of the delivery whose body is kept as raw, and where the raw bodies of its parts are (weir_sql.part_raw).
create type weir_sql.order_step as (state jsonb, applied text, raw_from integer, raws jsonb);

-- A product after a delivery.
create type weir_sql.product_step as (state jsonb, raw_from integer);

-- An order or product before and after one delivery or one call, with the order's ledgers.
create type weir_sql.change as (
    position integer, shop_id bigint, id bigint, zone text, received_at bigint, before jsonb, after jsonb, applied text, raw_from integer,
    raws jsonb, ledger_before jsonb, ledger_after jsonb
);

-- Defines a function around the text of a statement that the extension runs too: its parameters are positional.
create function weir_sql.define(name text, arguments text, result text, body text) returns void
language plpgsql as $$
begin
    -- plpgsql keeps the plans of a session, which cost more than a small batch does. A function in language sql that is not
    -- inlined reads and plans its text in every transaction anew.
    execute format('create function weir_sql.%I(%s) returns %s language plpgsql as %L', name, arguments, result,
        case when result = 'void' then E'begin\n' || body || E'\n;\nend'
            when result like 'table %' or result like 'setof %'
            then E'#variable_conflict use_column\nbegin\nreturn query\n' || body || E'\n;\nend'
            else E'#variable_conflict use_column\ndeclare\nsaid ' || result || E';\nbegin\n' || body
                || E'\ninto said;\nreturn said;\nend' end);
end
$$;
