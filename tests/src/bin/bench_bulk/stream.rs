//! The events of a bulk operation into the committed table of the stream: `weir.bulk_events`, page by page, to the stream
//! endpoint of `weir serve` over loopback, committed to Iceberg, and counted by a reader that is not weir.

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio_postgres::Client;
use weir_tests::lake::LakeServer;
use weir_tests::process::Process;
use weir_tests::{failed, Result};

use crate::postgres::{OPERATION, PAGE};

/// Most bytes of a request, as the Workers send them.
const BATCH_BYTES: usize = 4_000_000;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next: Option<String>,
}

/// Memory of a process while it works, MB.
#[derive(Default)]
struct Samples(Vec<u64>);

impl Samples {
    fn text(&self) -> String {
        let at = |index: usize| self.0.get(index).copied().unwrap_or_default();
        let most = self.0.iter().max().copied().unwrap_or_default();
        format!(
            "{} MB half way, {} MB at the end, {most} MB at most of {} samples",
            at(self.0.len() / 2),
            at(self.0.len().saturating_sub(1)),
            self.0.len()
        )
    }
}

/// Sends the events of all orders and waits until they are in the table.
pub async fn commit(edge: &Client, shop: &str, backend: &Process) -> Result<()> {
    let warehouse = tempfile::Builder::new().prefix("weir-bench-lake-").tempdir()?;
    let lake = LakeServer::start(warehouse.path().to_path_buf())?;
    let server = Process(lake.pid());
    let (begun, busy) = (Instant::now(), (backend.cpu_seconds()?, server.cpu_seconds()?));
    let (mut of_backend, mut of_server) = (Samples::default(), Samples::default());
    let (mut events, mut bytes, mut after) = (0_usize, 0_usize, None);
    loop {
        let run = json!({"operation_ids": [OPERATION], "source": "backfill", "received_at": "2026-11-24T10:00:00Z",
            "after": after, "limit": PAGE});
        let sql = "select weir.bulk_events($1, $2::text::json)::text";
        let row = edge.query_one(sql, &[&shop, &run.to_string()]).await?;
        let page: Page<'_> = serde_json::from_str(row.get(0))?;
        events += page.events.len();
        bytes += send(&lake, &page.events).await?;
        of_backend.0.push(backend.anonymous_mb()?);
        of_server.0.push(server.anonymous_mb()?);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    lake.flush().await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (rows, distinct) = lake.count("duckdb", "commerce.telemetry", "event_id").await?;
    if (rows, distinct) != (events as u64, events as u64) {
        return Err(failed(format!(
            "{events} events were sent; an independent reader finds {rows} rows with {distinct} ids"
        )));
    }
    let count = events as f64;
    println!(
        "bulk_events to the committed table: {:.0} events/s end to end ({events} events, {:.1} MB; {rows} rows counted by DuckDB), CPU of the backend {:.1} s, of weir serve {:.1} s",
        count / seconds,
        bytes as f64 / 1e6,
        backend.cpu_seconds()? - busy.0,
        server.cpu_seconds()? - busy.1,
    );
    println!("  private memory of the backend: {}", of_backend.text());
    println!("  private memory of weir serve: {}", of_server.text());
    Ok(())
}

/// Sends `events` in batches; returns their bytes.
async fn send(lake: &LakeServer, events: &[&RawValue]) -> Result<usize> {
    let (mut batch, mut bytes) = (String::new(), 0);
    for (index, event) in events.iter().enumerate() {
        batch.push(if batch.is_empty() { '[' } else { ',' });
        batch.push_str(event.get());
        bytes += event.get().len();
        let next = events.get(index + 1).map_or(BATCH_BYTES, |next| next.get().len());
        if batch.len() + next >= BATCH_BYTES {
            batch.push(']');
            let answer = lake
                .post_text("/v1/streams/commerce_v1", std::mem::take(&mut batch))
                .await?;
            if answer["rejected"]
                .as_array()
                .is_some_and(|rejected| !rejected.is_empty())
            {
                return Err(failed(format!("the stream refused events: {}", answer["rejected"][0])));
            }
        }
    }
    Ok(bytes)
}
