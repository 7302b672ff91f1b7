//! A database of an earlier version is brought up to date and keeps its data.

use serde_json::{json, Value};
use weir_tests::postgres::connect;
use weir_tests::workspace_root;

use super::{delivery, ingest, install, order, shop, types, until_waiting, verdicts, SHOP};

const BOOKKEEPING: &str = include_str!("../../../sql/postgres/bookkeeping.sql");
const ANALYZED: &str = include_str!("../../../sql/postgres/bulk/analyze_grown.sql");
const FIRST: &str = include_str!("../../../sql/postgres/migrations/001_commerce.sql");

const CURRENCIES: &str = include_str!("../../../sql/postgres/reconcile_currencies.sql");

/// Takes two migrations back: one of orders and one of products.
const BEFORE_20_AND_22: &str = "delete from configuration.schema_migration where version in (20, 22);
    alter table commerce.order_header drop column ledger_version;
    alter table commerce.product_variant drop column told_updated_at, drop column told_triggered_at";

/// What PostgreSQL keeps: commerce, publication, specifications and privacy. Where a pipeline stands, workflows and Durable
/// Objects keep; a table of it is none of these.
const TABLES: [&str; 36] = [
    "commerce.agreement_reading",
    "commerce.agreement_sale",
    "commerce.bulk_line",
    "commerce.bulk_operation",
    "commerce.customer",
    "commerce.fulfillment",
    "commerce.fulfillment_line_item",
    "commerce.order_edit_line",
    "commerce.order_header",
    "commerce.order_line_item",
    "commerce.order_return",
    "commerce.payment",
    "commerce.product",
    "commerce.product_variant",
    "commerce.refund",
    "commerce.refund_adjustment",
    "commerce.refund_line_item",
    "commerce.sales_agreement",
    "commerce.sales_ledger",
    "commerce.shop",
    "commerce.tombstone",
    "commerce.webhook_delivery",
    "configuration.macrodata_artifact",
    "configuration.objective_change",
    "configuration.schema_migration",
    "privacy.data_request",
    "privacy.redacted_order",
    "privacy.redaction",
    "privacy.salt",
    "privacy.secret",
    "publication.catalogue",
    "publication.item",
    "publication.link",
    "publication.program",
    "publication.publication_telemetry",
    "publication.publisher",
];

#[tokio::test]
async fn no_table_is_a_pipelines_state() {
    let (database, _edge) = shop().await;
    let sql = "select schemaname || '.' || tablename from pg_tables
        where schemaname not in ('pg_catalog', 'information_schema', 'weir_sql') order by 1";
    let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(tables, TABLES);
    for table in TABLES.iter().filter_map(|table| table.strip_prefix("commerce.")) {
        assert!(
            ANALYZED.contains(&format!("'{table}'")),
            "analyze_grown.sql names no {table}"
        );
    }
}

