-- From changes to telemetry events. Guarantees what domain::events guarantees: each fact is told once, an id is the UUIDv5
-- of (shop, type, entity, discriminator), an event about an order carries the order's complete ledger.

-- The id of an event: the same fact has the same id, whoever tells it. The namespace is that of telemetry::event_id.
create function weir_sql.event_id(shop_domain text, event_type text, entity_gid text, discriminator text) returns text
language plpgsql immutable strict parallel safe as $$
declare
    hash bytea := weir_sql.sha1('\xbe31a29aab365d62b54f628027e56c97'::bytea
        || convert_to(concat_ws(chr(31), shop_domain, event_type, entity_gid, discriminator), 'UTF8'));
begin
    hash := set_byte(set_byte(substr(hash, 1, 16), 6, get_byte(hash, 6) & 15 | 80), 8, get_byte(hash, 8) & 63 | 128);
    return encode(hash, 'hex')::uuid::text;
end
$$;

create function weir_sql.entity_gid(event_type text, entity_id text) returns text language sql immutable parallel safe
return 'gid://shopify/' || case event_type
    when 'payment_captured' then 'OrderTransaction' when 'payment_refunded' then 'Refund'
    when 'fulfillment_shipped' then 'Fulfillment' when 'return_requested' then 'Return'
    when 'product_changed' then 'Product' else 'Order'
end || '/' || entity_id;

-- Stands for a customer outside PostgreSQL; deleting the salt severs it for good.
create function weir_sql.customer_key(salt text, shop_domain text, customer_id bigint) returns text
language sql immutable strict parallel safe
return encode(weir_sql.hmac_sha256(convert_to(shop_domain || chr(31) || customer_id::text, 'UTF8'), convert_to(salt, 'UTF8')),
    'hex');

create function weir_sql.key(event_type text, entity_id bigint, discriminator text, occurred_at bigint, order_id bigint)
returns jsonb language sql stable parallel safe
return jsonb_build_object('event_type', event_type, 'entity_id', entity_id, 'discriminator', discriminator,
    'occurred_at', occurred_at, 'order_id', order_id);

-- The part of a list with an id, or null.
create function weir_sql.part(parts jsonb, id_name text, id jsonb) returns jsonb language plpgsql immutable parallel safe as $$
begin
    for n in 0 .. jsonb_array_length(parts) - 1 loop
        if parts -> n -> id_name = id then
            return parts -> n;
        end if;
    end loop;
    return null;
end
$$;

create function weir_sql.is_captured(payment jsonb) returns boolean language sql immutable parallel safe
return coalesce(payment ->> 'status' = 'success' and payment ->> 'kind' in ('sale', 'capture'), false);

-- What a change of an order means, but for order_updated, which depends on its ledger.
create function weir_sql.order_keys(order_id bigint, before jsonb, after jsonb, received_at bigint) returns jsonb
language plpgsql immutable as $$
declare
    keys jsonb := '[]';
    header jsonb := after -> 'header';
    part jsonb;
begin
    if jsonb_typeof(header) = 'object' then
        if jsonb_typeof(before -> 'header') = 'null' then
            keys := keys || weir_sql.key('order_created', order_id, '', coalesce((header ->> 'created_at')::bigint,
                (header ->> 'processed_at')::bigint, (header ->> 'updated_at')::bigint), order_id);
        end if;
        if header ->> 'cancelled_at' is not null and before -> 'header' ->> 'cancelled_at' is null then
            keys := keys
                || weir_sql.key('order_cancelled', order_id, '', (header ->> 'cancelled_at')::bigint, order_id);
        end if;
    end if;
    if before ->> 'completed_at' is null and after ->> 'completed_at' is not null then
        keys := keys || weir_sql.key('order_completed', order_id, '', (after ->> 'completed_at')::bigint, order_id);
    end if;
    for n in 0 .. jsonb_array_length(after -> 'payments') - 1 loop
        part := after -> 'payments' -> n;
        if weir_sql.is_captured(part)
            and not weir_sql.is_captured(weir_sql.part(before -> 'payments', 'payment_id', part -> 'payment_id'))
        then
            keys := keys || weir_sql.key('payment_captured', (part ->> 'payment_id')::bigint, '', coalesce(
                (part ->> 'processed_at')::bigint, (part ->> 'created_at')::bigint, received_at), order_id);
        end if;
    end loop;
    for n in 0 .. jsonb_array_length(after -> 'refunds') - 1 loop
        part := after -> 'refunds' -> n;
        if weir_sql.part(before -> 'refunds', 'refund_id', part -> 'refund_id') is null then
            keys := keys || weir_sql.key('payment_refunded', (part ->> 'refund_id')::bigint, '', coalesce(
                (part ->> 'processed_at')::bigint, (part ->> 'created_at')::bigint, received_at), order_id);
        end if;
    end loop;
    for n in 0 .. jsonb_array_length(after -> 'fulfillments') - 1 loop
        part := after -> 'fulfillments' -> n;
        if part ->> 'shipped_at' is not null and weir_sql.part(before -> 'fulfillments', 'fulfillment_id',
            part -> 'fulfillment_id') ->> 'shipped_at' is null
        then
            keys := keys || weir_sql.key('fulfillment_shipped', (part ->> 'fulfillment_id')::bigint, '',
                (part ->> 'shipped_at')::bigint, order_id);
        end if;
    end loop;
    -- First sight, whichever topic it is: a request may have been missed, the return exists all the same.
    for n in 0 .. jsonb_array_length(after -> 'returns') - 1 loop
        part := after -> 'returns' -> n;
        if weir_sql.part(before -> 'returns', 'return_id', part -> 'return_id') is null then
            keys := keys || weir_sql.key('return_requested', (part ->> 'return_id')::bigint, '',
                (part ->> 'requested_at')::bigint, order_id);
        end if;
    end loop;
    return keys;
