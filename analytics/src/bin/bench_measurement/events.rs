//! The made-up shop: its events, day by day, and the objective its products are measured by.

use std::time::Instant;

use jiff::{Timestamp, ToSpan};
use serde_json::{json, Value};
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::lake::tables::stream_table;
use weir_analytics::measurement::{engine, objective_store};
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::telemetry;

use super::{server, tell, DAYS, FIRST_DAY};

const EVENTS: &str = include_str!("events.sql");
pub const SHOP: &str = "bench.myshopify.com";

pub async fn generate(warehouse: &str, events: &str, products: &str, days: std::ops::Range<i32>) {
    let started = Instant::now();
    let server = server(warehouse).await;
    let orders_a_day = events.parse::<i64>().expect("a number of events") / i64::from(4 * DAYS);
    let lake = &server.app().lake;
    let objective = objective(orders_a_day, products.parse().expect("a number of products"));
    objective_store::publish(lake, &objective).await.expect("an objective");
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
        let done = lake.append(&table, &batches, &format!("bench-{day}"), [].into()).await;
        rows += done.expect("an append").rows;
    }
    // As a running server does by itself every hour: without it each append's manifest would be read for ever.
    server.app().keep_in_shape(Upkeep::default()).await.expect("upkeep");
    server.stop().await.expect("an end");
    tell("events made up and appended", started, json!({ "events": rows }));
}

/// Thresholds that some products reach and some do not, however many orders there are. An order has 8/3 units on average.
fn objective(orders_a_day: i64, products: i64) -> Value {
    let units_in = |days: i64| days * orders_a_day * 8 / (3 * products);
    json!({
        "objective_spec_id": "bench", "shop_domain": SHOP, "revision": 1, "measure": "net_units",
        "threshold_7d": units_in(7) * 5 / 4, "threshold_14d": units_in(14) * 5 / 4, "threshold_30d": units_in(30) * 6 / 5,
        "banana_count": products / 10, "stale_after_days": 5, "valid_from": "2026-01-01T00:00:00Z"
    })
}

/// The objective that [`generate`] published.
pub async fn published(lake: &weir_analytics::lake::Lake) -> ObjectiveSpecification {
    let now: Timestamp = Timestamp::now().saturating_add(1.hours()).expect("a time");
    let all = objective_store::load(lake).await.expect("the objectives");
    let spec = all
        .into_iter()
        .find(|spec| spec.shop_domain == SHOP && spec.valid_from <= now);
    spec.expect("the objective of the shop")
}