/// The schemas have common names.
#[tokio::test]
async fn an_applications_tables_in_a_schema_of_the_same_name_stay_its_own() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin
        .batch_execute("create database shared template template0")
        .await
        .unwrap();
    let name = "select current_database()::text";
    let name: String = admin.query_one(name, &[]).await.unwrap().get(0);
    let url = database.admin_url.replace(&format!("/{name}"), "/shared");
    let shared = connect(&url).await.unwrap();
    for schema in ["commerce", "configuration", "privacy", "publication"] {
        let table = format!(
            "create schema {schema}; create table {schema}.api_key (key text);
            grant insert on {schema}.api_key to weir_edge"
        );
        shared.batch_execute(&table).await.unwrap();
    }
    install().run(&url).await.unwrap();
    let rights = "select role, array(
            select tables.relnamespace::regnamespace || ' ' || may from pg_class as tables,
                unnest(array['select', 'insert', 'update', 'delete']) as may
            where tables.relname = 'api_key' and has_table_privilege(role, tables.oid, may) order by 1)
        from unnest(array['weir_edge', 'weir_reader', 'weir_admin']) as role";
    for row in shared.query(rights, &[]).await.unwrap() {
        let (role, rights): (&str, Vec<String>) = (row.get(0), row.get(1));
        let expected: &[&str] = match role {
            "weir_edge" => &[
                "commerce insert",
                "configuration insert",
                "privacy insert",
                "publication insert",
            ],
            _ => &[],
        };
        assert_eq!(rights, expected, "{role}");
    }
    // And all of weir's tables are named in grants.sql.
    let missing = "select tables.oid::regclass::text from pg_class as tables
        where tables.relnamespace in ('commerce'::regnamespace, 'configuration'::regnamespace, 'privacy'::regnamespace,
                'publication'::regnamespace)
            and tables.relkind in ('r', 'v') and tables.relname <> 'api_key'
            and not has_table_privilege('weir_admin', tables.oid, 'select, insert, update, delete')";
    let missing = shared.query(missing, &[]).await.unwrap();
    let missing: Vec<String> = missing.iter().map(|row| row.get(0)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// A batch under way has tables that the migration wants, and wants tables that the migration has.
#[tokio::test]
async fn a_migration_waits_for_what_is_under_way_before_it_locks_a_table() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin.batch_execute(BEFORE_20_AND_22).await.unwrap();
    // As a call reads its shop first.
    edge.batch_execute(&format!("begin; select weir.registration('{SHOP}')"))
        .await
        .unwrap();
    let held = database.admin().await.unwrap();
    let hold = "begin; select from commerce.shop; select from commerce.product_variant";
    held.batch_execute(hold).await.unwrap();
    let migrating = tokio::spawn(async move {
        let row = admin.query_one("select weir.migrate()", &[]).await;
        row.map(|row| row.get::<_, i32>(0))
    });
    let watcher = database.admin().await.unwrap();
    until_waiting(&watcher, 1, || false).await;
    held.batch_execute("select from commerce.order_header; commit")
        .await
        .unwrap();
    edge.batch_execute("commit").await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap(), 2);
    let answer = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
}

/// Whoever reads the view of orders has its tables one after the other.
#[tokio::test]
async fn a_migration_and_a_reader_of_orders_wait_for_each_other_in_turn() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin.batch_execute(BEFORE_20_AND_22).await.unwrap();
    // The migration has its first locks and waits for the next.
    let held = database.admin().await.unwrap();
    held.batch_execute("begin; select from commerce.webhook_delivery")
        .await
        .unwrap();
    let migrating = tokio::spawn(async move {
        let row = admin.query_one("select weir.migrate()", &[]).await;
        row.map(|row| row.get::<_, i32>(0))
    });
    let watcher = database.admin().await.unwrap();
    until_waiting(&watcher, 1, || false).await;
    let mut readers = Vec::new();
    let currencies = CURRENCIES
        .replace("$1", &format!("'{SHOP}'"))
        .replace("$2", "'{2026-11-01}'");
    for sql in ["select from commerce.order_enriched", &currencies] {
        let (reader, sql) = (database.admin().await.unwrap(), sql.to_owned());
        readers.push(tokio::spawn(async move { reader.batch_execute(&sql).await }));
    }
    until_waiting(&watcher, 3, || false).await;
    held.batch_execute("commit").await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap(), 2);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}

/// An install writes more than the tables anew: functions, where they are SQL.
#[tokio::test]
async fn an_update_waits_for_what_is_under_way_and_may_still_call() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin.batch_execute(BEFORE_20_AND_22).await.unwrap();
    edge.batch_execute(&format!("begin; select weir.registration('{SHOP}')"))
        .await
        .unwrap();
    let url = database.admin_url.clone();
    let updating = tokio::spawn(async move { install().run(&url).await.map_err(|error| error.to_string()) });
    until_waiting(&admin, 1, || updating.is_finished()).await;
    let run = json!({"operation_ids": [], "source": "bulk_sync", "received_at": "2026-11-01T00:00:00Z"});
    let called = edge
        .query_one(&format!("select weir.bulk_events('{SHOP}', '{run}'::json)::text"), &[])
        .await;
    called.unwrap();
    edge.batch_execute("commit").await.unwrap();
    let said = updating.await.unwrap().unwrap();
    assert!(said.ends_with("migrations applied: 2\n"), "{said}");
    let answer = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
}