end
$$;

-- order_updated, if no other event of the delivery carries the change of the ledger.
create function weir_sql.order_updated_key(change weir_sql.change, received_at bigint) returns jsonb
language sql stable parallel safe
return case
    when (change.before ->> 'deleted_at' is null) <> (change.after ->> 'deleted_at' is null) then jsonb_build_array(
        weir_sql.key('order_updated', change.id, change.after ->> 'revision',
            coalesce((change.after ->> 'deleted_at')::bigint, received_at), change.id))
    when change.ledger_before <> change.ledger_after or jsonb_typeof(change.after -> 'header') = 'object'
        and weir_sql.referral(change.before) is distinct from weir_sql.referral(change.after)
    then jsonb_build_array(
        weir_sql.key('order_updated', change.id, change.after ->> 'revision',
            coalesce((change.after -> 'header' ->> 'updated_at')::bigint, received_at), change.id))
    else '[]'
end;

-- product_changed, if title, vendor, type, status, publication or activity changed.
create function weir_sql.product_keys(before jsonb, after jsonb) returns jsonb language plpgsql stable as $$
declare
    is_new_deletion boolean := after ->> 'deleted_at' is not null and before ->> 'deleted_at' is null;
    at bigint := coalesce(case when is_new_deletion then (after ->> 'deleted_at')::bigint end,
        (after ->> 'updated_at')::bigint, (after ->> 'deleted_at')::bigint, 0);
begin
    if before is not null and array[before -> 'title', before -> 'vendor', before -> 'product_type', before -> 'status',
        before -> 'published_at', before -> 'deleted_at']
        = array[after -> 'title', after -> 'vendor', after -> 'product_type', after -> 'status',
        after -> 'published_at', after -> 'deleted_at']
    then
        return '[]';
    end if;
    return jsonb_build_array(weir_sql.key('product_changed', (after ->> 'product_id')::bigint,
        case when is_new_deletion then 'deleted' else weir_sql.wire_time(at) end, at, null));
end
$$;

create function weir_sql.envelope(
    key jsonb, id text, received_at bigint, source text, shop_domain text, zone text
) returns jsonb language plpgsql stable as $$
declare
    occurred_at text := weir_sql.wire_time((key ->> 'occurred_at')::bigint);
begin
    return jsonb_build_object('event_id', id, 'event_type', key -> 'event_type', 'schema_version', 1,
        'event_date', left(occurred_at, 10), 'event_hour', substr(occurred_at, 12, 2)::integer,
        'occurred_at', occurred_at, 'received_at', weir_sql.wire_time(received_at), 'source', source,
        'shop_domain', shop_domain, 'shop_time_zone', zone);
end
$$;

