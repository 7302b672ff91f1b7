//! How fast `weir.ingest_bulk` and `weir.bulk_events` read a large operation on one connection: rows a second, orders a
//! second, and the memory of the backend. Asserts nothing about time.
//!
//! Usage: `bench_bulk [ORDERS]` (default 25,000 orders, five lines each), after
//! `cargo pgrx install --release --pg-config "$WEIR_PG_CONFIG" --manifest-path pg_ext/Cargo.toml`.

use std::time::Instant;

use jiff::{Timestamp, ToSpan};
use serde_json::{json, Value};
use tokio_postgres::Client;
use weir_tests::bulk_jsonl::{jsonl, BulkShop, Sequence};
use weir_tests::postgres::Cluster;
use weir_tests::shop::{Line, Shop};
use weir_tests::shopify_body::{self, OrderFacts};
use weir_tests::Result;

/// Lines in a call: about 4 MB of text, what a Worker holds easily.
const CHUNK_LINES: usize = 5000;
/// Orders in a page of events.
const PAGE: i64 = 500;

#[tokio::main]
async fn main() -> Result<()> {
    let orders = std::env::args().nth(1).map_or(Ok(25_000), |text| text.parse())?;
    let shop_of = Shop::paris();
    let text = file(&shop_of, orders);
    let lines: Vec<&str> = text.lines().collect();
    println!("{} lines, {:.1} MB", lines.len(), text.len() as f64 / 1e6);

    let cluster = Cluster::start().await?;
    let database = cluster.database().await?;
    let registration = shop_of.registration().to_string();
    database
        .admin()
        .await?
        .execute("select weir.register_shop($1::text::json)", &[&registration])
        .await?;
    let edge = database.edge().await?;
    let process: i32 = edge.query_one("select pg_backend_pid()", &[]).await?.get(0);

    ingest(&edge, shop_of.domain, &lines, process).await?;
    settle(&edge, shop_of.domain, process).await
}

async fn ingest(edge: &Client, shop: &str, lines: &[&str], process: i32) -> Result<()> {
    let run = json!({"operation_id": "gid://shopify/BulkOperation/1", "kind": "orders_core", "source": "backfill",
        "started_at": "2026-11-24T10:00:00Z", "received_at": "2026-11-24T10:00:00Z"})
    .to_string();
    for pass in ["new lines", "the same lines again"] {
        let (begun, busy) = (Instant::now(), cpu_seconds(process)?);
        let (mut upserted, mut memory) = (0, Vec::new());
        for chunk in lines.chunks(CHUNK_LINES) {
            let chunk = chunk.join("\n");
            let sql = "select weir.ingest_bulk($1, $2, $3::text::json)::text";
            let row = edge.query_one(sql, &[&shop, &chunk, &run]).await?;
            let answer: Value = serde_json::from_str(row.get(0))?;
            upserted += answer["upserted"].as_u64().unwrap_or_default();
            memory.push(anonymous_mb(process)?);
        }
        let rate = lines.len() as f64 / begun.elapsed().as_secs_f64();
        let rate_busy = lines.len() as f64 / (cpu_seconds(process)? - busy);
        let half = memory[memory.len() / 2];
        let last = memory[memory.len() - 1];
        println!("ingest_bulk, {pass}: {rate:.0} rows/s, {rate_busy:.0} rows per CPU second of the backend, {upserted} upserted, private memory {half} MB half way, {last} MB at the end");
    }
    Ok(())
}

async fn settle(edge: &Client, shop: &str, process: i32) -> Result<()> {
    for pass in ["new orders", "the same orders again"] {
        let (begun, busy) = (Instant::now(), cpu_seconds(process)?);
        let (mut events, mut pages, mut bytes) = (0, 0, 0);
        let mut run = json!({"operation_ids": ["gid://shopify/BulkOperation/1"], "source": "backfill",
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
            f64::from(u32::try_from(events)?) / (cpu_seconds(process)? - busy),
            bytes as f64 / 1e6,
            anonymous_mb(process)?,
            status_mb(process, "VmHWM:")?
        );
    }
    Ok(())
}

/// The result of an orders operation, shuffled.
fn file(shop: &Shop, orders: i64) -> String {
    let products = shop.products();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut told = BulkShop::default();
    for number in 1..=orders {
        let lines: Vec<Line> = (0..3)
            .map(|index| Line {
                product: products[index * 2].clone(),
                quantity: 1 + number % 4,
                discount: 0,
            })
            .collect();
        let placed = start + (number * 97).seconds();
        let placed_text = placed.to_string();
        let facts = OrderFacts {
            id: 9_100_000_000_000_000 + number * 10_000,
            number: 1000 + number,
            processed_at: &placed_text,
            updated_at: &placed_text,
            financial_status: "paid",
            fulfillment_status: None,
            cancelled_at: None,
            test: false,
            refunds: vec![],
        };
        told.tell("orders/create", placed, &shopify_body::order(shop, &facts, &lines));
        let payment = shopify_body::payment(shop, facts.id + 300, facts.id, &lines, &placed_text);
        told.tell("order_transactions/create", placed, &payment);
    }
    jsonl(
        told.orders_core(Timestamp::MIN..Timestamp::MAX),
        Sequence::Shuffled(20_261_124),
    )
}

/// CPU time that a process has taken: unlike the clock, it does not depend on what else the machine does.
fn cpu_seconds(process: i32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("an unreadable stat file")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    // utime and stime are fields 14 and 15 of proc(5), in hundredths of a second on Linux.
    let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(f64::from(ticks) / 100.0)
}

/// Memory of a process that it shares with none.
fn anonymous_mb(process: i32) -> Result<u64> {
    status_mb(process, "RssAnon:")
}

fn status_mb(process: i32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0");
    Ok(kilobytes.parse::<u64>()? / 1024)
}
