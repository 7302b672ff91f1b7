//! What a refresh costs: `scripts/bench-measurement.sh` runs it step by step, each in a process of its own so that its
//! peak memory is its own. Every step prints one JSON line.
//!
//! - `generate WAREHOUSE EVENTS PRODUCTS`: a made-up shop of 180 days. Four events an order: created, paid, completed the
//!   day after, shipped three days after; every fiftieth order is refunded after thirty days.
//! - `more WAREHOUSE EVENTS PRODUCTS`: the two days after it, about one per cent.
//! - `full WAREHOUSE` and `incremental WAREHOUSE`: a refresh. `explain WAREHOUSE`: one answer over HTTP, ten times.
//! - `plain WAREHOUSE`: the same answer by the SQL of `measurement.sql` in DuckDB, without weir.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::{date, Date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{json, Value};
use weir_analytics::lake::tables::stream_table;
use weir_analytics::measurement::engine;
use weir_analytics::measurement::refresh::{run, How, Request};
use weir_analytics::measurement::steps::Progress;
use weir_analytics::server::{Config, Server};
use weir_domain::telemetry;

const DAYS: i32 = 180;
const FIRST_DAY: Date = date(2026, 5, 1);
const TOKEN: &str = "bench";
const EVENTS: &str = include_str!("measurement_events.sql");
const PLAIN: &str = include_str!("measurement.sql");

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match texts[..] {
        ["generate", warehouse, events, products] => generate(warehouse, events, products, 0..DAYS).await,
        ["more", warehouse, events, products] => generate(warehouse, events, products, DAYS..DAYS + 2).await,
        ["full", warehouse] => refresh(warehouse, How::Full, DAYS - 1).await,
        ["full-more", warehouse] => refresh(warehouse, How::Full, DAYS + 1).await,
        ["incremental", warehouse] => refresh(warehouse, How::Incremental, DAYS + 1).await,
        ["explain", warehouse] => explain(warehouse).await,
        ["plain", warehouse] => plain(warehouse).await,
        _ => {
            eprintln!("usage: see scripts/bench-measurement.sh");
            std::process::exit(2);
        }
    }
}

async fn server(warehouse: &str) -> Server {
    let config = Config {
        warehouse: PathBuf::from(warehouse),
        listen: ([127, 0, 0, 1], 0).into(),
        token: TOKEN.to_owned(),
        objective: None,
        catalog_uri: None,
        catalog_token: None,
        commit_interval: Duration::from_secs(3600),
        roll_bytes: 16 << 20,
        backlog_bytes: 256 << 20,
    };
    Server::start(config).await.expect("a warehouse that nobody else uses")
}

async fn generate(warehouse: &str, events: &str, products: &str, days: std::ops::Range<i32>) {
    let started = Instant::now();
    let server = server(warehouse).await;
    let orders_a_day = events.parse::<i64>().expect("a number of events") / i64::from(4 * DAYS);
    let table = stream_table(&telemetry::commerce()).expect("a table");
    let mut rows = 0;
    for day in days {
        let sql = EVENTS
            .replace("{first_day}", &FIRST_DAY.to_string())
            .replace("{day}", &day.to_string())
            .replace("{orders_a_day}", &orders_a_day.to_string())
            .replace("{products}", products);
        let batches = tokio::task::spawn_blocking(move || {
            let connection = engine::open(&std::env::temp_dir()).expect("DuckDB");
            let mut statement = connection.prepare(&sql).expect("valid SQL");
            statement.query_arrow([]).expect("rows").collect::<Vec<_>>()
        })
        .await
        .expect("no panic");
        let lake = &server.app().lake;
        let done = lake.append(&table, &batches, &format!("bench-{day}"), [].into()).await;
        rows += done.expect("an append").rows;
    }
    server.stop().await.expect("an end");
    tell("generate", started, json!({ "events": rows }));
}

async fn refresh(warehouse: &str, how: How, day: i32) {
    let server = server(warehouse).await;
    let now = FIRST_DAY.saturating_add(day.days()).at(12, 0, 0, 0);
    let now = now.to_zoned(TimeZone::UTC).expect("a time").timestamp();
    let progress = Arc::new(Progress::default());
    let started = Instant::now();
    let outcome = run(&server.app().lake, Request { now, how }, &progress)
        .await
        .expect("a refresh");
    let steps: Value = progress
        .spans(Timestamp::now())
        .iter()
        .map(|(step, from, to)| {
            (
                step.name().to_owned(),
                json!(to.as_millisecond() - from.as_millisecond()),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    tell(
        how.name(),
        started,
        json!({ "step_ms": steps, "mode": outcome.mode, "reason": outcome.reason, "events": outcome.event_count,
            "orders": outcome.order_count, "days": outcome.changed_days.map(|days| days.len()),
            "sales_rows": outcome.sales_rows, "products": outcome.product_count }),
    );
    server.stop().await.expect("an end");
}

async fn explain(warehouse: &str) {
    let server = server(warehouse).await;
    let client = reqwest::Client::new();
    for _ in 0..10 {
        let started = Instant::now();
        let answer = client.get(format!("{}/v1/explain?product=77", server.url()));
        let answer = answer.bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let bytes = answer.bytes().await.expect("a body").len();
        tell("explain", started, json!({ "bytes": bytes }));
    }
    server.stop().await.expect("an end");
}

async fn plain(warehouse: &str) {
    let server = server(warehouse).await;
    let table = stream_table(&telemetry::commerce()).expect("a table");
    let relation = server.app().lake.duckdb_relation(&table, None).await.expect("files");
    let folder = Path::new(warehouse).join("plain");
    std::fs::create_dir_all(&folder).expect("a folder");
    let sql = PLAIN
        .replace("{telemetry}", &relation)
        .replace("{folder}", &folder.display().to_string())
        .replace("{today}", &FIRST_DAY.saturating_add((DAYS + 1).days()).to_string());
    tokio::task::spawn_blocking(move || {
        let connection = engine::open(&std::env::temp_dir().join("weir-bench-plain")).expect("DuckDB");
        let started = Instant::now();
        connection.execute_batch(&sql).expect("valid SQL");
        let rows: i64 = connection
            .query_row("select count(*) from sales", [], |row| row.get(0))
            .expect("a count");
        tell("plain DuckDB SQL", started, json!({ "sales_rows": rows }));
    })
    .await
    .expect("no panic");
    server.stop().await.expect("an end");
}

/// One line: what, how long, the most memory this process ever had, and more.
fn tell(what: &str, started: Instant, more: Value) {
    let took = started.elapsed().as_millis();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib / 1024);
    println!(
        "{}",
        json!({ "what": what, "ms": took, "peak_mib": peak, "more": more })
    );
}
