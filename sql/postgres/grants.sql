-- Runs after every migration; repeatable. What the Workers call runs with its owner's rights (security definer, search_path
-- pinned), so weir_edge executes the API and has no right on a table: the secret of the tombstones and the salts of the
-- customers never leave by its login.
grant usage on schema weir to weir_edge, weir_admin, weir_reader;
grant execute on function weir.ingest(json), weir.ingest(text), weir.objective_snapshot(), weir.objective_changes(bigint),
    weir.ingest_bulk(text, text, json), weir.ingest_bulk(text, text, text), weir.bulk_events(text, json),
    weir.bulk_events(text, text), weir.reconcile(text, date, date), weir.order_event(bigint[]), weir.version(),
    weir.record_interactions(json), weir.publication_catalogue(text), weir.known_ids(text, json),
    weir.registration(text),
    weir.redact_customer(json), weir.redact_shop(json)
to weir_edge;
-- Earlier versions gave what weir.ingest needed.
revoke all on all tables in schema commerce, configuration, privacy, publication from weir_edge;
revoke all on schema commerce, configuration, privacy, publication from weir_edge;

grant execute on function weir.version(), weir.reconcile(text, date, date) to weir_reader;
grant usage on schema commerce, configuration, publication to weir_reader;
-- What names no person, and no payload. Earlier versions gave all tables.
revoke select on all tables in schema commerce, publication from weir_reader;
grant select on commerce.order_enriched, commerce.shop, commerce.product, commerce.product_variant, commerce.sales_ledger,
    publication.publisher, publication.item, publication.program
to weir_reader;
grant select on all tables in schema configuration to weir_reader;

grant execute on all functions in schema weir to weir_admin;
grant usage on schema commerce, configuration, privacy, publication to weir_admin;
grant select, insert, update, delete on all tables in schema commerce, configuration, privacy, publication to weir_admin;
