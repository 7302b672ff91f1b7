//! The lake on a real S3 behind a real Iceberg REST catalog: everybody reads the same rows there as in local folders.

mod common;

use common::object_storage::ObjectStorage;
use common::{config, event, flush, post, read, send, start, COMMERCE};
use serde_json::{json, Value};
use weir_analytics::server::{Config, Server};

const TABLES: [&str; 6] = [
    "commerce.telemetry",
    "publication.telemetry",
    "sync.telemetry",
    "measurement.sales",
    "measurement.performance",
    "configuration.objective_spec",
];

/// Rows in every table: events of the three streams, a specification, a refresh.
async fn fill(url: &str) {
    let sold = ["2026-11-24T10:00:00.000Z", "2026-11-23T23:59:59.999Z"].map(|moment| {
        let mut row = event(&moment[8..10], moment);
        (row["shop_time_zone"], row["currency"], row["currency_exponent"]) = (json!("UTC"), json!("EUR"), json!(2));
        (row["order_id"], row["order_revision"]) = (json!(&moment[8..10]), json!(1));
        (row["order_updated_at"], row["is_test"], row["is_deleted"]) = (json!(moment), json!(false), json!(false));
        row["lines"] = json!([{
            "line_item_id": "1", "product_id": "7", "variant_id": "8", "title": "t", "product_title": "p",
            "is_active": true, "is_gift_card": false, "quantity": 2, "current_quantity": 2, "unit_price": 5, "discount": 0,
        }]);
        row
    });
    send(url, &sold).await;
    let mut view = event("v", "2026-11-24T11:00:00.000Z");
    for name in ["order_id", "total_price", "customer_key", "sales"] {
        view.as_object_mut().unwrap().remove(name);
    }
    view["event_type"] = json!("view");
    let mut step = view.clone();
    view["engaged_seconds"] = json!(1.5);
    for (name, value) in [
        ("workflow", "w"),
        ("instance_id", "i"),
        ("step", "s"),
        ("status", "succeeded"),
    ] {
        step[name] = json!(value);
    }
    (step["attempt"], step["duration_ms"], step["started_at"]) = (json!(1), json!(2), step["occurred_at"].clone());
    for (stream, row) in [("publication_v1", view), ("sync_v1", step)] {
        let (status, verdicts) = post(url, &format!("/v1/streams/{stream}"), json!([row]).to_string()).await;
        assert_eq!((status, &verdicts["accepted"]), (200, &json!(1)), "{verdicts}");
    }
    flush(url).await;
    let specification = json!({
        "objective_spec_id": "default", "shop_domain": "demo.myshopify.com", "product_type": null, "revision": 1,
        "measure": "net_units", "threshold_30d": 1, "banana_pool": "all", "valid_from": "2026-01-01T00:00:00Z",
    });
    let (status, answer) = post(url, "/v1/objective", specification.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let now = json!({ "now": "2026-11-24T12:00:00Z" });
    let (status, answer) = post(url, "/v1/refresh", now.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    flush(url).await;
}

/// What weir's own `select` gives, each row as an object, in no certain sequence.
async fn own(url: &str, table: &str) -> Vec<Value> {
    let (status, answer) = post(
        url,
        "/v1/lake/sql",
        json!({ "sql": format!("select * from {table}") }).to_string(),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let columns: Vec<_> = answer["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let row = |row: &Value| {
        let values = columns.iter().zip(row.as_array().unwrap());
        Value::Object(
            values
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    };
    answer["rows"].as_array().unwrap().iter().map(row).collect()
}

/// Rows as text that readers agree on. DuckDB prints a time in another way than Python; and pyiceberg 0.12 shows a list
/// that is null as an empty one (the file has null: pyarrow and DuckDB say so), so that the two are not told apart.
fn canonical(rows: Vec<Value>) -> Vec<String> {
    fn plain(value: &mut Value) {
        match value {
            Value::String(text) => {
                let iso = text.replacen(' ', "T", 1).replace("+00:00", "Z").replace("+00", "Z");
                if let Ok(moment) = iso.parse::<jiff::Timestamp>() {
                    *text = moment.to_string();
                }
            }
            Value::Array(items) if items.is_empty() => *value = Value::Null,
            Value::Array(items) => items.iter_mut().for_each(plain),
            Value::Object(fields) => fields.values_mut().for_each(plain),
            _ => {}
        }
    }
    let mut texts: Vec<_> = rows
        .into_iter()
        .map(|mut row| {
            plain(&mut row);
            row.to_string()
        })
        .collect();
    texts.sort_unstable();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_on_s3_reads_the_same_everywhere() {
    let storage = ObjectStorage::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        catalog: Some(storage.config()),
        ..config(folder.path())
    })
    .await
    .unwrap();
    fill(server.url()).await;
    for table in TABLES {
        let rows = canonical(own(server.url(), table).await);
        assert!(!rows.is_empty(), "{table}");
        for reader in ["pyiceberg", "duckdb"] {
            assert_eq!(canonical(storage.read(reader, table).await), rows, "{reader} {table}");
        }
    }
    // Nothing of the tables is on this machine.
    assert!(!folder.path().join("lake").exists());

    // A second server on the same lake finds it, and upkeep works there too.
    server.stop().await.unwrap();
    let server = Server::start(Config {
        catalog: Some(storage.config()),
        ..config(folder.path())
    })
    .await
    .unwrap();
    for n in 0..3 {
        send(server.url(), &[event(&format!("more-{n}"), "2026-11-24T10:00:00.000Z")]).await;
        flush(server.url()).await;
    }
    let before = canonical(own(server.url(), COMMERCE).await);
    let body = json!({ "table": COMMERCE, "min_files": 2 }).to_string();
    let (status, done) = post(server.url(), "/v1/lake/compact", body).await;
    assert_eq!(
        (status, &done["tables"][COMMERCE]["files_merged"]),
        (200, &json!(4)),
        "{done}"
    );
    let (status, done) = post(server.url(), "/v1/lake/expire", json!({ "keep_hours": 0 }).to_string()).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(canonical(storage.read("pyiceberg", COMMERCE).await), before);
    let (status, orphans) = post(
        server.url(),
        "/v1/lake/orphans",
        json!({ "table": COMMERCE }).to_string(),
    )
    .await;
    assert_eq!((status, &orphans["tables"][COMMERCE]), (200, &json!([])), "{orphans}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_in_local_folders_reads_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    fill(server.url()).await;
    for table in TABLES {
        let rows = canonical(own(server.url(), table).await);
        assert!(!rows.is_empty(), "{table}");
        for reader in ["pyiceberg", "duckdb"] {
            assert_eq!(
                canonical(read(reader, server.url(), table).await),
                rows,
                "{reader} {table}"
            );
        }
    }
}
