//! `make demo`: two made-up shops send their webhooks through the real parts, a publisher's visitor reads and clicks; then
//! the daily sales and the labels.

mod visitors;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use serde_json::{json, Value};
use tokio::signal::unix::{signal, SignalKind};
use weir_domain::money::format_minor;
use weir_tests::bulk_jsonl::Sequence;
use weir_tests::lake::{weir_binary, TOKEN};
use weir_tests::shop::{Delivery, Shop};
use weir_tests::stack::Stack;
use weir_tests::sync::{FakeShopify, SyncWorker};
use weir_tests::workerd::SECRETS;
use weir_tests::{failed, Result};

#[tokio::main]
async fn main() {
    let finished = tokio::select! {
        finished = demo() => finished,
        () = stopped() => {
            println!("\nstopped; everything this demo started is gone");
            return;
        }
    };
    if let Err(error) = finished {
        eprintln!("\nthe demo failed: {error}");
        std::process::exit(1);
    }
}

/// Ctrl-C, or SIGTERM where it runs without a terminal.
async fn stopped() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be waited for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

struct Clock(Instant);

impl Clock {
    fn say(&self, text: &str) {
        println!("[demo {:>4.1}s] {text}", self.0.elapsed().as_secs_f32());
    }
}

async fn demo() -> Result<()> {
    let clock = Clock(Instant::now());
    let shops = [Shop::tokyo(), Shop::paris()];
    let stack = Stack::start(&shops, |part| clock.say(&format!("starting {part} ..."))).await?;

    let now = jiff::Timestamp::now();
    let deliveries: Vec<Delivery> = shops.iter().flat_map(|shop| shop.history(now).deliveries).collect();
    clock.say(&format!(
        "sending {} signed Shopify webhooks to {} ...",
        deliveries.len(),
        stack.worker.url
    ));
    let bar = std::io::stdout().is_terminal();
    stack
        .deliver_all(&deliveries, |sent| {
            if bar {
                print!("\r             {sent} of {} accepted ", deliveries.len());
                let _ = std::io::stdout().flush();
            }
        })
        .await?;
    if bar {
        println!();
    }
    clock.say("waiting until every event is in Iceberg, as DuckDB's own reader sees it ...");
    let events = stack.drained(&deliveries, 1).await?;
    clock.say(&format!(
        "{events} distinct events expected, {events} found in commerce.telemetry: none lost, none extra"
    ));

    let (status, answer) = stack.worker.deliver_signed(&deliveries[0], "Zm9yZ2Vk").await?;
    clock.say(&format!("a forged signature is answered {status}: {}", answer.trim()));
    let (status, _) = stack.worker.deliver(&deliveries[0]).await?;
    clock.say(&format!("the same delivery again is answered {status} and counts once"));

    bulk_sync(&clock, &stack, &shops, &deliveries).await?;
    visitors::visit(&clock, &stack, &shops[0], &deliveries).await?;

    clock.say("refreshing the measurement ...");
    let refreshed = stack
        .lake
        .post("/v1/refresh", &json!({ "now": now.to_string() }))
        .await?;
    clock.say(&format!("refresh {}", text(&refreshed, "refresh_id")));
    for shop in &shops {
        print_sales(&stack, shop).await?;
        print_labels(&stack, shop).await?;
    }
    what_next(&stack, &shops);
    if std::env::var_os("WEIR_DEMO_EXIT").is_none() {
        println!("\nRunning until Ctrl-C or SIGTERM; WEIR_DEMO_EXIT=1 does not wait.");
        std::future::pending::<()>().await;
    }
    clock.say("stopping");
    Ok(())
}

fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The list called `name` of an answer. A demo that shows an empty table would show nothing: that is a failure.
fn rows(answer: &Value, name: &str) -> Result<Vec<Value>> {
    let rows = answer[name].as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        return Err(failed(format!("the measurement has no {name}: {answer}")));
    }
    Ok(rows)
}

fn title(shop: &Shop, product_id: &str) -> &'static str {
    shop.products()
        .iter()
        .find(|product| product.id.to_string() == product_id)
        .map_or("?", |product| product.title)
}

