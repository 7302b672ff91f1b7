//! How fast a large bulk result gets into PostgreSQL, and how fast its events get from there into the committed Iceberg table
//! of the stream: rows a second, events a second, and the memory of the backend and of `weir serve`. Asserts nothing about
//! time.
//!
//! Usage: `bench_bulk [ORDERS]` (default 25,000 orders, three lines each), after
//! `cargo pgrx install --release --pg-config "$WEIR_PG_CONFIG" --manifest-path pg_ext/Cargo.toml` and with `weir` of a release
//! build beside it.

mod postgres;
mod stream;

use jiff::{Timestamp, ToSpan};
use weir_tests::bulk_jsonl::{jsonl, BulkShop, Sequence};
use weir_tests::postgres::Cluster;
use weir_tests::process::Process;
use weir_tests::shop::{Line, Shop};
use weir_tests::shopify_body::{self, OrderFacts};
use weir_tests::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let orders = std::env::args().nth(1).map_or(Ok(25_000), |text| text.parse())?;
    let shop_of = Shop::paris();
    let text = file(&shop_of, orders);
    let lines: Vec<&str> = text.lines().collect();
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!(
        "{} lines, {:.1} MB; load of the machine {}",
        lines.len(),
        text.len() as f64 / 1e6,
        load.trim()
    );

    let cluster = Cluster::start().await?;
    let database = cluster.database().await?;
    let registration = shop_of.registration().to_string();
    database
        .admin()
        .await?
        .execute("select weir.register_shop($1::text::json)", &[&registration])
        .await?;
    let edge = database.edge().await?;
    let backend = Process(edge.query_one("select pg_backend_pid()", &[]).await?.get(0));

    postgres::ingest(&edge, shop_of.domain, &lines, &backend).await?;
    postgres::settle(&edge, shop_of.domain, &backend).await?;
    stream::commit(&edge, shop_of.domain, &backend).await
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
