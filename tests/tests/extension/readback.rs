//! Orders read back as events and as a view, and a day's ledger as counts and a digest.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;
use weir_domain::telemetry::commerce;

use super::{delivery, ingest, order, refund, shop, FIXTURES, ORDER, SHOP};

async fn order_events(client: &Client, order_ids: &[i64]) -> Vec<Value> {
    let sql = "select weir.order_event($1)::text";
    let row = client.query_one(sql, &[&order_ids]).await.unwrap();
    let events: Vec<Value> = serde_json::from_str(row.get(0)).unwrap();
    for event in &events {
        assert_eq!(commerce().validate(event), Ok(()), "{event}");
    }
    events
}

#[tokio::test]
async fn an_order_read_back_is_its_newest_event() {
    let (_database, edge) = shop().await;
    let mut last = json!(null);
    for (topic, body) in FIXTURES.iter().filter(|(topic, _)| !topic.ends_with("/delete")) {
        let answer = ingest(&edge, &[delivery(topic, topic, body)]).await;
        let events = answer["events"].as_array().unwrap();
        last = events
            .iter()
            .rfind(|event| event["order_id"] == ORDER)
            .unwrap_or(&last)
            .clone();
    }
    ingest(&edge, &[delivery("r", "refunds/create", &refund(8))]).await;
    let id: i64 = ORDER.parse().unwrap();
    // Order 8 is only known by a refund, 9 not at all.
    let events = order_events(&edge, &[9, id, 8]).await;
    assert_eq!(events.len(), 1);
    for field in [
        "order_revision",
        "sales",
        "customer_key",
        "lines",
        "total_price",
        "order_updated_at",
    ] {
        assert_eq!(events[0][field], last[field], "{field}");
    }
    assert!(!events[0]["sales"].as_array().unwrap().is_empty());
    ingest(&edge, &[delivery("d", "orders/delete", &format!(r#"{{"id": {id}}}"#))]).await;
    let gone = order_events(&edge, &[id]).await;
    assert_eq!((&gone[0]["is_deleted"], &gone[0]["sales"]), (&json!(true), &json!([])));
    assert!(order_events(&edge, &[]).await.is_empty());
}

#[tokio::test]
async fn the_event_of_a_revision_has_one_id() {
    let (_database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let changed = order(7, 2, "").replace("10.00", "11.00");
    let told = ingest(&edge, &[delivery("b", "orders/updated", &changed)]).await;
    assert_eq!(
        order_events(&edge, &[7]).await[0]["event_id"],
        told["events"][0]["event_id"]
    );
}

#[tokio::test]
async fn the_view_shows_orders_with_their_products_and_sales_and_not_their_buyers() {
    let (database, edge) = shop().await;
    let product = r#"{"id": 11, "title": "Lamp", "product_type": "Light", "status": "active"}"#;
    let batch = [
        delivery("p", "products/create", product),
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("r", "refunds/create", &refund(7)),
        delivery("s", "refunds/create", &refund(8)),
    ];
    ingest(&edge, &batch).await;
    let admin = database.admin().await.unwrap();
    let rows = admin
        .query("select to_json(v)::text from commerce.order_enriched as v", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let row: Value = serde_json::from_str(rows[0].get(0)).unwrap();
    assert_eq!(row["lines"][0]["product_title"], "Lamp");
    let sums = [
        "units_sold",
        "units_returned",
        "gross_sales_minor",
        "returns_minor",
        "net_sales_minor",
    ];
    assert_eq!(sums.map(|name| row[name].as_i64().unwrap()), [2, 1, 2000, 1000, 1000]);
    assert!(row.get("customer_id").is_none() && row.get("raw").is_none());
}

#[tokio::test]
async fn a_day_is_reconciled_by_counts_and_a_digest_that_the_rows_give() {
    let (database, edge) = shop().await;
    let other = order(9, 1, "").replace("10.00", "7.50");
    let batch = [
        delivery("a", "orders/create", &order(10, 1, "")),
        delivery("b", "orders/create", &other),
        delivery("r", "refunds/create", &refund(10)),
    ];
    ingest(&edge, &batch).await;
    let read = |first: &'static str, last: &'static str| {
        let sql = format!("select weir.reconcile('{SHOP}', '{first}', '{last}')::text");
        let edge = &edge;
        async move {
            let row = edge.query_one(&sql, &[]).await.unwrap();
            serde_json::from_str::<Value>(row.get(0)).unwrap()
        }
    };
    let answer = read("2026-11-01", "2026-11-30").await;
    let md5 = |text: &str| {
        let (sql, text) = ("select md5($1)", text.to_owned());
        let edge = &edge;
        async move { edge.query_one(sql, &[&text]).await.unwrap().get::<_, String>(0) }
    };
    let expected = json!({"shop_domain": SHOP, "currency": "USD", "days": [
        {"day": "2026-11-02", "rows": 2, "orders": 2, "units_sold": 4, "units_returned": 0, "gross_sales": 3500,
            "discounts": 0, "returns": 0, "net_sales": 3500,
            "digest": md5("10|11|sale|2|0|2000|0|0|2000\n9|11|sale|2|0|1500|0|0|1500").await},
        {"day": "2026-11-03", "rows": 1, "orders": 1, "units_sold": 0, "units_returned": 1, "gross_sales": 0,
            "discounts": 0, "returns": 1000, "net_sales": -1000,
            "digest": md5("10|11|return|0|1|0|0|1000|-1000").await},
    ]});
    assert_eq!(answer, expected);
    assert_eq!(
        read("2026-11-03", "2026-11-03").await["days"],
        json!([expected["days"][1]])
    );
    assert_eq!(read("2026-11-04", "2026-11-03").await["days"], json!([]));
    let admin = database.admin().await.unwrap();
    let strange = "select weir.reconcile('nobody.myshopify.com', '2026-11-01', '2026-11-30')";
    let error = admin.batch_execute(strange).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
}
