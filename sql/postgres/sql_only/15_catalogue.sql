-- weir.publish_catalogue and weir.publication_catalogue. Guarantees what the extension's do: a change that cannot be used is
-- refused as a whole with the place of its first fault (domain::publication::CatalogueChange), the revision rises only if
-- something changed.

create function weir_sql.refuse_catalogue(detail text) returns void language plpgsql as $$
begin
    raise exception 'the catalogue is refused' using errcode = 'invalid_parameter_value', detail = detail,
        hint = 'Give {"shop_domain": "demo.myshopify.com", "publishers": {"p1": {"name": "..."}}, "items": {"i1": {"publisher_id": "p1", "title": "..."}}, "programs": {}, "links": {"code": {"url": "https://...", "publisher_id": "p1"}}}; null takes an entry out.';
end
$$;

-- Raises WR001 unless a value is an object without other fields than those.
create function weir_sql.check_record(value jsonb, path text, fields text[]) returns void language plpgsql immutable as $$
begin
    if jsonb_typeof(value) <> 'object' then
        perform weir_sql.refuse('', path, 'expected an object');
    elsif value - fields <> '{}' then
        perform weir_sql.refuse('', path, 'expected no other fields than ' || array_to_string(fields, ', '));
    end if;
end
$$;

-- Whether a browser may be sent there (interaction::address::is_redirect_target, of addresses that begin with http:// or https://):
-- ASCII that can be seen and no backslash, and a host without a user.
create function weir_sql.is_redirect_target(url text) returns boolean language sql immutable strict parallel safe
return url ~ '^[\u0021-\u005b\u005d-\u007e]*$' and url ~ '^https?://[a-zA-Z0-9.:_\u005b\u005d-]+([/?#]|$)';

-- Raises WR001 unless an entry's field is a text of its kind, or absent where it may be.
create function weir_sql.check_entry_field(entry jsonb, path text, name text, kind text, is_optional boolean) returns void
language plpgsql immutable as $$
begin
    if coalesce(entry -> name, 'null') = 'null' and is_optional then
        return;
    elsif jsonb_typeof(entry -> name) is distinct from 'string' then
        perform weir_sql.refuse('', path || '.' || name, 'expected text');
    elsif kind = 'shopify_id' then
        if entry ->> name !~ '^[0-9]{1,19}$' or (entry ->> name)::numeric not between 1 and 9223372036854775807 then
            perform weir_sql.refuse('', path || '.' || name, 'expected a Shopify id in decimal digits');
        end if;
    elsif kind <> 'text' and octet_length(entry ->> name) not between 1 and 2048 then
        perform weir_sql.refuse('', path || '.' || name, 'expected 1 to 2048 bytes');
    elsif kind in ('address', 'target') and entry ->> name !~ '^https?://' then
        perform weir_sql.refuse('', path || '.' || name, 'expected http:// or https://');
    elsif kind = 'target' and not weir_sql.is_redirect_target(entry ->> name) then
        perform weir_sql.refuse('', path || '.' || name, 'expected an absolute address in ASCII, without user and spaces');
    end if;
end
$$;

-- Raises WR001 where a change of the catalogue is none (domain::publication::CatalogueChange).
create function weir_sql.check_catalogue(change jsonb) returns void language plpgsql immutable as $$
declare
    part record;
    one record;
    field record;
begin
    perform weir_sql.check_record(change, '', '{shop_domain,publishers,items,programs,links}');
    if jsonb_typeof(change -> 'shop_domain') is distinct from 'string' then
        perform weir_sql.refuse('', 'shop_domain', 'expected text');
    end if;
    for part in
        select * from (values ('publishers', '{name}'::text[], '{bounded}'::text[], '{f}'::boolean[]),
            ('items', '{publisher_id,title,url,kind}', '{text,bounded,address,text}', '{f,f,t,t}'),
            ('programs', '{name,publisher_id}', '{bounded,text}', '{f,t}'),
            ('links', '{url,publisher_id,item_id,program_id,placement,product_id}',
                '{target,text,text,text,bounded,shopify_id}', '{f,t,t,t,t,t}')
        ) as known (name, fields, kinds, optional)
    loop
        continue when not change ? part.name;
        if jsonb_typeof(change -> part.name) <> 'object' then
            perform weir_sql.refuse('', part.name, 'expected an object');
        end if;
        for one in select * from jsonb_each(change -> part.name) as each (id, entry) order by id collate "C" loop
            if not weir_sql.is_catalogue_id(one.id) then
                perform weir_sql.refuse('', part.name, 'an id is 1 to 128 letters, digits and . _ : / -');
            end if;
            -- Also one that could not be put: an earlier version took others.
            continue when one.entry = 'null';
            if part.name = 'links' and (one.id !~ '^[A-Za-z0-9._-]+$' or one.id in ('.', '..')) then
                perform weir_sql.refuse('', part.name, 'a code is 1 to 128 letters, digits and . _ -, and not . or ..');
            end if;
            perform weir_sql.check_record(one.entry, part.name || '.' || one.id, part.fields);
            for field in select * from unnest(part.fields, part.kinds, part.optional) as each (name, kind, is_optional) loop
                perform weir_sql.check_entry_field(one.entry, part.name || '.' || one.id, field.name, field.kind,
                    field.is_optional);
            end loop;
        end loop;
    end loop;
end
$$;

create function weir_sql.refuse_unknown_shop() returns void language plpgsql as $$
begin
    raise exception 'the shop is not registered' using errcode = 'invalid_parameter_value',
        detail = 'No shop has this shop_domain.', hint = 'Register it with weir.register_shop(json).';
end
$$;

create or replace function weir.publish_catalogue(catalogue json) returns json
language plpgsql strict volatile parallel unsafe as $$
declare
    change jsonb;
    problem text;
    known bigint;
    changed bigint;
    dangling text;
begin
    begin
        change := (weir_sql.read_json(catalogue::text)).document;
        perform weir_sql.check_catalogue(change);
    exception when sqlstate 'WR001' then
        get stacked diagnostics problem = pg_exception_detail;
        perform weir_sql.refuse_catalogue(problem);
    end;
    known := (weir_sql.enter_shop(change ->> 'shop_domain')).shop_id;
    if known is null then
        perform weir_sql.refuse_unknown_shop();
    end if;
    perform weir_sql.catalogue_lock(known);
    changed := weir_sql.catalogue_write(known, change::text);
    dangling := weir_sql.catalogue_dangling(known);
    if dangling is not null then
        perform weir_sql.refuse_catalogue(dangling || ' names an entry that is not in the catalogue.');
    end if;
    return weir_sql.catalogue_revise(known, changed, change ->> 'shop_domain')::json;
end
$$;

create or replace function weir.publication_catalogue(shop_domain text) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    found text := weir_sql.catalogue_read(shop_domain);
begin
    if found is null then
        perform weir_sql.refuse_unknown_shop();
    end if;
    return found::json;
end
$$;
