//! Lines of bulk operations that an earlier version kept, settled by this one.

use serde_json::{json, Value};

use super::bodies::SHOPS;
use super::pair::Pair;

/// Such lines do not say whether they are a tip.
#[tokio::test]
async fn lines_kept_without_is_tip_are_told_as_they_were() {
    let pair = Pair::new().await;
    let shop = &SHOPS[0];
    let (order, product) = ("gid://shopify/Order/7", "gid://shopify/Product/11");
    let money = json!({"amount": "10", "currencyCode": shop.currency});
    let lines = [
        json!({"__typename": "Order", "id": order, "updatedAt": "2026-11-01T10:00:00Z", "currencyCode": shop.currency,
            "presentmentCurrencyCode": shop.currency}),
        json!({"__typename": "LineItem", "id": "gid://shopify/LineItem/1", "quantity": 1, "product": {"id": product},
            "originalUnitPriceSet": {"shopMoney": money, "presentmentMoney": money}, "__parentId": order}),
    ];
    let chunk = lines.map(|line| line.to_string()).join("\n");
    let operation = "gid://shopify/BulkOperation/1";
    let run = json!({"operation_id": operation, "kind": "orders_core", "source": "bulk_sync",
        "started_at": "2026-12-01T00:00:00Z", "received_at": "2026-12-01T00:00:00Z"});
    let call = "weir.ingest_bulk($1, $2, $3::text::json)";
    let answer = pair
        .answer(call, &[shop.domain, &chunk, &run.to_string()], "rejections", &[])
        .await;
    assert_eq!(answer["upserted"], 2, "{answer}");
    let settle = json!({"operation_ids": [operation], "source": "bulk_sync", "received_at": "2026-12-01T00:00:00Z"});
    let settle = settle.to_string();
    let call = "weir.bulk_events($1, $2::text::json)";
    let first = pair.answer(call, &[shop.domain, &settle], "", &[]).await;
    let forget = "update commerce.bulk_line set content = (content::jsonb #- '{line_item,is_tip}')::json
        where content::jsonb -> 'line_item' ? 'is_tip' returning node_id::text";
    assert_eq!(pair.same(forget).await.unwrap(), ["1"]);
    let again = pair.answer(call, &[shop.domain, &settle], "", &[]).await;
    let ids = |answer: &Value| -> Vec<Value> {
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| event["event_id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&first));
    pair.same_tables().await;
}
