-- From the body of a webhook about an order to one fact. Guarantees what domain::shopify guarantees: every field is optional,
-- unknown fields are ignored, fields are read in the same order, so that the first fault is the same. A fact is jsonb: `kind`,
-- the id of its order or product, and the parts in the form that weir_sql.apply merges. Instants are microseconds since 1970.

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

-- Raises unless a line's discount and tax are within what is believed. Prices may contain tax, which a bulk operation does not
-- say in the line; where next to nothing was paid and the tax is far more than that, the discount without it has no end.
create function weir_sql.check_discount(line jsonb, path text) returns void
language plpgsql immutable parallel safe as $$
declare
    side text;
    listed bigint;
    discount bigint;
    tax bigint;
begin
    foreach side in array array['shop', 'presentment'] loop
        listed := (line -> 'unit_price' ->> side)::bigint * (line ->> 'quantity')::bigint;
        discount := (line -> 'discount' ->> side)::bigint;
        tax := (line -> 'tax' ->> side)::bigint;
        -- Almost always: without its tax a discount is smaller.
        continue when tax between 0 and listed - discount and discount between 0 and listed;
        if discount not between -1000000000000000 and 1000000000000000
            or tax not between -1000000000000000 and 1000000000000000
            or weir_sql.net_discount(listed, discount, tax, (line ->> 'tax_rate')::bigint)
                not between -1000000000000000 and 1000000000000000
        then
            perform weir_sql.refuse('type_mismatch', path, 'expected a discount and a tax below 10^15 minor units');
        end if;
    end loop;
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

-- Whether a line is a tip: no goods, and so of no product. Only tips have the members that say how they were paid, which may be
-- null; a line of a product is believed to be goods all the same.
create function weir_sql.is_tip(node jsonb, product_id bigint) returns boolean language sql immutable parallel safe
return coalesce(jsonb_typeof(node -> 'tip') = 'object', false)
    or product_id is null and node ?| array['tip_payment_gateway', 'tip_payment_method'];

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
    line jsonb;
    id bigint;
    product_id bigint;
    variant_id bigint;
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
    id := weir_sql.id_of(node, 'id', path);
    product_id := weir_sql.int_of(node, 'product_id', path);
    variant_id := weir_sql.int_of(node, 'variant_id', path);
    line := jsonb_build_object('line_item_id', id, 'product_id', product_id, 'variant_id', variant_id,
        'title', weir_sql.text_of(node, 'title', path), 'vendor', weir_sql.text_of(node, 'vendor', path),
        'is_gift_card', weir_sql.bool_of(node, 'gift_card', path),
        'is_tip', weir_sql.is_tip(node, coalesce(product_id, variant_id)), 'quantity', units, 'current_quantity', left_units,
        'unit_price', unit_price, 'discount', discount, 'tax', tax, 'tax_rate', weir_sql.clamped(tax_rate));
    perform weir_sql.check_discount(line, path || 'discount_allocations');
    return line;
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
    is_tip boolean;
    returned jsonb;
    return_id bigint;
    lines jsonb[] := '{}';
    adjustments jsonb[] := '{}';
    paid bigint;
    paid_currency text;
