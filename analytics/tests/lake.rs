//! Events in, Iceberg out: the lake as other readers see it.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Date32Array, Int64Array, RecordBatch};
use common::{config, event, event_ids, flush, post, read, send, start, TOKEN};
use iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type};
use iceberg::TableIdent;
use serde_json::{json, Value};
use weir_analytics::lake::append::decode_rows;
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::lake::scan::duckdb_relation;
use weir_analytics::lake::{Lake, Scope, TableDefinition, COMMIT_ID};
use weir_analytics::server::{Config, Server};
use weir_analytics::Error;

const COMMERCE: &str = "commerce.telemetry";

fn table(name: &str) -> TableIdent {
    TableIdent::from_strs(name.split('.')).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_readers_see_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(reader, url, COMMERCE).await, Vec::<Value>::new(), "{reader}");
    }
    // The last one is on the next day in UTC: another partition.
    send(
        url,
        &[
            event("a", "2026-11-24T10:00:00.123Z"),
            event("b", "2026-11-24T23:59:59.999Z"),
            event("c", "2026-11-25T00:00:00.000Z"),
        ],
    )
    .await;
    assert_eq!(flush(url).await, 3);
    assert_eq!(flush(url).await, 0);

    for reader in ["pyiceberg", "duckdb"] {
        let mut rows = read(reader, url, COMMERCE).await;
        rows.sort_by_key(|row| row["event_id"].to_string());
        assert_eq!(rows.len(), 3, "{reader}");
        let row = &rows[0];
        assert_eq!(row["event_id"], "a");
        assert_eq!(row["occurred_at"], "2026-11-24T10:00:00.123000Z", "{reader}");
        assert_eq!(row["total_price"], 9_007_199_254_740_993_i64, "{reader}");
        assert_eq!(row["customer_key"], Value::Null);
        assert_eq!(row["order_name"], Value::Null);
        assert_eq!(row["sales"][0]["net_sales"], 9_007_199_254_740_993_i64, "{reader}");
        assert_eq!(row["sales"][0]["product_id"], "7");
    }
    let files = server.app().lake.data_files(&table(COMMERCE), None).await.unwrap();
    assert_eq!(files.len(), 2);
    assert!(files[0].contains("occurred_at_day=2026-11-24") && files[1].contains("occurred_at_day=2026-11-25"));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relation_is_the_table_for_duckdb_with_and_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let count = |relation: String| {
        let sql =
            format!("select count(*), count(occurred_at), coalesce(sum(len(sales)), 0)::bigint from {relation} as t");
        let duckdb = duckdb::Connection::open_in_memory().unwrap();
        duckdb
            .query_row(&sql, [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .unwrap()
    };
    let lake = &server.app().lake;
    assert_eq!(
        count(lake.duckdb_relation(&table(COMMERCE), None).await.unwrap()),
        (0, 0, 0)
    );
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    flush(server.url()).await;
    let first = lake
        .load(&table(COMMERCE))
        .await
        .unwrap()
        .metadata()
        .current_snapshot_id();
    send(server.url(), &[event("b", "2026-11-24T11:00:00.000Z")]).await;
    flush(server.url()).await;
    assert_eq!(
        count(lake.duckdb_relation(&table(COMMERCE), None).await.unwrap()),
        (2, 2, 2)
    );
    assert_eq!(
        count(lake.duckdb_relation(&table(COMMERCE), first).await.unwrap()),
        (1, 1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_has_its_verdict_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut wrong_type = event("wrong", "2026-11-24T10:00:00.000Z");
    wrong_type["total_price"] = json!("12");
    let mut missing = event("x", "2026-11-24T10:00:00.000Z");
    missing.as_object_mut().unwrap().remove("event_id");
    // A year that a 64-bit nanosecond clock does not reach; the table has microseconds.
    let far = event("far", "2999-12-31T00:00:00.000Z");
    // What the stream's check lets pass and the table's type does not would block every row behind it.
    let short = event("short", "2026-11-24T10Z");
    let rows = json!([
        event("good", "2026-11-24T10:00:00.000Z"),
        wrong_type,
        missing,
        "text",
        far,
        short
    ]);
    let (status, verdicts) = post(server.url(), "/v1/streams/commerce_v1", rows.to_string()).await;
    assert_eq!(status, 200);
    assert_eq!(verdicts["accepted"], 2, "{verdicts}");
    let rejected: Vec<_> = verdicts["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["index"].as_u64().unwrap(),
                one["event_id"].as_str(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rejected,
        [
            (1, Some("wrong"), "type_mismatch"),
            (2, None, "missing_field"),
            (3, None, "parse_failure"),
            (5, Some("short"), "type_mismatch")
        ]
    );
    assert_eq!(verdicts["rejected"][0]["field"], "total_price");

    let kept = std::fs::read_to_string(folder.path().join("quarantine/commerce_v1.jsonl")).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[0]["row"]["total_price"], "12");
    assert_eq!(kept[0]["reason"], "type_mismatch");

    assert_eq!(flush(server.url()).await, 2);
    assert_eq!(event_ids("duckdb", server.url(), COMMERCE).await, ["far", "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    assert_eq!(post(url, "/v1/streams/commerce_v1", "{}".into()).await.0, 422);
    assert_eq!(post(url, "/v1/streams/commerce_v1", "[{]".into()).await.0, 422);
    assert_eq!(post(url, "/v1/streams/other_v1", "[]".into()).await.0, 404);
    assert_eq!(post(url, "/v1/streams/commerce_v1", "[]".into()).await.0, 200);
    let large = format!("[{}]", " ".repeat(5 * 1024 * 1024));
    assert_eq!(post(url, "/v1/streams/commerce_v1", large).await.0, 413);
    for token in [None, Some("test-tokem"), Some("")] {
        for path in ["/v1/streams/commerce_v1", "/v1/flush"] {
            let mut request = reqwest::Client::new().post(format!("{url}{path}")).body("[]");
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            assert_eq!(request.send().await.unwrap().status(), 401);
        }
    }
    let health = reqwest::get(format!("{url}/healthz")).await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(matches!(
        Server::start(config(folder.path())).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_open_on_loopback_only_and_never_to_a_web_page() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let client = reqwest::Client::new();
    let namespaces = |url: &str| client.get(format!("{url}/iceberg/v1/namespaces"));
    assert_eq!(namespaces(server.url()).send().await.unwrap().status(), 200);
    let page = namespaces(server.url()).header("origin", "https://shop.example").send();
    assert_eq!(page.await.unwrap().status(), 403);
    drop(server);

    let server = Server::start(Config {
        listen: ([0, 0, 0, 0], 0).into(),
        ..config(folder.path())
    })
    .await
    .unwrap();
    let refused = namespaces(server.url()).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["type"], "NotAuthorizedException");
    let allowed = namespaces(server.url()).bearer_auth(TOKEN).send();
    assert_eq!(allowed.await.unwrap().status(), 200);
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    assert_eq!(flush(server.url()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_writers_can_use_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_writers.py");
    common::python(&[script, &format!("{}/iceberg", server.url())]).await;

    let lake = &server.app().lake;
    assert_eq!(
        lake.data_files(&table("scratch.by_pyiceberg"), None)
            .await
            .unwrap()
            .len(),
        2
    );
    // The files alone would show the row that DuckDB deleted.
    let with_deletes = lake.data_files(&table("more.by_duckdb"), None).await;
    assert!(matches!(with_deletes, Err(Error::Invalid(_))), "{with_deletes:?}");
    let row = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![7])) as _)]).unwrap();
    lake.overwrite(&table("more.by_duckdb"), vec![row], Scope::WholeTable, named("all"))
        .await
        .unwrap();
    assert_eq!(
        read("duckdb", server.url(), "more.by_duckdb").await,
        [json!({ "n": 7 })]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_says_503_and_takes_rows_again_after_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        backlog_bytes: 1_500,
        ..config(folder.path())
    })
    .await
    .unwrap();
    let body = json!([event("a", "2026-11-24T10:00:00.000Z")]).to_string();
    let path = "/v1/streams/commerce_v1";
    let mut accepted = 0;
    while post(server.url(), path, body.clone()).await.0 == 200 {
        accepted += 1;
    }
    let refused = reqwest::Client::new()
        .post(format!("{}{path}", server.url()))
        .bearer_auth(TOKEN)
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(accepted > 0);
    assert_eq!(flush(server.url()).await, accepted);
    assert_eq!(post(server.url(), path, body).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_acknowledged_before_a_flush_is_committed_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url().to_owned();
    let clients = (0..8).map(|client| {
        let url = url.clone();
        let lake = server.app().lake.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let id = format!("{client}-{round}");
                send(&url, &[event(&id, "2026-11-24T10:00:00.000Z")]).await;
                flush(&url).await;
                let relation = lake.duckdb_relation(&table(COMMERCE), None).await.unwrap();
                let found: i64 = tokio::task::spawn_blocking(move || {
                    let duckdb = duckdb::Connection::open_in_memory().unwrap();
                    let sql = format!("select count(*) from {relation} as t where event_id = ?");
                    duckdb.query_row(&sql, [id], |row| row.get(0)).unwrap()
                })
                .await
                .unwrap();
                assert_eq!(found, 1);
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    assert_eq!(event_ids("pyiceberg", &url, COMMERCE).await.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_commits_without_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        commit_interval: Duration::from_millis(50),
        ..config(folder.path())
    })
    .await
    .unwrap();
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    let lake = &server.app().lake;
    let committed = async {
        while lake.data_files(&table(COMMERCE), None).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), committed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    send(first.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    send(first.url(), &[event("b", "2026-11-24T10:00:00.000Z")]).await;
    drop(first);

    let second = start(folder.path()).await;
    assert_eq!(event_ids("duckdb", second.url(), COMMERCE).await, ["a", "b"]);

    // A crash after the commit and before the deletion: the segment is still there, its name is in the history.
    send(second.url(), &[event("c", "2026-11-24T10:00:00.000Z")]).await;
    let journal = folder.path().join("journal/commerce_v1");
    let segments: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [segment] = segments.as_slice() else {
        panic!("{segments:?}");
    };
    let copy = std::fs::read(segment).unwrap();
    assert_eq!(flush(second.url()).await, 1);
    assert!(!segment.exists());
    drop(second);
    std::fs::write(segment, copy).unwrap();

    let third = start(folder.path()).await;
    assert_eq!(event_ids("pyiceberg", third.url(), COMMERCE).await, ["a", "b", "c"]);
    assert!(!segment.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_on_sigterm_with_its_rows_committed_and_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = spawn(folder.path()).await;
    send(&url, &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    child.start_kill().unwrap();
    child.wait().await.unwrap();

    let (mut child, url) = spawn(folder.path()).await;
    send(&url, &[event("b", "2026-11-24T10:00:00.000Z")]).await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap()
        .success());
    assert!(child.wait().await.unwrap().success());
    let left = std::fs::read_dir(folder.path().join("journal/commerce_v1"))
        .unwrap()
        .count();
    assert_eq!(left, 0);

    let server = start(folder.path()).await;
    assert_eq!(event_ids("duckdb", server.url(), COMMERCE).await, ["a", "b"]);
}

async fn spawn(warehouse: &std::path::Path) -> (tokio::process::Child, String) {
    use tokio::io::AsyncBufReadExt;
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["serve", "--listen", "127.0.0.1:0", "--token", TOKEN])
        .args(["--commit-interval-ms", "3600000", "--warehouse"])
        .arg(warehouse)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["listening"].as_str().unwrap().to_owned())
}

/// A table partitioned by its date, as the measurement's are.
async fn daily(lake: &Lake) -> TableIdent {
    let ident = table("test.daily");
    let field = |id, name, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
    let schema = Schema::builder()
        .with_fields([
            field(1, "date", PrimitiveType::Date),
            field(2, "n", PrimitiveType::Long),
        ])
        .build()
        .unwrap();
    lake.ensure_table(&TableDefinition {
        ident: ident.clone(),
        schema,
        partition: vec![("date".into(), "date".into(), Transform::Identity)],
        doc: "test".into(),
    })
    .await
    .unwrap();
    ident
}

fn days(rows: &[(i32, i64)]) -> Vec<RecordBatch> {
    let batch = RecordBatch::try_from_iter([
        (
            "date",
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.0))) as _,
        ),
        (
            "n",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))) as _,
        ),
    ]);
    vec![batch.unwrap()]
}

