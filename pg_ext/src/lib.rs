//! The PostgreSQL extension `weir`: the commerce writes of a batch of deliveries and the events read back, in one call.
//!
//! - [`delivery`]: the batch as text, verdicts, the answer
//! - [`ingest`]: the one transaction from deliveries to events
//! - [`bulk`]: lines of Shopify's bulk operations, put together and told as the same events
//! - [`jsonb`]: bodies in the format in which PostgreSQL keeps them
//! - [`store`]: set-wise SQL, one statement a table
//! - [`migrate`]: tables, roles and grants; not owned by the extension
//! - [`memory`]: what a session keeps of it between two batches
//! - [`known`]: which orders and products there are, for a comparison with Shopify
//! - [`privacy`]: forgetting customers and shops, and telling what is kept
//! - [`publication`]: interactions that touch the domain, and the catalogue of the edge
//! - [`readback`]: events of orders as they are now, and digests to compare with the lake
//! - [`retention`]: how long deliveries are remembered
//! - [`shop`], [`objective`]: what has to be known beforehand
//! - [`time_zone`]: the ledgers of a shop that moves
//!
//! No function panics on what it is given: a bad delivery is rejected alone, a bad call raises an error with SQLSTATE,
//! detail and hint, and neither ever repeats the payload.

mod bulk;
mod delivery;
mod ingest;
mod jsonb;
mod known;
mod memory;
mod migrate;
mod objective;
mod privacy;
mod publication;
mod readback;
mod report;
mod retention;
mod shop;
mod store;
mod time_zone;

use pgrx::prelude::*;

pgrx::pg_module_magic!(name, version);

// json and text are stored alike, so the functions over json read and return the text itself: it is parsed once, here.

/// `weir.ingest(deliveries json) -> json`: applies a batch of deliveries and returns verdicts and events.
#[pg_extern(sql = r#"create function weir.ingest(deliveries json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn ingest_json(deliveries: &str) -> String {
    memory::keep();
    ingest::ingest(deliveries)
}

/// The same over text, for drivers whose parameters are text.
#[pg_extern(name = "ingest", strict, volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn ingest_text(deliveries: &str) -> String {
    memory::keep();
    ingest::ingest(deliveries)
}

/// `weir.ingest_bulk(shop text, lines text, run json) -> json`: keeps a chunk of a bulk operation's JSONL.
#[pg_extern(
    sql = r#"create function weir.ingest_bulk(shop text, lines text, run json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#
)]
fn ingest_bulk_json(shop: &str, lines: &str, run: &str) -> String {
    bulk::ingest(shop, lines, run)
}

/// The same over text, for drivers whose parameters are text.
#[pg_extern(name = "ingest_bulk", strict, volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn ingest_bulk_text(shop: &str, lines: &str, run: &str) -> String {
    bulk::ingest(shop, lines, run)
}

/// `weir.bulk_events(shop text, run json) -> json`: applies a page of what bulk operations have read and returns its
/// events; `limit` counts orders and products, and after `bytes` of events no further one is told.
#[pg_extern(sql = r#"create function weir.bulk_events(shop text, run json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn bulk_events_json(shop: &str, run: &str) -> String {
    bulk::events(shop, run)
}

/// The same over text, for drivers whose parameters are text.
#[pg_extern(name = "bulk_events", strict, volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn bulk_events_text(shop: &str, run: &str) -> String {
    bulk::events(shop, run)
}

/// `weir.migrate() -> integer`: applies missing migrations, renews roles and grants; how many were applied.
#[pg_extern(name = "migrate", volatile, parallel_unsafe)]
fn apply_migrations() -> i32 {
    migrate::migrate()
}

/// `weir.version() -> text`: the version of the library, which may be newer than the extension's objects.
#[pg_extern(immutable, parallel_safe)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `weir.register_shop(shop json) -> json`: makes a shop known, or changes its name, domain or time zone. With the
/// zone move the days of its ledgers; `moved_orders` says of how many orders. The lake follows when they are told again.
#[pg_extern(sql = r#"create function weir.register_shop(shop json) returns json
strict volatile parallel unsafe set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn register_shop(shop: &str) -> String {
    shop::register(shop)
}

/// `weir.registration(shop text) -> json`: since when a shop is registered, with which time zone and currency, and whether it was
/// forgotten since.
#[pg_extern(sql = r#"create function weir.registration(shop text) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn registration(shop: &str) -> String {
    shop::registration(shop)
}