begin
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := items -> n;
        item_path := path || 'refund_line_items[' || n || '].';
        sold := weir_sql.object_of(item, 'line_item', item_path);
        product_id := null;
        is_gift_card := false;
        is_tip := false;
        if sold is not null then
            product_id := weir_sql.int_of(sold, 'product_id', item_path || 'line_item.');
            is_gift_card := weir_sql.bool_of(sold, 'gift_card', item_path || 'line_item.');
            is_tip := weir_sql.is_tip(sold, product_id);
        end if;
        lines[n + 1] := jsonb_build_object('refund_line_item_id', weir_sql.id_of(item, 'id', item_path),
            'line_item_id', weir_sql.int_of(item, 'line_item_id', item_path), 'product_id', product_id,
            'is_gift_card', is_gift_card, 'is_tip', is_tip, 'quantity', weir_sql.quantity_of(item, 'quantity', item_path),
            'restock_type', weir_sql.text_of(item, 'restock_type', item_path),
            'subtotal', weir_sql.amount_of(item, 'subtotal', item_path, currency, presentment),
            'tax', weir_sql.amount_of(item, 'total_tax', item_path, currency, presentment));
    end loop;
    items := weir_sql.objects_of(node, 'order_adjustments', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := items -> n;
        item_path := path || 'order_adjustments[' || n || '].';
        adjustments[n + 1] := jsonb_build_object('adjustment_id', weir_sql.id_of(item, 'id', item_path),
            'kind', weir_sql.text_of(item, 'kind', item_path),
            'amount', weir_sql.amount_of(item, 'amount', item_path, currency, presentment),
            'tax', weir_sql.amount_of(item, 'tax_amount', item_path, currency, presentment));
    end loop;
    returned := weir_sql.object_of(node, 'return', path);
    if returned is not null then
        return_id := weir_sql.int_of(returned, 'id', path || 'return.');
    end if;
    items := weir_sql.objects_of(node, 'transactions', path);
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item := weir_sql.payment(items -> n, path || 'transactions[' || n || '].', currency, triggered_at);
        -- Transactions of one refund share a currency; one that does not is left to order_transactions/create.
        if item ->> 'status' = 'success' and item ->> 'kind' = 'refund'
            and coalesce(paid_currency = item ->> 'currency', true)
        then
            paid := weir_sql.clamped(coalesce(paid, 0)::numeric + (item ->> 'amount')::bigint);
            paid_currency := item ->> 'currency';
        end if;
    end loop;
    return jsonb_build_object('refund_id', weir_sql.id_of(node, 'id', path), 'created_at', created_at,
        'processed_at', weir_sql.time_of(node, 'processed_at', path),
        'observed_at', coalesce(observed_at, created_at, triggered_at), 'triggered_at', triggered_at, 'is_brief', false,
        'paid_amount', paid, 'paid_currency', paid_currency, 'return_id', return_id,
        'lines', weir_sql.by_id(to_jsonb(lines), 'refund_line_item_id'),
        'adjustments', weir_sql.by_id(to_jsonb(adjustments), 'adjustment_id'));
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
    told jsonb[] := '{}';
    lines jsonb;
begin
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item_path := path || 'line_items[' || n || '].';
        told[n + 1] := jsonb_build_object('line_item_id', weir_sql.id_of(items -> n, 'id', item_path),
            'quantity', weir_sql.quantity_of(items -> n, 'quantity', item_path));
    end loop;
    lines := to_jsonb(told);
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
    -- Lists of PostgreSQL's own: one that a loop adds to as jsonb is copied each time.
    lines jsonb[] := '{}';
    refunds jsonb[] := '{}';
    fulfillments jsonb[] := '{}';
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
        lines[n + 1] := weir_sql.line(items -> n, 'line_items[' || n || '].', currency, presentment);
    end loop;
    items := weir_sql.objects_of(node, 'refunds', '');
    shipments := weir_sql.objects_of(node, 'fulfillments', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        refunds[n + 1] := weir_sql.refund(items -> n, 'refunds[' || n || '].', currency, triggered_at, updated_at,
            presentment);
    end loop;
    for n in 0 .. jsonb_array_length(shipments) - 1 loop
        fulfillments[n + 1] := weir_sql.fulfillment(shipments -> n, 'fulfillments[' || n || '].', triggered_at);
    end loop;
    return jsonb_build_object('kind', 'order', 'order_id', id, 'header', header, 'customer', customer,
        'lines', weir_sql.by_id(to_jsonb(lines), 'line_item_id'), 'refunds', to_jsonb(refunds),
        'fulfillments', to_jsonb(fulfillments));
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
    deltas jsonb[] := '{}';
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
            deltas[cardinality(deltas) + 1] := jsonb_build_object('id', weir_sql.id_of(items -> n, 'id', path), side,
                weir_sql.quantity_of(items -> n, 'delta', path));
        end loop;
    end loop;
    lines := coalesce((
        select jsonb_agg(jsonb_build_object('edit_id', edit_id, 'line_item_id', one.id, 'committed_at', committed_at,
            'added', one.added, 'removed', one.removed) order by one.id)
        from (
            select (delta ->> 'id')::bigint as id, coalesce(sum((delta ->> 'additions')::bigint), 0)::bigint as added,
                coalesce(sum((delta ->> 'removals')::bigint), 0)::bigint as removed
            from unnest(deltas) as delta group by 1
        ) as one
    ), '[]');
    return jsonb_build_object('kind', 'edit', 'order_id', weir_sql.id_of(node, 'order_id', 'order_edit.'), 'lines', lines);
end
$$;
