-- Who ends a specification is told so: a deleted row stays, so DELETE counts none, as it does for a name that there is not. Names are
-- a shop's own, and most are `default`: what tells how to end one, and that it is ended, names the shop too.
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

-- What is allowed and seldom meant: half of a rule, which is none, and two specifications for the same products, of which one
-- holds (domain::objective::in_force).
create function configuration.objective_warn() returns trigger language plpgsql set search_path = '' as $$
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
comment on function configuration.objective_warn() is 'Warns of what is allowed and seldom meant';
create trigger d_warn after insert on configuration.macrodata_artifact
for each row execute function configuration.objective_warn();
