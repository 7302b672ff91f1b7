//! Revisions of orders where PostgreSQL has lost what it told: the lake keeps what has the greatest, so whatever is told
//! afterwards has to have a greater one.

use serde_json::{json, Value};

use super::bulk::{at, bulk_events, run_bulk, told};
use super::privacy::call;
use super::publication::interaction;
use super::{delivery, ingest, order, refund, shop, verdicts, SHOP};

fn greatest(events: &Value) -> i64 {
    let events = events.as_array().unwrap().iter();
    events
        .filter_map(|event| event["order_revision"].as_i64())
        .max()
        .unwrap()
}

fn deletion(webhook_id: &str) -> Value {
    let mut deleted = delivery(webhook_id, "orders/delete", r#"{"id": 7}"#);
    deleted["triggered_at"] = json!("2026-11-20T10:00:00.000Z");
    deleted
}

#[tokio::test]
async fn a_deletion_is_newer_than_what_a_lost_database_has_told() {
    let (database, edge) = shop().await;
    let first = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let backup = "create table public.backup as select * from commerce.order_header";
    let admin = database.admin().await.unwrap();
    admin.batch_execute(backup).await.unwrap();
    let edited = order(7, 30, r#""name": "edited","#).replace(r#""quantity": 2"#, r#""quantity": 3"#);
    let edited = ingest(&edge, &[delivery("b", "orders/updated", &edited)]).await;
    assert!(greatest(&edited["events"]) > greatest(&first["events"]));

    // Restored: the body that was told last is not known.
    let restore = "update commerce.order_header as known
        set updated_at = backup.updated_at, revision = backup.revision, name = backup.name
        from public.backup as backup where known.order_id = backup.order_id";
    admin.batch_execute(restore).await.unwrap();
    let deleted = ingest(&edge, &[deletion("c")]).await;
    assert_eq!(deleted["events"][0]["is_deleted"], true);
    assert!(greatest(&deleted["events"]) > greatest(&edited["events"]));

    // Made anew: nothing is.
    let (_database, edge) = shop().await;
    let deleted = ingest(&edge, &[deletion("c")]).await;
    assert_eq!(deleted["events"][0]["is_deleted"], true);
    assert!(greatest(&deleted["events"]) > greatest(&edited["events"]));
}

/// A registration is later than whatever was told before it, and bulk operations do not tell all that was.
#[tokio::test]
async fn what_a_shop_tells_that_was_registered_anew_is_newer_than_what_it_told_before() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let body = order(7, 1, "");
    let refunded = [
        delivery("a", "orders/create", &body),
        delivery("r", "refunds/create", &refund(7)),
    ];
    let mut last = greatest(&ingest(&edge, &refunded).await["events"]);
    for second in 1..=9 {
        // Each names another publisher.
        let named = json!({"order_id": "7", "publisher_id": format!("p{second}")});
        let batch = json!([interaction(&format!("e{second}"), "attribution", second, named)]).to_string();
        let sql = "select weir.record_interactions($1::text::json)::text";
        let row = edge.query_one(sql, &[&batch]).await.unwrap();
        let answer: Value = serde_json::from_str(row.get(0)).unwrap();
        assert!(greatest(&answer["events"]) > last);
        last = greatest(&answer["events"]);
    }
    let read = told(&[("orders/create", body.clone())]);
    last = last.max(greatest(
        &run_bulk(&edge, &read, &at("2026-11-21T00:00:00Z")).await.into(),
    ));

    call(&admin, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "UTC", "currency": "USD"});
    call(&admin, "register_shop", &shop).await;
    // Another day, so the ledger that the lake has is wrong.
    let first = run_bulk(&edge, &read, &at("2026-11-22T00:00:00Z")).await;
    let event = first.iter().find(|event| event["order_id"] == "7").unwrap();
    assert_eq!(event["sales"][0]["day"], "2026-11-01");
    assert!(event["order_revision"].as_i64().unwrap() > last, "{event} after {last}");
    // And by a webhook; the next is newer still.
    let eight = ingest(&edge, &[delivery("8", "orders/create", &order(8, 1, ""))]).await;
    assert!(greatest(&eight["events"]) > last);
    let updated = delivery("9", "orders/updated", &order(8, 2, r#""name": "n","#));
    let updated = ingest(&edge, &[updated, delivery("c", "refunds/create", &refund(8))]).await;
    assert_eq!(verdicts(&updated), ["accepted"; 2]);
    assert!(greatest(&updated["events"]) > greatest(&eight["events"]));
}

/// Read under an earlier version, whose revisions began at `updated_at` there too, and renewed under this one.
#[tokio::test]
async fn a_ledger_that_is_renewed_in_a_shop_registered_anew_is_newer_than_the_registration() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    call(&admin, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "UTC", "currency": "USD"});
    call(&admin, "register_shop", &shop).await;
    let read = told(&[("orders/create", order(7, 1, "")), ("orders/create", order(8, 1, ""))]);
    run_bulk(&edge, &read, &at("2026-11-22T00:00:00Z")).await;
    ingest(&edge, &[delivery("8", "orders/updated", &order(8, 1, ""))]).await;
    let earlier = "update commerce.shop set registered_at = '2030-01-01T00:00:00Z';
        update commerce.sales_ledger set product_id = 'unknown';
        update commerce.order_header set ledger_version = null, revision = extract(epoch from updated_at) * 1000000";
    admin.batch_execute(earlier).await.unwrap();

    // A body that only was fired later renews a ledger and says nothing else new.
    let mut later = delivery("a", "orders/updated", &order(8, 1, ""));
    later["triggered_at"] = json!("2026-11-24T10:00:02.000Z");
    later["received_at"] = json!("2026-11-24T10:00:03.000Z");
    let since = 1_893_456_000_000_000_i64;
    assert_eq!(greatest(&ingest(&edge, &[later]).await["events"]), since);
    // A backfill renews the other.
    let events = bulk_events(&edge, SHOP, &[1, 2, 3], 37).await;
    for order_id in ["7", "8"] {
        let mut of_order = events.clone();
        of_order.retain(|event| event["order_id"] == order_id);
        assert_eq!(greatest(&of_order.into()), since, "order {order_id}");
    }
}
