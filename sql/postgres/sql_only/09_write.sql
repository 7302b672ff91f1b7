-- Writing what a call changed. Guarantees: one statement a table however large the batch, rows sorted by key; parts that
-- did not change are left alone. `changes` hold each order once, from before the call to after it; `deliveries` hold the
-- bodies and stand at their positions.

create function weir_sql.write_headers(changes weir_sql.change[], deliveries weir_sql.delivery[]) returns void
language plpgsql as $$
declare
    bodies jsonb[] := weir_sql.impersonal_all(array(
        select (deliveries[change.raw_from]).raw from unnest(changes) as change order by change.shop_id, change.id));
begin
    perform weir_sql.order_header_write(array_agg(one.shop_id), array_agg(one.id), array_agg(header ->> 'name'),
        array_agg(weir_sql.exact_time((header ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((header ->> 'processed_at')::bigint)),
        array_agg(weir_sql.exact_time((header ->> 'updated_at')::bigint)),
        array_agg(weir_sql.exact_time((header ->> 'triggered_at')::bigint)),
        array_agg(weir_sql.exact_time((header ->> 'cancelled_at')::bigint)),
        array_agg(weir_sql.exact_time((after ->> 'completed_at')::bigint)), array_agg(header ->> 'financial_status'),
        array_agg(header ->> 'fulfillment_status'), array_agg((header ->> 'is_test')::boolean),
        array_agg((header ->> 'taxes_included')::boolean), array_agg(header ->> 'currency'),
        array_agg(header ->> 'presentment_currency'), array_agg((header ->> 'total_price')::bigint),
        array_agg((header ->> 'customer_id')::bigint), array_agg(header ->> 'source_name'),
        array_agg((after ->> 'revision')::bigint), array_agg(raw),
        array_agg(weir_sql.referral(after) ->> 'publisher_id'), array_agg(weir_sql.referral(after) ->> 'program_id'),
        array_agg(header -> 'referred_by' ->> 'publisher_id'), array_agg(header -> 'referred_by' ->> 'program_id'),
        array_agg(weir_sql.exact_time((after -> 'attribution' ->> 'occurred_at')::bigint)),
        array_agg(after -> 'attribution' ->> 'event_id'),
        array_agg(weir_sql.exact_time((nullif(after -> 'first_updated_at', header -> 'updated_at') #>> '{}')::bigint)),
        array_agg(nullif(after -> 'quantity_since', '[]')), array_agg(nullif(after -> 'removed_since', '[]')),
        array_agg(nullif(after -> 'absent_lines', '[]')))
    from (
        select change.shop_id, change.id, change.after, change.after -> 'header' as header,
            bodies[row_number() over (order by change.shop_id, change.id)] as raw
        from unnest(changes) as change
        order by change.shop_id, change.id
    ) as one;
end
$$;

create function weir_sql.write_lines(changes weir_sql.change[]) returns void language plpgsql as $$
begin
    perform weir_sql.order_line_item_clear(array_agg(shop_id), array_agg(id)) from unnest(changes)
    where before -> 'lines' <> after -> 'lines' and before -> 'lines' <> '[]';
    perform weir_sql.order_line_item_write(array_agg(one.shop_id), array_agg(one.id),
        array_agg((line ->> 'line_item_id')::bigint), array_agg((line ->> 'product_id')::bigint),
        array_agg((line ->> 'variant_id')::bigint), array_agg(line ->> 'title'), array_agg(line ->> 'vendor'),
        array_agg((line ->> 'is_gift_card')::boolean), array_agg((line ->> 'quantity')::bigint),
        array_agg((line ->> 'current_quantity')::bigint), array_agg((line -> 'unit_price' ->> 'shop')::bigint),
        array_agg((line -> 'unit_price' ->> 'presentment')::bigint), array_agg((line -> 'discount' ->> 'shop')::bigint),
        array_agg((line -> 'discount' ->> 'presentment')::bigint), array_agg((line -> 'tax' ->> 'shop')::bigint),
        array_agg((line -> 'tax' ->> 'presentment')::bigint), array_agg((line ->> 'tax_rate')::bigint),
        array_agg(coalesce((line ->> 'is_tip')::boolean, false)))
    from (
        select change.shop_id, change.id, line
        from unnest(changes) as change, jsonb_array_elements(change.after -> 'lines') with ordinality as each (line, n)
        where change.before -> 'lines' <> change.after -> 'lines' order by change.shop_id, change.id, each.n
    ) as one;
end
$$;

-- The raw body of a part, without personal data; null where it stays as it is stored.
create function weir_sql.part_raw(raws jsonb, list text, part jsonb, deliveries weir_sql.delivery[]) returns text
language plpgsql immutable as $$
declare
    place jsonb := raws -> (array_to_string(weir_sql.part_id(list, part), '/') || list);
    raw jsonb;
begin
    if coalesce(place, 'null') = 'null' then
        return null;
    end if;
    raw := (deliveries[(place ->> 'at')::integer]).raw;
    if place ->> 'n' is not null then
        raw := raw -> list -> (place ->> 'n')::integer;
    end if;
    return weir_sql.impersonal(raw)::text;
end
$$;

create function weir_sql.write_refunds(changes weir_sql.change[], deliveries weir_sql.delivery[]) returns void language plpgsql as $$
declare
    touched weir_sql.change[] := array(select change from unnest(changes) as change
        where change.before -> 'refunds' <> change.after -> 'refunds' order by change.shop_id, change.id);
begin
    if touched = '{}' then
        return;
    end if;
    perform weir_sql.refund_write(array_agg(one.shop_id), array_agg(one.id), array_agg((refund ->> 'refund_id')::bigint),
        array_agg(weir_sql.exact_time((refund ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((refund ->> 'processed_at')::bigint)),
        array_agg(weir_sql.exact_time((refund ->> 'observed_at')::bigint)),
        array_agg(weir_sql.exact_time((refund ->> 'triggered_at')::bigint)),
        array_agg((refund ->> 'paid_amount')::bigint), array_agg(refund ->> 'paid_currency'),
        array_agg((refund ->> 'is_brief')::boolean),
        array_agg(weir_sql.part_raw(one.raws, 'refunds', refund, deliveries)), array_agg((refund ->> 'return_id')::bigint))
    from unnest(touched) as one, jsonb_array_elements(one.after -> 'refunds') as refund;
    perform weir_sql.refund_line_item_clear(array_agg(shop_id), array_agg(id)) from unnest(touched);
    perform weir_sql.refund_line_item_write(array_agg(one.shop_id), array_agg(one.id),
        array_agg((refund ->> 'refund_id')::bigint), array_agg((item ->> 'refund_line_item_id')::bigint),
        array_agg((item ->> 'line_item_id')::bigint), array_agg((item ->> 'product_id')::bigint),
        array_agg((item ->> 'is_gift_card')::boolean), array_agg((item ->> 'quantity')::bigint),
        array_agg(item ->> 'restock_type'), array_agg((item -> 'subtotal' ->> 'shop')::bigint),
        array_agg((item -> 'subtotal' ->> 'presentment')::bigint), array_agg((item -> 'tax' ->> 'shop')::bigint),
        array_agg((item -> 'tax' ->> 'presentment')::bigint), array_agg(coalesce((item ->> 'is_tip')::boolean, false)))
    from unnest(touched) as one, jsonb_array_elements(one.after -> 'refunds') as refund,
        jsonb_array_elements(refund -> 'lines') as item;
    perform weir_sql.refund_adjustment_clear(array_agg(shop_id), array_agg(id)) from unnest(touched);
    perform weir_sql.refund_adjustment_write(array_agg(one.shop_id), array_agg(one.id),
        array_agg((refund ->> 'refund_id')::bigint), array_agg((item ->> 'adjustment_id')::bigint),
        array_agg(item ->> 'kind'), array_agg((item -> 'amount' ->> 'shop')::bigint),
        array_agg((item -> 'amount' ->> 'presentment')::bigint), array_agg((item -> 'tax' ->> 'shop')::bigint),
        array_agg((item -> 'tax' ->> 'presentment')::bigint))
    from unnest(touched) as one, jsonb_array_elements(one.after -> 'refunds') as refund,
        jsonb_array_elements(refund -> 'adjustments') as item;
end
$$;

-- Parts of the orders in which `list` changed, in the order of their keys.
create function weir_sql.changed_parts(changes weir_sql.change[], list text)
returns table (shop_id bigint, id bigint, part jsonb, raws jsonb) language plpgsql immutable as $$
#variable_conflict use_column
begin
    return query
    select change.shop_id, change.id, each.part, change.raws
    from unnest(changes) as change, jsonb_array_elements(change.after -> list) with ordinality as each (part, n)
    where change.before -> list <> change.after -> list order by change.shop_id, change.id, each.n;
end
$$;

create function weir_sql.write_movements(changes weir_sql.change[], deliveries weir_sql.delivery[]) returns void language plpgsql as $$
begin
    perform weir_sql.payment_write(array_agg(shop_id), array_agg(id), array_agg((part ->> 'payment_id')::bigint),
        array_agg((part ->> 'parent_id')::bigint), array_agg(part ->> 'kind'), array_agg(part ->> 'status'),
        array_agg(part ->> 'gateway'), array_agg((part ->> 'amount')::bigint), array_agg(part ->> 'currency'),
        array_agg((part ->> 'is_test')::boolean), array_agg(weir_sql.exact_time((part ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'processed_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'triggered_at')::bigint)),
        array_agg(weir_sql.part_raw(raws, 'payments', part, deliveries)))
    from weir_sql.changed_parts(changes, 'payments') having count(*) > 0;
    perform weir_sql.fulfillment_write(array_agg(shop_id), array_agg(id),
        array_agg((part ->> 'fulfillment_id')::bigint), array_agg(part ->> 'status'),
        array_agg(part ->> 'tracking_company'), array_agg(weir_sql.exact_time((part ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'updated_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'triggered_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'shipped_at')::bigint)))
    from weir_sql.changed_parts(changes, 'fulfillments') having count(*) > 0;
    perform weir_sql.fulfillment_line_item_clear(array_agg(shop_id), array_agg(id)) from unnest(changes)
    where before -> 'fulfillments' <> after -> 'fulfillments' and before -> 'fulfillments' <> '[]' having count(*) > 0;
    perform weir_sql.fulfillment_line_item_write(array_agg(shop_id), array_agg(id),
        array_agg((part ->> 'fulfillment_id')::bigint), array_agg((line ->> 'line_item_id')::bigint),
        array_agg((line ->> 'quantity')::bigint))
    from weir_sql.changed_parts(changes, 'fulfillments'), jsonb_array_elements(part -> 'lines') as line
    having count(*) > 0;
    perform weir_sql.order_edit_line_write(array_agg(shop_id), array_agg(id), array_agg((part ->> 'edit_id')::bigint),
        array_agg((part ->> 'line_item_id')::bigint),
        array_agg(weir_sql.exact_time((part ->> 'committed_at')::bigint)), array_agg((part ->> 'added')::bigint),
        array_agg((part ->> 'removed')::bigint))
    from weir_sql.changed_parts(changes, 'edits') having count(*) > 0;
    perform weir_sql.order_return_write(array_agg(shop_id), array_agg(id), array_agg((part ->> 'return_id')::bigint),
        array_agg(part ->> 'name'), array_agg(part ->> 'status'),
        array_agg(weir_sql.exact_time((part ->> 'requested_at')::bigint)),
        array_agg(weir_sql.exact_time((part ->> 'triggered_at')::bigint)),
        array_agg(weir_sql.part_raw(raws, 'returns', part, deliveries)))
    from weir_sql.changed_parts(changes, 'returns') having count(*) > 0;
end
$$;

create function weir_sql.write_agreements(changes weir_sql.change[]) returns void language plpgsql as $$
begin
    perform weir_sql.sales_agreement_write(array_agg(shop_id), array_agg(id),
        array_agg((part ->> 'agreement_id')::bigint),
        array_agg(weir_sql.exact_time((part ->> 'happened_at')::bigint)), array_agg(part ->> 'reason'),
        array_agg((part ->> 'refund_id')::bigint), array_agg((part ->> 'return_id')::bigint))
    from weir_sql.changed_parts(changes, 'agreements') having count(*) > 0;
    perform weir_sql.agreement_sale_write(array_agg(shop_id), array_agg(id),
        array_agg((part ->> 'agreement_id')::bigint), array_agg((sale ->> 'sale_id')::bigint),
        array_agg(sale ->> 'action_type'), array_agg(sale ->> 'line_type'), array_agg((sale ->> 'quantity')::bigint),
        array_agg((sale ->> 'line_item_id')::bigint), array_agg((sale ->> 'product_id')::bigint),
        array_agg((sale ->> 'variant_id')::bigint), array_agg((sale -> 'total' ->> 'shop')::bigint),
        array_agg((sale -> 'total' ->> 'presentment')::bigint), array_agg((sale -> 'discount' ->> 'shop')::bigint),
        array_agg((sale -> 'discount' ->> 'presentment')::bigint), array_agg((sale -> 'tax' ->> 'shop')::bigint),
        array_agg((sale -> 'tax' ->> 'presentment')::bigint))
    from weir_sql.changed_parts(changes, 'agreements'), jsonb_array_elements(part -> 'sales') as sale
    having count(*) > 0;
    perform weir_sql.agreement_reading_write(array_agg(shop_id), array_agg(id),
        array_agg(weir_sql.exact_time((after ->> 'agreements_updated_at')::bigint)))
    from (
        select * from unnest(changes)
        where before -> 'agreements_updated_at' is distinct from after -> 'agreements_updated_at' order by shop_id, id
    ) as one having count(*) > 0;
end
$$;

create function weir_sql.write_ledgers(changes weir_sql.change[]) returns void language plpgsql as $$
begin
    perform weir_sql.sales_ledger_clear(array_agg(shop_id), array_agg(id)) from unnest(changes)
    where ledger_before <> ledger_after and ledger_before <> '[]' having count(*) > 0;
    perform weir_sql.sales_ledger_write(array_agg(one.shop_id), array_agg(one.id), array_agg(sold.product_id),
        array_agg(sold.day), array_agg(sold.kind), array_agg(sold.units_sold), array_agg(sold.units_returned),
        array_agg(sold.gross_sales), array_agg(sold.discounts), array_agg(sold.returns), array_agg(sold.net_sales),
        array_agg(sold.presentment_gross_sales), array_agg(sold.presentment_discounts),
        array_agg(sold.presentment_returns), array_agg(sold.presentment_net_sales))
    from unnest(changes) as one, jsonb_to_recordset(one.ledger_after) as sold (
        product_id text, day text, kind text, units_sold bigint, units_returned bigint, gross_sales bigint,
        discounts bigint, returns bigint, net_sales bigint, presentment_gross_sales bigint,
        presentment_discounts bigint, presentment_returns bigint, presentment_net_sales bigint
    )
    where one.ledger_before <> one.ledger_after having count(*) > 0;
end
$$;

create function weir_sql.write_tombstones(changes weir_sql.change[], resource text) returns void
language plpgsql as $$
begin
    perform weir_sql.tombstone_write(array_agg(shop_id), array_agg(resource), array_agg(id),
        array_agg(weir_sql.exact_time((after ->> 'deleted_at')::bigint)))
    from unnest(changes) where after ->> 'deleted_at' is not null having count(*) > 0;
end
$$;

create function weir_sql.write_orders(changes weir_sql.change[], deliveries weir_sql.delivery[]) returns void
language plpgsql as $$
begin
    if changes = '{}' then
        return;
    end if;
    perform weir_sql.write_headers(changes, deliveries);
    perform weir_sql.write_lines(changes);
    perform weir_sql.write_refunds(changes, deliveries);
    perform weir_sql.write_movements(changes, deliveries);
    perform weir_sql.write_agreements(changes);
    perform weir_sql.write_ledgers(changes);
    perform weir_sql.write_tombstones(changes, 'order');
end
$$;

create function weir_sql.write_products(changes weir_sql.change[], deliveries weir_sql.delivery[]) returns void
language plpgsql as $$
begin
    if changes = '{}' then
        return;
    end if;
    perform weir_sql.product_write(array_agg(shop_id), array_agg(id), array_agg(after ->> 'title'),
        array_agg(after ->> 'vendor'), array_agg(after ->> 'product_type'), array_agg(after ->> 'status'),
        array_agg(weir_sql.exact_time((after ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((after ->> 'published_at')::bigint)),
        array_agg(weir_sql.exact_time((after ->> 'updated_at')::bigint)),
        array_agg(weir_sql.exact_time((after ->> 'triggered_at')::bigint)),
        array_agg(weir_sql.impersonal(one.raw)::text))
    from (
        select change.*, case when (deliveries[change.raw_from]).fact ->> 'kind' = 'product'
            then (deliveries[change.raw_from]).raw end as raw
        from unnest(changes) as change
        order by change.shop_id, change.id
    ) as one;
    perform weir_sql.product_variant_clear(array_agg(shop_id), array_agg(id)) from unnest(changes)
    where before -> 'variants' is distinct from after -> 'variants' having count(*) > 0;
    perform weir_sql.product_variant_write(array_agg(one.shop_id), array_agg(one.id),
        array_agg((variant ->> 'variant_id')::bigint), array_agg(variant ->> 'title'), array_agg(variant ->> 'sku'),
        array_agg((variant ->> 'price')::bigint), array_agg(variant ->> 'price_text'),
        array_agg(weir_sql.exact_time((variant ->> 'told_updated_at')::bigint)),
        array_agg(weir_sql.exact_time((variant ->> 'told_triggered_at')::bigint)))
    from unnest(changes) as one, jsonb_array_elements(one.after -> 'variants') as variant
    where one.before -> 'variants' is distinct from one.after -> 'variants' having count(*) > 0;
    perform weir_sql.write_tombstones(changes, 'product');
end
$$;

-- Customers that the open deliveries tell of: of each the version that holds, by the rule of domain::customer.
create function weir_sql.write_customers(open weir_sql.delivery[]) returns void language plpgsql as $$
begin
    perform weir_sql.customer_write(array_agg(one.shop_id), array_agg(one.id),
        array_agg(weir_sql.exact_time((known ->> 'created_at')::bigint)),
        array_agg(weir_sql.exact_time((known ->> 'updated_at')::bigint)), array_agg((known ->> 'is_whole')::boolean),
        array_agg(weir_sql.exact_time((known ->> 'triggered_at')::bigint)), array_agg(known ->> 'state'),
        array_agg((known ->> 'is_email_verified')::boolean), array_agg((known ->> 'is_tax_exempt')::boolean),
        array_agg(known ->> 'email_consent'), array_agg(known ->> 'sms_consent'), array_agg(known ->> 'currency'),
        array_agg(weir_sql.exact_time((known ->> 'deleted_at')::bigint)))
    from (
        select distinct on (told.shop_id, told.id) told.shop_id, told.id, told.known
        from (
            select given.shop_id, (given.fact -> 'customer' ->> 'customer_id')::bigint as id,
                given.fact -> 'customer' as known, given.position, (given.fact -> 'customer' ->> 'deleted_at')::bigint as gone
            from unnest(open) as given where jsonb_typeof(given.fact -> 'customer') = 'object'
        ) as told
        order by told.shop_id, told.id, told.gone, case when told.gone is not null then told.position end,
            (told.known ->> 'is_whole')::boolean desc,
            coalesce((told.known ->> 'updated_at')::bigint, -9223372036854775808) desc, (told.known ->> 'triggered_at')::bigint desc, told.position desc
    ) as one having count(*) > 0;
end
$$;
