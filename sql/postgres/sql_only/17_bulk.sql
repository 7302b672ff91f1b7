-- weir.ingest_bulk and weir.bulk_events. Guarantees what the extension's do: lines of an operation are kept as a set, so that
-- neither their sequence, nor the borders of chunks, nor repetitions matter; orders and products are put together from them
-- page by page and merged like webhooks. Locks are taken in the order of everyone else.

create function weir_sql.refuse_run(detail text) returns void language plpgsql immutable as $$
begin
    raise exception 'the run is not readable' using errcode = 'invalid_parameter_value', detail = detail,
        hint = 'Give {"operation_id": "gid://shopify/BulkOperation/1", "kind": "orders_core", "source": "bulk_sync", "started_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:00.000Z"}; weir.bulk_events takes {"operation_ids": [...], "source", "received_at", "after": null, "limit": 500, "bytes": null}.';
end
$$;

-- The argument `run`, of which the named members are texts.
create function weir_sql.run(run text, texts text[]) returns jsonb language plpgsql stable as $$
declare
    node jsonb;
    name text;
begin
    if strpos(run, '\u0000') > 0 then
        perform weir_sql.refuse_run('A text holds U+0000.');
    end if;
    begin
        node := run::jsonb;
    exception when data_exception or statement_too_complex or program_limit_exceeded then
        perform weir_sql.refuse_run('A field is missing or mistyped.');
    end;
    if jsonb_typeof(node) <> 'object' then
        perform weir_sql.refuse_run('A field is missing or mistyped.');
    end if;
    foreach name in array texts loop
        if jsonb_typeof(node -> name) is distinct from 'string' then
            perform weir_sql.refuse_run('A field is missing or mistyped.');
        end if;
    end loop;
    return node;
end
$$;

create function weir_sql.run_time(run jsonb, name text) returns bigint language plpgsql stable as $$
declare
    micros bigint := weir_sql.instant(run ->> name);
begin
    if micros is null then
        perform weir_sql.refuse_run(name || ' is not an RFC 3339 time.');
    end if;
    return micros;
end
$$;

create function weir_sql.check_source(run jsonb) returns void language plpgsql stable as $$
begin
    if run ->> 'source' not in ('bulk_sync', 'backfill', 'replay') then
        perform weir_sql.refuse_run('source is none of bulk_sync, backfill, replay.');
    end if;
end
$$;

-- Number of an operation's global id.
create function weir_sql.operation_id(value text) returns bigint language plpgsql immutable as $$
declare
    gid weir_sql.gid := weir_sql.gid(value);
begin
    if gid.resource is distinct from 'BulkOperation' then
        perform weir_sql.refuse_run('An operation id is not gid://shopify/BulkOperation/<number>.');
    end if;
    return gid.id;
end
$$;

-- The lines of a chunk by number, without blank ones.
create function weir_sql.lines_of(chunk text) returns table (number bigint, source text)
language sql immutable parallel safe as $$
    select each.n, each.line
    from string_to_table(replace(chunk, E'\r\n', E'\n'), E'\n') with ordinality as each (line, n)
    -- All that Unicode calls white space.
    where btrim(each.line, E'\t\n\x0b\f\r '
        || U&'\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\2028\2029\202F\205F\3000') <> ''
$$;

-- The answer of weir.ingest_bulk to a chunk of which nothing is taken.
create function weir_sql.refuse_chunk(chunk text, reason text, detail text) returns json language sql stable as $$
    select json_build_object('read', count(*), 'upserted', 0, 'unchanged', 0, 'rejected', count(*), 'roots', 0,
        'rejections', coalesce(json_agg(json_build_object('line', number, 'id', null, 'reason', reason, 'detail', detail)
            order by number), '[]'))
    from weir_sql.lines_of(chunk)
$$;

