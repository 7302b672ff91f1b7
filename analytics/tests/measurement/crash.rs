//! A refresh that is cut off at each border of durability: readers see the pair of tables as it was or as it will be, and
//! the refresh run again commits each of them once, as one from all of telemetry would.

use std::path::Path;
use std::process::Stdio;

use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use weir_analytics::measurement::{base, tables};
use weir_analytics::server::Server;

use crate::common::{flush, post, send, start, TOKEN};
use crate::harness::{demo_events, demo_order, sale, NOON};

/// Every point of the way, and whether the refresh is visible when it is cut off there.
const POINTS: [(&str, bool); 9] = [
    ("refresh_after_query", false),
    ("refresh_after_compute", false),
    ("refresh_after_classify", false),
    ("after_parquet_write_before_commit:measurement.sales", false),
    ("after_lake_commit_before_reply:measurement.sales", false),
    ("refresh_between_commits", false),
    ("after_parquet_write_before_commit:measurement.performance", false),
    ("after_lake_commit_before_reply:measurement.performance", true),
    ("refresh_after_write", true),
];

/// `weir serve` that ends where it reaches `point`, and its address.
async fn doomed(warehouse: &Path, point: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["serve", "--listen", "127.0.0.1:0", "--token", TOKEN, "--warehouse"])
        .arg(warehouse)
        .env("WEIR_FAILPOINT", point)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["listening"].as_str().unwrap().to_owned())
}

async fn seen(server: &Server) -> [String; 2] {
    let mut bodies = [String::new(), String::new()];
    for (body, path) in bodies.iter_mut().zip(["/v1/sales", "/v1/performance"]) {
        let request = reqwest::Client::new().get(format!("{}{path}", server.url()));
        *body = request.bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    }
    bodies
}

async fn refresh(url: &str) -> Value {
    let (status, outcome) = post(url, "/v1/refresh", json!({ "now": NOON }).to_string()).await;
    assert_eq!(status, 200, "{outcome}");
    outcome
}

/// Commits of refreshes in a table's history.
async fn commits(server: &Server) -> [usize; 2] {
    let mut counts = [0, 0];
    for (count, table) in counts.iter_mut().zip([tables::sales(), tables::performance()]) {
        let table = server.app().lake.load(&table).await.unwrap();
        let own = table
            .metadata()
            .snapshots()
            .filter(|snapshot| snapshot.summary().additional_properties.contains_key(base::REFRESH_ID));
        *count = own.count();
    }
    counts
}

#[tokio::test]
async fn a_refresh_cut_off_anywhere_is_never_half_visible_and_commits_once() {
    for (point, is_visible) in POINTS {
        let warehouse = tempfile::tempdir().unwrap();
        let server = start(warehouse.path()).await;
        send(server.url(), &demo_events()).await;
        flush(server.url()).await;
        refresh(server.url()).await;
        let before = seen(&server).await;
        send(server.url(), &[demo_order("a", 2, &[sale("1", "2026-03-22", 25)])]).await;
        flush(server.url()).await;
        server.stop().await.unwrap();

        let (mut child, url) = doomed(warehouse.path(), point).await;
        let request = reqwest::Client::new()
            .post(format!("{url}/v1/refresh"))
            .bearer_auth(TOKEN);
        let cut_off = request.body(json!({ "now": NOON }).to_string()).send().await;
        assert!(cut_off.is_err(), "{point}: {cut_off:?}");
        assert!(!child.wait().await.unwrap().success(), "{point}");

        let server = start(warehouse.path()).await;
        let now = seen(&server).await;
        assert_eq!(now == before, !is_visible, "{point}");
        refresh(server.url()).await;
        let after = seen(&server).await;
        assert!(after[0] != before[0] && after[1] != before[1], "{point}");
        assert!(!is_visible || now == after, "{point}");
        // The first refresh and this one, each table once.
        assert_eq!(commits(&server).await, [2, 2], "{point}");
        // One that found its sales committed has looked at other days than one that had not, and says the same.
        let full = json!({ "now": NOON, "full": true }).to_string();
        let (status, outcome) = post(server.url(), "/v1/refresh", full).await;
        assert_eq!((status, &outcome["mode"]), (200, &json!("full")), "{point}: {outcome}");
        assert_eq!(seen(&server).await, after, "{point}");
        server.stop().await.unwrap();
    }
}
