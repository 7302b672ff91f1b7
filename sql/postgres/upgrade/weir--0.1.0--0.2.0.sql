-- What 0.2.0 adds to the objects of the extension; its tables come with weir.migrate().
create function weir.record_interactions(interactions json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'record_interactions_wrapper';

create function weir.publish_catalogue(catalogue json) returns json
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', 'publish_catalogue_wrapper';

create function weir.publication_catalogue(shop_domain text) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'publication_catalogue_wrapper';

create function weir.ingest_bulk(shop text, lines text, run json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'ingest_bulk_json_wrapper';

create function weir.ingest_bulk(shop text, lines text, run text) returns text
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'ingest_bulk_text_wrapper';

create function weir.bulk_events(shop text, run json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'bulk_events_json_wrapper';

create function weir.bulk_events(shop text, run text) returns text
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'bulk_events_text_wrapper';

create function weir.known_ids(shop text, request json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'known_ids_wrapper';

create function weir.registration(shop text) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'registration_wrapper';

-- Who may only execute needs no right on a table: what the Workers call runs with the rights of the functions' owner.
alter function weir.ingest(json) security definer set search_path = pg_catalog, pg_temp;
alter function weir.ingest(text) security definer set search_path = pg_catalog, pg_temp;
alter function weir.objective_snapshot() security definer set search_path = pg_catalog, pg_temp;
alter function weir.objective_changes(bigint) security definer set search_path = pg_catalog, pg_temp;
alter function weir.order_event(bigint[]) security definer set search_path = pg_catalog, pg_temp;
alter function weir.reconcile(text, date, date) security definer set search_path = pg_catalog, pg_temp;
-- Shares statements with them: a kept plan holds for one search_path.
alter function weir.register_shop(json) set search_path = pg_catalog, pg_temp;

-- PostgreSQL lets everyone execute new functions; weir.migrate() grants to its roles what each needs.
revoke all on all functions in schema weir from public;