-- Writes lines, each node once: the last telling of it, and a readable one before a broken one. Customers who were
-- forgotten are taken out, merged ones are named as whom they were merged into. How many readable ones said something new.
create function weir_sql.write_bulk_lines(shop_id bigint, operation_id bigint, lines weir_sql.bulk_line[]) returns bigint
language plpgsql as $$
begin
    return (
        with told as materialized (
            select distinct on (resource collate "C", id) * from unnest(lines) where resource is not null
            order by resource collate "C", id, content is null,
                case when content is null then number else -number end
        ), found as materialized (
            select found.* from (
                select array_agg(write_bulk_lines.shop_id) as shops, array_agg(one.customer_id) as customers
                from (select distinct customer_id from told where customer_id is not null) as one
            ) as asked, (
                select array_agg(write_bulk_lines.shop_id) as shops, array_agg(told.id) as orders
                from told where told.resource = 'Order'
            ) as orders, weir_sql.redacted_read(asked.shops, asked.customers, orders.shops, orders.orders) as found
        ), person as (
            select customer_id, min(merged_into) as into, bool_or(merged_into is null) as is_gone
            from found where order_id is null group by 1
        ), named as (
            select told.*, coalesce(person.into, told.customer_id) as buyer,
                not coalesce(person.is_gone, false) and redacted.order_id is null as is_known
            from told left join person using (customer_id)
            left join found as redacted on told.resource = 'Order' and redacted.order_id = told.id
            order by told.resource collate "C", told.id
        )
        select weir_sql.bulk_line_write(shop_id, operation_id, coalesce(array_agg(resource), '{}'),
            coalesce(array_agg(id), '{}'), coalesce(array_agg(parent_resource), '{}'),
            coalesce(array_agg(parent_id), '{}'), coalesce(array_agg(content::text), '{}'),
            coalesce(array_agg(case when is_known then buyer end), '{}'),
            coalesce(array_agg(case when is_known then raw::text end), '{}'))
        from named
    );
end
$$;

create function weir_sql.ingest_bulk(shop_domain text, chunk text, run text) returns json language plpgsql
set jit = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan as $$
declare
    asked jsonb := weir_sql.run(run, '{operation_id,kind,source,started_at,received_at}');
    operation bigint;
    started_at bigint;
    received_at bigint;
    shop bigint;
    lines weir_sql.bulk_line[];
    upserted bigint;
begin
    perform weir_sql.check_source(asked);
    if asked ->> 'kind' not in ('orders_core', 'orders_ledger', 'products') then
        perform weir_sql.refuse_run('kind is none of orders_core, orders_ledger, products.');
    end if;
    operation := weir_sql.operation_id(asked ->> 'operation_id');
    started_at := weir_sql.run_time(asked, 'started_at');
    received_at := weir_sql.run_time(asked, 'received_at');
    shop := (weir_sql.enter_shop(shop_domain)).shop_id;
    if shop is null then
        return weir_sql.refuse_chunk(chunk, 'unknown_shop', 'the shop is not registered');
    end if;
    if exists (select from weir_sql.redacted_read(array[shop], '{0}', '{}', '{}')) then
        return weir_sql.refuse_chunk(chunk, 'redacted', 'the shop was forgotten');
    end if;
    lines := array(
        select weir_sql.read_bulk_line(given.source, given.number, asked ->> 'kind', started_at)
        from weir_sql.lines_of(chunk) as given order by given.number
    );
    perform weir_sql.bulk_operation_write(shop, operation, asked ->> 'kind', weir_sql.exact_time(started_at),
        weir_sql.exact_time(received_at));
    upserted := weir_sql.write_bulk_lines(shop, operation, lines);
    return (
        select json_build_object('read', count(*), 'upserted', upserted,
            'unchanged', count(*) filter (where reason is null) - upserted,
            'rejected', count(*) filter (where reason is not null),
            'roots', count(*) filter (where reason is null and parent_id is null),
            'rejections', coalesce(json_agg(json_build_object('line', number,
                'id', 'gid://shopify/' || nullif(resource, 'unreadable') || '/' || id, 'reason', reason, 'detail', detail)
                order by number) filter (where reason is not null), '[]'))
        from unnest(lines)
    );
end
$$;

-- A line of an operation as it was kept; `sequence` tells operations in the sequence of their start.
create type weir_sql.bulk_node as (
    sequence bigint, operation_id bigint, resource text, id bigint, parent_resource text, parent_id bigint, content jsonb,
    customer_id bigint, raw jsonb
);

-- Nodes as rows, so that the planner expects many and joins them by hash.
create function weir_sql.each_node(nodes weir_sql.bulk_node[]) returns setof weir_sql.bulk_node
language plpgsql immutable rows 10000 as $$
begin
    return query select * from unnest(nodes);
end
$$;

