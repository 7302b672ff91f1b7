-- Runs before missing migrations: waits for what weir has under way, and lets nothing of it begin. Migrations lock tables in the
-- sequence of their numbers, batches in another, and each would wait for what the other has. So first comes what a call touches before
-- all else, and keeps to its end: the view of orders where it reads that, which is locked before what it reads; its shop;
-- specifications where it publishes one; deliveries where it purges them.
do $$
begin
    if pg_catalog.to_regclass('commerce.order_enriched') is not null then
        -- Changes nothing. `lock table` would lock what the view reads too, and in its sequence.
        alter view commerce.order_enriched alter column order_id drop default;
    end if;
    if pg_catalog.to_regclass('commerce.shop') is not null then
        lock table configuration.macrodata_artifact, commerce.shop, commerce.webhook_delivery in access exclusive mode;
    end if;
end
$$;
