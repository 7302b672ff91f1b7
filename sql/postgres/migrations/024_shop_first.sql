-- Names of specifications are a shop's own, and most are `default`: what tells how to end one, and that it is ended, names the shop too.
create or replace function configuration.objective_keep() returns trigger language plpgsql set search_path = '' as $$
begin
    if tg_op = 'DELETE' then
        update configuration.macrodata_artifact as artifact set ended_at = pg_catalog.clock_timestamp()
        where artifact.artifact_id = old.artifact_id and artifact.revision = old.revision
            and artifact.ended_at is null;
        if found then
            raise notice 'revision % of specification "%" of % is ended', old.revision, old.artifact_id, old.shop_domain
                using detail = 'Its history stays, so the row is not counted as deleted.';
        end if;
        return null;
    end if;
    if old.ended_at is not null or new.ended_at is null
        or (new.artifact_id, new.revision, new.kind, new.shop_domain, new.product_type, new.body::text, new.valid_from,
            new.published_at)
        is distinct from (old.artifact_id, old.revision, old.kind, old.shop_domain, old.product_type, old.body::text,
            old.valid_from, old.published_at)
    then
        raise exception 'a revision of an objective specification is not changed'
            using errcode = 'object_not_in_prerequisite_state', detail = 'Revisions are only added and ended.',
            hint = 'Publish another revision with weir.publish_objective(json).';
    end if;
    return new;
end
$$;

create or replace function configuration.objective_warn() returns trigger language plpgsql set search_path = '' as $$
declare
    about constant text := coalesce('products of type "' || new.product_type || '"', 'all products') || ' of ' || new.shop_domain;
    other record;
begin
    if (new.body ->> 'threshold_7d' is null) <> (new.body ->> 'threshold_14d' is null) then
        raise warning 'specification "%" has no rule for top_riser', new.artifact_id
            using detail = 'threshold_7d and threshold_14d make the rule together, and one of them is not given.',
            hint = 'Publish it again with both, or with neither.';
    end if;
    select newest.artifact_id,
        (new.valid_from, new.artifact_id collate "C") > (newest.valid_from, newest.artifact_id collate "C") as is_replaced
    into other from (
        select distinct on (known.artifact_id) known.artifact_id, known.product_type, known.valid_from
        from configuration.macrodata_artifact as known
        where known.shop_domain = new.shop_domain and known.artifact_id <> new.artifact_id and known.ended_at is null
            and known.valid_from <= greatest(new.valid_from, pg_catalog.now())
        order by known.artifact_id, known.revision desc
    ) as newest
    where newest.product_type is not distinct from new.product_type
    order by newest.valid_from desc, newest.artifact_id collate "C" desc limit 1;
    if found then
        raise warning 'specification "%" takes the place of "%"',
            case when other.is_replaced then new.artifact_id else other.artifact_id end,
            case when other.is_replaced then other.artifact_id else new.artifact_id end
            using detail = 'Both are for ' || about || ': the one with the later valid_from holds.',
            hint = 'End the one that is not meant: delete from configuration.macrodata_artifact where artifact_id = '
                || pg_catalog.quote_literal(case when other.is_replaced then other.artifact_id else new.artifact_id end)
                || ' and shop_domain = ' || pg_catalog.quote_literal(new.shop_domain) || '.';
    end if;
    return null;
end
$$;

-- As before, but that the shop is locked before its orders, as whatever else reads both does: a migration that has the shop would
-- wait for whoever has the orders and waits for the shop (before_migrations.sql).
create or replace view commerce.order_enriched as
select
    header.shop_id, shop.shop_domain, shop.iana_time_zone, header.order_id, header.name, header.created_at,
    header.processed_at, header.updated_at, header.cancelled_at, header.completed_at, tombstone.deleted_at,
    header.financial_status, header.fulfillment_status, header.is_test, header.currency, header.presentment_currency,
    header.total_price_minor, header.source_name, header.revision,
    coalesce((
        select json_agg(json_build_object(
            'line_item_id', line.line_item_id, 'product_id', line.product_id, 'variant_id', line.variant_id,
            'title', line.title, 'product_title', product.title, 'vendor', coalesce(product.vendor, line.vendor),
            'product_type', product.product_type, 'product_status', product.status, 'is_gift_card', line.is_gift_card,
            'quantity', line.quantity, 'current_quantity', line.current_quantity,
            'unit_price_minor', line.unit_price_minor, 'discount_minor', line.discount_minor
        ) order by line.line_item_id)
        from commerce.order_line_item as line
        left join commerce.product as product
            on product.shop_id = line.shop_id and product.product_id = line.product_id
        where line.shop_id = header.shop_id and line.order_id = header.order_id
    ), '[]'::json) as lines,
    sold.units_sold, sold.units_returned, sold.gross_sales_minor, sold.discounts_minor, sold.returns_minor,
    sold.net_sales_minor, header.publisher_id, header.program_id
from commerce.shop as shop
join commerce.order_header as header on header.shop_id = shop.shop_id
left join commerce.tombstone as tombstone
    on tombstone.shop_id = header.shop_id and tombstone.resource = 'order' and tombstone.resource_id = header.order_id
cross join lateral (
    select
        coalesce(sum(ledger.units_sold), 0)::bigint as units_sold,
        coalesce(sum(ledger.units_returned), 0)::bigint as units_returned,
        coalesce(sum(ledger.gross_sales_minor), 0)::bigint as gross_sales_minor,
        coalesce(sum(ledger.discounts_minor), 0)::bigint as discounts_minor,
        coalesce(sum(ledger.returns_minor), 0)::bigint as returns_minor,
        coalesce(sum(ledger.net_sales_minor), 0)::bigint as net_sales_minor
    from commerce.sales_ledger as ledger
    where ledger.shop_id = header.shop_id and ledger.order_id = header.order_id
) as sold
where header.updated_at is not null;
