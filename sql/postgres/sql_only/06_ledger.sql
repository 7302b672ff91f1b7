-- The sales ledger of orders. Guarantees what domain::sales guarantees: gross is quantity x original price, net is gross
-- less discounts less returns, tax is no sale, gift cards and tips are no sale; a sale counts on the order's day, a reversal
-- on its own, both in the shop's time zone; shares of a line are taken cumulatively, so that no rounding rest is left. Shopify's
-- agreements, once read, replace the provisional ledger up to `read_at`; what newer refunds and a newer body tell beyond
-- them goes on top. One statement for any number of orders.

-- Raised with every change by which the same facts give another ledger, together with domain::sales::LEDGER_VERSION: a ledger
-- of another version is read, for it may differ from what these rules would say, and written anew.
create function weir_sql.ledger_version() returns smallint language sql immutable parallel safe return 1::smallint;

-- `amount * numerator / denominator`, half rounded up; 0 for a denominator of 0. Exact: numeric division only truncates.
create function weir_sql.scaled(amount bigint, numerator bigint, denominator bigint) returns bigint
language plpgsql immutable parallel safe as $$
declare
    dividend numeric;
    divisor numeric;
begin
    if denominator = 0 or numerator = 0 then
        return 0;
    elsif numerator = denominator then
        return amount;
    end if;
    divisor := 2 * abs(denominator::numeric);
    dividend := 2 * amount::numeric * numerator * sign(denominator::numeric) + abs(denominator::numeric);
    return weir_sql.clamped(
        div(dividend, divisor) - case when dividend < 0 and mod(dividend, divisor) <> 0 then 1 else 0 end);
end
$$;

-- Whether sums of these amounts fit 64 bits. Lines that earlier versions stored may have others, for which numeric is there,
-- at ten times the time.
create function weir_sql.are_plain(a bigint, b bigint, c bigint) returns boolean language sql immutable parallel safe
return a between -2000000000000000000 and 2000000000000000000 and b between -2000000000000000000 and 2000000000000000000
    and c between -2000000000000000000 and 2000000000000000000;

-- What is left of an amount.
create function weir_sql.less(amount bigint, one bigint, other bigint) returns bigint language sql immutable parallel safe
return case when weir_sql.are_plain(amount, one, other) then amount - one - other
    else weir_sql.clamped(weir_sql.clamped(amount::numeric - one)::numeric - other) end;

-- What a line was sold for without its tax, where prices contain tax; `off` is its discount without tax.
create function weir_sql.net_gross(listed bigint, discount bigint, tax bigint, off bigint) returns bigint
language plpgsql immutable parallel safe as $$
begin
    -- Not in language sql: it would not be inlined, for `off` is no cheap expression.
    return case when weir_sql.are_plain(discount, tax, off) then listed - discount - tax + off
        else weir_sql.clamped(weir_sql.less(listed, discount, tax)::numeric + off) end;
end
$$;

-- A line's discount without its tax, where prices contain tax.
create function weir_sql.net_discount(listed bigint, discount bigint, tax bigint, tax_rate bigint) returns bigint
language sql immutable parallel safe
return case
    -- Nothing was paid, so no tax shows what part of the discount was tax; the rates tell, if known.
    when listed = discount then weir_sql.scaled(discount, 1000000000, 1000000000 + tax_rate)
    else weir_sql.scaled(discount, weir_sql.less(listed, discount, tax), weir_sql.less(listed, discount, 0))
end;

-- Whether a refund, made `at`, is told in full and is none of those that the agreements, read as of `read_at`, book. Where
-- an agreement of a return has booked the goods, a refund made before the reading only moved the money; in the second of
-- the reading itself both are possible.
create function weir_sql.is_unbooked(refund jsonb, at bigint, agreements jsonb, read_at bigint) returns boolean
language plpgsql immutable parallel safe as $$
begin
    return not (refund ->> 'is_brief')::boolean and at >= read_at
        and not exists (
            select from jsonb_array_elements(agreements) as agreement
            where agreement -> 'refund_id' = refund -> 'refund_id'
                or at = read_at and agreement ->> 'return_id' is not null
        );