#[tokio::test]
async fn a_database_of_the_first_migration_is_brought_up_to_date() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin
        .batch_execute("create database first template template0")
        .await
        .unwrap();
    let name: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let url = database.admin_url.replace(&format!("/{name}"), "/first");
    let old = connect(&url).await.unwrap();
    old.batch_execute(&format!("{BOOKKEEPING} {FIRST}")).await.unwrap();
    old.batch_execute(&format!(
        "insert into configuration.schema_migration (version, name) values (1, '001_commerce');
         insert into commerce.shop (shop_id, shop_domain, iana_time_zone, currency)
             values (1, '{SHOP}', 'Asia/Tokyo', 'USD');
         insert into commerce.product (shop_id, product_id, title, updated_at) values (1, 11, 'Lamp', now());
         insert into commerce.product_variant values (1, 11, 1, 'Small', null, 1250);
         insert into configuration.macrodata_artifact (artifact_id, revision, kind, shop_domain, body, valid_from)
             values ('default', 1, 'objective_specification', '{SHOP}', '{{\"objective_spec_id\": \"default\"}}', now());
         insert into commerce.order_header (shop_id, order_id, processed_at, updated_at, triggered_at, is_test,
             taxes_included, currency, presentment_currency, revision)
             values (1, 9, '2026-11-01T10:00Z', '2026-11-04T10:00Z', '2026-11-04T10:00Z', false, false, 'USD', 'USD', 1);
         insert into commerce.order_line_item values
             (1, 9, 1, 11, null, null, null, false, 2, 2, 1000, 1000, 0, 0, 0, 0, 0),
             (1, 9, 2, 11, null, null, null, false, 3, 2, 1000, 1000, 0, 0, 0, 0, 0)"
    ))
    .await
    .unwrap();
    let files = std::fs::read_dir(workspace_root().unwrap().join("sql/postgres/migrations")).unwrap();
    let after_the_first = files.count() - 1;
    let said = install().run(&url).await.unwrap();
    assert!(
        said.ends_with(&format!("migrations applied: {after_the_first}\n")),
        "{said}"
    );
    let count: i32 = old.query_one("select weir.migrate()", &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
    let price = "select price_minor, price_text from commerce.product_variant";
    let row = old.query_one(price, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (Some(1250_i64), None::<String>));
    let changes = old
        .query_one("select weir.objective_changes(0)::text", &[])
        .await
        .unwrap();
    let changes: Value = serde_json::from_str(changes.get(0)).unwrap();
    assert_eq!(
        changes["changes"][0]["specification"],
        json!({"objective_spec_id": "default"})
    );
    let answer = ingest(&old, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
    assert_eq!(answer["events"][0]["lines"][0]["product_title"], "Lamp");
    // What nothing dates stays on the day that it was on, whatever comes now.
    let tagged = json!({"id": 9, "currency": "USD", "processed_at": "2026-11-01T10:00:00Z", "tags": "a",
        "updated_at": "2026-11-09T10:00:00Z", "line_items": [
            {"id": 1, "product_id": 11, "quantity": 2, "current_quantity": 2, "price": "10.00"},
            {"id": 2, "product_id": 11, "quantity": 3, "current_quantity": 2, "price": "10.00"}]});
    let answer = ingest(&old, &[delivery("b", "orders/updated", &tagged.to_string())]).await;
    // Its ledger was never written, so it is told.
    assert_eq!(
        (verdicts(&answer), types(&answer)),
        (vec!["accepted"], vec!["order_updated"])
    );
    let event = old
        .query_one("select weir.order_event(array[9])::text", &[])
        .await
        .unwrap();
    let event: Value = serde_json::from_str(event.get(0)).unwrap();
    let sales = event[0]["sales"].as_array().unwrap();
    let days: Vec<_> = sales.iter().map(|sold| sold["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-11-01", "2026-11-04"]);
}