-- The lines of the page's orders and products and of what belongs to them, without orders and products of which a line
-- could not be read: half an order would say that the rest is gone. Forgotten customers are taken out.
create function weir_sql.whole_nodes(shop_id bigint, operations bigint[], orders bigint[], products bigint[])
returns weir_sql.bulk_node[] language plpgsql as $$
declare
    nodes weir_sql.bulk_node[] := array(
        select row(node.n, node.operation_id, node.resource, node.node_id, node.parent_resource, node.parent_id,
            node.content::jsonb, node.customer_id, node.raw::jsonb)::weir_sql.bulk_node
        from weir_sql.bulk_nodes_read(shop_id, operations,
            array_fill('Order'::text, array[cardinality(orders)]) || array_fill('Product'::text, array[cardinality(products)]),
            orders || products
        ) with ordinality as node (operation_id, resource, node_id, parent_resource, parent_id, content, customer_id, raw, n)
    );
    gone bigint[];
    severed bigint[];
begin
    select coalesce(array_agg(redacted.customer_id) filter (where redacted.order_id is null), '{}'),
        coalesce(array_agg(redacted.order_id) filter (where redacted.order_id is not null), '{}')
    into gone, severed from (
        select array_agg(whole_nodes.shop_id) as shops, array_agg(customer_id) as customers
        from (select distinct customer_id from unnest(nodes) where customer_id is not null) as one
    ) as asked, weir_sql.redacted_read(asked.shops, asked.customers,
        array_fill(whole_nodes.shop_id, array[cardinality(orders)]), orders) as redacted
    where redacted.merged_into is null;
    return array(
        with recursive node as materialized (
            select *, min(sequence) over (partition by operation_id) as of_operation from weir_sql.each_node(nodes)
        ), broken as (
            select operation_id, resource, id, parent_resource, parent_id from node where content is null
            union
            select node.operation_id, node.resource, node.id, node.parent_resource, node.parent_id
            from broken join node on node.operation_id = broken.operation_id and node.resource = broken.parent_resource
                and node.id = broken.parent_id
        )
        select row(of_operation, operation_id, resource, id, parent_resource, parent_id, content,
            case when customer_id <> all (gone) and not is_severed then customer_id end,
            case when (customer_id <> all (gone) or customer_id is null) and not is_severed then raw end)::weir_sql.bulk_node
        from (select *, resource = 'Order' and id = any (severed) as is_severed from node) as node where not exists (
            select from broken where broken.operation_id = node.operation_id and broken.resource = node.resource
                and broken.id = node.id
        )
    );
end
$$;

-- The variants of a product. As in webhooks: a price that is no amount of the shop's currency does not hold up the product.
create function weir_sql.with_price(variant jsonb, currency text) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    return (
        select variant || jsonb_build_object('price', price,
            'price_text', case when price is null then variant -> 'price_text' end,
            'told_updated_at', null, 'told_triggered_at', null)
        from (
            select case when minor between -1000000000000000 and 1000000000000000 then minor end as price
            from (select weir_sql.minor(variant ->> 'price_text', currency) as minor) as one
        ) as two
    );
end
$$;

