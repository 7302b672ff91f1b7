-- One line of the result of a bulk operation. Guarantees what domain::shopify::bulk guarantees: fields are named as the
-- GraphQL Admin API names them and read in the same order, so that the first fault is the same; what a line says is kept in
-- the form of domain::shopify::bulk::Part, so that either install goes on from the lines of the other.

-- A line as it is kept; `reason` and `detail` where it is refused, `content` is then null.
create type weir_sql.bulk_line as (
    number integer, resource text, id bigint, parent_resource text, parent_id bigint, content jsonb, customer_id bigint,
    raw jsonb, reason text, detail text
);

-- A global id, such as gid://shopify/Order/1; null where it is none. Some carry a query.
create function weir_sql.gid(value text) returns weir_sql.gid language plpgsql immutable parallel safe as $$
declare
    parts text[] := regexp_match(value, '^gid://shopify/([A-Za-z0-9]+)/([+-]?[0-9]+)(\?.*)?$');
begin
    if weir_sql.is_int(parts[2]) then
        return row(parts[1], parts[2]::bigint)::weir_sql.gid;
    end if;
    return null;
end
$$;

create function weir_sql.gid_of(node jsonb, name text, path text) returns weir_sql.gid
language plpgsql immutable parallel safe as $$
declare
    value text := weir_sql.text_of(node, name, path);
    gid weir_sql.gid := weir_sql.gid(value);
begin
    if value is not null and gid.id is null then
        perform weir_sql.refuse('type_mismatch', path || name, 'expected a global id of Shopify');
    end if;
    return gid;
end
$$;

create function weir_sql.required_gid(node jsonb, name text, path text) returns weir_sql.gid
language plpgsql immutable parallel safe as $$
declare
    gid weir_sql.gid := weir_sql.gid_of(node, name, path);
begin
    if gid.id is null then
        perform weir_sql.refuse(case when node ? name then 'null_value' else 'missing_field' end, path || name,
            'an id is required');
    end if;
    return gid;
end
$$;

-- Number of the id of a nested object, or null where there is none.
create function weir_sql.id_of_object(node jsonb, name text, path text) returns bigint
language plpgsql immutable parallel safe as $$
declare
    nested jsonb := weir_sql.object_of(node, name, path);
begin
    if nested is null then
        return null;
    end if;
    return (weir_sql.required_gid(nested, 'id', path || name || '.')).id;
end
$$;

