//! How many JSON events a second go through `POST /v1/streams/commerce_v1` into committed Iceberg snapshots.
//!
//! `bench_lake FOLDER [EVENTS]` writes the events it sends to FOLDER/events.jsonl, so that others can be fed the same, and
//! prints one JSON object per measurement. Run by scripts/bench-lake.sh; asserts nothing about time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use weir_analytics::server::{Config, Server};
use weir_analytics::{Error, Result};

const TOKEN: &str = "bench";
/// As a Worker sends them: well under the 5 MB of a request.
const EVENTS_PER_REQUEST: usize = 2_000;
const CONNECTIONS: usize = 4;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err(Error::Invalid("usage: bench_lake FOLDER [EVENTS]".into()));
    };
    let events = arguments.next().map_or(Ok(400_000), |text| text.parse());
    let events: usize = events.map_err(|error| Error::Invalid(format!("EVENTS: {error}")))?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&folder, events))
}

async fn run(folder: &Path, events: usize) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut bodies = Vec::new();
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("events.jsonl"))?);
    let mut bytes = 0;
    for first in (0..events).step_by(EVENTS_PER_REQUEST) {
        let rows: Vec<_> = (first..events.min(first + EVENTS_PER_REQUEST)).map(event).collect();
        for row in &rows {
            serde_json::to_writer(&mut file, row)?;
            file.write_all(b"\n")?;
        }
        let body = serde_json::to_vec(&rows)?;
        bytes += body.len();
        bodies.push(body);
    }
    file.flush()?;
    let server = Server::start(Config {
        warehouse: folder.join("warehouse"),
        listen: ([127, 0, 0, 1], 0).into(),
        token: TOKEN.to_owned(),
        objective: None,
        catalog: None,
        pipelines: None,
        commit_interval: Duration::from_secs(10),
        roll_bytes: 512 << 20,
        backlog_bytes: 2 << 30,
    })
    .await?;
    let began = Instant::now();
    let url = format!("{}/v1/streams/commerce_v1", server.url());
    let bodies = std::sync::Arc::new(std::sync::Mutex::new(bodies));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (url, bodies) = (url.clone(), bodies.clone());
        clients.spawn(async move {
            let http = reqwest::Client::new();
            loop {
                let next = bodies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
                let Some(body) = next else { return Ok(()) };
                let response = http.post(&url).bearer_auth(TOKEN).body(body).send().await?;
                if !response.status().is_success() {
                    return Err(Error::Internal(format!(
                        "{}: {}",
                        response.status(),
                        response.text().await?
                    )));
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let acknowledged = began.elapsed();
    server.app().pipelines.flush().await?;
    let committed = began.elapsed();
    let table = iceberg::TableIdent::from_strs(["commerce", "telemetry"])?;
    let summary = server.app().lake.summary(&table).await?;
    if summary.records != events as u64 {
        return Err(Error::Internal(format!(
            "{} of {events} events are in the table",
            summary.records
        )));
    }
    let per_second = |elapsed: Duration| (events as f64 / elapsed.as_secs_f64()).round();
    let commits = summary.snapshots as f64 / committed.as_secs_f64() * 60.0;
    println!(
        "{}",
        json!({
            "what": "weir: POST to committed Iceberg", "events": events, "bytes_per_event": bytes / events.max(1),
            "acknowledged_per_second": per_second(acknowledged), "committed_per_second": per_second(committed),
            "seconds": committed.as_secs_f64(), "commits": summary.snapshots, "commits_per_minute": commits.round(),
        })
    );
    server.stop().await
}

/// A plain order event: header, one line, one ledger entry. Values follow from its number.
fn event(number: usize) -> Value {
    let product = (number % 500).to_string();
    let total = 1_000 + (number % 9_000) as i64;
    json!({
        "event_id": format!("00000000-0000-5000-8000-{number:012}"), "event_type": "order_created", "schema_version": 1,
        "occurred_at": format!("2026-11-24T10:{:02}:{:02}.{:03}Z", number / 60 % 60, number % 60, number % 1000),
        "received_at": "2026-11-24T10:59:59.000Z", "event_date": "2026-11-24", "event_hour": 10, "source": "webhook",
        "shop_domain": "demo.myshopify.com", "shop_time_zone": "Asia/Tokyo", "order_id": number.to_string(),
        "order_revision": 1, "currency": "EUR", "currency_exponent": 2, "total_price": total,
        "lines": [{"line_item_id": number.to_string(), "product_id": product, "quantity": 1, "unit_price": total}],
        "sales": [{"product_id": product, "day": "2026-11-24", "kind": "sale", "units_sold": 1, "units_returned": 0,
            "gross_sales": total, "discounts": 0, "returns": 0, "net_sales": total}],
    })
}
