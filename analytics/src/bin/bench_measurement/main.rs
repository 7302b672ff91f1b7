//! What a refresh costs, beside those that compute the same from the same files: `scripts/bench-measurement.sh` runs it step
//! by step, each in a process of its own so that its peak memory is its own. Every step prints one JSON line.
//!
//! - `generate WAREHOUSE EVENTS PRODUCTS`: a made-up shop of 180 days and its objective. Four events an order: created,
//!   paid, completed the day after, shipped three days after; every fiftieth order is refunded after thirty days.
//! - `more WAREHOUSE EVENTS PRODUCTS`: the two days after it, about one per cent.
//! - `full WAREHOUSE`, `incremental WAREHOUSE`, `incremental-again WAREHOUSE`, `full-more WAREHOUSE`: a refresh; the first one
//!   of the 180 days, the others of all days, and that of which nothing has changed.
//! - `explain WAREHOUSE WEIR`: one answer, ten times over HTTP and ten times by the command at the path WEIR.
//! - `plain WAREHOUSE FOLDER`: the same answer by the SQL of `plain.sql` in DuckDB, without weir.
//! - `inputs WAREHOUSE FOLDER [csv]`: what the other contenders read: the files' names and the objective, or the events.
//! - `compare WAREHOUSE FOLDER NAME`: fails unless the results of a contender are weir's, row by row.

mod contenders;
mod events;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::{date, Date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{json, Value};
use weir_analytics::measurement::refresh::{run, How, Request};
use weir_analytics::measurement::steps::Progress;
use weir_analytics::server::{Config, Server};

const DAYS: i32 = 180;
const FIRST_DAY: Date = date(2026, 5, 1);
const TOKEN: &str = "bench";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match texts[..] {
        ["generate", warehouse, events, products] => events::generate(warehouse, events, products, 0..DAYS).await,
        ["more", warehouse, events, products] => events::generate(warehouse, events, products, DAYS..DAYS + 2).await,
        ["full", warehouse] => refresh("first full refresh", warehouse, How::Full, DAYS - 1).await,
        ["full-more", warehouse] => refresh("full refresh", warehouse, How::Full, DAYS + 1).await,
        ["incremental", warehouse] => refresh("incremental refresh", warehouse, How::Incremental, DAYS + 1).await,
        ["incremental-again", warehouse] => {
            refresh("refresh without news", warehouse, How::Incremental, DAYS + 1).await;
        }
        ["explain", warehouse, weir] => explain(warehouse, weir).await,
        ["plain", warehouse, folder] => contenders::plain(warehouse, folder).await,
        ["inputs", warehouse, folder] => contenders::inputs(warehouse, folder, false).await,
        ["inputs", warehouse, folder, "csv"] => contenders::inputs(warehouse, folder, true).await,
        ["compare", warehouse, folder, name] => contenders::compare(warehouse, folder, name).await,
        _ => {
            eprintln!("usage: see scripts/bench-measurement.sh");
            std::process::exit(2);
        }
    }
}

/// The last day, which the refreshes of all days compute.
fn today() -> Date {
    FIRST_DAY.saturating_add((DAYS + 1).days())
}

async fn server(warehouse: &str) -> Server {
    let config = Config {
        warehouse: PathBuf::from(warehouse),
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
    };
    Server::start(config).await.expect("a warehouse that nobody else uses")
}

async fn refresh(what: &str, warehouse: &str, how: How, day: i32) {
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
        &format!("weir, {what}"),
        started,
        json!({ "step_ms": steps, "mode": outcome.mode, "reason": outcome.reason, "events": outcome.event_count,
            "orders": outcome.order_count, "days": outcome.changed_days.map(|days| days.len()),
            "sales_rows": outcome.sales_rows, "products": outcome.product_count }),
    );
    server.stop().await.expect("an end");
}

async fn explain(warehouse: &str, weir: &str) {
    let server = server(warehouse).await;
    let client = reqwest::Client::new();
    for _ in 0..10 {
        let started = Instant::now();
        let answer = client.get(format!("{}/v1/explain?product=77", server.url()));
        let answer = answer.bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let bytes = answer.bytes().await.expect("a body").len();
        tell("weir, explain over HTTP", started, json!({ "bytes": bytes }));
    }
    for _ in 0..10 {
        let started = Instant::now();
        let mut command = tokio::process::Command::new(weir);
        command.args(["explain", "77", "--url", server.url(), "--token", TOKEN]);
        let output = command.output().await.expect("the weir command");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        tell(
            "weir, explain by the command",
            started,
            json!({ "bytes": output.stdout.len() }),
        );
    }
    server.stop().await.expect("an end");
}

/// One line: what, how long, the processor time and the most memory this process ever had, and more.
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
        json!({ "what": what, "ms": took, "cpu_ms": processor_ms(), "peak_mib": peak, "more": more })
    );
}

/// Processor time of this process so far; Linux counts it in hundredths of a second.
fn processor_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * 10)
}
