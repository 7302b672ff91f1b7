//! A server in this process, rows for it, and readers that are not weir.
#![allow(dead_code)]

pub mod object_storage;
pub mod proxy;
pub mod serve;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use iceberg::TableIdent;
use serde_json::{json, Value};
use weir_analytics::server::{Config, Server};

pub const COMMERCE: &str = "commerce.telemetry";

pub fn table(name: &str) -> TableIdent {
    TableIdent::from_strs(name.split('.')).unwrap()
}

pub const TOKEN: &str = "test-token";

/// Settings under which nothing is committed but by flush, so that a test decides when.
pub fn config(warehouse: &Path) -> Config {
    Config {
        warehouse: warehouse.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        token: TOKEN.to_owned(),
        objective: None,
        catalog: None,
        pipelines: None,
        commit_interval: Duration::from_secs(3600),
        roll_bytes: 16 << 20,
        backlog_bytes: 256 << 20,
        as_of: Duration::from_secs(24 * 3600),
        sql_limit: Duration::from_secs(60),
    }
}

/// A commerce event, complete as far as the schema requires, with a sale in it.
pub fn event(id: &str, occurred_at: &str) -> Value {
    json!({
        "event_id": id, "event_type": "order_created", "schema_version": 1,
        "occurred_at": occurred_at, "received_at": "2026-11-24T10:00:01.000Z",
        "event_date": &occurred_at[..10], "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
        "order_id": "1", "total_price": 9_007_199_254_740_993_i64, "customer_key": null,
        "sales": [{"product_id": "7", "day": &occurred_at[..10], "kind": "sale", "units_sold": 2, "units_returned": 0,
            "gross_sales": 9_007_199_254_740_993_i64, "discounts": 0, "returns": 0,
            "net_sales": 9_007_199_254_740_993_i64}],
    })
}

/// POST with the token: status and body.
pub async fn post(url: &str, path: &str, body: String) -> (u16, Value) {
    let response = reqwest::Client::new()
        .post(format!("{url}{path}"))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// Sends events that must all be accepted.
pub async fn send(url: &str, events: &[Value]) {
    let (status, verdicts) = post(url, "/v1/streams/commerce_v1", json!(events).to_string()).await;
    assert_eq!(
        (status, verdicts),
        (200, json!({ "accepted": events.len(), "rejected": [] }))
    );
}

/// Commits; rows of commerce_v1 committed by this call.
pub async fn flush(url: &str) -> u64 {
    let (status, body) = post(url, "/v1/flush", String::new()).await;
    assert_eq!(status, 200, "{body}");
    body["committed"]["commerce_v1"].as_u64().unwrap()
}

/// Output of a script that must succeed.
pub async fn python(arguments: &[&str], environment: &[(&str, String)]) -> String {
    let python = std::env::var("WEIR_PYTHON").expect("WEIR_PYTHON (scripts/env.sh)");
    let mut command = Command::new(python);
    command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value)));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file of this package in the checkout under test. At run time, not baked in: a build directory may be shared by several
/// clones.
pub fn in_package(path: &str) -> String {
    format!("{}/{path}", std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"))
}

/// A table's rows as `pyiceberg` or `duckdb` reads them through the server's catalog.
pub async fn read(reader: &str, url: &str, table: &str) -> Vec<Value> {
    read_with(reader, &format!("{url}/iceberg"), table, None).await
}

/// A table's rows as a reader sees them through the catalog at `uri`, with further properties of that catalog.
pub async fn read_with(reader: &str, uri: &str, table: &str, properties: Option<Value>) -> Vec<Value> {
    let script = in_package("../tests/readers/read_table.py");
    let environment: Vec<_> = properties
        .iter()
        .map(|properties| ("WEIR_READER_PROPERTIES", properties.to_string()))
        .collect();
    let output = python(&[&script, reader, uri, "weir", table], &environment).await;
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Event ids of a table, sorted.
pub async fn event_ids(reader: &str, url: &str, table: &str) -> Vec<String> {
    let rows = read(reader, url, table).await;
    let mut ids: Vec<_> = rows
        .iter()
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

pub async fn start(warehouse: &Path) -> Server {
    Server::start(config(warehouse)).await.unwrap()
}