-- A line with the newest facts of its product, null where that is not known.
create function weir_sql.event_line(line jsonb, product jsonb) returns jsonb language sql stable
return jsonb_build_object('line_item_id', line ->> 'line_item_id', 'product_id', line ->> 'product_id',
    'variant_id', line ->> 'variant_id', 'title', line -> 'title', 'product_title', product -> 'title',
    'vendor', coalesce(product ->> 'vendor', line ->> 'vendor'), 'product_type', product -> 'product_type',
    'is_active', case when product is not null then weir_sql.is_active(product) end,
    'is_gift_card', line -> 'is_gift_card', 'quantity', line -> 'quantity',
    'current_quantity', line -> 'current_quantity', 'unit_price', line -> 'unit_price' -> 'shop',
    'discount', line -> 'discount' -> 'shop');

-- What every event about an order tells of it.
create function weir_sql.order_facts(
    order_id bigint, state jsonb, ledger jsonb, lines jsonb, shop_currency text, customer_key text
) returns jsonb language plpgsql stable as $$
declare
    header jsonb := state -> 'header';
    is_deleted boolean := state ->> 'deleted_at' is not null;
    currency text := coalesce(header ->> 'currency', shop_currency);
    facts jsonb := jsonb_build_object('order_id', order_id::text, 'is_deleted', is_deleted, 'currency', currency,
        'currency_exponent', weir_sql.exponent(currency))
        || jsonb_strip_nulls(coalesce(weir_sql.referral(state), '{}'));
begin
    -- Without the order's body there is no ledger: measurement must not take this row for the order's newest.
    if jsonb_typeof(header) = 'object' or is_deleted then
        facts := facts || jsonb_build_object('order_revision', state -> 'revision', 'sales', ledger);
    end if;
    if jsonb_typeof(header) = 'object' then
        facts := facts || jsonb_strip_nulls(jsonb_build_object('order_name', header -> 'name',
            'order_updated_at', weir_sql.wire_time((header ->> 'updated_at')::bigint),
            'order_processed_at', weir_sql.wire_time((header ->> 'processed_at')::bigint),
            'order_cancelled_at', weir_sql.wire_time((header ->> 'cancelled_at')::bigint),
            'financial_status', header -> 'financial_status', 'fulfillment_status', header -> 'fulfillment_status',
            'is_test', header -> 'is_test', 'presentment_currency', header -> 'presentment_currency',
            'total_price', header -> 'total_price', 'source_name', header -> 'source_name',
            'customer_key', customer_key)) || jsonb_build_object('lines', lines);
    end if;
    return facts;
end
$$;

-- What an event of its type tells beyond the order.
create function weir_sql.part_facts(key jsonb, state jsonb) returns jsonb language plpgsql stable as $$
declare
    part jsonb;
begin
    case key ->> 'event_type'
        when 'payment_captured' then
            part := weir_sql.part(state -> 'payments', 'payment_id', key -> 'entity_id');
            return jsonb_strip_nulls(jsonb_build_object('payment_id', part ->> 'payment_id',
                'payment_kind', part -> 'kind', 'payment_gateway', part -> 'gateway',
                'payment_amount', part -> 'amount', 'payment_currency', part -> 'currency'));
        when 'payment_refunded' then
            part := weir_sql.part(state -> 'refunds', 'refund_id', key -> 'entity_id');
            return jsonb_strip_nulls(jsonb_build_object('refund_id', key ->> 'entity_id', 'payment_kind', 'refund',
                'payment_amount', part -> 'paid_amount', 'payment_currency', part -> 'paid_currency'));
        when 'fulfillment_shipped' then
            part := weir_sql.part(state -> 'fulfillments', 'fulfillment_id', key -> 'entity_id');
            return jsonb_strip_nulls(jsonb_build_object('fulfillment_id', key ->> 'entity_id',
                'fulfillment_tracking_company', part -> 'tracking_company'));
        when 'return_requested' then
            part := weir_sql.part(state -> 'returns', 'return_id', key -> 'entity_id');
            return jsonb_strip_nulls(jsonb_build_object('return_id', key ->> 'entity_id',
                'return_status', part -> 'status'));
        else
            return '{}';
    end case;
end
$$;

create function weir_sql.product_facts(product jsonb) returns jsonb language sql stable
return jsonb_strip_nulls(jsonb_build_object('product_id', product ->> 'product_id', 'product_title', product -> 'title',
    'product_vendor', product -> 'vendor', 'product_type', product -> 'product_type', 'product_status', product -> 'status',
    'product_published_at', weir_sql.wire_time((product ->> 'published_at')::bigint),
    'product_is_active', weir_sql.is_active(product), 'product_is_deleted', product ->> 'deleted_at' is not null,
    'product_updated_at', weir_sql.wire_time((product ->> 'updated_at')::bigint)));
