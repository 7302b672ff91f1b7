-- Waits for every batch that may hold the person in memory; those that follow see the tombstone.
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('weir.privacy.' || $1::text, 0))
