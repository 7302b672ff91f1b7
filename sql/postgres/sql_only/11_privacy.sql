-- Forgetting customers and shops, and telling what is kept. Guarantees what the extension's do: every batch holds a shared
-- lock on the privacy of its shops, forgetting an exclusive one, both before all other locks; so forgetting finds
-- everything that was on its way, and whatever follows finds the tombstone.

create function weir_sql.refuse_request(detail text) returns void language plpgsql as $$
begin
    raise exception 'the request is not readable' using errcode = 'invalid_parameter_value', detail = detail,
        hint = 'Give {"shop_domain": "demo.myshopify.com", "customer_id": 1, "orders": []}; a shop needs no customer_id.';
end
$$;

-- A request of weir.redact_customer, redact_shop or customer_data. Ids are numbers. `needs` is customer, person (a customer or
-- orders) or shop.
create function weir_sql.request(
    request json, needs text, out shop_id bigint, out shop_domain text, out customer_id bigint,
    out orders bigint[], out requested_at bigint
) language plpgsql as $$
declare
    fields jsonb;
    items jsonb;
begin
    perform weir_sql.require_read_committed();
    if strpos(request::text, '\u0000') > 0 then
        perform weir_sql.refuse_request('A text holds U+0000.');
    end if;
    begin
        fields := (weir_sql.read_json(request::text)).document;
        items := coalesce(fields -> 'orders', '[]');
        if jsonb_typeof(fields) <> 'object' or jsonb_typeof(fields -> 'shop_domain') is distinct from 'string'
            or jsonb_typeof(coalesce(fields -> 'customer_id', 'null')) not in ('null', 'number')
            or jsonb_typeof(items) <> 'array'
            or exists (select from jsonb_array_elements(items) as id where jsonb_typeof(id) <> 'number')
        then
            perform weir_sql.refuse('type_mismatch', '', 'a field');
        end if;
        shop_domain := fields ->> 'shop_domain';
        customer_id := weir_sql.int_of(fields, 'customer_id', '');
        orders := array(select id::bigint from jsonb_array_elements_text(weir_sql.ids_of(fields, 'orders')) as id);
        requested_at := weir_sql.delivery_time(weir_sql.text_of(fields, 'requested_at', ''), 'requested_at');
    exception when sqlstate 'WR001' then
        perform weir_sql.refuse_request('A field is missing or mistyped.');
    end;
    if needs = 'customer' and customer_id is null then
        perform weir_sql.refuse_request('customer_id is missing.');
    elsif needs = 'person' and customer_id is null and orders = '{}' then
        perform weir_sql.refuse_request('Neither customer_id nor orders name anybody.');
    end if;
    if needs = 'shop' then
        select shop.shop_id into shop_id from commerce.shop as shop where shop.shop_domain = request.shop_domain;
    else
        shop_id := weir_sql.shop_of_person(request.shop_domain);
    end if;
    if shop_id is null then
        raise exception 'the shop is not registered' using errcode = 'invalid_parameter_value',
            detail = 'No shop has this shop_domain.',
            hint = 'Give {"shop_domain": "demo.myshopify.com", "customer_id": 1, "orders": []}; a shop needs no customer_id.';
    end if;
end
$$;