-- What whole orders and products say, as facts (domain::shopify::bulk), in the sequence of the operations.
create function weir_sql.bulk_facts(nodes weir_sql.bulk_node[], currency text)
returns table (sequence bigint, id bigint, n bigint, fact jsonb, raw jsonb) language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
    with root as materialized (
        select * from weir_sql.each_node(nodes) where parent_id is null
    ), child as materialized (
        select root.sequence as of_root, root.resource as root_resource, root.id as root_id, part.*
        from root join weir_sql.each_node(nodes) as part on part.operation_id = root.operation_id
            and part.parent_resource = root.resource and part.parent_id = root.id
    ), line as (
        select of_root, root_resource, root_id,
            -- Lines that an earlier version kept do not say it.
            jsonb_agg('{"is_tip": false}' || (content -> 'line_item')
                order by (content -> 'line_item' ->> 'line_item_id')::bigint) as lines
        from child where content ? 'line_item' group by 1, 2, 3
    ), variant as (
        select of_root, root_resource, root_id, jsonb_agg(weir_sql.with_price(content -> 'variant', currency)
            order by (content -> 'variant' ->> 'variant_id')::bigint) as variants
        from child where content ? 'variant' group by 1, 2, 3
    ), sale as (
        select child.of_root, child.resource, child.id,
            jsonb_agg(sale.content -> 'sale' order by (sale.content -> 'sale' ->> 'sale_id')::bigint) as sales
        from child join weir_sql.each_node(nodes) as sale on sale.operation_id = child.operation_id
            and sale.parent_resource = child.resource and sale.parent_id = child.id
        where child.content ? 'agreement' and sale.content ? 'sale' group by 1, 2, 3
    ), agreement as (
        select child.of_root, child.root_resource, child.root_id, jsonb_agg(child.content -> 'agreement'
            || jsonb_build_object('sales', coalesce(sale.sales, '[]'))
            order by (child.content -> 'agreement' ->> 'agreement_id')::bigint) as agreements
        from child left join sale using (of_root, resource, id)
        where child.content ? 'agreement' group by 1, 2, 3
    )
    select root.sequence, root.id, 0, jsonb_build_object('kind', 'order', 'order_id', root.id,
        'header', (root.content -> 'order' -> 'header') || jsonb_build_object('customer_id', root.customer_id),
        'customer', null, 'lines', coalesce(line.lines, '[]'), 'refunds', root.content -> 'order' -> 'refunds',
        'fulfillments', root.content -> 'order' -> 'fulfillments', 'is_bulk', true), root.raw
    from root left join line on line.of_root = root.sequence and line.root_resource = root.resource
        and line.root_id = root.id
    where root.content ? 'order'
    union all
    select root.sequence, root.id, payment.n, jsonb_build_object('kind', 'payment', 'order_id', root.id,
        'part', payment.part, 'is_bulk', true), null
    from root, jsonb_array_elements(root.content -> 'order' -> 'payments') with ordinality as payment (part, n)
    union all
    select of_root, root_id, 0, jsonb_build_object('kind', 'return', 'order_id', root_id, 'part', child.content -> 'return',
        'is_bulk', true), null
    from child join root on root.sequence = of_root and root.resource = root_resource and root.id = root_id
    where child.content ? 'return' and root.content ? 'order_ledger'
    union all
    select root.sequence, root.id, 1, jsonb_build_object('kind', 'agreements', 'order_id', root.id,
        'updated_at', root.content -> 'order_ledger' -> 'updated_at', 'agreements', coalesce(agreement.agreements, '[]')),
        null
    from root left join agreement on agreement.of_root = root.sequence and agreement.root_resource = root.resource
        and agreement.root_id = root.id
    where root.content ? 'order_ledger'
    union all
    select root.sequence, root.id, 0, jsonb_build_object('kind', 'product', 'product_id', root.id,
        'product', (root.content -> 'product') || jsonb_build_object('variants', coalesce(variant.variants, '[]'))), root.raw
    from root left join variant on variant.of_root = root.sequence and variant.root_resource = root.resource
        and variant.root_id = root.id
    where root.content ? 'product';
end
$$;

-- Merges orders and products, which are locked, with what is known of them.
create function weir_sql.apply_bulk(shop weir_sql.known_shop, operations bigint[], orders bigint[], products bigint[])
returns void language plpgsql as $$
declare
    facts weir_sql.delivery[];
begin
    -- As deliveries about the orders and products.
    facts := array(
        select row(row_number() over (order by told.sequence, told.id, told.n), null, null, shop.shop_domain, null, null,
            null, shop.shop_id, shop.zone, shop.currency, null, null, null, told.fact, told.raw)::weir_sql.delivery
        from weir_sql.bulk_facts(weir_sql.whole_nodes(shop.shop_id, operations, orders, products), shop.currency) as told
        order by told.sequence, told.id, told.n
    );
    -- Old ledgers are written anew, changed or not: all of the page is told.
    perform weir_sql.write_orders(weir_sql.whole_changes(weir_sql.order_changes(facts || array(
        select row(cardinality(facts) + row_number() over (order by old.order_id), null, null, shop.shop_domain, null, null,
            null, shop.shop_id, shop.zone, shop.currency, null, null, null,
            jsonb_build_object('kind', 'ledger', 'order_id', old.order_id), null)::weir_sql.delivery
        from commerce.order_header as old
        where old.shop_id = shop.shop_id and old.order_id = any (orders) and old.revision > 0
            and old.ledger_version is distinct from weir_sql.ledger_version()
        order by old.order_id
    ))), facts);
    perform weir_sql.write_products(weir_sql.whole_changes(weir_sql.product_changes(facts)), facts);
end
$$;

-- What an order has to tell from its beginning, and its ledger as of now: an event that was sent before carries the ledger
-- of its time, and a consumer that keeps the first of two equal ids would never see the new one.
create function weir_sql.whole_order_keys(order_id bigint, state jsonb, received_at bigint) returns jsonb
language plpgsql stable as $$
declare
    unknown jsonb := '{"header": null, "lines": [], "absent_lines": [], "first_updated_at": null, "quantity_since": [],
        "removed_since": [], "refunds": [], "payments": [], "fulfillments": [], "edits": [],
        "returns": [], "attribution": null, "agreements": [], "agreements_updated_at": null, "completed_at": null,
        "deleted_at": null, "revision": 0}';
    keys jsonb := weir_sql.order_keys(order_id, unknown, state, received_at);
    occurred_at bigint := coalesce((state ->> 'deleted_at')::bigint, (state -> 'header' ->> 'updated_at')::bigint);
