-- From a batch of deliveries to their facts: which topic is read by whom, and what becomes of one that is not readable.

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
    told_currency text;
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
        -- Of a shop's own data only its currency and time zone count: nobody may miss that they are others.
        if given.topic = 'shop/update' then
            read := weir_sql.read_json(item ->> 'body');
            if jsonb_typeof(read.document) <> 'object' then
                perform weir_sql.refuse('type_mismatch', '', 'expected an object');
            end if;
            told_zone := weir_sql.text_of(read.document, 'iana_timezone', '');
            told_currency := weir_sql.text_of(read.document, 'currency', '');
            if told_currency <> currency then
                perform weir_sql.refuse('currency_changed', 'currency', 'expected ' || currency || ', as registered; '
                    'register the shop with what the body says, as docs/operate.md has it, and replay this');
            -- Earlier versions kept a zone as it was written.
            elsif lower(told_zone collate "C") <> lower(zone collate "C") then
                perform weir_sql.refuse('time_zone_changed', 'iana_timezone', 'expected ' || zone || ', as registered; '
                    'call weir.register_shop with what the body says, run weir backfill from its first order --until now --again, '
                    'and replay this');
            end if;
        end if;
        if not weir_sql.is_supported(given.topic) then
            given.verdict := 'ignored';
            -- Understood, and nothing to do: whoever keeps what is not read need not keep these.
            if given.topic not in ('shop/update', 'app/uninstalled', 'bulk_operations/finish') then
                given.reason := 'unsupported_topic';
            end if;
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
            -- Sums are kept within 64 bits; should one be forgotten, its body must not end its batch.
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
        select weir_sql.read_delivery(given.item, given.n, coalesce(shop.shop_id, former.shop_id),
            coalesce(shop.iana_time_zone, former.iana_time_zone), coalesce(shop.currency, former.currency))
        from unnest(items) with ordinality as given (item, n)
        left join commerce.shop as shop on shop.shop_domain = given.item ->> 'shop_domain'
        -- A customer is the same under each domain that their shop had.
        left join commerce.shop as former on former.shop_id = case
            when shop.shop_id is null and given.item ->> 'topic' in ('customers/redact', 'customers/data_request')
            then weir_sql.shop_of_person(given.item ->> 'shop_domain')
        end
        where given.item is not null
        order by given.n
    );
    if refused = '{}' then
        return found;
    end if;
    return array(select given from unnest(found || refused) as given order by given.position);
end
$$;
