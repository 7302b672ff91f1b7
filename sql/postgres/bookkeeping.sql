-- Runs before every migration; repeatable. Roles belong to the cluster, so another database may have made them.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['weir_edge', 'weir_reader', 'weir_admin'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            execute pg_catalog.format('create role %I nologin', wanted);
        end if;
    end loop;
    -- `if not exists` would raise a notice with every call.
    if pg_catalog.to_regclass('configuration.schema_migration') is null then
        create schema if not exists configuration;
        create table configuration.schema_migration (
            version integer primary key,
            name text not null,
            applied_at timestamptz not null default now()
        );
    end if;
end
$$;
