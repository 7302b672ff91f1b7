//! How long deliveries are remembered.

use serde_json::Value;
use tokio_postgres::error::SqlState;

use super::bulk::{at, run_bulk, told};
use super::{content, delivery, ingest, order, shop, types, verdicts};

#[tokio::test]
async fn old_deliveries_are_forgotten_and_their_repetition_changes_nothing() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let ago = |days: f64| {
        let sql = format!(
            "select to_char((now() - interval '{days} days') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        );
        let admin = &admin;
        async move { Value::from(admin.query_one(&sql, &[]).await.unwrap().get::<_, String>(0)) }
    };
    let mut batch = Vec::new();
    for (name, days) in [("old", 8.0), ("older", 30.0), ("new", 6.9)] {
        let mut one = delivery(name, "orders/create", &order(days as i64, 1, ""));
        one["received_at"] = ago(days).await;
        batch.push(one);
    }
    ingest(&edge, &batch).await;
    for early in ["47 hours", "0", "-1 day"] {
        let sql = format!("select weir.purge_deliveries(interval '{early}')");
        let error = admin.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{early}");
    }
    let purge = "select weir.purge_deliveries(interval '7 days')";
    let error = edge.batch_execute(purge).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    for expected in [2_i64, 0] {
        let count: i64 = admin.query_one(purge, &[]).await.unwrap().get(0);
        assert_eq!(count, expected);
    }
    let orders = |content: String| content.split("webhook_delivery\n").next().unwrap().to_owned();
    let before = orders(content(&database).await);
    let again = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&again), ["accepted", "accepted", "duplicate"]);
    assert_eq!(types(&again), ["order_created"]);
    assert_eq!(orders(content(&database).await), before);
    // Were their events never sent, a run that reads the orders sends them.
    let read = told(&[("orders/create", order(8, 1, "")), ("orders/create", order(30, 1, ""))]);
    let events = run_bulk(&edge, &read, &at("2026-11-25T00:00:00Z")).await;
    for id in ["8", "30"] {
        let of_order = events.iter().filter(|event| event["order_id"] == id);
        let types: Vec<_> = of_order.filter_map(|event| event["event_type"].as_str()).collect();
        assert!(types.contains(&"order_created"), "{id}: {types:?}");
    }
}