begin
    -- Without its body nothing but a deletion is an update; with it, order_created stands among the keys.
    if occurred_at is not null then
        keys := keys || weir_sql.key('order_updated', order_id, state ->> 'revision', occurred_at, order_id);
    end if;
    return keys;
end
$$;

-- All events of the page's orders and products as they are now, whether or not this run changed them: a run that died
-- before its events were sent must not lose them. The ids are those of the webhooks.
-- `root` is a cursor: the order or product that an event is of.
create function weir_sql.tell_bulk(shop weir_sql.known_shop, orders bigint[], products bigint[], source text, received_at bigint)
returns table (root text, "position" integer, n bigint, event text) language plpgsql as $$
#variable_conflict use_column
declare
    told weir_sql.delivery[];
    fates weir_sql.fate[];
    roots text[];
begin
    select array_agg(one.root order by n), array_agg(row(n, null, null, shop.shop_domain, received_at, received_at, source, shop.shop_id,
            shop.zone, shop.currency, null, null, null, one.fact, null)::weir_sql.delivery order by n),
        array_agg(row(n, null, one.keys)::weir_sql.fate order by n)
    into roots, told, fates
    from (
        select row_number() over (order by part.rank, part.id) as n, part.root, part.fact, part.keys from (
            select 1 as rank, state.order_id as id, 'Order/' || state.order_id as root, jsonb_build_object('order_id', state.order_id) as fact,
                weir_sql.whole_order_keys(state.order_id, state.state::jsonb, received_at) as keys
            from weir_sql.orders_read(array_fill(shop.shop_id, array[cardinality(orders)]), orders) as state
            union all
            select 2, state.product_id, 'Product/' || state.product_id, jsonb_build_object('product_id', state.product_id),
                weir_sql.product_keys(null, state.state::jsonb)
            from weir_sql.products_read(array_fill(shop.shop_id, array[cardinality(products)]), products) as state
        ) as part
    ) as one;
    return query select roots[one.position], one.position, one.n, one.event::text
        from weir_sql.rendered(coalesce(told, '{}'), coalesce(fates, '{}'), '{}') as one;
end
$$;

-- A page's first order or product: after the cursor `after`, such as Order/1; null where it is none.
create function weir_sql.cursor(after text, resource text) returns bigint language plpgsql immutable as $$
declare
    parts text[] := regexp_match(after, '^([^/]*)/(.*)$');
begin
    if after is null then
        return -9223372036854775808;
    elsif parts[1] not in ('Order', 'Product') or not coalesce(weir_sql.is_int(parts[2]), false) then
        perform weir_sql.refuse_run('after is no cursor of this function.');
    end if;
    return case when parts[1] = resource then parts[2]::bigint
        when resource = 'Order' then 9223372036854775807 else -9223372036854775808 end;
end
$$;

create function weir_sql.bulk_events(shop_domain text, run text) returns json language plpgsql
set jit = off set work_mem = '64MB' set plan_cache_mode = force_generic_plan as $$
declare
    asked jsonb := weir_sql.run(run, '{source,received_at}');
    limit_text text := coalesce(run::json ->> 'limit', '500');
    bytes_text text := run::json ->> 'bytes';
    operations bigint[];
    received_at bigint;
    size bigint;
    most bigint;
    shop weir_sql.known_shop;
    orders bigint[];
    products bigint[] := '{}';
    all_roots text[];
    told_orders bigint[];
    told_products bigint[];
    at_once bigint;
    roots bigint := 0;
    bytes bigint := 0;
    events text[] := '{}';
    next text := asked ->> 'after';
    page record;
