select pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('weir.privacy.' || $1::text, 0))