/// `weir.publish_objective(specification json) -> json`: validates and adds a revision; returns it.
#[pg_extern(sql = r#"create function weir.publish_objective(specification json) returns json
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn publish_objective(specification: &str) -> String {
    objective::publish(specification)
}

/// `weir.objective_snapshot() -> json`: the specifications in force and to come, those that were ended, and the number of
/// the newest change.
#[pg_extern(sql = r#"create function weir.objective_snapshot() returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn objective_snapshot() -> String {
    objective::snapshot()
}

/// `weir.objective_changes(after bigint) -> json`: up to 1,000 changes after a number, in the order of their commit.
#[pg_extern(sql = r#"create function weir.objective_changes(after bigint) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn objective_changes(after: i64) -> String {
    objective::changes(after)
}

/// What the trigger on `configuration.macrodata_artifact` asks: the specification as it is stored, or an error.
#[pg_extern(
    sql = r#"create function weir.prepare_objective(artifact_id text, revision bigint, body json) returns json
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#
)]
fn prepare_objective(artifact_id: &str, revision: i64, body: &str) -> String {
    objective::prepare(artifact_id, revision, body)
}

/// `weir.redact_customer(request json) -> json`: forgets a customer and returns the certificate. A security definer: who may
/// ask for it need not be able to delete.
#[pg_extern(sql = r#"create function weir.redact_customer(request json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn redact_customer(request: &str) -> String {
    privacy::redact_customer(request)
}

/// `weir.redact_shop(request json) -> json`: forgets a shop's commerce and returns the certificate. A security definer.
#[pg_extern(sql = r#"create function weir.redact_shop(request json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn redact_shop(request: &str) -> String {
    privacy::redact_shop(request)
}

/// `weir.customer_data(request json) -> json`: all that is kept of a customer.
#[pg_extern(sql = r#"create function weir.customer_data(request json) returns json
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn customer_data(request: &str) -> String {
    privacy::customer_data(request)
}

/// `weir.order_event(order_ids bigint[]) -> json`: an `order_updated` event for each known order as it is now.
#[pg_extern(sql = r#"create function weir.order_event(order_ids bigint[]) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn order_event(order_ids: Vec<Option<i64>>) -> String {
    readback::order_events(order_ids.into_iter().flatten().collect())
}

/// `weir.known_ids(shop text, request json) -> json`: a page of the ids of orders or products that are not deleted.
#[pg_extern(sql = r#"create function weir.known_ids(shop text, request json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn known_ids(shop: &str, request: &str) -> String {
    known::ids(shop, request)
}

/// `weir.reconcile(shop_domain text, first_day date, last_day date) -> json`: counts, sums and a digest of each day's ledger.
#[pg_extern(
    sql = r#"create function weir.reconcile(shop_domain text, first_day date, last_day date) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#
)]
fn reconcile(shop_domain: &str, first_day: Date, last_day: Date) -> String {
    readback::reconcile(shop_domain, first_day, last_day)
}

/// `weir.purge_deliveries(older_than interval) -> bigint`: forgets deliveries and bulk lines received longer ago;
/// how many deliveries.
#[pg_extern(sql = r#"create function weir.purge_deliveries(older_than interval) returns bigint
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn purge_deliveries(older_than: Interval) -> i64 {
    retention::purge_deliveries(older_than)
}

/// `weir.record_interactions(interactions json) -> json`: records referrals, conversions and attributions; returns verdicts, and
/// the events of orders whose attribution changed.
#[pg_extern(sql = r#"create function weir.record_interactions(interactions json) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn record_interactions(interactions: &str) -> String {
    publication::record(interactions)
}

/// `weir.publish_catalogue(catalogue json) -> json`: puts publishers, items, programs and links of a shop, takes out those
/// that are null; returns the revision and how many entries changed.
#[pg_extern(sql = r#"create function weir.publish_catalogue(catalogue json) returns json
strict volatile parallel unsafe language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn publish_catalogue(catalogue: &str) -> String {
    publication::publish_catalogue(catalogue)
}

/// `weir.publication_catalogue(shop_domain text) -> json`: a shop's catalogue with its revision, 0 before the first.
#[pg_extern(sql = r#"create function weir.publication_catalogue(shop_domain text) returns json
strict volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"#)]
fn publication_catalogue(shop_domain: &str) -> String {
    publication::catalogue(shop_domain)
}

// PostgreSQL lets everyone execute new functions; weir.migrate() grants to its roles what each needs.
extension_sql!(
    "revoke all on all functions in schema weir from public;",
    name = "no_public_execute",
    finalize
);
