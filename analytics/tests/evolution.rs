//! A weir that knows more fields than the one that made the table.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::{config, event, flush, in_package, post, read, send, start, table, COMMERCE};
use serde_json::{json, Value};
use weir_analytics::lake::append::decode_rows;
use weir_analytics::lake::catalog_store::CatalogStore;
use weir_analytics::lake::{catalog_server, tables, Lake};
use weir_analytics::server::{Config, Server};
use weir_domain::telemetry::{commerce, Field, FieldType};

/// Makes `commerce.telemetry` as an older weir would have, with one row in it.
async fn older(warehouse: &std::path::Path, change: impl FnOnce(&mut Vec<Field>)) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/iceberg", listener.local_addr().unwrap());
    let store = Arc::new(CatalogStore::open(warehouse).unwrap());
    let router = axum::Router::new().nest("/iceberg", catalog_server::routes(store, None));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut stream = commerce();
    change(&mut stream.fields);
    let lake = Lake::new(&uri, None).await.unwrap();
    lake.ensure_table(&tables::stream_definition(&stream).unwrap())
        .await
        .unwrap();
    let row = event("old", "2026-11-24T10:00:00.000Z").to_string();
    let schema = lake.arrow_schema(&table(COMMERCE)).await.unwrap();
    let batches = decode_rows(schema, row.as_bytes()).unwrap();
    lake.append(&table(COMMERCE), &batches, "older", HashMap::new())
        .await
        .unwrap();
    serving.abort();
}

fn without_later_fields(fields: &mut Vec<Field>) {
    fields.retain(|field| field.name != "order_name");
    let sales = fields.iter_mut().find(|field| field.name == "sales").unwrap();
    let FieldType::List(items) = &mut sales.field_type else {
        panic!()
    };
    let FieldType::Struct(entry) = items.as_mut() else {
        panic!()
    };
    entry.retain(|field| field.name != "presentment_net_sales");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_gets_the_optional_fields_it_lacks_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    older(folder.path(), without_later_fields).await;
    let server = start(folder.path()).await;
    let url = server.url();
    let own = |sql: &'static str| async move {
        let (status, answer) = post(url, "/v1/lake/sql", json!({ "sql": sql }).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer["rows"].clone()
    };
    // Known before any row has it.
    let names = own("select event_id, order_name from commerce.telemetry").await;
    assert_eq!(names, json!([["old", null]]));
    let mut row = event("new", "2026-11-24T10:00:00.000Z");
    row["order_name"] = json!("#1");
    row["sales"][0]["presentment_net_sales"] = json!(9);
    send(server.url(), &[row]).await;
    assert_eq!(flush(server.url()).await, 1);
    let all = own("select event_id, order_name from commerce.telemetry order by event_id").await;
    assert_eq!(all, json!([["new", "#1"], ["old", null]]));
    for reader in ["pyiceberg", "duckdb"] {
        let rows = read(reader, server.url(), COMMERCE).await;
        let find = |id: &str| rows.iter().find(|row| row["event_id"] == id).unwrap();
        assert_eq!(find("new")["order_name"], "#1", "{reader}");
        assert_eq!(find("new")["sales"][0]["presentment_net_sales"], 9, "{reader}");
        assert_eq!(find("old")["order_name"], Value::Null, "{reader}");
        assert_eq!(
            find("old")["sales"][0]["presentment_net_sales"],
            Value::Null,
            "{reader}"
        );
        assert_eq!(find("old")["total_price"], 9_007_199_254_740_993_i64, "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_contradicts_the_stream_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    older(folder.path(), |fields| {
        let field = fields.iter_mut().find(|field| field.name == "order_revision").unwrap();
        field.field_type = FieldType::String;
    })
    .await;
    let error = Server::start(config(folder.path())).await.unwrap_err().to_string();
    assert!(
        error.contains("commerce.telemetry: column order_revision is string in the table and long is wanted"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_a_stream_is_what_lands_and_the_journal_keeps_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let sql = tempfile::tempdir().unwrap();
    for stream in ["commerce_v1", "publication_v1", "sync_v1"] {
        let file = format!("{stream}.sql");
        std::fs::copy(in_package(&format!("../sql/pipelines/{file}")), sql.path().join(file)).unwrap();
    }
    let path = sql.path().join("commerce_v1.sql");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("shop_domain, shop", "lower(shop_domain) as shop_domain, shop"),
    )
    .unwrap();
    let settings = || Config {
        pipelines: Some(sql.path().to_owned()),
        ..config(folder.path())
    };
    let server = Server::start(settings()).await.unwrap();
    let mut row = event("a", "2026-11-24T10:00:00.123456Z");
    row["shop_domain"] = json!("Demo.MyShopify.com");
    send(server.url(), &[row.clone()]).await;
    let journal = std::fs::read_dir(folder.path().join("journal/commerce_v1"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let kept = std::fs::read(journal.path()).unwrap();
    // A request whose rows are all good is kept as it came, behind a header in bytes.
    let body = kept.windows(2).position(|bytes| bytes == b"[{").unwrap();
    let kept: Value = serde_json::from_slice(&kept[body..]).unwrap();
    assert_eq!(kept, json!([row]));
    // Once from the rows in memory, once from the journal after a crash.
    flush(server.url()).await;
    row["event_id"] = json!("b");
    send(server.url(), &[row]).await;
    drop(server);
    let server = Server::start(settings()).await.unwrap();
    let rows = read("pyiceberg", server.url(), COMMERCE).await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row["shop_domain"], "demo.myshopify.com");
        assert_eq!(row["occurred_at"], "2026-11-24T10:00:00.123000Z");
    }
    drop(server);

    std::fs::write(&path, text.replace("order_name", "order_nam")).unwrap();
    let error = Server::start(settings()).await.unwrap_err().to_string();
    let line = 1 + text.lines().position(|line| line.contains("order_name")).unwrap();
    assert!(
        error.contains(&format!("commerce_v1.sql:{line}: ")) && error.contains("order_nam"),
        "{error}"
    );
}