/// The daily synchronisation of the first shop: whatever its webhooks said, read once more in bulk.
async fn bulk_sync(clock: &Clock, stack: &Stack, shops: &[Shop], deliveries: &[Delivery]) -> Result<()> {
    let shop = shops[0].domain;
    let told: Vec<Delivery> = deliveries
        .iter()
        .filter(|one| one.shop_domain == shop)
        .cloned()
        .collect();
    clock.say("starting the sync Worker beside a played Shopify Admin API ...");
    let shopify = FakeShopify::start(&[(&shops[0], told.as_slice())], Sequence::Shuffled(1))?;
    let worker = SyncWorker::start(&stack.database.edge_url, &stack.lake.url, &[shop], &shopify)?;
    let day = jiff::Timestamp::now().to_string();
    let run = worker
        .run("daily_shopify_bulk_sync", &json!({ "shop": shop, "date": &day[..10] }))
        .await?;
    let totals = &run["totals"];
    clock.say(&format!(
        "daily bulk sync of {shop}: {} lines read = {} written + {} known + {} rejected; {} events, {} streamed",
        totals["read"],
        totals["upserted"],
        totals["unchanged"],
        totals["rejected"],
        totals["events"],
        totals["streamed"]
    ));
    let status = worker.status(shop).await?;
    for one in rows(&status, "watermarks")? {
        clock.say(&format!(
            "watermark {} is now {}",
            text(&one, "key"),
            text(&one["value_json"], "ts")
        ));
    }
    println!("\n  its steps, newest first, as SYNC_TELEMETRY has them");
    println!("  {:<28} {:>7} {:<10} facts", "step", "attempt", "status");
    for step in rows(&status, "progress")? {
        println!(
            "  {:<28} {:>7} {:<10} {}",
            text(&step, "step"),
            text(&step, "attempt"),
            text(&step, "status"),
            step["facts"]
        );
    }
    println!();
    Ok(())
}

async fn print_sales(stack: &Stack, shop: &Shop) -> Result<()> {
    let answer = stack.lake.get(&format!("/v1/sales?shop={}", shop.domain)).await?;
    let rows = rows(&answer, "sales")?;
    let money = |row: &Value, name: &str| format_minor(row[name].as_i64().unwrap_or(0), shop.exponent);
    println!(
        "\n  daily sales of {} ({}, days of {}), newest 12 of {} rows",
        shop.domain,
        shop.currency,
        shop.zone,
        rows.len()
    );
    println!(
        "  {:<10} {:<14} {:>5} {:>8} {:>11} {:>10} {:>10} {:>11}",
        "day", "product", "sold", "returned", "gross", "discounts", "returns", "net"
    );
    let mut newest = rows;
    newest.sort_by_key(|row| std::cmp::Reverse((text(row, "day"), text(row, "product_id"))));
    for row in newest.iter().take(12) {
        println!(
            "  {:<10} {:<14} {:>5} {:>8} {:>11} {:>10} {:>10} {:>11}",
            text(row, "day"),
            title(shop, &text(row, "product_id")),
            text(row, "units_sold"),
            text(row, "units_returned"),
            money(row, "gross_sales"),
            money(row, "discounts"),
            money(row, "returns"),
            money(row, "net_sales"),
        );
    }
    Ok(())
}

async fn print_labels(stack: &Stack, shop: &Shop) -> Result<()> {
    let answer = stack.lake.get(&format!("/v1/performance?shop={}", shop.domain)).await?;
    println!("\n  classification of {}", shop.domain);
    println!("  {:<14} {:<18} reason", "product", "label");
    for row in rows(&answer, "performance")? {
        let (product, label) = (text(&row, "product_id"), text(&row, "nominal_classification"));
        println!("  {:<14} {label:<18} {}", title(shop, &product), text(&row, "reason"));
    }
    Ok(())
}

fn what_next(stack: &Stack, shops: &[Shop]) {
    let (lake, shop) = (&stack.lake.url, &shops[0]);
    let product = &shop.products()[0];
    let weir = weir_binary().map_or_else(|_| "weir".into(), |path| path.display().to_string());
    println!("\n  Look at next, while the demo runs:");
    println!(
        "    why a label:   {weir} explain {} --shop {} --url {lake} --token {TOKEN}",
        product.id, shop.domain
    );
    println!("    all of it:     {weir} performance --url {lake} --token {TOKEN}    ({weir} --help: the other verbs)");
    println!("    the tables:    any Iceberg REST client at {lake}/iceberg, warehouse weir");
    println!(
        "    the domain:    psql '{}' -c 'select * from commerce.sales_ledger limit 5'",
        stack.database.admin_url
    );
    println!(
        "    the Worker:    POST {}/webhooks/shopify, signed with {} (docs/deploy.md, Locally)",
        stack.worker.url, SECRETS[0]
    );
    println!("    the words:     README.md, GLOSSARY.md");
}
