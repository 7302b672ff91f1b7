//! Lines into PostgreSQL and back as events, on one connection.

use std::time::Instant;

use serde_json::{json, Value};
use tokio_postgres::Client;
use weir_tests::process::Process;
use weir_tests::Result;

/// The one operation of this benchmark.
pub const OPERATION: &str = "gid://shopify/BulkOperation/1";
/// Lines in a call: about 4 MB of text, what a Worker holds easily.
const CHUNK_LINES: usize = 5000;
/// Orders in a page of events.
pub const PAGE: i64 = 500;

/// Keeps the lines, and the same lines again.
pub async fn ingest(edge: &Client, shop: &str, lines: &[&str], backend: &Process) -> Result<()> {
    let run = json!({"operation_id": OPERATION, "kind": "orders_core", "source": "backfill",
        "started_at": "2026-11-24T10:00:00Z", "received_at": "2026-11-24T10:00:00Z"})
    .to_string();
    for pass in ["new lines", "the same lines again"] {
        let (begun, busy) = (Instant::now(), backend.cpu_seconds()?);
        let (mut upserted, mut memory) = (0, Vec::new());
        for chunk in lines.chunks(CHUNK_LINES) {
            let chunk = chunk.join("\n");
            let sql = "select weir.ingest_bulk($1, $2, $3::text::json)::text";
            let row = edge.query_one(sql, &[&shop, &chunk, &run]).await?;
            let answer: Value = serde_json::from_str(row.get(0))?;
            upserted += answer["upserted"].as_u64().unwrap_or_default();
            memory.push(backend.anonymous_mb()?);
        }
        let rate = lines.len() as f64 / begun.elapsed().as_secs_f64();
        let rate_busy = lines.len() as f64 / (backend.cpu_seconds()? - busy);
        let half = memory[memory.len() / 2];
        let last = memory[memory.len() - 1];
        println!("ingest_bulk, {pass}: {rate:.0} rows/s, {rate_busy:.0} rows per CPU second of the backend, {upserted} upserted, private memory {half} MB half way, {last} MB at the end");
    }
    Ok(())
}

/// Reads the events of all orders, and of the same orders again; nothing becomes of them here.
pub async fn settle(edge: &Client, shop: &str, backend: &Process) -> Result<()> {
    for pass in ["new orders", "the same orders again"] {
        let (begun, busy) = (Instant::now(), backend.cpu_seconds()?);
        let (mut events, mut pages, mut bytes) = (0, 0, 0);
        let mut run = json!({"operation_ids": [OPERATION], "source": "backfill",
            "received_at": "2026-11-24T10:00:00Z", "after": null, "limit": PAGE});
        loop {
            let sql = "select weir.bulk_events($1, $2::text::json)::text";
            let row = edge.query_one(sql, &[&shop, &run.to_string()]).await?;
            let text: &str = row.get(0);
            bytes += text.len();
            let answer: Value = serde_json::from_str(text)?;
            events += answer["events"].as_array().map_or(0, Vec::len);
            pages += 1;
            if answer["next"].is_null() {
                break;
            }
            run["after"] = answer["next"].clone();
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "bulk_events, {pass}: {:.0} events/s, {:.0} per CPU second of the backend ({events} events, {pages} pages, {:.1} MB), private memory {} MB, peak with shared buffers {} MB",
            f64::from(u32::try_from(events)?) / seconds,
            f64::from(u32::try_from(events)?) / (backend.cpu_seconds()? - busy),
            bytes as f64 / 1e6,
            backend.anonymous_mb()?,
            backend.peak_mb()?
        );
    }
    Ok(())
}