create or replace function weir.redact_customer(request json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    asked record := weir_sql.request(request, 'person');
begin
    perform weir_sql.lock_exclusive(asked.shop_id);
    return weir_sql.redact_customer(asked.shop_id, asked.customer_id, asked.orders)::json;
end
$$;

create or replace function weir.redact_shop(request json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
declare
    asked record := weir_sql.request(request, 'shop');
    table_name text;
    count bigint;
    total bigint := 0;
    removed jsonb := '{}';
    renewed text;
begin
    perform weir_sql.lock_exclusive(asked.shop_id);
    -- A request of before the shop registered, first or anew, finds nothing that it is about.
    renewed := weir_sql.shop_renewed(asked.shop_id, weir_sql.exact_time(asked.requested_at));
    if renewed is not null then
        return renewed::json;
    end if;
    -- Everything of a shop, parts before wholes.
    foreach table_name in array array[
        'publication.publication_telemetry', 'publication.link', 'publication.item', 'publication.program',
        'publication.publisher', 'publication.catalogue', 'commerce.sales_ledger', 'commerce.order_line_item',
        'commerce.refund_line_item', 'commerce.refund_adjustment', 'commerce.refund', 'commerce.payment',
        'commerce.fulfillment_line_item', 'commerce.fulfillment', 'commerce.order_edit_line',
        'commerce.order_return', 'commerce.agreement_sale', 'commerce.sales_agreement',
        'commerce.agreement_reading', 'commerce.order_header', 'commerce.product_variant', 'commerce.product',
        'commerce.customer', 'commerce.tombstone', 'commerce.webhook_delivery', 'commerce.bulk_line',
        'commerce.bulk_operation', 'privacy.data_request', 'privacy.redacted_order', 'privacy.salt'
    ]
    loop
        execute 'delete from ' || table_name || ' where shop_id = $1' using asked.shop_id;
        get diagnostics count = row_count;
        -- The request itself is a delivery by now: it must not make a repetition look like a redaction.
        if table_name <> 'commerce.webhook_delivery' then
            total := total + count;
        end if;
        removed := removed || jsonb_build_object(table_name, count);
    end loop;
    update commerce.shop set name = null where shop_id = asked.shop_id;
    return weir_sql.redact_shop(asked.shop_id, removed::text, total)::json;
end
$$;

create or replace function weir.customer_data(request json) returns json
language plpgsql strict volatile parallel unsafe as $$
declare
    asked record := weir_sql.request(request, 'customer');
    kept record;
begin
    select * into kept from weir_sql.customer_data(asked.shop_id, asked.customer_id);
    return kept.data::jsonb || jsonb_build_object('shop_domain', asked.shop_domain,
        'customer_id', asked.customer_id::text,
        'customer_key', (
            select weir_sql.customer_key(one ->> 'salt', asked.shop_domain, asked.customer_id)
            from jsonb_array_elements(kept.salts::jsonb) as one where (one ->> 'customer_id')::bigint = asked.customer_id
        ),
        'customer_keys', (
            select coalesce(jsonb_agg(jsonb_build_object('shop_domain', domain.name, 'customer_id', one ->> 'customer_id',
                'customer_key', weir_sql.customer_key(one ->> 'salt', domain.name, (one ->> 'customer_id')::bigint))
                order by each.n, domain.n), '[]')
            from jsonb_array_elements(kept.salts::jsonb) with ordinality as each (one, n)
            cross join jsonb_array_elements_text(kept.domains::jsonb) with ordinality as domain (name, n)
        ));
end
$$;

-- Makes one customer of two. Whoever is merged into somebody forgotten is the same person, and is forgotten with them; of
-- whom nothing is known any more nothing is merged.
create function weir_sql.merge(shop_id bigint, shop_domain text, fact jsonb) returns void language plpgsql as $$
declare
    customer_id bigint := (fact ->> 'customer_id')::bigint;
    kept_id bigint := (fact ->> 'into')::bigint;
    gone bigint[] := array(select redacted.customer_id
        from weir_sql.redacted_read(array[shop_id, shop_id, shop_id], array[0, customer_id, kept_id], '{}', '{}') as redacted
        where redacted.merged_into is null);
begin
    if kept_id = any (gone) and 0 <> all (gone) then
        perform weir.redact_customer(json_build_object('shop_domain', shop_domain, 'customer_id', customer_id));
    elsif gone = '{}' then
        perform weir_sql.customer_merge(shop_id, customer_id, kept_id, weir_sql.exact_time((fact ->> 'at')::bigint));
    end if;
end
$$;

-- Orders that name a merged customer, told before the merge or of before it, with the one who was kept.
create function weir_sql.with_merged(deliveries weir_sql.delivery[]) returns weir_sql.delivery[] language plpgsql as $$
declare
    one record;
    given weir_sql.delivery;
begin
    for one in
        select orders.position, merged.merged_into from (
            select told.position, told.shop_id, (told.fact -> 'header' ->> 'customer_id')::bigint as customer_id
            from unnest(deliveries) as told
            where told.fact ->> 'kind' = 'order' and told.fact -> 'header' ->> 'customer_id' is not null
        ) as orders
        join commerce.customer as merged on merged.shop_id = orders.shop_id
            and merged.customer_id = orders.customer_id and merged.merged_into is not null
    loop
        given := deliveries[one.position];
        given.fact := jsonb_set(given.fact, '{header,customer_id}', to_jsonb(one.merged_into));
        deliveries[one.position] := given;
    end loop;
    return deliveries;
end
$$;

-- Takes part in the privacy of the shop of a domain; the shop as it is then, null if it is none.
create function weir_sql.enter_shop(domain text) returns weir_sql.known_shop language plpgsql as $$
declare
    entered bigint := (select shop.shop_id from commerce.shop as shop where shop.shop_domain = domain);
    known weir_sql.known_shop;
begin
    if entered is not null then
        perform weir_sql.lock_shared(entered);
        -- Again, now that it is locked: a registration that was waited for may have moved it to another time zone or domain.
        select shop.shop_id, shop.shop_domain, shop.iana_time_zone, shop.currency into known
        from commerce.shop as shop where shop.shop_domain = domain and shop.shop_id = entered;
    end if;
    return known;
end
$$;

-- Takes the locks of a batch, forgets whom it says to forget, and takes whoever was forgotten out of the rest of it.
create function weir_sql.with_privacy(deliveries weir_sql.delivery[]) returns weir_sql.delivery[]
language plpgsql as $$
declare
    one record;
    gone record;
    given weir_sql.delivery;
    is_private boolean;
begin
    for one in
        select shop_id, bool_or(fact ->> 'kind' in
            ('customer_redacted', 'customer_data_requested', 'shop_redacted', 'customer_merged')) as rules
        from unnest(deliveries) where fact is not null group by shop_id order by shop_id
    loop
        if one.rules then
            perform weir_sql.lock_exclusive(one.shop_id);
        else
            perform weir_sql.lock_shared(one.shop_id);
        end if;
    end loop;
    -- A registration that was waited for may have moved one to another time zone or domain, or to another currency.
    if exists (
        select from unnest(deliveries) as told
        join commerce.shop as shop on shop.shop_id = told.shop_id and shop.shop_domain = told.shop_domain
        where told.fact is not null and shop.currency <> told.currency
    ) then
        raise exception 'the shop has another currency now' using errcode = 'serialization_failure',
            detail = 'It was registered anew while the batch waited.', hint = 'Send the batch again.';
    end if;
    for one in
        select told.position, shop.iana_time_zone, shop.shop_id is null as is_unknown from unnest(deliveries) as told
        left join commerce.shop as shop on shop.shop_id = told.shop_id and shop.shop_domain = told.shop_domain
        where told.fact is not null and shop.iana_time_zone is distinct from told.zone
            -- A customer is the same under each domain that their shop had.
            and not (told.topic in ('customers/redact', 'customers/data_request')
                and coalesce(weir_sql.shop_of_person(told.shop_domain) = told.shop_id, false))
    loop
        given := deliveries[one.position];
        if one.is_unknown then
            given.fact := null;
            given.verdict := 'rejected';
            given.reason := 'unknown_shop';
            given.detail := 'the shop is not registered';
        else
            given.zone := one.iana_time_zone;
        end if;
        deliveries[one.position] := given;
    end loop;
    -- Through the API, since these functions run with their owner's rights.
    for one in
        select shop_domain, fact, least(triggered_at, received_at) as requested_at from unnest(deliveries)
        where fact ->> 'kind' in ('customer_redacted', 'shop_redacted') order by position
    loop
        if one.fact ->> 'kind' = 'shop_redacted' then
            perform weir.redact_shop(json_build_object('shop_domain', one.shop_domain,
                'requested_at', weir_sql.exact_time(one.requested_at)));
        else
            perform weir.redact_customer(json_build_object('shop_domain', one.shop_domain,
                'customer_id', one.fact -> 'customer_id', 'orders', one.fact -> 'orders'));
        end if;
    end loop;
    perform weir_sql.merge(told.shop_id, told.shop_domain, told.fact) from unnest(deliveries) as told
    where told.fact ->> 'kind' = 'customer_merged';
    deliveries := weir_sql.with_merged(deliveries);
    select array_agg(redacted.shop_id) filter (where redacted.order_id is null) as shops,
        array_agg(redacted.customer_id) filter (where redacted.order_id is null) as customers,
        array_agg(redacted.shop_id) filter (where redacted.order_id is not null) as order_shops,
        array_agg(redacted.order_id) filter (where redacted.order_id is not null) as orders
    into gone from (
        select array_agg(shop_id) as shops, array_agg(customer_id) as customers from (
            select shop_id, 0 as customer_id from unnest(deliveries) where fact is not null
            union
            select shop_id, coalesce(fact ->> 'customer_id', fact -> 'header' ->> 'customer_id')::bigint
            from unnest(deliveries) where fact ->> 'kind' in ('order', 'customer_data_requested', 'customer_merged')
            union
            select shop_id, (fact -> 'customer' ->> 'customer_id')::bigint
            from unnest(deliveries) where fact ->> 'kind' = 'customer'
        ) as named where customer_id is not null
    ) as asked, (
        select array_agg(shop_id) as shops, array_agg(order_id) as orders from (
            select distinct shop_id, (fact ->> 'order_id')::bigint as order_id from unnest(deliveries)
            where fact ->> 'kind' in ('order', 'refund', 'payment', 'return')
        ) as named
    ) as told, weir_sql.redacted_read(asked.shops, asked.customers, told.shops, told.orders) as redacted
    where redacted.merged_into is null;
    if gone.shops is null and gone.orders is null and not exists (
            select from unnest(deliveries) where fact ->> 'kind' in ('customer_data_requested', 'shop_redacted'))
    then
        return deliveries;
    end if;
    for n in 1 .. array_length(deliveries, 1) loop
        given := deliveries[n];
        continue when given.fact is null;
        is_private := given.fact ->> 'kind' in ('customer_redacted', 'customer_data_requested', 'shop_redacted');
        if weir_sql.is_gone(gone.shops, gone.customers, given.shop_id, 0) and not is_private then
            given.fact := null;
            given.verdict := 'ignored';
            given.reason := 'redacted';
        elsif given.fact ->> 'kind' = 'shop_redacted'
            and not weir_sql.is_gone(gone.shops, gone.customers, given.shop_id, 0)
        then
            given.fact := null;
            given.verdict := 'ignored';
            given.reason := 'registered_anew';
        elsif given.fact ->> 'kind' in ('refund', 'payment', 'return')
            and weir_sql.is_gone(gone.order_shops, gone.orders, given.shop_id, (given.fact ->> 'order_id')::bigint)
        then
            given.raw := null;
        elsif given.fact ->> 'kind' = 'order' and (weir_sql.is_gone(gone.shops, gone.customers, given.shop_id,
                (given.fact -> 'header' ->> 'customer_id')::bigint)
            or weir_sql.is_gone(gone.order_shops, gone.orders, given.shop_id, (given.fact ->> 'order_id')::bigint))
        then
            given.fact := jsonb_set(given.fact, '{header,customer_id}', 'null') || '{"customer": null}';
            given.raw := null;
        elsif given.fact ->> 'kind' = 'customer' and weir_sql.is_gone(gone.shops, gone.customers, given.shop_id,
            (given.fact -> 'customer' ->> 'customer_id')::bigint)
        then
            given.fact := null;
            given.verdict := 'ignored';
            given.reason := 'redacted';
        elsif given.fact ->> 'kind' = 'customer_merged' and weir_sql.is_gone(gone.shops, gone.customers, given.shop_id,
            (given.fact ->> 'customer_id')::bigint)
        then
            given.fact := null;
            given.verdict := 'ignored';
            given.reason := 'redacted';
        elsif given.fact ->> 'kind' = 'customer_data_requested'
            and not weir_sql.is_gone(gone.shops, gone.customers, given.shop_id, 0)
            and not weir_sql.is_gone(gone.shops, gone.customers, given.shop_id, (given.fact ->> 'customer_id')::bigint)
            -- What was answered and deleted does not come back with a repetition.
            and not exists (select from weir_sql.deliveries_read(array[given.shop_id], array[given.topic], array[given.webhook_id]))
        then
            perform weir_sql.data_request_write(given.shop_id, (given.fact ->> 'request_id')::bigint,
                (given.fact ->> 'customer_id')::bigint, weir_sql.exact_time(given.received_at));
        end if;
        deliveries[n] := given;
    end loop;
    return deliveries;
end
$$;

-- Whether a customer (0: the shop) or an order is among the forgotten.
create function weir_sql.is_gone(shops bigint[], ids bigint[], shop_id bigint, id bigint) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return exists (select from unnest(shops, ids) as gone (shop, id) where gone.shop = shop_id and gone.id = is_gone.id);
end
$$;
