//! A visitor of a publisher's page, and the order that the publisher brought: through the publication Worker to Iceberg.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use weir_tests::publication::{catalogue, PublicationWorker, ITEM, LINK};
use weir_tests::shop::{Delivery, Shop};
use weir_tests::stack::Stack;
use weir_tests::{failed, Result};

use crate::{text, Clock};

const PAGE: &str = "https://daily-lamp.example/ten-lamps";
const GOAL: &str = "https://weir-tokyo.example/products/rising-lamp";
/// How long the events may take. A bound, not a measurement.
const WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Shows a page with an article on it being read, its link being followed, and the newest of `deliveries`' orders being
/// attributed to it.
///
/// # Errors
/// When a part does not answer as it should, or what was sent does not come to lie in Iceberg.
pub async fn visit(clock: &Clock, stack: &Stack, shop: &Shop, deliveries: &[Delivery]) -> Result<()> {
    clock.say("starting the publication Worker, with a publisher's catalogue from PostgreSQL ...");
    let publish = "select weir.publish_catalogue($1::text::json)";
    stack
        .admin
        .execute(publish, &[&catalogue(shop, GOAL).to_string()])
        .await?;
    let worker = PublicationWorker::start(&stack.database.edge_url, &stack.lake.url, &[shop.domain])?;
    worker.refresh_catalogue(shop.domain).await?;

    let pixel = format!("/v1/p.gif?shop_domain={}&item_id={ITEM}&event_key=demo-1", shop.domain);
    expect("the pixel", worker.visit(&pixel, PAGE).await?.0, 200)?;
    let read = json!({"event_type": "engagement", "event_key": "demo-2", "shop_domain": shop.domain, "item_id": ITEM,
        "url": PAGE, "engaged_seconds": 42.5});
    expect("the snippet's beacon", worker.send(&[read], false).await?.0, 202)?;
    let link = worker.link(shop.domain, LINK).await?;
    let (status, goal) = worker.visit(&link, PAGE).await?;
    expect("the signed link", status, 302)?;
    clock.say(&format!(
        "a visitor sees {PAGE}, reads it, and follows its signed link to {}",
        goal.unwrap_or_default()
    ));

    let order = newest_order(shop, deliveries)?;
    let attribution = json!({"event_type": "attribution", "event_key": "demo-3", "shop_domain": shop.domain,
        "order_id": order, "link_code": LINK});
    expect("the attribution", worker.send(&[attribution], true).await?.0, 202)?;
    clock.say(&format!(
        "the shop says that this click led to order {order}; waiting for both in Iceberg ..."
    ));

    let interactions = rows(stack, &worker, "publication.telemetry", 4, |_| true).await?;
    println!("\n  what the visitor did, as publication.telemetry has it");
    println!(
        "  {:<12} {:<11} {:<10} {:<8} {:<8} {:>6}  page",
        "event", "publisher", "item", "program", "device", "in view"
    );
    for event in &interactions {
        let of = |name: &str| text(event, name);
        println!(
            "  {:<12} {:<11} {:<10} {:<8} {:<8} {:>6}  {}",
            of("event_type"),
            of("publisher_id"),
            of("item_id"),
            of("program_id"),
            of("device_class"),
            of("engaged_seconds"),
            of("url")
        );
    }
    let is_attributed = |event: &Value| event["order_id"] == order.as_str() && !event["publisher_id"].is_null();
    let attributed = rows(stack, &worker, "commerce.telemetry", 1, is_attributed).await?;
    println!("\n  the order since, as commerce.telemetry has it");
    println!("  {:<14} {:<18} {:<11} program", "event", "order", "publisher");
    for event in &attributed {
        let of = |name: &str| text(event, name);
        println!(
            "  {:<14} {:<18} {:<11} {}",
            of("event_type"),
            of("order_id"),
            of("publisher_id"),
            of("program_id")
        );
    }
    println!();
    Ok(())
}

fn expect(what: &str, status: u16, expected: u16) -> Result<()> {
    match status == expected {
        true => Ok(()),
        false => Err(failed(format!("{what} was answered {status} instead of {expected}"))),
    }
}

fn newest_order(shop: &Shop, deliveries: &[Delivery]) -> Result<String> {
    let is_order = |one: &&Delivery| one.topic == "orders/create" && one.shop_domain == shop.domain;
    let newest = deliveries.iter().rev().find(is_order);
    let newest = newest.ok_or_else(|| failed(format!("{} has no order", shop.domain)))?;
    Ok(serde_json::from_slice::<Value>(&newest.body)?["id"].to_string())
}

/// Waits until `table` has `count` rows that are `wanted`, as DuckDB's own reader sees them.
async fn rows(
    stack: &Stack,
    worker: &PublicationWorker,
    table: &str,
    count: usize,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>> {
    let deadline = Instant::now() + WAIT;
    loop {
        stack.lake.flush().await?;
        let mut rows = stack.lake.read_back("duckdb", table).await?;
        rows.retain(&wanted);
        if rows.len() >= count {
            rows.sort_by_key(|row| text(row, "received_at"));
            return Ok(rows);
        }
        if Instant::now() > deadline {
            return Err(failed(format!(
                "{} of {count} rows are in {table}; the Worker's log:\n{}",
                rows.len(),
                worker.log()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}