end
$$;

-- One row of a ledger, as in telemetry.
create function weir_sql.ledger_row(product_id text, day text, kind text, units_sold bigint, units_returned bigint, gross bigint,
    off bigint, returned bigint, p_gross bigint, p_off bigint, p_returned bigint) returns jsonb
language sql stable parallel safe
return jsonb_build_object('product_id', product_id, 'day', day, 'kind', kind,
    'units_sold', units_sold, 'units_returned', units_returned, 'gross_sales', gross, 'discounts', off,
    'returns', returned, 'net_sales', weir_sql.less(gross, off, returned),
    'presentment_gross_sales', p_gross, 'presentment_discounts', p_off, 'presentment_returns', p_returned,
    'presentment_net_sales', weir_sql.less(p_gross, p_off, p_returned));

-- Whether an order was only sold: no agreements were read of it, and nothing was refunded, edited, removed or cancelled.
create function weir_sql.is_only_sold(state jsonb) returns boolean language sql immutable parallel safe
return state ->> 'agreements_updated_at' is null and state -> 'refunds' = '[]' and state -> 'edits' = '[]'
    and state -> 'header' ->> 'cancelled_at' is null and not state -> 'lines' @? '$[*] ? (@.quantity > @.current_quantity)';

-- The ledgers of orders that were only sold, by what weir_sql.ledgers makes of all others: every unit was sold when the order
-- was placed.
create function weir_sql.sold_ledgers(states jsonb[], zones text[], were_sold boolean[]) returns table (n bigint, ledger jsonb)
language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
with lines as (
    select given.n, given.zone, coalesce((given.header ->> 'processed_at')::bigint, (given.header ->> 'created_at')::bigint,
            (given.header ->> 'updated_at')::bigint) as placed_at,
        coalesce(line ->> 'product_id', 'unknown') as product_id, (line ->> 'quantity')::bigint as quantity,
        (given.header ->> 'taxes_included')::boolean as taxes_included, (line ->> 'tax_rate')::bigint as tax_rate,
        (line -> 'unit_price' ->> 'shop')::bigint * (line ->> 'quantity')::bigint as listed,
        (line -> 'unit_price' ->> 'presentment')::bigint * (line ->> 'quantity')::bigint as p_listed,
        (line -> 'discount' ->> 'shop')::bigint as discount, (line -> 'discount' ->> 'presentment')::bigint as p_discount,
        (line -> 'tax' ->> 'shop')::bigint as tax, (line -> 'tax' ->> 'presentment')::bigint as p_tax
    from (
        select n, zone, state, state -> 'header' as header
        from unnest(states, zones, were_sold) with ordinality as one (state, zone, was_sold, n) where was_sold
    ) as given, jsonb_array_elements(given.state -> 'lines') as line
    where given.state ->> 'deleted_at' is null and not (given.header ->> 'is_test')::boolean
        and not (line ->> 'is_gift_card')::boolean and not coalesce((line ->> 'is_tip')::boolean, false)
        and (line ->> 'quantity')::bigint > 0
), sums as (
    select n, product_id, zone, placed_at, weir_sql.clamped(sum(quantity)) as units,
        weir_sql.clamped(sum(case when taxes_included then weir_sql.net_gross(listed, discount, tax, net.off)
            else listed end)) as gross,
        weir_sql.clamped(sum(case when taxes_included then weir_sql.net_gross(p_listed, p_discount, p_tax, net.p_off)
            else p_listed end)) as p_gross,
        weir_sql.clamped(sum(case when taxes_included then net.off else discount end)) as off,
        weir_sql.clamped(sum(case when taxes_included then net.p_off else p_discount end)) as p_off
    from lines cross join lateral (
        select case when taxes_included then weir_sql.net_discount(listed, discount, tax, tax_rate) end as off,
            case when taxes_included then weir_sql.net_discount(p_listed, p_discount, p_tax, tax_rate) end as p_off
    ) as net
    group by n, product_id, zone, placed_at
)
select n, jsonb_agg(weir_sql.ledger_row(product_id, to_char(weir_sql.at(placed_at) at time zone weir_sql.zone(zone), 'YYYY-MM-DD'), 'sale', units,
    0, gross, off, 0, p_gross, p_off, 0) order by product_id collate "C")
