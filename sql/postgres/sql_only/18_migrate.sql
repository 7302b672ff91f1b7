-- Migrations, roles and grants: the same files and the same bookkeeping as the extension's weir.migrate(). And what
-- weir.bulk_events runs as it is.

create table weir_sql.script (
    name text primary key, version integer unique, script text not null
);
comment on table weir_sql.script is 'What weir.migrate() and weir.bulk_events run; made anew by every install';
insert into weir_sql.script (name, version, script) values
    ('bookkeeping', null, :'bookkeeping'),
    ('before_migrations', null, :'before_migrations'),
    ('grants', null, :'grants'),
    ('analyze_grown', null, :'analyze_grown'),
    ('001_commerce', 1, :'001_commerce'),
    ('002_order_return', 2, :'002_order_return'),
    ('003_variant_price', 3, :'003_variant_price'),
    ('004_objective_change', 4, :'004_objective_change'),
    ('005_privacy', 5, :'005_privacy'),
    ('006_order_enriched', 6, :'006_order_enriched'),
    ('007_bulk', 7, :'007_bulk'),
    ('008_sales_agreement', 8, :'008_sales_agreement'),
    ('009_publication', 9, :'009_publication'),
    ('010_customer', 10, :'010_customer'),
    ('013_raw_compression', 13, :'013_raw_compression'),
    ('014_customer_merge', 14, :'014_customer_merge'),
    ('015_redacted_order', 15, :'015_redacted_order'),
    ('016_units_since', 16, :'016_units_since'),
    ('017_line_origin', 17, :'017_line_origin'),
    ('018_objective_shop', 18, :'018_objective_shop'),
    ('019_link_product', 19, :'019_link_product'),
    ('020_ledger_version', 20, :'020_ledger_version'),
    ('022_variant_version', 22, :'022_variant_version'),
    ('023_objective_told', 23, :'023_objective_told'),
    ('024_shop_first', 24, :'024_shop_first'),
    ('025_former_domain', 25, :'025_former_domain');

-- Applies what is missing, in order, and renews roles and grants; how many were applied. Two callers take turns.
create or replace function weir.migrate() returns integer language plpgsql strict volatile parallel unsafe as $$
declare
    missing record;
    newest integer := (select max(version) from weir_sql.script);
    later record;
    applied integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('weir.migrate', 0));
    execute (select script from weir_sql.script where name = 'bookkeeping');
    -- Functions of an older version over newer tables would write what those no longer hold, without an error.
    select migration.version, migration.name into later from configuration.schema_migration as migration
    where migration.version > newest order by migration.version desc limit 1;
    if later.version is not null then
        raise exception 'the database belongs to a newer version of weir'
            using errcode = 'object_not_in_prerequisite_state',
            detail = 'Its newest migration is ' || later.name || '; the newest known here is '
                || newest || '.',
            hint = 'Install with that version of weir or a newer one; nothing has been changed.';
    end if;
    for missing in
        select version, name, script from weir_sql.script
        where version is not null and version not in (select known.version from configuration.schema_migration as known)
        order by version
    loop
        if applied = 0 then
            execute (select script from weir_sql.script where name = 'before_migrations');
        end if;
        execute missing.script;
        insert into configuration.schema_migration (version, name) values (missing.version, missing.name);
        applied := applied + 1;
    end loop;
    execute (select script from weir_sql.script where name = 'grants');
    -- What weir_admin alone may call runs with its caller's rights, and so do its parts. Earlier versions let all three in.
    revoke usage on schema weir_sql from weir_edge, weir_reader;
    grant usage on schema weir_sql to weir_admin;
    return applied;
end
$$;

-- PostgreSQL lets everyone execute new functions; weir.migrate() grants to its roles what each needs.
revoke all on all functions in schema weir from public;