begin
    if jsonb_typeof(asked -> 'operation_ids') is distinct from 'array'
        or exists (select from jsonb_array_elements(asked -> 'operation_ids') as id where jsonb_typeof(id) <> 'string')
        or jsonb_typeof(coalesce(asked -> 'after', 'null')) not in ('string', 'null')
        or jsonb_typeof(coalesce(asked -> 'limit', 'null')) not in ('number', 'null')
        or not weir_sql.is_plain_int(limit_text)
        or jsonb_typeof(coalesce(asked -> 'bytes', 'null')) not in ('number', 'null')
        or not coalesce(weir_sql.is_plain_int(bytes_text), true)
    then
        perform weir_sql.refuse_run('A field is missing or mistyped.');
    end if;
    operations := array(
        select weir_sql.operation_id(id) from jsonb_array_elements_text(asked -> 'operation_ids') with ordinality as one (id, n)
        order by n
    );
    received_at := weir_sql.run_time(asked, 'received_at');
    perform weir_sql.check_source(asked);
    size := limit_text::bigint;
    if size not between 1 and 10000 then
        perform weir_sql.refuse_run('limit is not from 1 to 10000.');
    end if;
    most := bytes_text::bigint;
    if most not between 1 and 1000000000 then
        perform weir_sql.refuse_run('bytes is not from 1 to 1000000000.');
    end if;
    shop := weir_sql.enter_shop(shop_domain);
    if shop.shop_id is null then
        perform weir_sql.refuse_unknown_shop();
    end if;
    if exists (select from weir_sql.redacted_read(array[shop.shop_id], '{0}', '{}', '{}')) then
        return '{"events": [], "next": null}';
    end if;
    execute (select script from weir_sql.script where name = 'analyze_grown');
    orders := array(select id from weir_sql.bulk_roots_read(shop.shop_id, operations, 'Order',
        weir_sql.cursor(next, 'Order'), size) as id order by id);
    if cardinality(orders) < size then
        products := array(select id from weir_sql.bulk_roots_read(shop.shop_id, operations, 'Product',
            weir_sql.cursor(next, 'Product'), size - cardinality(orders)) as id order by id);
    end if;
    all_roots := array(select 'Order/' || id from unnest(orders) with ordinality as one (id, n) order by n)
        || array(select 'Product/' || id from unnest(products) with ordinality as one (id, n) order by n);
    -- Later on it would be too late: part of the page may be told by then, and salts are locked after all orders and in the sequence
    -- of their customers.
    perform weir_sql.order_header_lock(array_fill(shop.shop_id, array[cardinality(orders)]), orders);
    perform weir_sql.product_lock(array_fill(shop.shop_id, array[cardinality(products)]), products);
    perform weir_sql.page_salts_make(shop.shop_id, orders, operations);
    while roots < cardinality(all_roots) and coalesce(bytes < most, true) loop
        -- By what those before came to; what is told no more is put together once again.
        at_once := case when most is null then size when bytes = 0 then 50
            else greatest(1, (most - bytes) * roots / bytes) end;
        told_orders := orders[roots + 1 : roots + at_once];
        told_products := products[greatest(roots - cardinality(orders), 0) + 1 : roots + at_once - cardinality(orders)];
        perform weir_sql.apply_bulk(shop, operations, told_orders, told_products);
        with told as materialized (
            select * from weir_sql.tell_bulk(shop, told_orders, told_products, asked ->> 'source', received_at)
        ), enough as (
            -- Those after which there are bytes enough.
            select told.position, coalesce(most <= bytes + sum(sum(octet_length(told.event))) over (
                order by told.position rows between unbounded preceding and 1 preceding), false) as is_cut
            from told group by told.position
        )
        select coalesce(array_agg(told.event order by told.position, told.n) filter (where not enough.is_cut), '{}') as events,
            coalesce(sum(octet_length(told.event)) filter (where not enough.is_cut), 0) as bytes,
            (array_agg(told.root order by told.position desc) filter (where not enough.is_cut))[1] as last
        into page from told join enough using (position);
        events := events || page.events;
        bytes := bytes + page.bytes;
        roots := case when bytes >= most then array_position(all_roots, page.last)
            else roots + cardinality(told_orders) + cardinality(told_products) end;
    end loop;
    -- As many as were asked for: there may be more.
    next := case when roots < cardinality(all_roots) or cardinality(all_roots) = size then all_roots[roots] end;
    return ('{"events": [' || array_to_string(events, ', ') || '], "next": ' || coalesce(to_json(next)::text, 'null') || '}')::json;
end
$$;

create or replace function weir.ingest_bulk(shop text, lines text, run json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.ingest_bulk(shop, lines, run::text);
end
$$;

create or replace function weir.ingest_bulk(shop text, lines text, run text) returns text
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.ingest_bulk(shop, lines, run)::text;
end
$$;

create or replace function weir.bulk_events(shop text, run json) returns json
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.bulk_events(shop, run::text);
end
$$;

create or replace function weir.bulk_events(shop text, run text) returns text
language plpgsql strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return weir_sql.bulk_events(shop, run)::text;
end
$$;