fn named(id: &str) -> HashMap<String, String> {
    HashMap::from([(COMMIT_ID.to_owned(), id.to_owned())])
}

async fn numbers(lake: &Lake, ident: &TableIdent) -> Vec<(i32, i64)> {
    let files = lake.data_files(ident, None).await.unwrap();
    if files.is_empty() {
        return Vec::new();
    }
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let sql = format!(
        "select (date - date '1970-01-01')::integer, n from {} order by all",
        duckdb_relation(&files)
    );
    let mut statement = duckdb.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_replaces_its_days_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let lake = &server.app().lake;
    let ident = daily(lake).await;
    let outcome = lake
        .append(
            &ident,
            &days(&[(1, 10), (2, 20), (2, 21), (3, 30)]),
            "first",
            HashMap::new(),
        )
        .await
        .unwrap();
    assert_eq!((outcome.rows, outcome.already_committed), (4, false));

    // Day 2 gets new rows, day 3 becomes empty, day 4 is new, day 1 is left alone.
    let scope = Scope::PartitionDays(vec![2, 3, 4]);
    let replaced = lake
        .overwrite(&ident, days(&[(2, 22), (4, 40)]), scope.clone(), named("second"))
        .await
        .unwrap();
    assert_eq!(numbers(lake, &ident).await, [(1, 10), (2, 22), (4, 40)]);

    let again = lake
        .overwrite(&ident, days(&[(2, 22), (4, 40)]), scope, named("second"))
        .await
        .unwrap();
    assert!(again.already_committed);
    assert_eq!(again.snapshot_id, replaced.snapshot_id);
    let appended = lake
        .append(&ident, &days(&[(9, 90)]), "first", HashMap::new())
        .await
        .unwrap();
    assert!(appended.already_committed);
    assert_eq!(numbers(lake, &ident).await, [(1, 10), (2, 22), (4, 40)]);

    let outside = lake
        .overwrite(&ident, days(&[(5, 50)]), Scope::PartitionDays(vec![4]), named("third"))
        .await;
    assert!(matches!(outside, Err(Error::Invalid(_))));

    let metadata = lake.load(&ident).await.unwrap().metadata_ref();
    let summary = &metadata.current_snapshot().unwrap().summary().additional_properties;
    assert_eq!(summary["total-records"], "3");
    assert_eq!(summary["deleted-records"], "3");
    assert_eq!(summary["total-data-files"], "3");
    for reader in ["pyiceberg", "duckdb"] {
        let mut rows = read(reader, server.url(), "test.daily").await;
        rows.sort_by_key(|row| row["n"].as_i64());
        let expected = json!([
            {"date": "1970-01-02", "n": 10}, {"date": "1970-01-03", "n": 22}, {"date": "1970-01-05", "n": 40}
        ]);
        assert_eq!(json!(rows), expected, "{reader}");
    }

    lake.overwrite(&ident, days(&[(7, 70)]), Scope::WholeTable, named("whole"))
        .await
        .unwrap();
    assert_eq!(numbers(lake, &ident).await, [(7, 70)]);
    lake.overwrite(&ident, Vec::new(), Scope::WholeTable, named("none"))
        .await
        .unwrap();
    assert_eq!(numbers(lake, &ident).await, []);
    assert_eq!(read("duckdb", server.url(), "test.daily").await, Vec::<Value>::new());
    assert_eq!(read("pyiceberg", server.url(), "test.daily").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_merges_files_and_expires_snapshots_without_changing_rows() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let lake = &server.app().lake;
    let ident = daily(lake).await;
    for n in 0..9_i64 {
        let rows = days(&[(1, n), (2, 100 + n)]);
        lake.append(&ident, &rows, &format!("c{n}"), HashMap::new())
            .await
            .unwrap();
    }
    lake.append(&ident, &days(&[(3, 1000)]), "alone", HashMap::new())
        .await
        .unwrap();
    let before = numbers(lake, &ident).await;
    let young = lake.maintain(&ident, Upkeep::default()).await.unwrap();
    assert_eq!((young.files_merged, young.files_written), (18, 2));
    assert_eq!((young.snapshots_expired, young.files_deleted), (0, 0));
    assert_eq!(numbers(lake, &ident).await, before);

    let aggressive = Upkeep {
        keep_for: Duration::ZERO,
        keep_last: 1,
        ..Upkeep::default()
    };
    let old = lake.maintain(&ident, aggressive).await.unwrap();
    assert_eq!((old.files_merged, old.files_written), (0, 0));
    assert_eq!(old.snapshots_expired, 11);
    // 18 data files, 11 manifest lists, and every manifest but the ones of the current snapshot.
    assert!(old.files_deleted >= 18 + 11 + 9, "{old:?}");
    assert_eq!(numbers(lake, &ident).await, before);
    let data = folder.path().join("lake/test/daily/data");
    let left: usize = std::fs::read_dir(data)
        .unwrap()
        .map(|day| std::fs::read_dir(day.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(left, 3);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(reader, server.url(), "test.daily").await.len(), 19, "{reader}");
    }
    lake.append(&ident, &days(&[(1, 5)]), "later", HashMap::new())
        .await
        .unwrap();
    assert_eq!(numbers(lake, &ident).await.len(), 20);

    let (status, done) = post(server.url(), "/v1/maintain", "{\"keep_hours\":1}".into()).await;
    assert_eq!(status, 200);
    assert_eq!(done["tables"][COMMERCE]["snapshots_expired"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commits_all_take_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let lake = server.app().lake.clone();
    let ident = daily(&lake).await;
    let commits = (0..12).map(|n: i32| {
        let (lake, ident) = (lake.clone(), ident.clone());
        tokio::spawn(async move {
            if n % 2 == 0 {
                let scope = Scope::PartitionDays(vec![n]);
                lake.overwrite(&ident, days(&[(n, 1)]), scope, named(&n.to_string()))
                    .await
            } else {
                lake.append(&ident, &days(&[(n, 1)]), &n.to_string(), HashMap::new())
                    .await
            }
        })
    });
    for commit in futures::future::join_all(commits).await {
        assert!(!commit.unwrap().unwrap().already_committed);
    }
    let expected: Vec<_> = (0..12).map(|n| (n, 1)).collect();
    assert_eq!(numbers(&lake, &ident).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_stream_decode_to_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let schema = server.app().lake.arrow_schema(&table(COMMERCE)).await.unwrap();
    let batches = decode_rows(
        schema.clone(),
        event("a", "2026-11-24T10:00:00.000Z").to_string().as_bytes(),
    )
    .unwrap();
    assert_eq!(batches[0].num_columns(), schema.fields().len());
    for name in ["commerce.telemetry", "publication.telemetry", "sync.telemetry"] {
        let loaded = server.app().lake.load(&table(name)).await.unwrap();
        assert_eq!(loaded.metadata().default_partition_spec().fields().len(), 1, "{name}");
    }
}
