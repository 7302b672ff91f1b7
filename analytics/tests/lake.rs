//! The lake as other readers and writers see it.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Date32Array, Int64Array, RecordBatch};
use common::proxy::{Fault, Proxy};
use common::{config, event, flush, post, read, send, start, table, COMMERCE, TOKEN};
use iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type};
use iceberg::TableIdent;
use serde_json::{json, Value};
use weir_analytics::lake::append::decode_rows;
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::lake::scan::duckdb_relation;
use weir_analytics::lake::{CatalogConfig, Lake, Scope, TableDefinition, COMMIT_ID};
use weir_analytics::server::{Config, Server};
use weir_analytics::Error;

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
    let script = common::in_package("tests/other_writers.py");
    common::python(&[&script, &format!("{}/iceberg", server.url())], &[]).await;

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

/// Has DuckDB delete rows through the catalog of a server.
async fn delete(url: &str, table: &str, condition: &str) {
    let script = common::in_package("tests/duckdb_statements.py");
    let statement = format!("delete from lake.{table} where {condition}");
    common::python(&[&script, &format!("{url}/iceberg"), &statement], &[]).await;
}

/// What the current snapshot says of its files: operation, data files, files of row-level deletes.
async fn totals(url: &str, name: &str) -> [String; 3] {
    let client = reqwest::Client::new();
    let (namespace, table) = name.split_once('.').unwrap();
    let path = format!("{url}/iceberg/v1/namespaces/{namespace}/tables/{table}");
    let loaded: Value = client.get(path).send().await.unwrap().json().await.unwrap();
    let current = &loaded["metadata"]["current-snapshot-id"];
    let snapshots = loaded["metadata"]["snapshots"].as_array().unwrap();
    let snapshot = snapshots.iter().find(|one| one["snapshot-id"] == *current).unwrap();
    ["operation", "total-data-files", "total-delete-files"]
        .map(|one| snapshot["summary"][one].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_writer_deleted_stay_deleted_and_upkeep_makes_the_table_readable_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    for round in 0..2 {
        let events: Vec<_> = (0..6)
            .map(|n| {
                event(
                    &format!("{round}-{n}"),
                    &format!("2026-11-{}T10:00:00.000Z", 20 + n % 3),
                )
            })
            .collect();
        send(url, &events).await;
        flush(url).await;
    }
    let refresh = || post(url, "/v1/refresh", "{}".to_owned());
    assert_eq!(refresh().await.0, 200);
    // One row of a file of the 20th, all rows of one of the 22nd, one row of another of the 20th.
    delete(url, COMMERCE, "event_id in ('0-0', '1-2', '1-5')").await;
    delete(url, COMMERCE, "event_id = '1-0'").await;
    let (status, said) = refresh().await;
    assert_eq!(status, 422);
    assert!(said.to_string().contains("weir lake compact"), "{said}");

    let app = server.app();
    let deleted = app
        .lake
        .snapshot_as_of(&table(COMMERCE), jiff::Timestamp::now())
        .await
        .unwrap();
    let done = app.lake.merge(&table(COMMERCE), Upkeep::default()).await.unwrap();
    // No upkeep makes a moment of the past readable.
    let past = app
        .lake
        .data_files(&table(COMMERCE), deleted)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        past.contains("cannot be told any more") && !past.contains("compact"),
        "{past}"
    );
    // Nothing points into the files of the 21st.
    assert_eq!((done.files_merged, done.files_written), (4, 2));
    let left = ["0-1", "0-2", "0-3", "0-4", "0-5", "1-1", "1-3", "1-4"];
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(common::event_ids(reader, url, COMMERCE).await, left, "{reader}");
    }
    assert_eq!(totals(url, COMMERCE).await, ["replace", "4", "0"]);
    let (status, said) = refresh().await;
    assert_eq!(status, 200, "{said}");

    // And with rows of before and since.
    send(url, &[event("z", "2026-11-20T10:00:00.000Z")]).await;
    flush(url).await;
    delete(url, COMMERCE, "event_id = '1-3'").await;
    let upkeep = Upkeep {
        min_files: 2,
        ..Upkeep::default()
    };
    let done = app.lake.merge(&table(COMMERCE), upkeep).await.unwrap();
    assert_eq!((done.files_merged, done.files_written), (4, 2));
    let left = ["0-1", "0-2", "0-3", "0-4", "0-5", "1-1", "1-4", "z"];
    assert_eq!(common::event_ids("pyiceberg", url, COMMERCE).await, left);
    assert_eq!(refresh().await.0, 200);
    // What the deletes were in goes with the snapshots.
    let upkeep = Upkeep {
        keep_for: Duration::ZERO,
        keep_last: 1,
        ..upkeep
    };
    app.maintain(upkeep).await.unwrap();
    let listing = std::process::Command::new("find")
        .arg(folder.path().join("lake/commerce"))
        .output();
    let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
    assert!(!listing.contains("-deletes.parquet"), "{listing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_that_point_into_nothing_any_more_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let lake = &server.app().lake;
    let ident = daily(lake).await;
    lake.overwrite(&ident, days(&[(1, 1), (1, 2), (2, 3)]), Scope::WholeTable, named("a"))
        .await
        .unwrap();
    delete(server.url(), "test.daily", "n = 1").await;
    let first = Scope::PartitionDays(vec![1]);
    lake.overwrite(&ident, days(&[(1, 4)]), first, named("b"))
        .await
        .unwrap();
    assert!(lake.data_files(&ident, None).await.is_ok());
    let by_date = || async {
        let state = lake.state(&ident).await.unwrap();
        state.files(state.current_snapshot(), "date").await
    };
    assert!(by_date().await.is_err());
    let done = lake.merge(&ident, Upkeep::default()).await.unwrap();
    assert_eq!((done.files_merged, done.files_written), (0, 0));
    by_date().await.unwrap();
    assert_eq!(numbers(lake, &ident).await, [(1, 4), (2, 3)]);
    assert_eq!(totals(server.url(), "test.daily").await[2], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_deleted_while_its_file_is_merged_does_not_come_back() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let proxy = Proxy::start(catalog.url(), |_, _| None).await;
    let server = Server::start(Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", proxy.url), None)),
        ..config(folders[1].path())
    })
    .await
    .unwrap();
    for id in ["a", "b"] {
        send(server.url(), &[event(id, "2026-11-24T10:00:00.000Z")]).await;
        flush(server.url()).await;
    }
    let mut held = false;
    proxy.rule(move |method, path| {
        let is_commit = *method == axum::http::Method::POST && path.contains("/tables/");
        (is_commit && !std::mem::replace(&mut held, true)).then_some(Fault::Hold)
    });
    let upkeep = Upkeep {
        min_files: 2,
        ..Upkeep::default()
    };
    let lake = server.app().lake.clone();
    let merging = tokio::spawn(async move { lake.merge(&table(COMMERCE), upkeep).await });
    proxy.held().await;
    delete(catalog.url(), COMMERCE, "event_id = 'a'").await;
    proxy.release();
    let merged = merging.await.unwrap();
    assert!(matches!(merged, Err(Error::Conflict { .. })), "{merged:?}");
    assert_eq!(common::event_ids("duckdb", catalog.url(), COMMERCE).await, ["b"]);
    server.app().lake.merge(&table(COMMERCE), upkeep).await.unwrap();
    assert_eq!(common::event_ids("duckdb", catalog.url(), COMMERCE).await, ["b"]);
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
async fn rows_of_more_partitions_than_can_be_open_at_once_are_all_there() {
    const DAYS: i32 = 300;
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let lake = &server.app().lake;
    let ident = daily(lake).await;
    // Each day twice, the second time when its file is closed already.
    let rounds = [0, 1].map(|n| (0..DAYS).map(|day| (day, n)).collect::<Vec<_>>());
    let batches: Vec<_> = rounds.iter().flat_map(|rows| days(rows)).collect();
    let outcome = lake.append(&ident, &batches, "many", HashMap::new()).await.unwrap();
    assert_eq!(outcome.rows, 2 * DAYS as u64);
    let mut expected = rounds.concat();
    expected.sort_unstable();
    assert_eq!(numbers(lake, &ident).await, expected);
    let table = lake.load(&ident).await.unwrap();
    let tasks = table.scan().build().unwrap().plan_files().await.unwrap();
    let tasks: Vec<_> = futures::TryStreamExt::try_collect(tasks).await.unwrap();
    assert!(tasks.len() > DAYS as usize, "{} files", tasks.len());
    assert_eq!(
        read("pyiceberg", server.url(), "test.daily").await.len(),
        2 * DAYS as usize
    );

    let commits = lake.snapshots(&ident).await.unwrap().len();
    let done = lake
        .maintain(
            &ident,
            Upkeep {
                min_files: 2,
                ..Upkeep::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(numbers(lake, &ident).await, expected);
    let files = lake.data_files(&ident, None).await.unwrap().len();
    assert_eq!(files, DAYS as usize, "{done:?}");
    let commits = lake.snapshots(&ident).await.unwrap().len() - commits;
    assert_eq!(commits, 2, "one for the files, one for the manifests");
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
    assert_eq!(old.snapshots_expired, 10);
    // 18 data files, 10 manifest lists, and every manifest but the ones of the current snapshot.
    assert!(old.files_deleted >= 18 + 10 + 9, "{old:?}");
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
async fn upkeep_comes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path()).await;
    let url = server.url().to_owned();
    for n in 0..Upkeep::default().min_files {
        send(&url, &[event(&format!("e{n}"), "2026-11-24T10:00:00.000Z")]).await;
        flush(&url).await;
    }
    server.maintain_every(Duration::from_secs(1));
    let merged = async {
        while server
            .app()
            .lake
            .data_files(&table(COMMERCE), None)
            .await
            .unwrap()
            .len()
            > 1
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), merged)
        .await
        .expect("merged");
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
async fn a_warehouse_works_only_under_the_path_where_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let server = start(&made).await;
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    server.stop().await.unwrap();
    let files = || {
        let listing = std::process::Command::new("find")
            .arg(made.join("lake"))
            .output()
            .unwrap();
        String::from_utf8(listing.stdout).unwrap()
    };
    let before = files();

    let copy = folder.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-r").args([&made, &copy]).status();
    assert!(copied.unwrap().success());
    let refused = |error: Error| {
        let said = error.to_string();
        assert!(
            matches!(error, Error::Invalid(_)) && said.contains(made.to_str().unwrap()),
            "{said}"
        );
    };
    refused(Server::start(config(&copy)).await.unwrap_err());
    assert_eq!(files(), before);
    // Where another catalog is used, what the folder says of tables is neither asked nor served.
    let other = start(&folder.path().join("other")).await;
    let elsewhere = Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", other.url()), None)),
        ..config(&copy)
    };
    let server = Server::start(elsewhere).await.unwrap();
    let catalog = reqwest::get(format!("{}/iceberg/v1/namespaces", server.url())).await;
    assert_eq!(catalog.unwrap().status(), 404);
    assert_eq!(files(), before);
    drop((server, other));

    let moved = folder.path().join("moved");
    std::fs::rename(&made, &moved).unwrap();
    refused(Server::start(config(&moved)).await.unwrap_err());
    // Where a link leads there, its tables are found.
    std::os::unix::fs::symlink(&moved, &made).unwrap();
    let server = start(&moved).await;
    assert_eq!(common::event_ids("pyiceberg", server.url(), COMMERCE).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_has_its_table_by_day_or_by_hour() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let schema = server.app().lake.arrow_schema(&table(COMMERCE)).await.unwrap();
    let batches = decode_rows(
        schema.clone(),
        event("a", "2026-11-24T10:00:00.000Z").to_string().as_bytes(),
    )
    .unwrap();
    assert_eq!(batches[0].num_columns(), schema.fields().len());
    for (name, transform) in [
        (COMMERCE, Transform::Day),
        ("publication.telemetry", Transform::Hour),
        ("sync.telemetry", Transform::Day),
    ] {
        let loaded = server.app().lake.load(&table(name)).await.unwrap();
        let (schema, spec) = (
            loaded.metadata().current_schema(),
            loaded.metadata().default_partition_spec(),
        );
        let [by] = spec.fields() else {
            panic!("{name}: {spec:?}")
        };
        assert_eq!(schema.name_by_field_id(by.source_id), Some("occurred_at"), "{name}");
        assert_eq!(by.transform, transform, "{name}");
    }
}