create function weir_sql.required_object(node jsonb, name text, path text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    nested jsonb := weir_sql.object_of(node, name, path);
begin
    if nested is null then
        perform weir_sql.refuse('missing_field', path || name, 'the query asks for it');
    end if;
    return nested;
end
$$;

create function weir_sql.required_time(node jsonb, name text, path text) returns bigint
language plpgsql stable parallel safe as $$
declare
    micros bigint := weir_sql.time_of(node, name, path);
begin
    if micros is null then
        perform weir_sql.refuse('missing_field', path || name, 'a time is required');
    end if;
    return micros;
end
$$;

create function weir_sql.required_currency(node jsonb, name text) returns text
language plpgsql immutable parallel safe as $$
declare
    code text := weir_sql.currency_of(node, name, '');
begin
    if code is null then
        perform weir_sql.refuse('missing_field', name, 'a currency is required');
    end if;
    return code;
end
$$;

-- An enum value as webhooks write it.
create function weir_sql.lower_of(node jsonb, name text, path text) returns text language sql stable parallel safe
return lower(weir_sql.text_of(node, name, path) collate "C");

-- A MoneyV2: minor units, and the currency they are of.
create function weir_sql.money_v2(bag jsonb, name text, path text, out minor bigint, out currency text)
language plpgsql immutable parallel safe as $$
declare
    node jsonb := weir_sql.required_object(bag, name, path);
    inner_path text := path || name || '.';
begin
    currency := weir_sql.currency_of(node, 'currencyCode', inner_path);
    if currency is null then
        perform weir_sql.refuse('missing_field', inner_path || 'currencyCode', 'an amount names its currency');
    end if;
    minor := weir_sql.money_of(node, 'amount', inner_path, currency);
    if minor is null then
        perform weir_sql.refuse('missing_field', inner_path || 'amount', 'an amount names its currency');
    end if;
end
$$;

-- A MoneyBag, both sides of it.
create function weir_sql.money_bag(node jsonb, name text, path text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
    bag jsonb := weir_sql.required_object(node, name, path);
    shop bigint := (weir_sql.money_v2(bag, 'shopMoney', path || name || '.')).minor;
begin
    return jsonb_build_object('shop', shop,
        'presentment', (weir_sql.money_v2(bag, 'presentmentMoney', path || name || '.')).minor);
end
$$;

create function weir_sql.bulk_refund(node jsonb, path text, observed_at bigint, read_at bigint) returns jsonb
language plpgsql stable as $$
declare
    bag jsonb := weir_sql.object_of(node, 'totalRefundedSet', path);
    paid bigint;
    currency text;
begin
    -- What was paid back is told in the currency that was paid in, as a webhook's transactions tell it.
    if bag is not null then
        select one.minor, one.currency into paid, currency
        from weir_sql.money_v2(bag, 'presentmentMoney', path || 'totalRefundedSet.') as one where one.minor <> 0;
    end if;
    return jsonb_build_object('refund_id', (weir_sql.required_gid(node, 'id', path)).id,
        'created_at', weir_sql.time_of(node, 'createdAt', path), 'processed_at', weir_sql.time_of(node, 'processedAt', path),
        'observed_at', observed_at, 'triggered_at', read_at, 'is_brief', true, 'paid_amount', paid,
        'paid_currency', currency, 'return_id', weir_sql.id_of_object(node, 'return', path), 'lines', '[]'::jsonb, 'adjustments', '[]'::jsonb);
end
$$;

create function weir_sql.bulk_payment(node jsonb, path text, read_at bigint) returns jsonb language plpgsql stable as $$
declare
    bag jsonb := weir_sql.required_object(node, 'amountSet', path);
    paid record := weir_sql.money_v2(bag, 'presentmentMoney', path || 'amountSet.');
begin
    return jsonb_build_object('payment_id', (weir_sql.required_gid(node, 'id', path)).id,
        'parent_id', weir_sql.id_of_object(node, 'parentTransaction', path), 'kind', weir_sql.lower_of(node, 'kind', path),
        'status', weir_sql.lower_of(node, 'status', path), 'gateway', weir_sql.text_of(node, 'gateway', path),
        'amount', paid.minor, 'currency', paid.currency, 'is_test', weir_sql.bool_of(node, 'test', path),
        'created_at', weir_sql.time_of(node, 'createdAt', path), 'processed_at', weir_sql.time_of(node, 'processedAt', path),
        'triggered_at', read_at);
end
$$;

create function weir_sql.bulk_fulfillment(node jsonb, path text, read_at bigint) returns jsonb
language plpgsql stable as $$
declare
    status text := weir_sql.lower_of(node, 'status', path);
    updated_at bigint := weir_sql.required_time(node, 'updatedAt', path);
    tracking jsonb := weir_sql.objects_of(node, 'trackingInfo', path);
begin
    -- Its lines would be a connection inside a list, which bulk refuses.
    return jsonb_build_object('fulfillment_id', (weir_sql.required_gid(node, 'id', path)).id,
        'shipped_at', case when status = 'success' then updated_at end, 'status', status,
        'tracking_company', case when tracking <> '[]'
            then weir_sql.text_of(tracking -> 0, 'company', path || 'trackingInfo[0].') end,
        'created_at', weir_sql.time_of(node, 'createdAt', path), 'updated_at', updated_at, 'triggered_at', read_at,
        'lines', '[]'::jsonb);
end
$$;

create function weir_sql.bulk_order(node jsonb, read_at bigint) returns jsonb language plpgsql stable as $$
declare
    currency text := weir_sql.required_currency(node, 'currencyCode');
    presentment text := weir_sql.required_currency(node, 'presentmentCurrencyCode');
    updated_at bigint := weir_sql.required_time(node, 'updatedAt', '');
    header jsonb := jsonb_build_object('order_id', (weir_sql.required_gid(node, 'id', '')).id,
        'name', weir_sql.text_of(node, 'name', ''), 'created_at', weir_sql.time_of(node, 'createdAt', ''),
        'processed_at', weir_sql.time_of(node, 'processedAt', ''), 'updated_at', updated_at, 'triggered_at', read_at,
        'cancelled_at', weir_sql.time_of(node, 'cancelledAt', ''),
        'financial_status', weir_sql.lower_of(node, 'displayFinancialStatus', ''));
    bag jsonb;
    items jsonb[];
    refunds jsonb[] := '{}';
    payments jsonb[] := '{}';
    fulfillments jsonb[] := '{}';
begin
    -- Webhooks know no status of work that has not shipped yet.
    header := header || jsonb_build_object(
        'fulfillment_status', case weir_sql.text_of(node, 'displayFulfillmentStatus', '')
            when 'FULFILLED' then 'fulfilled' when 'PARTIALLY_FULFILLED' then 'partial' when 'RESTOCKED' then 'restocked' end,
        'is_test', weir_sql.bool_of(node, 'test', ''), 'taxes_included', weir_sql.bool_of(node, 'taxesIncluded', ''),
        'currency', currency, 'presentment_currency', presentment, 'total_price', null, 'customer_id', null);
    bag := weir_sql.object_of(node, 'totalPriceSet', '');
    if bag is not null then
        header := header
            || jsonb_build_object('total_price', (weir_sql.money_v2(bag, 'shopMoney', 'totalPriceSet.')).minor);
    end if;
    header := header || jsonb_build_object('source_name', weir_sql.text_of(node, 'sourceName', ''),
        'referred_by', weir_sql.referred_by(node, 'customAttributes', 'key'));
    items := array[weir_sql.objects_of(node, 'refunds', ''), weir_sql.objects_of(node, 'transactions', ''),
        weir_sql.objects_of(node, 'fulfillments', '')];
    for n in 0 .. jsonb_array_length(items[1]) - 1 loop
        refunds[n + 1] := weir_sql.bulk_refund(items[1] -> n, 'refunds[' || n || '].', updated_at, read_at);
    end loop;
    for n in 0 .. jsonb_array_length(items[2]) - 1 loop
        payments[n + 1] := weir_sql.bulk_payment(items[2] -> n, 'transactions[' || n || '].', read_at);
    end loop;
    for n in 0 .. jsonb_array_length(items[3]) - 1 loop
        fulfillments[n + 1] := weir_sql.bulk_fulfillment(items[3] -> n, 'fulfillments[' || n || '].', read_at);
    end loop;
    return jsonb_build_object('header', header, 'refunds', to_jsonb(refunds), 'payments', to_jsonb(payments),
        'fulfillments', to_jsonb(fulfillments));
end
$$;

create function weir_sql.bulk_line_item(node jsonb) returns jsonb language plpgsql immutable as $$
declare
    units bigint := weir_sql.quantity_of(node, 'quantity', '');
    unit_price jsonb := weir_sql.money_bag(node, 'originalUnitPriceSet', '');
    discount jsonb := '{"shop": 0, "presentment": 0}';
    tax jsonb := '{"shop": 0, "presentment": 0}';
    tax_rate numeric := 0;
    items jsonb;
    item_path text;
    line jsonb;
begin
    perform weir_sql.check_value(unit_price, units, 'quantity');
    items := weir_sql.objects_of(node, 'discountAllocations', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        discount := weir_sql.plus(discount, weir_sql.money_bag(items -> n, 'allocatedAmountSet',
            'discountAllocations[' || n || '].'));
    end loop;
    items := weir_sql.objects_of(node, 'taxLines', '');
    for n in 0 .. jsonb_array_length(items) - 1 loop
        item_path := 'taxLines[' || n || '].';
        tax := weir_sql.plus(tax, weir_sql.money_bag(items -> n, 'priceSet', item_path));
        tax_rate := tax_rate + weir_sql.rate_of(items -> n, item_path);
    end loop;
    line := jsonb_build_object('line_item_id', (weir_sql.required_gid(node, 'id', '')).id,
        'product_id', weir_sql.id_of_object(node, 'product', ''), 'variant_id', weir_sql.id_of_object(node, 'variant', ''),
        'title', weir_sql.text_of(node, 'title', ''), 'vendor', weir_sql.text_of(node, 'vendor', ''),
        'is_gift_card', weir_sql.bool_of(node, 'isGiftCard', ''), 'is_tip', false, 'quantity', units,
        'current_quantity', case when weir_sql.int_of(node, 'currentQuantity', '') is not null
            then weir_sql.quantity_of(node, 'currentQuantity', '') end,
        'unit_price', unit_price, 'discount', discount, 'tax', tax, 'tax_rate', weir_sql.clamped(tax_rate));
    perform weir_sql.check_discount(line, 'discountAllocations');
    return line;
end
$$;

create function weir_sql.bulk_sale(node jsonb) returns jsonb language plpgsql immutable as $$
declare
    item jsonb := weir_sql.object_of(node, 'lineItem', '');
    line_item_id bigint;
    product_id bigint;
    variant_id bigint;
    units bigint;
begin
    if item is not null then
        line_item_id := (weir_sql.required_gid(item, 'id', 'lineItem.')).id;
        product_id := weir_sql.id_of_object(item, 'product', 'lineItem.');
        variant_id := weir_sql.id_of_object(item, 'variant', 'lineItem.');
    end if;
    units := coalesce(weir_sql.int_of(node, 'quantity', ''), 0);
    if units not between -1000000 and 1000000 then
        perform weir_sql.refuse('type_mismatch', 'quantity', 'expected a quantity up to 1000000');
    end if;
    return jsonb_build_object('sale_id', (weir_sql.required_gid(node, 'id', '')).id,
        'action_type', coalesce(weir_sql.lower_of(node, 'actionType', ''), 'unknown'),
        'line_type', coalesce(weir_sql.lower_of(node, 'lineType', ''), 'unknown'), 'quantity', units,
        'line_item_id', line_item_id, 'product_id', product_id, 'variant_id', variant_id,
        'total', weir_sql.money_bag(node, 'totalAmount', ''),
        'discount', weir_sql.money_bag(node, 'totalDiscountAmountBeforeTaxes', ''),
        'tax', weir_sql.money_bag(node, 'totalTaxAmount', ''));
end
$$;

-- What a node of an operation says (domain::shopify::bulk::Part); null for one that weir keeps nothing of.
create function weir_sql.bulk_part(kind text, typename text, node jsonb, read_at bigint) returns jsonb
language plpgsql stable as $$
begin
    case
        when kind = 'orders_core' and typename = 'Order' then
            return jsonb_build_object('order', weir_sql.bulk_order(node, read_at));
        when kind = 'orders_core' and typename = 'LineItem' then
            return jsonb_build_object('line_item', weir_sql.bulk_line_item(node));
        when kind = 'orders_ledger' and typename = 'Order' then
            return jsonb_build_object('order_ledger',
                jsonb_build_object('updated_at', weir_sql.required_time(node, 'updatedAt', '')));
        when kind = 'orders_ledger' and typename = 'Return' then
            return jsonb_build_object('return', jsonb_build_object('return_id', (weir_sql.required_gid(node, 'id', '')).id,
                'name', weir_sql.text_of(node, 'name', ''), 'status', weir_sql.lower_of(node, 'status', ''),
                'requested_at', weir_sql.required_time(node, 'createdAt', ''), 'triggered_at', read_at));
        when kind = 'orders_ledger' and typename in ('ReturnLineItem', 'UnverifiedReturnLineItem') then
            return null;
        -- Agreements and sales come as many types, of which new ones may be added.
        when kind = 'orders_ledger' and typename like '%Agreement' then
            return jsonb_build_object('agreement', jsonb_build_object(
                'agreement_id', (weir_sql.required_gid(node, 'id', '')).id,
                'happened_at', weir_sql.required_time(node, 'happenedAt', ''),
                'reason', coalesce(weir_sql.lower_of(node, 'reason', ''), 'unknown'),
                'refund_id', weir_sql.id_of_object(node, 'refund', ''),
                'return_id', weir_sql.id_of_object(node, 'return', ''), 'sales', '[]'::jsonb));
        when kind = 'orders_ledger' and typename like '%Sale' then
            return jsonb_build_object('sale', weir_sql.bulk_sale(node));
        when kind = 'products' and typename = 'Product' then
            return jsonb_build_object('product', jsonb_build_object(
                'product_id', (weir_sql.required_gid(node, 'id', '')).id, 'title', weir_sql.text_of(node, 'title', ''),
                'vendor', weir_sql.text_of(node, 'vendor', ''), 'product_type', weir_sql.text_of(node, 'productType', ''),
                'status', weir_sql.lower_of(node, 'status', ''), 'created_at', weir_sql.time_of(node, 'createdAt', ''),
                'published_at', weir_sql.time_of(node, 'publishedAt', ''),
                'updated_at', weir_sql.required_time(node, 'updatedAt', ''), 'triggered_at', read_at, 'deleted_at', null,
                'variants', '[]'::jsonb));
        when kind = 'products' and typename = 'ProductVariant' then
            -- In the shop's currency, which the line does not name: read when the product is put together.
            return jsonb_build_object('variant', jsonb_build_object(
                'variant_id', (weir_sql.required_gid(node, 'id', '')).id, 'title', weir_sql.text_of(node, 'title', ''),
                'sku', weir_sql.text_of(node, 'sku', ''), 'price', null,
                'price_text', weir_sql.decimal_of(node, 'price', '')));
        else
            perform weir_sql.refuse('type_mismatch', '__typename', 'expected a node of the operation''s query');
    end case;
end
$$;

-- Reads a line; raises WR001. Its resource is null where it is nothing to keep.
create function weir_sql.bulk_line(source text, kind text, read_at bigint, line weir_sql.bulk_line)
returns weir_sql.bulk_line language plpgsql stable as $$
declare
    read record := weir_sql.read_json(source);
    node jsonb := read.document;
    gid weir_sql.gid;
    parent weir_sql.gid;
    typename text;
    is_root boolean;
begin
    if jsonb_typeof(node) <> 'object' then
        perform weir_sql.refuse('type_mismatch', '', 'expected an object');
    end if;
    parent := weir_sql.gid_of(node, '__parentId', '');
    typename := weir_sql.text_of(node, '__typename', '');
    if typename is null then
        typename := (weir_sql.required_gid(node, 'id', '')).resource;
    end if;
    gid := weir_sql.gid_of(node, 'id', '');
    line.parent_resource := parent.resource;
    line.parent_id := parent.id;
    is_root := typename in ('Order', 'Product');
    if not is_root and parent.id is null then
        perform weir_sql.refuse('missing_field', '__parentId', 'a nested node names its parent');
    elsif typename = 'ShippingLine' and kind = 'orders_core' then
        return line;
    end if;
    gid := weir_sql.required_gid(node, 'id', '');
    line.content := weir_sql.bulk_part(kind, typename, node, read_at);
    if line.content is null then
        return line;
    -- Under another kind of id the same line item could be told twice, as two nodes of one order, and a product with an
    -- order's id would be read as that order.
    elsif (is_root or typename = 'LineItem') and gid.resource <> typename then
        perform weir_sql.refuse('type_mismatch', 'id', 'expected an id of the node''s own type');
    elsif is_root then
        line.raw := weir_sql.impersonal(read.raw);
        line.customer_id := weir_sql.id_of_object(node, 'customer', '');
    end if;
    line.resource := gid.resource;
    line.id := gid.id;
    return line;
end
$$;

-- FNV-1a of a text, as domain and extension have it: tells unreadable lines apart.
create function weir_sql.fnv(source text) returns bigint language plpgsql immutable as $$
declare
    bytes bytea := convert_to(source, 'UTF8');
    hash numeric := 14695981039346656037;
    low integer;
begin
    for n in 0 .. length(bytes) - 1 loop
        low := mod(hash, 256)::integer;
        hash := mod((hash - low + (low # get_byte(bytes, n))) * 1099511628211, 18446744073709551616);
    end loop;
    return (case when hash >= 9223372036854775808 then hash - 18446744073709551616 else hash end)::bigint;
end
$$;

-- The node that a line is whose fields are not readable, as far as its text is JSON to an ordinary parser.
create function weir_sql.gid_in(source text) returns weir_sql.gid language plpgsql immutable as $$
declare
    clean text := weir_sql.without_bad_escapes(source);
    node jsonb;
begin
    if strpos(clean, U&'\FDD0s') > 0 then
        return null;
    end if;
    node := clean::jsonb;
    if jsonb_path_exists(node, 'strict $.**{127} ? (@.type() == "array" || @.type() == "object")')
        or jsonb_path_exists(node, '$.** ? (@ > 1.7976931348623158e308 || @ < -1.7976931348623158e308)')
        or jsonb_typeof(node -> 'id') is distinct from 'string'
    then
        return null;
    end if;
    return weir_sql.gid(node ->> 'id');
exception when data_exception or statement_too_complex or program_limit_exceeded then
    return null;
end
$$;

-- Reads a line of a chunk, or says why it is refused. Its order or product must not be taken for whole then: the line is
-- kept without content under its own id, or under a digest where that cannot be read and the parent can.
create function weir_sql.read_bulk_line(source text, number bigint, kind text, read_at bigint) returns weir_sql.bulk_line
language plpgsql stable as $$
declare
    line weir_sql.bulk_line;
    gid weir_sql.gid;
    parent weir_sql.gid;
begin
    line.number := number;
    begin
        return weir_sql.bulk_line(source, kind, read_at, line);
    exception
        when sqlstate 'WR001' then
            get stacked diagnostics line.reason = message_text, line.detail = pg_exception_detail;
        when numeric_value_out_of_range then
            -- Sums are kept within 64 bits; should one be forgotten, its line must not end its chunk.
            line.reason := 'type_mismatch';
            line.detail := 'amounts that add up to less than 2^63 minor units are expected';
    end;
    gid := weir_sql.gid_in(source);
    -- Its first mention counts. chr(58) is the colon, which psql would take for a name's in front of a quote.
    parent := weir_sql.gid(replace((regexp_match(
        substr(source, nullif(strpos(source, '"__parentId"' || chr(58)), 0) + 13), '^\s*"([^"]*)'))[1], '\/', '/'));
    line.parent_resource := parent.resource;
    line.parent_id := parent.id;
    line.resource := coalesce(gid.resource, case when parent.id is not null then 'unreadable' end);
    line.id := coalesce(gid.id, case when parent.id is not null then weir_sql.fnv(source) end);
    return line;
end
$$;
