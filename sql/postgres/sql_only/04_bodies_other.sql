-- The same for bodies about customers, products and privacy.

-- A customer's version (domain::customer::Customer); `path` is that of its members.
create function weir_sql.customer(node jsonb, path text, is_whole boolean, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    created_at bigint := weir_sql.time_of(node, 'created_at', path);
    updated_at bigint := weir_sql.time_of(node, 'updated_at', path);
    state text := weir_sql.text_of(node, 'state', path);
    is_email_verified boolean := weir_sql.bool_of(node, 'verified_email', path);
    is_tax_exempt boolean := weir_sql.bool_of(node, 'tax_exempt', path);
    email jsonb := weir_sql.object_of(node, 'email_marketing_consent', path);
    email_consent text := weir_sql.text_of(email, 'state', path || 'email_marketing_consent.');
    sms jsonb := weir_sql.object_of(node, 'sms_marketing_consent', path);
begin
    return jsonb_build_object('created_at', created_at, 'updated_at', updated_at, 'is_whole', is_whole,
        'triggered_at', triggered_at, 'state', state, 'is_email_verified', is_email_verified,
        'is_tax_exempt', is_tax_exempt, 'email_consent', email_consent,
        'sms_consent', weir_sql.text_of(sms, 'state', path || 'sms_marketing_consent.'),
        'currency', weir_sql.text_of(node, 'currency', path), 'deleted_at', null,
        'customer_id', weir_sql.id_of(node, 'id', path));
end
$$;

-- A customer of whom nothing but the id is known, and the deletion if there was one.
create function weir_sql.customer_of_id(customer_id bigint, is_whole boolean, triggered_at bigint, deleted_at bigint)
returns jsonb language sql stable parallel safe
return jsonb_build_object('created_at', null, 'updated_at', null, 'is_whole', is_whole, 'triggered_at', triggered_at,
    'state', null, 'is_email_verified', false, 'is_tax_exempt', false, 'email_consent', null, 'sms_consent', null,
    'currency', null, 'deleted_at', deleted_at, 'customer_id', customer_id);

-- The number of a required global id of a customer.
create function weir_sql.customer_gid_of(node jsonb, name text) returns bigint language plpgsql immutable as $$
declare
    gid weir_sql.gid := weir_sql.required_gid(node, name, '');
begin
    if gid.resource <> 'Customer' then
        perform weir_sql.refuse('type_mismatch', name, 'expected a global id of Shopify');
    end if;
    return gid.id;
end
$$;

-- Body of customers/merge, which is sent at each step of a merge; only the completed one has changed anything.
create function weir_sql.merge_fact(document jsonb, triggered_at bigint) returns jsonb language plpgsql immutable as $$
declare
    status text := weir_sql.text_of(document, 'status', '');
    customer_id bigint;
begin
    if lower(status collate "C") is distinct from 'completed' then
        return '{"kind": "customer_merge_open"}';
    end if;
    customer_id := weir_sql.customer_gid_of(document, 'admin_graphql_api_customer_deleted_id');
    return jsonb_build_object('kind', 'customer_merged', 'customer_id', customer_id,
        'into', weir_sql.customer_gid_of(document, 'admin_graphql_api_customer_kept_id'), 'at', triggered_at);
end
$$;

-- The customer of an order's body. Whatever is wrong in it does not hold up the order: then only its id is known.
create function weir_sql.embedded_customer(node jsonb, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    customer_id bigint := weir_sql.int_of(node, 'id', 'customer.');
begin
    if customer_id is null then
        return null;
    end if;
    begin
        return weir_sql.customer(node, 'customer.', false, triggered_at);
    exception when sqlstate 'WR001' then
        return weir_sql.customer_of_id(customer_id, false, triggered_at, null);
    end;
end
$$;

create function weir_sql.product_fact(node jsonb, currency text, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    id bigint := weir_sql.id_of(node, 'id', '');
    items jsonb := weir_sql.objects_of(node, 'variants', '');
    path text;
    digits text;
    price bigint;
    variants jsonb[] := '{}';
    updated_at bigint;
    created_at bigint;
begin
    for n in 0 .. jsonb_array_length(items) - 1 loop
        path := 'variants[' || n || '].';
        -- A price that does not fit the shop's currency does not hold up the product: it is kept as it was sent.
        digits := weir_sql.decimal_of(items -> n, 'price', path);
        price := weir_sql.minor(digits, currency);
        if price not between -1000000000000000 and 1000000000000000 then
            price := null;
        end if;
        variants[n + 1] := jsonb_build_object('variant_id', weir_sql.id_of(items -> n, 'id', path),
            'title', weir_sql.text_of(items -> n, 'title', path), 'sku', weir_sql.text_of(items -> n, 'sku', path),
            'price', price, 'price_text', case when price is null then digits end,
            'told_updated_at', null, 'told_triggered_at', null);
    end loop;
    -- Of a large product the first 100 are told, and all are named.
    items := weir_sql.objects_of(node, 'variant_gids', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        variants := variants || jsonb_build_object(
            'variant_id', (weir_sql.required_gid(items -> n, 'admin_graphql_api_id', 'variant_gids[' || n || '].')).id,
            'title', null, 'sku', null, 'price', null, 'price_text', null, 'told_updated_at', 0, 'told_triggered_at', 0);
    end loop;
    updated_at := weir_sql.time_of(node, 'updated_at', '');
    created_at := weir_sql.time_of(node, 'created_at', '');
    updated_at := coalesce(updated_at, created_at, triggered_at);
    return jsonb_build_object('kind', 'product', 'product_id', id, 'product', jsonb_build_object('product_id', id,
        'title', weir_sql.text_of(node, 'title', ''), 'vendor', weir_sql.text_of(node, 'vendor', ''),
        'product_type', weir_sql.text_of(node, 'product_type', ''), 'status', weir_sql.text_of(node, 'status', ''),
        'created_at', created_at, 'published_at', weir_sql.time_of(node, 'published_at', ''), 'updated_at', updated_at,
        'triggered_at', triggered_at, 'deleted_at', null, 'variants', weir_sql.by_id(to_jsonb(variants), 'variant_id')));
end
$$;

-- The id of a member that has to be an object.
create function weir_sql.id_within(node jsonb, name text) returns bigint language plpgsql immutable as $$
declare
    member jsonb := weir_sql.object_of(node, name, '');
begin
    if member is null then
        perform weir_sql.refuse('missing_field', name, 'an object is required');
    end if;
    return weir_sql.id_of(member, 'id', name || '.');
end
$$;

create function weir_sql.ids_of(node jsonb, name text) returns jsonb language plpgsql immutable as $$
declare
    items jsonb := node -> name;
    ids bigint[] := '{}';
begin
    if items is null or items = 'null' then
        return '[]';
    end if;
    if jsonb_typeof(items) = 'array' then
        for n in 0 .. jsonb_array_length(items) - 1 loop
            exit when not weir_sql.is_int(weir_sql.digits(items -> n));
            ids[n + 1] := weir_sql.digits(items -> n)::bigint;
        end loop;
        if cardinality(ids) = jsonb_array_length(items) then
            return to_jsonb(ids);
        end if;
    end if;
    perform weir_sql.refuse('type_mismatch', name, 'expected a list of 64-bit integers');
end
$$;

-- A request to forget somebody; who has no account is named by their orders. An e-mail address alone names nobody here.
create function weir_sql.redaction_fact(document jsonb) returns jsonb language plpgsql immutable as $$
declare
    buyer jsonb := weir_sql.object_of(document, 'customer', '');
    customer_id bigint := weir_sql.int_of(buyer, 'id', 'customer.');
    orders jsonb := weir_sql.ids_of(document, 'orders_to_redact');
begin
    if customer_id is null and orders = '[]' then
        perform weir_sql.refuse('missing_field', 'customer.id', 'whom to forget is named by this or by orders_to_redact');
    end if;
    return jsonb_build_object('kind', 'customer_redacted', 'customer_id', customer_id, 'orders', orders);
end
$$;
