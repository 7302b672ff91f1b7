-- The change log by which objectives are carried to the lake. The trigger functions live here and not in the extension: a
-- trigger on a function of the extension would keep it from being dropped.

alter table configuration.macrodata_artifact add column ended_at timestamptz;
comment on column configuration.macrodata_artifact.ended_at is 'When its validity was ended by deleting it, null while it may govern [BFO: temporal instant]';

create table configuration.objective_change (
    sequence bigint generated always as identity primary key,
    operation text not null check (operation in ('published', 'ended')),
    artifact_id text not null,
    revision bigint not null,
    shop_domain text not null,
    body json not null,
    changed_at timestamptz not null default clock_timestamp()
);
comment on table configuration.objective_change is 'What was done to objective specifications, in the order of commit; rows are only added [IAO: data set]';
comment on column configuration.objective_change.sequence is 'Rises in the order of commit; an aborted change leaves a gap [IAO: version number]';
comment on column configuration.objective_change.operation is 'published or ended [IAO: data item]';
comment on column configuration.objective_change.artifact_id is 'Name of the artifact [IAO: identifier]';
comment on column configuration.objective_change.revision is 'Revision that was published or ended [IAO: version number]';
comment on column configuration.objective_change.shop_domain is 'Shop it governs [CCO: designative name]';
comment on column configuration.objective_change.body is 'The specification [IAO: plan specification]';
comment on column configuration.objective_change.changed_at is 'When it was done [BFO: temporal instant]';

insert into configuration.objective_change (operation, artifact_id, revision, shop_domain, body, changed_at)
select 'published', artifact_id, revision, shop_domain, body, published_at
from configuration.macrodata_artifact order by published_at, artifact_id, revision;

-- Held to the end of the transaction: sequence numbers are drawn and committed in one order, so a consumer that has seen
-- number n will never be shown a smaller one.
create function configuration.objective_take_turns() returns trigger language plpgsql set search_path = '' as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('weir.objective', 0));
    return null;
end
$$;
comment on function configuration.objective_take_turns() is 'One writer of objectives at a time';
create trigger a_take_turns before insert or update or delete on configuration.macrodata_artifact
for each statement execute function configuration.objective_take_turns();

-- What is written past weir.publish_objective is held to the same rules.
create function configuration.objective_prepare() returns trigger language plpgsql set search_path = '' as $$
begin
    if new.revision is null then
        select coalesce(max(known.revision), 0) + 1 into new.revision
        from configuration.macrodata_artifact as known where known.artifact_id = new.artifact_id;
    end if;
    -- Looked up when it runs: the table does not depend on the extension.
    new.body := weir.prepare_objective(new.artifact_id, new.revision, new.body);
    new.kind := 'objective_specification';
    new.shop_domain := new.body ->> 'shop_domain';
    new.product_type := new.body ->> 'product_type';
    new.valid_from := (new.body ->> 'valid_from')::timestamptz;
    new.ended_at := null;
    return new;
end
$$;
comment on function configuration.objective_prepare() is 'Validates a specification and gives it its revision';
create trigger b_prepare before insert on configuration.macrodata_artifact
for each row execute function configuration.objective_prepare();

create function configuration.objective_keep() returns trigger language plpgsql set search_path = '' as $$
begin
    if tg_op = 'DELETE' then
        update configuration.macrodata_artifact as artifact set ended_at = pg_catalog.clock_timestamp()
        where artifact.artifact_id = old.artifact_id and artifact.revision = old.revision
            and artifact.ended_at is null;
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
comment on function configuration.objective_keep() is 'Deleting ends validity; nothing else changes a revision';
create trigger b_keep before update or delete on configuration.macrodata_artifact
for each row execute function configuration.objective_keep();

create function configuration.objective_log() returns trigger language plpgsql set search_path = '' as $$
declare
    written bigint;
begin
    insert into configuration.objective_change (operation, artifact_id, revision, shop_domain, body)
    values (case tg_op when 'INSERT' then 'published' else 'ended' end, new.artifact_id, new.revision, new.shop_domain,
        new.body)
    returning sequence into written;
    -- A hint to look; who was not listening finds the change by its number.
    perform pg_catalog.pg_notify('weir_objective', written::text);
    return null;
end
$$;
comment on function configuration.objective_log() is 'Writes the change log';
create trigger c_log after insert or update on configuration.macrodata_artifact
for each row execute function configuration.objective_log();

create function configuration.objective_refuse() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'the history of objective specifications is only added to'
        using errcode = 'object_not_in_prerequisite_state', detail = tg_op || ' on ' || tg_table_name || ' is refused.',
        hint = 'Delete rows of configuration.macrodata_artifact to end their validity.';
end
$$;
comment on function configuration.objective_refuse() is 'Keeps history';
create trigger a_refuse before update or delete or truncate on configuration.objective_change
for each statement execute function configuration.objective_refuse();
create trigger a_refuse before truncate on configuration.macrodata_artifact
for each statement execute function configuration.objective_refuse();
