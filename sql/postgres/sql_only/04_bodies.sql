-- From the body of a webhook to one fact. Guarantees what domain::shopify guarantees: every field is optional, unknown
-- fields are ignored, fields are read in the same order, so that the first fault is the same. A fact is jsonb: `kind`, the
-- id of its order or product, and the parts in the form that weir_sql.apply merges. Instants are microseconds since 1970.

-- Raises unless price x quantity of a line stays within what is believed.
create function weir_sql.check_value(unit_price jsonb, units bigint, path text) returns void
language plpgsql immutable parallel safe as $$
begin
    if greatest(abs((unit_price ->> 'shop')::numeric), abs((unit_price ->> 'presentment')::numeric)) * units
        > 1000000000000000
    then
        perform weir_sql.refuse('type_mismatch', path, 'expected a line value below 10^15 minor units');
    end if;
end
$$;

-- A tax rate in billionths, from its digits; what is no plain decimal counts as unknown, 0.
create function weir_sql.rate_of(node jsonb, path text) returns numeric language plpgsql immutable parallel safe as $$
declare
    digits text := weir_sql.decimal_of(node, 'rate', path);
begin
    -- Such as 0.2.
    if octet_length(digits) between 3 and 11 and left(digits, 2) = '0.' and translate(digits, '0123456789', '') = '.' then
        return rpad(substr(digits, 3), 9, '0')::numeric;
    end if;
    digits := split_part(digits, '.', 1)
        || rpad(case when strpos(digits, '.') > 0 then substr(digits, strpos(digits, '.') + 1, 9) else '' end, 9, '0');
    return case when weir_sql.is_int(digits) then least(greatest(digits::numeric, 0), 10000000000) else 0 end;
end
$$;

create function weir_sql.line(node jsonb, path text, currency text, presentment text) returns jsonb
language plpgsql immutable as $$
declare
    units bigint := weir_sql.quantity_of(node, 'quantity', path);
    unit_price jsonb := weir_sql.amount_of(node, 'price', path, currency, presentment);
    discount jsonb := '{"shop": 0, "presentment": 0}';
    tax jsonb := '{"shop": 0, "presentment": 0}';
    tax_rate numeric := 0;
    items jsonb;
    part jsonb;
    left_units bigint;
