-- Runs before missing migrations: waits for what weir has under way, and lets nothing of it begin. Migrations lock tables in the
-- sequence of their numbers, batches in another, and each would wait for what the other has. So first comes what a call touches before
-- all else, and keeps to its end: its shop, specifications where it publishes one, deliveries where it purges them.
do $$
begin
    if pg_catalog.to_regclass('commerce.shop') is not null then
        lock table configuration.macrodata_artifact, commerce.shop, commerce.webhook_delivery in access exclusive mode;
    end if;
end
$$;