from sums group by n;
end
$$;

-- Ledgers by index of the order in the arrays: lists of rows as in telemetry, sorted by product, day and kind. An order of
-- which no body has arrived, a test order and a deleted one have none.
create function weir_sql.ledgers(states jsonb[], zones text[]) returns table (n bigint, ledger jsonb)
language plpgsql stable as $$
#variable_conflict use_column
declare
    -- By place; null of an order that has no body.
    were_sold boolean[];
begin
    -- Starting the statement below costs more than it does for one order. Orders that are new had no ledger before, and of
    -- most there is nothing to tell but the sale.
    were_sold := array(
        select case when jsonb_typeof(state -> 'header') = 'object' then weir_sql.is_only_sold(state) end
        from unnest(states) with ordinality as one (state, n) order by n
    );
    if true = any (were_sold) then
        return query select * from weir_sql.sold_ledgers(states, zones, were_sold);
    end if;
    if false = any (were_sold) is not true then
        return;
    end if;
    return query
with orders as materialized (
    select given.n, given.zone, given.state,
        (given.state -> 'header' ->> 'updated_at')::bigint as updated_at,
        (given.state -> 'header' ->> 'cancelled_at')::bigint as cancelled_at,
        coalesce((given.state -> 'header' ->> 'processed_at')::bigint, (given.state -> 'header' ->> 'created_at')::bigint,
            (given.state -> 'header' ->> 'updated_at')::bigint) as placed_at,
        (given.state -> 'header' ->> 'taxes_included')::boolean as taxes_included,
        (given.state ->> 'agreements_updated_at')::bigint as read_at
    from unnest(states, zones, were_sold) with ordinality as given (state, zone, was_sold, n)
    where not given.was_sold and given.state ->> 'deleted_at' is null
        and not (given.state -> 'header' ->> 'is_test')::boolean
), refunds as materialized (
    select orders.n, orders.taxes_included, refund, made.at, (refund ->> 'return_id')::bigint as return_id
    from orders, jsonb_array_elements(orders.state -> 'refunds') as refund
    cross join lateral (
        select coalesce((refund ->> 'processed_at')::bigint, (refund ->> 'created_at')::bigint,
            (refund ->> 'observed_at')::bigint) as at
    ) as made
    where orders.read_at is null
        or weir_sql.is_unbooked(refund, made.at, orders.state -> 'agreements', orders.read_at)
), agreed as materialized (
    -- A sale's base is its total without tax, already after its discount.
    select orders.n, coalesce((sale ->> 'line_item_id')::bigint, 0) as line_item_id,
        sale ->> 'line_item_id' is not null as is_of_line, sale ->> 'product_id' as product_id,
        (agreement ->> 'return_id')::bigint as return_id, sale ->> 'action_type' as action,
        sale ->> 'line_type' as line_type, abs((sale ->> 'quantity')::bigint) as units,
        (sale -> 'total' ->> 'shop')::bigint - (sale -> 'tax' ->> 'shop')::bigint as base,
        (sale -> 'total' ->> 'presentment')::bigint - (sale -> 'tax' ->> 'presentment')::bigint as p_base,
        (sale -> 'discount' ->> 'shop')::bigint as off, (sale -> 'discount' ->> 'presentment')::bigint as p_off,
        case when agreement ->> 'reason' = 'order' then orders.placed_at else (agreement ->> 'happened_at')::bigint end
            as at,
        case when agreement ->> 'reason' = 'order' then 'sale' else 'edit' end as kind,
        case when (agreement ->> 'happened_at')::bigint >= orders.cancelled_at
                and agreement ->> 'refund_id' is null and agreement ->> 'return_id' is null then 'cancellation'
            when agreement ->> 'reason' = 'order_edit' then 'edit' else 'return' end as reversal
    from orders, jsonb_array_elements(orders.state -> 'agreements') as agreement,
        jsonb_array_elements(agreement -> 'sales') as sale
    where orders.read_at is not null
), refunded as materialized (
    -- Goods that a return has booked on the day they were given back are not booked again: the refund moved its money.
    select refunds.n, refunds.at, (item ->> 'line_item_id')::bigint as line_item_id, item ->> 'product_id' as product_id,
        (item ->> 'is_gift_card')::boolean or coalesce((item ->> 'is_tip')::boolean, false) as is_no_goods,
        (item ->> 'quantity')::bigint as quantity,
        (item -> 'subtotal' ->> 'shop')::bigint
            - case when refunds.taxes_included then (item -> 'tax' ->> 'shop')::bigint else 0 end as returned,
        (item -> 'subtotal' ->> 'presentment')::bigint
            - case when refunds.taxes_included then (item -> 'tax' ->> 'presentment')::bigint else 0 end as p_returned
    from refunds, jsonb_array_elements(refunds.refund -> 'lines') as item
    where not exists (
        select from agreed
        where agreed.n = refunds.n and agreed.return_id = refunds.return_id and agreed.is_of_line
            and agreed.line_item_id = (item ->> 'line_item_id')::bigint and agreed.action = 'return' and agreed.line_type = 'product'
    )
), booked as (
    -- What the agreements account for of one line. An update changes the price of what was sold before; it sells no units.
    select n, line_item_id, coalesce(sum(units) filter (where action = 'order'), 0) as sold,
        coalesce(sum(base + off) filter (where action <> 'return'), 0) as gross,
        coalesce(sum(p_base + p_off) filter (where action <> 'return'), 0) as p_gross,
        coalesce(sum(off) filter (where action <> 'return'), 0) as off,
        coalesce(sum(p_off) filter (where action <> 'return'), 0) as p_off
    from agreed where line_type = 'product' group by 1, 2
), sold_as as (
    -- What the agreements sell a line as: its product, and whether it is no goods, such as a tip.
    select n, line_item_id, max(product_id::bigint)::text as product_id, bool_and(line_type <> 'product') as is_no_goods
    from agreed where is_of_line group by 1, 2
), products as (
    -- Shopify no longer names a product that was deleted; a body or an agreement of before may have.
    select n, line_item_id, coalesce(told.product_id, sold_as.product_id) as product_id,
        coalesce(is_tip, false) or coalesce(is_no_goods, false) as is_no_goods
    from (
        select orders.n, (line ->> 'line_item_id')::bigint as line_item_id, line ->> 'product_id' as product_id,
            (line ->> 'is_tip')::boolean as is_tip
        from orders, jsonb_array_elements((orders.state -> 'lines') || (orders.state -> 'absent_lines')) as line
    ) as told full join sold_as using (n, line_item_id)
), lines as materialized (
    select orders.n, orders.placed_at, orders.updated_at, orders.cancelled_at, orders.taxes_included, orders.read_at,
        products.line_item_id, products.product_id, (line ->> 'is_gift_card')::boolean
            or coalesce((line ->> 'is_tip')::boolean, false) or products.is_no_goods as is_no_goods,
        (line ->> 'quantity')::bigint as quantity, (line ->> 'current_quantity')::bigint as current_quantity,
        (line ->> 'tax_rate')::bigint as tax_rate,
        (line -> 'unit_price' ->> 'shop')::bigint * (line ->> 'quantity')::bigint as listed,
        (line -> 'unit_price' ->> 'presentment')::bigint * (line ->> 'quantity')::bigint as p_listed,
        (line -> 'discount' ->> 'shop')::bigint as discount, (line -> 'discount' ->> 'presentment')::bigint as p_discount,
        (line -> 'tax' ->> 'shop')::bigint as tax, (line -> 'tax' ->> 'presentment')::bigint as p_tax
    from orders cross join jsonb_array_elements(orders.state -> 'lines') as line
    join products on products.n = orders.n and products.line_item_id = (line ->> 'line_item_id')::bigint
), valued as (
    -- Value without tax.
    select lines.*,
        case when taxes_included then weir_sql.net_gross(listed, discount, tax, net.off) else listed end as gross,
        case when taxes_included then weir_sql.net_gross(p_listed, p_discount, p_tax, net.p_off) else p_listed end as p_gross,
        case when taxes_included then net.off else discount end as off,
        case when taxes_included then net.p_off else p_discount end as p_off
    from lines cross join lateral (
        select case when taxes_included then weir_sql.net_discount(listed, discount, tax, tax_rate) end as off,
            case when taxes_included then weir_sql.net_discount(p_listed, p_discount, p_tax, tax_rate) end as p_off
    ) as net
    where not is_no_goods
), edits as materialized (
    -- An edit the body does not know yet tells of units that are not among its lines.
    select orders.n, (edit ->> 'line_item_id')::bigint as line_item_id, (edit ->> 'committed_at')::bigint as at,
        sum((edit ->> 'added')::bigint) over earlier as added_to, sum((edit ->> 'removed')::bigint) over earlier as removed_to,
        (edit ->> 'added')::bigint as added, (edit ->> 'removed')::bigint as removed
    from orders, jsonb_array_elements(orders.state -> 'edits') as edit
    where (edit ->> 'committed_at')::bigint <= orders.updated_at
        and (orders.read_at is null or (edit ->> 'committed_at')::bigint > orders.read_at)
    window earlier as (partition by orders.n, (edit ->> 'line_item_id')::bigint
        order by (edit ->> 'committed_at')::bigint, (edit ->> 'edit_id')::bigint rows unbounded preceding)
), reversed as materialized (
    select n, line_item_id, at, quantity, returned, p_returned from refunded
    union all
    select n, line_item_id, at, units, -base, -p_base from agreed where line_type = 'product' and action = 'return'
), sums as (
    select valued.*, valued.quantity - least(coalesce(edited.added, 0), valued.quantity) as base,
        coalesce(back.quantity, 0) as refunded, coalesce(back.returned, 0) as returned,
        coalesce(back.p_returned, 0) as p_returned, coalesce(edited.removed, 0) as removed, coalesce(edited.added, 0) as added
    from valued
    left join (
        select n, line_item_id, sum(added) as added, sum(removed) as removed from edits group by 1, 2
    ) as edited using (n, line_item_id)
    left join (
        select n, line_item_id, sum(quantity) as quantity, sum(returned) as returned, sum(p_returned) as p_returned
        from reversed group by 1, 2
    ) as back using (n, line_item_id)
    where valued.read_at is null or valued.updated_at > valued.read_at
), opened as (
    -- Removed units that no refund tells of. A cancelled order's current quantity is 0 whatever was removed before: the edits
    -- tell, and earlier bodies.
    select sums.*, greatest(quantity - refunded, 0) as open, case
        when cancelled_at is not null then least(greatest(removed, (
            select coalesce(max((point ->> 'units')::bigint - (
                    select coalesce(sum(reversed.quantity), 0) from reversed
                    where reversed.n = sums.n and reversed.line_item_id = sums.line_item_id and reversed.at <= (point ->> 'since')::bigint
                )), 0)
            from orders cross join jsonb_array_elements(orders.state -> 'removed_since') as point
            where orders.n = sums.n and (point ->> 'line_item_id')::bigint = sums.line_item_id
                and (point ->> 'since')::bigint < sums.cancelled_at
        )), greatest(quantity - refunded, 0))
        when current_quantity is null then 0
        else greatest(least(quantity - current_quantity - refunded, greatest(quantity - refunded, 0)), 0)
    end as gone
    from sums
), more as (
    -- Units of a newer body that the agreements do not account for.
    select opened.n, opened.line_item_id, product_id, updated_at, read_at, added, quantity,
        (quantity - coalesce(booked.sold, 0))::bigint as units,
        weir_sql.clamped(opened.gross - coalesce(booked.gross, 0)) as gross,
        weir_sql.clamped(opened.p_gross - coalesce(booked.p_gross, 0)) as p_gross,
        weir_sql.clamped(opened.off - coalesce(booked.off, 0)) as off,
        weir_sql.clamped(opened.p_off - coalesce(booked.p_off, 0)) as p_off
    from opened left join booked using (n, line_item_id)
    where read_at is not null and quantity > coalesce(booked.sold, 0)
), added as (
    -- What no edit dates was added with the first body that had more than agreements and edits tell of until then; after the
    -- agreements were read, for they do not know it.
    select more.*, first.at, least(units, added + first.quantity - (more.quantity - units) - (
            select coalesce(sum(edits.added), 0) from edits
            where edits.n = more.n and edits.line_item_id = more.line_item_id and edits.at <= first.at
        )) as to_unit
    from more join orders using (n)
    cross join lateral (
        select greatest((point ->> 'since')::bigint, more.read_at) as at, (point ->> 'units')::bigint as quantity
        from jsonb_array_elements(orders.state -> 'quantity_since') as point
        where (point ->> 'line_item_id')::bigint = more.line_item_id
        union all
        select greatest((orders.state ->> 'first_updated_at')::bigint, more.read_at), more.quantity
        where not orders.state -> 'quantity_since' @> jsonb_build_array(jsonb_build_object('line_item_id', more.line_item_id))
    ) as first
    where units > added
    union all
    select more.*, updated_at, units from more where units > added
), sold as (
    -- Units are sold in time: first those of the order, then those of each edit.
    select n, product_id, placed_at as at, 'sale' as kind, 0::numeric as from_unit, base::numeric as to_unit, quantity,
        gross, p_gross, off, p_off
    from opened where read_at is null
    union all
    select opened.n, product_id, edits.at, 'edit', least(quantity, base + edits.added_to - edits.added),
        least(quantity, base + edits.added_to), quantity, gross, p_gross, off, p_off
    from opened join edits using (n, line_item_id) where read_at is null
    union all
    select more.n, product_id, edits.at, 'edit', least(units, edits.added_to - edits.added),
        least(units, edits.added_to), units, gross, p_gross, off, p_off
    from more join edits using (n, line_item_id)
    union all
    select n, product_id, at, 'edit', greatest(added, max(to_unit) over (partition by n, line_item_id order by at, to_unit
        rows between unbounded preceding and 1 preceding)), to_unit, units, gross, p_gross, off, p_off from added
), undated as (
    -- What no edit dates is gone since the first body that lacked more than refunds and edits tell of until then.
    select opened.*, (point ->> 'since')::bigint as at, least(gone, removed + (point ->> 'units')::bigint - (
            select coalesce(sum(told.units), 0) from (
                select reversed.quantity as units, reversed.at from reversed
                where reversed.n = opened.n and reversed.line_item_id = opened.line_item_id
                union all
                select edits.removed, edits.at from edits
                where edits.n = opened.n and edits.line_item_id = opened.line_item_id
            ) as told where told.at <= (point ->> 'since')::bigint
        )) as to_unit
    from opened join orders using (n)
    cross join lateral jsonb_array_elements(orders.state -> 'removed_since') as point
    where gone > removed and (point ->> 'line_item_id')::bigint = opened.line_item_id
    union all
    select opened.*, updated_at, gone from opened where gone > removed
), removals as (
    select opened.n, product_id, edits.at, least(gone, removed_to - edits.removed) as from_unit,
        least(gone, removed_to) as to_unit, quantity, gross - off as net, p_gross - p_off as p_net
    from opened join edits using (n, line_item_id)
    union all
    select n, product_id, at, greatest(removed, max(to_unit) over (partition by n, line_item_id order by at, to_unit
        rows between unbounded preceding and 1 preceding)), to_unit, quantity, gross - off, p_gross - p_off from undated
), entries as (
    select n, product_id, at, kind, to_unit - from_unit as units_sold, 0 as units_returned,
        weir_sql.scaled(gross, to_unit::bigint, quantity) - weir_sql.scaled(gross, from_unit::bigint, quantity) as gross,
        weir_sql.scaled(p_gross, to_unit::bigint, quantity) - weir_sql.scaled(p_gross, from_unit::bigint, quantity)
            as p_gross,
        weir_sql.scaled(off, to_unit::bigint, quantity) - weir_sql.scaled(off, from_unit::bigint, quantity) as off,
        weir_sql.scaled(p_off, to_unit::bigint, quantity) - weir_sql.scaled(p_off, from_unit::bigint, quantity) as p_off,
        0 as returned, 0 as p_returned
    from sold where to_unit > from_unit
    union all
    select n, product_id, at, 'edit', 0, to_unit - from_unit, 0, 0, 0, 0,
        weir_sql.scaled(net, to_unit::bigint, quantity) - weir_sql.scaled(net, from_unit::bigint, quantity),
        weir_sql.scaled(p_net, to_unit::bigint, quantity) - weir_sql.scaled(p_net, from_unit::bigint, quantity)
    from removals where to_unit > from_unit
    union all
    select n, product_id, cancelled_at, 'cancellation', 0, open - gone, 0, 0, 0, 0,
        gross - off - returned - weir_sql.scaled(gross - off, gone::bigint, quantity),
        p_gross - p_off - p_returned - weir_sql.scaled(p_gross - p_off, gone::bigint, quantity)
    from opened where open > gone and (cancelled_at > read_at or read_at is null and cancelled_at is not null)
    union all
    select refunded.n, coalesce(products.product_id, refunded.product_id), refunded.at, 'return', 0, refunded.quantity,
        0, 0, 0, 0, refunded.returned, refunded.p_returned
    from refunded left join products using (n, line_item_id) left join lines using (n, line_item_id)
    where not coalesce(lines.is_no_goods, products.is_no_goods or refunded.is_no_goods, refunded.is_no_goods)
    union all
    -- Other kinds (shipping_refund) are about what is no sale.
    select refunds.n, null, refunds.at, 'adjustment', 0, 0, 0, 0, 0, 0,
        -((item -> 'amount' ->> 'shop')::bigint
            - case when refunds.taxes_included then (item -> 'tax' ->> 'shop')::bigint else 0 end),
        -((item -> 'amount' ->> 'presentment')::bigint
            - case when refunds.taxes_included then (item -> 'tax' ->> 'presentment')::bigint else 0 end)
    from refunds, jsonb_array_elements(refunds.refund -> 'adjustments') as item
    where item ->> 'kind' = 'refund_discrepancy'
    union all
    select agreed.n, coalesce(agreed.product_id, case when agreed.is_of_line then products.product_id end), agreed.at,
        case action when 'return' then reversal else kind end, case action when 'order' then units else 0 end,
        case action when 'return' then units else 0 end, case action when 'return' then 0 else base + off end,
        case action when 'return' then 0 else p_base + p_off end, case action when 'return' then 0 else off end,
        case action when 'return' then 0 else p_off end, case action when 'return' then -base else 0 end,
        case action when 'return' then -p_base else 0 end
    from agreed left join products using (n, line_item_id) where line_type = 'product'
    union all
    -- Paid more or less than the goods, and whatever Shopify has not classified: of no product, still of the shop. Gift
    -- cards, shipping, tips, duties and fees are no sales.
    select n, null, at, 'adjustment', 0, 0, 0, 0, 0, 0, -base, -p_base
    from agreed where line_type in ('adjustment', 'unknown')
), days as (
    select entries.n, coalesce(product_id, 'unknown') as product_id,
        to_char(weir_sql.at(at) at time zone weir_sql.zone(orders.zone), 'YYYY-MM-DD') as day, kind,
        weir_sql.clamped(sum(units_sold)) as units_sold, weir_sql.clamped(sum(units_returned)) as units_returned,
        weir_sql.clamped(sum(gross)) as gross, weir_sql.clamped(sum(p_gross)) as p_gross,
        weir_sql.clamped(sum(off)) as off, weir_sql.clamped(sum(p_off)) as p_off,
        weir_sql.clamped(sum(returned)) as returned, weir_sql.clamped(sum(p_returned)) as p_returned
    from entries join orders using (n)
    group by 1, 2, 3, 4
)
select days.n, jsonb_agg(weir_sql.ledger_row(product_id, day, kind, units_sold, units_returned, gross, off, returned, p_gross, p_off,
    p_returned) order by product_id collate "C", day collate "C",
    array_position(array['sale', 'return', 'cancellation', 'edit', 'adjustment'], kind))
from days
where (units_sold, units_returned, gross, p_gross, off, p_off, returned, p_returned) <> (0, 0, 0, 0, 0, 0, 0, 0)
group by days.n;
end
$$;