begin
    perform weir_sql.check_value(unit_price, units, path || 'quantity');
    items := weir_sql.objects_of(node, 'discount_allocations', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        part := weir_sql.amount_of(items -> n, 'amount', path || 'discount_allocations[' || n || '].', currency, presentment);
        discount := case n when 0 then part else weir_sql.plus(discount, part) end;
    end loop;
    items := weir_sql.objects_of(node, 'tax_lines', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        part := weir_sql.amount_of(items -> n, 'price', path || 'tax_lines[' || n || '].', currency, presentment);
        tax := case n when 0 then part else weir_sql.plus(tax, part) end;
        tax_rate := tax_rate + weir_sql.rate_of(items -> n, path || 'tax_lines[' || n || '].');
    end loop;
    if weir_sql.int_of(node, 'current_quantity', path) is not null then
        left_units := weir_sql.quantity_of(node, 'current_quantity', path);
    end if;
    return jsonb_build_object('line_item_id', weir_sql.id_of(node, 'id', path),
        'product_id', weir_sql.int_of(node, 'product_id', path), 'variant_id', weir_sql.int_of(node, 'variant_id', path),
        'title', weir_sql.text_of(node, 'title', path), 'vendor', weir_sql.text_of(node, 'vendor', path),
        'is_gift_card', weir_sql.bool_of(node, 'gift_card', path), 'quantity', units, 'current_quantity', left_units,
        'unit_price', unit_price, 'discount', discount, 'tax', tax, 'tax_rate', weir_sql.clamped(tax_rate));
end
$$;

create function weir_sql.payment(node jsonb, path text, shop_currency text, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    currency text := coalesce(weir_sql.currency_of(node, 'currency', path), shop_currency);
begin
    return jsonb_build_object('payment_id', weir_sql.id_of(node, 'id', path),
        'parent_id', weir_sql.int_of(node, 'parent_id', path), 'kind', weir_sql.text_of(node, 'kind', path),
        'status', weir_sql.text_of(node, 'status', path), 'gateway', weir_sql.text_of(node, 'gateway', path),
        'amount', coalesce(weir_sql.money_of(node, 'amount', path, currency), 0), 'currency', currency,
        'is_test', weir_sql.bool_of(node, 'test', path), 'created_at', weir_sql.time_of(node, 'created_at', path),
        'processed_at', weir_sql.time_of(node, 'processed_at', path), 'triggered_at', triggered_at);
end
$$;

-- `observed_at` and `presentment`: the order's updated_at and presentment currency, when the refund is part of its body.
create function weir_sql.refund(
    node jsonb, path text, currency text, triggered_at bigint, observed_at bigint, presentment text
) returns jsonb language plpgsql stable as $$
declare
    created_at bigint := weir_sql.time_of(node, 'created_at', path);
    items jsonb := weir_sql.objects_of(node, 'refund_line_items', path);
    item jsonb;
    item_path text;
    sold jsonb;
    product_id bigint;
    is_gift_card boolean;
    lines jsonb := '[]';
    adjustments jsonb := '[]';
    paid bigint;
    paid_currency text;
begin
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := items -> n;
        item_path := path || 'refund_line_items[' || n || '].';
        sold := weir_sql.object_of(item, 'line_item', item_path);
        product_id := null;
        is_gift_card := false;
        if sold is not null then
            product_id := weir_sql.int_of(sold, 'product_id', item_path || 'line_item.');
            is_gift_card := weir_sql.bool_of(sold, 'gift_card', item_path || 'line_item.');
        end if;
        lines := lines || jsonb_build_object('refund_line_item_id', weir_sql.id_of(item, 'id', item_path),
            'line_item_id', weir_sql.int_of(item, 'line_item_id', item_path), 'product_id', product_id,
            'is_gift_card', is_gift_card, 'quantity', weir_sql.quantity_of(item, 'quantity', item_path),
            'restock_type', weir_sql.text_of(item, 'restock_type', item_path),
            'subtotal', weir_sql.amount_of(item, 'subtotal', item_path, currency, presentment),
            'tax', weir_sql.amount_of(item, 'total_tax', item_path, currency, presentment));
    end loop;
    items := weir_sql.objects_of(node, 'order_adjustments', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := items -> n;
        item_path := path || 'order_adjustments[' || n || '].';
        adjustments := adjustments || jsonb_build_object('adjustment_id', weir_sql.id_of(item, 'id', item_path),
            'kind', weir_sql.text_of(item, 'kind', item_path),
            'amount', weir_sql.amount_of(item, 'amount', item_path, currency, presentment),
            'tax', weir_sql.amount_of(item, 'tax_amount', item_path, currency, presentment));
    end loop;
    items := weir_sql.objects_of(node, 'transactions', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := weir_sql.payment(items -> n, path || 'transactions[' || n || '].', currency, triggered_at);
        -- Transactions of one refund share a currency; one that does not is left to order_transactions/create.
        if item ->> 'status' = 'success' and item ->> 'kind' = 'refund'
            and coalesce(paid_currency = item ->> 'currency', true)
        then
            paid := coalesce(paid, 0) + (item ->> 'amount')::bigint;
            paid_currency := item ->> 'currency';
        end if;
    end loop;
    return jsonb_build_object('refund_id', weir_sql.id_of(node, 'id', path), 'created_at', created_at,
        'processed_at', weir_sql.time_of(node, 'processed_at', path),
        'observed_at', coalesce(observed_at, created_at, triggered_at), 'triggered_at', triggered_at, 'is_brief', false,
        'paid_amount', paid, 'paid_currency', paid_currency, 'lines', weir_sql.by_id(lines, 'refund_line_item_id'),
        'adjustments', weir_sql.by_id(adjustments, 'adjustment_id'));
end
$$;

create function weir_sql.fulfillment(node jsonb, path text, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    created_at bigint := weir_sql.time_of(node, 'created_at', path);
    status text := weir_sql.text_of(node, 'status', path);
    updated_at bigint := coalesce(weir_sql.time_of(node, 'updated_at', path), created_at, triggered_at);
    items jsonb := weir_sql.objects_of(node, 'line_items', path);
    item_path text;
    lines jsonb := '[]';
begin
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item_path := path || 'line_items[' || n || '].';
        lines := lines || jsonb_build_object('line_item_id', weir_sql.id_of(items -> n, 'id', item_path),
            'quantity', weir_sql.quantity_of(items -> n, 'quantity', item_path));
    end loop;
    if jsonb_array_length(lines) > 1 then
        lines := (
            select jsonb_agg(one.line order by one.id) from (
                select distinct on ((line ->> 'line_item_id')::bigint) line, (line ->> 'line_item_id')::bigint as id
                from jsonb_array_elements(lines) as line
                order by (line ->> 'line_item_id')::bigint, (line ->> 'quantity')::bigint
            ) as one
        );
    end if;
    return jsonb_build_object('fulfillment_id', weir_sql.id_of(node, 'id', path), 'status', status,
        'tracking_company', weir_sql.text_of(node, 'tracking_company', path), 'created_at', created_at,
        'updated_at', updated_at, 'triggered_at', triggered_at,
        'shipped_at', case when status = 'success' then updated_at end, 'lines', lines);
end
$$;

-- Whether a text can be an id of the publication catalogue (domain::publication::is_catalogue_id).
create function weir_sql.is_catalogue_id(value text) returns boolean language sql immutable strict parallel safe
return value ~ '^[A-Za-z0-9._:/-]{1,128}$';

-- Who brought the buyer, as the attributes in an order's `list` say, named by their member `name`. They are the buyer's to
-- write: what is no id of the catalogue is none of ours, and no reason to refuse the order.
create function weir_sql.referred_by(node jsonb, list text, name text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    items jsonb := node -> list;
    found jsonb := '{"publisher_id": null, "program_id": null}';
begin
    if jsonb_typeof(items) is distinct from 'array' or items = '[]' then
        return found;
    end if;
    return found || coalesce((
        select jsonb_object_agg(case one.name when 'weir_publisher' then 'publisher_id' else 'program_id' end,
            case when jsonb_typeof(one.value) = 'string' and weir_sql.is_catalogue_id(one.value #>> '{}')
                then one.value else 'null' end)
        from (
            select distinct on (item ->> referred_by.name) item ->> referred_by.name as name,
                coalesce(item -> 'value', 'null') as value
            from jsonb_array_elements(items) with ordinality as given (item, n)
            where jsonb_typeof(item -> referred_by.name) = 'string'
                and item ->> referred_by.name in ('weir_publisher', 'weir_program')
            order by item ->> referred_by.name, n
        ) as one
    ), '{}');
end
$$;

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

create function weir_sql.order_fact(node jsonb, shop_currency text, triggered_at bigint) returns jsonb
language plpgsql stable as $$
declare
    currency text := coalesce(weir_sql.currency_of(node, 'currency', ''), shop_currency);
    presentment text := coalesce(weir_sql.currency_of(node, 'presentment_currency', ''), currency);
    updated_at bigint := weir_sql.time_of(node, 'updated_at', '');
    created_at bigint := weir_sql.time_of(node, 'created_at', '');
    header jsonb;
    customer jsonb;
    total_price bigint;
    id bigint;
    name text;
    processed_at bigint;
    cancelled_at bigint;
    financial_status text;
    fulfillment_status text;
    is_test boolean;
    taxes_included boolean;
    items jsonb;
    shipments jsonb;
    lines jsonb := '[]';
    refunds jsonb := '[]';
    fulfillments jsonb := '[]';
begin
    updated_at := coalesce(updated_at, created_at, triggered_at);
    customer := weir_sql.object_of(node, 'customer', '');
    customer := weir_sql.embedded_customer(customer, triggered_at);
    id := weir_sql.id_of(node, 'id', '');
    name := weir_sql.text_of(node, 'name', '');
    processed_at := weir_sql.time_of(node, 'processed_at', '');
    cancelled_at := weir_sql.time_of(node, 'cancelled_at', '');
    financial_status := weir_sql.text_of(node, 'financial_status', '');
    fulfillment_status := weir_sql.text_of(node, 'fulfillment_status', '');
    is_test := weir_sql.bool_of(node, 'test', '');
    taxes_included := weir_sql.bool_of(node, 'taxes_included', '');
    total_price := weir_sql.money_of(node, 'total_price', '', currency);
    header := jsonb_build_object('order_id', id, 'name', name, 'created_at', created_at, 'processed_at', processed_at,
        'updated_at', updated_at, 'triggered_at', triggered_at, 'cancelled_at', cancelled_at,
        'financial_status', financial_status, 'fulfillment_status', fulfillment_status, 'is_test', is_test,
        'taxes_included', taxes_included, 'currency', currency, 'presentment_currency', presentment,
        'total_price', total_price, 'customer_id', customer -> 'customer_id',
        'source_name', weir_sql.text_of(node, 'source_name', ''),
        'referred_by', weir_sql.referred_by(node, 'note_attributes', 'name'));
    items := weir_sql.objects_of(node, 'line_items', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        lines := lines || weir_sql.line(items -> n, 'line_items[' || n || '].', currency, presentment);
    end loop;
    items := weir_sql.objects_of(node, 'refunds', '');
    shipments := weir_sql.objects_of(node, 'fulfillments', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        refunds := refunds || weir_sql.refund(items -> n, 'refunds[' || n || '].', currency, triggered_at, updated_at,
            presentment);
    end loop;
    for n in 0 .. jsonb_array_length(shipments) - 1 loop
        fulfillments := fulfillments
            || weir_sql.fulfillment(shipments -> n, 'fulfillments[' || n || '].', triggered_at);
    end loop;
    return jsonb_build_object('kind', 'order', 'order_id', id, 'header', header, 'customer', customer,
        'lines', weir_sql.by_id(lines, 'line_item_id'), 'refunds', refunds, 'fulfillments', fulfillments);
end
$$;

create function weir_sql.return_fact(node jsonb, triggered_at bigint) returns jsonb language plpgsql stable as $$
declare
    sold jsonb := weir_sql.object_of(node, 'order', '');
    order_id bigint;
begin
    if sold is null then
        order_id := weir_sql.id_of(node, 'order_id', '');
    else
        order_id := weir_sql.id_of(sold, 'id', 'order.');
    end if;
    return jsonb_build_object('kind', 'return', 'order_id', order_id, 'part', jsonb_build_object(
        'return_id', weir_sql.id_of(node, 'id', ''), 'name', weir_sql.text_of(node, 'name', ''),
        'status', weir_sql.text_of(node, 'status', ''), 'requested_at', triggered_at, 'triggered_at', triggered_at));
end
$$;

create function weir_sql.edit_fact(root jsonb) returns jsonb language plpgsql stable as $$
declare
    node jsonb := weir_sql.object_of(root, 'order_edit', '');
    edit_id bigint;
    committed_at bigint;
    created_at bigint;
    changed jsonb;
    items jsonb;
    side text;
    path text;
    deltas jsonb := '[]';
    lines jsonb;
begin
    if node is null then
        perform weir_sql.refuse('missing_field', 'order_edit', 'an order edit is required');
    end if;
    edit_id := weir_sql.id_of(node, 'id', 'order_edit.');
    committed_at := weir_sql.time_of(node, 'committed_at', 'order_edit.');
    created_at := weir_sql.time_of(node, 'created_at', 'order_edit.');
    committed_at := coalesce(committed_at, created_at);
    if committed_at is null then
        perform weir_sql.refuse('missing_field', 'order_edit.committed_at', 'a time is required');
    end if;
    changed := weir_sql.object_of(node, 'line_items', 'order_edit.');
    foreach side in array array['additions', 'removals'] loop
        exit when changed is null;
        items := weir_sql.objects_of(changed, side, 'order_edit.line_items.');
        for n in 0 .. jsonb_array_length(items) - 1 loop
            path := 'order_edit.line_items.' || side || '[' || n || '].';
            deltas := deltas || jsonb_build_object('id', weir_sql.id_of(items -> n, 'id', path), side,
                weir_sql.quantity_of(items -> n, 'delta', path));
        end loop;
    end loop;
    lines := coalesce((
        select jsonb_agg(jsonb_build_object('edit_id', edit_id, 'line_item_id', one.id, 'committed_at', committed_at,
            'added', one.added, 'removed', one.removed) order by one.id)
        from (
            select (delta ->> 'id')::bigint as id, coalesce(sum((delta ->> 'additions')::bigint), 0)::bigint as added,
                coalesce(sum((delta ->> 'removals')::bigint), 0)::bigint as removed
            from jsonb_array_elements(deltas) as delta group by 1
        ) as one
    ), '[]');
    return jsonb_build_object('kind', 'edit', 'order_id', weir_sql.id_of(node, 'order_id', 'order_edit.'), 'lines', lines);
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
    variants jsonb := '[]';
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
        variants := variants || jsonb_build_object('variant_id', weir_sql.id_of(items -> n, 'id', path),
            'title', weir_sql.text_of(items -> n, 'title', path), 'sku', weir_sql.text_of(items -> n, 'sku', path),
            'price', price, 'price_text', case when price is null then digits end);
    end loop;
    updated_at := weir_sql.time_of(node, 'updated_at', '');
    created_at := weir_sql.time_of(node, 'created_at', '');
    updated_at := coalesce(updated_at, created_at, triggered_at);
    return jsonb_build_object('kind', 'product', 'product_id', id, 'product', jsonb_build_object('product_id', id,
        'title', weir_sql.text_of(node, 'title', ''), 'vendor', weir_sql.text_of(node, 'vendor', ''),
        'product_type', weir_sql.text_of(node, 'product_type', ''), 'status', weir_sql.text_of(node, 'status', ''),
        'created_at', created_at, 'published_at', weir_sql.time_of(node, 'published_at', ''), 'updated_at', updated_at,
        'triggered_at', triggered_at, 'deleted_at', null, 'variants', weir_sql.by_id(variants, 'variant_id')));
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
    ids jsonb := '[]';
begin
    if items is null or items = 'null' then
        return ids;
    end if;
    if jsonb_typeof(items) = 'array' then
        for n in 0 .. jsonb_array_length(items) - 1 loop
            exit when not weir_sql.is_int(weir_sql.digits(items -> n));
            ids := ids || to_jsonb(weir_sql.digits(items -> n)::bigint);
        end loop;
        if jsonb_array_length(ids) = jsonb_array_length(items) then
            return ids;
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

-- Reads a body. Null for a topic that weir does not read; raises WR001.
create function weir_sql.fact(topic text, document jsonb, currency text, triggered_at bigint) returns jsonb
language plpgsql stable as $$
begin
    if jsonb_typeof(document) <> 'object' then
        perform weir_sql.refuse('type_mismatch', '', 'expected an object');
    end if;
    case
        when topic in ('orders/create', 'orders/updated', 'orders/paid', 'orders/fulfilled',
            'orders/partially_fulfilled', 'orders/cancelled')
        then
            return weir_sql.order_fact(document, currency, triggered_at);
        when topic in ('products/create', 'products/update') then
            return weir_sql.product_fact(document, currency, triggered_at);
        when topic = 'orders/delete' then
            return jsonb_build_object('kind', 'order_deleted', 'order_id', weir_sql.id_of(document, 'id', ''),
                'at', triggered_at);
        when topic = 'products/delete' then
            return jsonb_build_object('kind', 'product_deleted', 'product_id', weir_sql.id_of(document, 'id', ''),
                'at', triggered_at);
        when topic = 'orders/edited' then
            return weir_sql.edit_fact(document);
        when topic = 'refunds/create' then
            return jsonb_build_object('kind', 'refund', 'order_id', weir_sql.id_of(document, 'order_id', ''),
                'part', weir_sql.refund(document, '', currency, triggered_at, null, null));
        when topic = 'order_transactions/create' then
            return jsonb_build_object('kind', 'payment', 'order_id', weir_sql.id_of(document, 'order_id', ''),
                'part', weir_sql.payment(document, '', currency, triggered_at));
        when topic in ('fulfillments/create', 'fulfillments/update') then
            return jsonb_build_object('kind', 'fulfillment', 'order_id', weir_sql.id_of(document, 'order_id', ''),
                'part', weir_sql.fulfillment(document, '', triggered_at));
        when topic in ('customers/create', 'customers/update', 'customers/enable', 'customers/disable') then
            return jsonb_build_object('kind', 'customer', 'customer', weir_sql.customer(document, '', true, triggered_at));
        when topic = 'customers/delete' then
            return jsonb_build_object('kind', 'customer', 'customer', weir_sql.customer_of_id(
                weir_sql.id_of(document, 'id', ''), true, triggered_at, triggered_at));
        when topic = 'customers/merge' then
            return weir_sql.merge_fact(document, triggered_at);
        when topic = 'customers/redact' then
            return weir_sql.redaction_fact(document);
        when topic = 'customers/data_request' then
            return jsonb_build_object('kind', 'customer_data_requested', 'customer_id',
                weir_sql.id_within(document, 'customer'), 'request_id', weir_sql.id_within(document, 'data_request'));
        when topic = 'shop/redact' then
            return '{"kind": "shop_redacted"}';
        when topic = 'returns/update' then
            return '{"kind": "return_lines_changed"}';
        else
            return weir_sql.return_fact(document, triggered_at);
    end case;
end
$$;

create function weir_sql.is_supported(topic text) returns boolean language sql immutable parallel safe
return topic in ('orders/create', 'orders/updated', 'orders/paid', 'orders/fulfilled', 'orders/partially_fulfilled',
    'orders/cancelled', 'orders/edited', 'orders/delete', 'refunds/create', 'order_transactions/create',
    'fulfillments/create', 'fulfillments/update', 'returns/request', 'returns/approve', 'returns/update',
    'returns/cancel', 'returns/close', 'returns/decline', 'returns/reopen', 'customers/create', 'customers/update',
    'customers/enable', 'customers/disable', 'customers/delete', 'customers/merge', 'customers/data_request',
    'customers/redact', 'shop/redact', 'products/create', 'products/update', 'products/delete');

create function weir_sql.required_text(node jsonb, name text) returns text language plpgsql immutable as $$
declare
    value text := weir_sql.text_of(node, name, '');
begin
    if value is null then
        perform weir_sql.refuse('missing_field', name, 'a delivery needs it');
    end if;
    return value;
end
$$;

create function weir_sql.delivery_time(value text, name text) returns bigint language plpgsql stable as $$
declare
    micros bigint := weir_sql.instant(value);
begin
    if micros is null and value is not null then
        perform weir_sql.refuse('type_mismatch', name, 'expected an RFC 3339 time');
    end if;
    return micros;
end
$$;

-- Reads a delivery and its body, or decides that it goes no further. The shop is null where it is not registered.
create function weir_sql.read_delivery(item jsonb, n bigint, shop_id bigint, zone text, currency text) returns weir_sql.delivery
language plpgsql stable as $$
declare
    given weir_sql.delivery;
    read record;
    told_zone text;
begin
    given.position := n;
    given.webhook_id := '';
    given.topic := '';
    given.shop_domain := '';
    begin
        if jsonb_typeof(item) <> 'object' then
            perform weir_sql.refuse('type_mismatch', '', 'expected an object');
        end if;
        given.webhook_id := weir_sql.required_text(item, 'webhook_id');
        given.topic := weir_sql.required_text(item, 'topic');
        given.shop_domain := weir_sql.required_text(item, 'shop_domain');
        given.source := coalesce(weir_sql.text_of(item, 'source', ''), 'webhook');
        given.received_at := weir_sql.delivery_time(weir_sql.required_text(item, 'received_at'), 'received_at');
        given.triggered_at := weir_sql.delivery_time(weir_sql.text_of(item, 'triggered_at', ''), 'triggered_at');
        -- domain::webhook::triggered_at: what is more than five minutes ahead of the receipt is nobody's clock.
        if given.triggered_at is null or given.triggered_at > given.received_at + 300000000 then
            given.triggered_at := given.received_at;
        end if;
        perform weir_sql.required_text(item, 'body');
        -- It is part of a key, and PostgreSQL takes no index row above 2,704 bytes.
        if octet_length(given.webhook_id) > 1024 then
            perform weir_sql.refuse('type_mismatch', 'webhook_id',
                'expected at most 1024 bytes, found ' || octet_length(given.webhook_id));
        end if;
        if shop_id is null then
            given.verdict := 'rejected';
            given.reason := 'unknown_shop';
            given.detail := 'the shop is not registered';
            return given;
        end if;
        given.shop_id := shop_id;
        given.zone := zone;
        given.currency := currency;
        -- Of a shop's own data only its time zone counts: nobody may miss that days are counted in the wrong one.
        if given.topic = 'shop/update' then
            read := weir_sql.read_json(item ->> 'body');
            if jsonb_typeof(read.document) <> 'object' then
                perform weir_sql.refuse('type_mismatch', '', 'expected an object');
            end if;
            told_zone := weir_sql.text_of(read.document, 'iana_timezone', '');
            if told_zone <> zone then
                perform weir_sql.refuse('time_zone_changed', 'iana_timezone', 'expected ' || zone || ', as registered; '
                    'call weir.register_shop with what the body says, run weir backfill and replay this');
            end if;
        end if;
        if not weir_sql.is_supported(given.topic) then
            given.verdict := 'ignored';
            given.reason := 'unsupported_topic';
            return given;
        end if;
        read := weir_sql.read_json(item ->> 'body');
        given.fact := weir_sql.fact(given.topic, read.document, given.currency, given.triggered_at);
        given.raw := read.raw;
    exception
        when sqlstate 'WR001' then
            given.verdict := 'rejected';
            get stacked diagnostics given.reason = message_text, given.detail = pg_exception_detail;
        when numeric_value_out_of_range then
            -- Only sums of thousands of amounts near 10^15 come here; one such body must not end its batch.
            given.verdict := 'rejected';
            given.reason := 'type_mismatch';
            given.detail := 'amounts that add up to less than 2^63 minor units are expected';
    end;
    return given;
end
$$;

-- The deliveries of a batch, in its sequence, with their bodies where those stand apart. One that is not readable is rejected
-- alone.
create function weir_sql.deliveries(batch json, bodies text[]) returns weir_sql.delivery[] language plpgsql stable as $$
declare
    items jsonb[];
    item json;
    found weir_sql.delivery[];
    refused weir_sql.delivery[] := '{}';
    one weir_sql.delivery;
    n integer := 0;
begin
    begin
        items := array(select given.value from jsonb_array_elements(batch::jsonb) as given);
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        -- Something in the batch is nothing for jsonb: find out which.
        items := '{}';
        for item in select json_array_elements(batch) loop
            n := n + 1;
            begin
                items[n] := (weir_sql.read_json(item::text)).document;
            exception when sqlstate 'WR001' then
                one := row(n, '', '', '', null, null, null, null, null, null, 'rejected', null, null, null, null);
                get stacked diagnostics one.reason = message_text, one.detail = pg_exception_detail;
                refused := refused || one;
                items[n] := null;
            end;
        end loop;
    end;
    if bodies is not null then
        items := array(
            select case when jsonb_typeof(given.item) = 'object' then given.item || jsonb_build_object('body', given.body)
                else given.item end
            from unnest(items, bodies) with ordinality as given (item, body, n) order by given.n
        );
    end if;
    found := array(
        select weir_sql.read_delivery(given.item, given.n, shop.shop_id, shop.iana_time_zone, shop.currency)
        from unnest(items) with ordinality as given (item, n)
        left join commerce.shop as shop on shop.shop_domain = given.item ->> 'shop_domain'
        where given.item is not null
        order by given.n
    );
    if refused = '{}' then
        return found;
    end if;
    return array(select given from unnest(found || refused) as given order by given.position);
end
$$;
