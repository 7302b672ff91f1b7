//! What is large, long or named strangely, told to both installs.

use serde_json::{json, Value};

use super::pair::Pair;
use crate::contract::{delivery, order, refund, verdicts, SHOP};

async fn ingest(pair: &Pair, batch: &[Value]) -> Value {
    pair.ingest(batch, &Value::from(batch).to_string()).await
}

/// A line of which a cent was paid, and a tax that is far more than that.
fn endless(id: i64, taxes_included: bool) -> String {
    json!({"id": id, "currency": "USD", "updated_at": "2026-07-01T10:00:00Z", "taxes_included": taxes_included, "line_items": [
        {"id": 5, "product_id": 11, "quantity": 1, "price": "10000000.00", "discount_allocations": [{"amount": "9999999.99"}],
        "tax_lines": [{"price": "100000000.00"}]}]})
    .to_string()
}

#[tokio::test]
async fn a_discount_without_end_is_refused_alone() {
    let pair = Pair::new().await;
    let most = json!({"amount": "10000000000000.00"});
    let many = json!({"id": 4, "currency": "USD", "line_items": [{"id": 5, "quantity": 1, "price": "10.00",
        "discount_allocations": vec![most.clone(); 9300]}]});
    let payment = json!({"id": 1, "kind": "refund", "status": "success", "amount": most["amount"]});
    let paid = json!({"id": 9, "order_id": 1, "transactions": vec![payment; 9300]});
    let batch = [
        delivery("a", "orders/create", &order(1, 1, "")),
        delivery("b", "orders/create", &endless(2, true)),
        delivery("c", "orders/create", &endless(3, false)),
        delivery("d", "orders/create", &many.to_string()),
        delivery("e", "orders/create", &order(5, 1, "\"taxes_included\": true,")),
        // More than any column holds was paid back.
        delivery("f", "refunds/create", &paid.to_string()),
    ];
    let answer = ingest(&pair, &batch).await;
    let wanted = ["accepted", "rejected", "rejected", "rejected", "accepted", "accepted"];
    assert_eq!(verdicts(&answer), wanted);
    for refused in &answer["deliveries"].as_array().unwrap()[1..4] {
        assert_eq!(refused["reason"], "type_mismatch");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with("line_items[0].discount_allocations: "), "{detail}");
    }

    let money = |amount: &str| {
        let money = json!({"amount": amount, "currencyCode": "USD"});
        json!({"shopMoney": money, "presentmentMoney": money})
    };
    let mut lines = String::new();
    for (number, discount) in [(11, "9999999.99"), (12, "0.99")] {
        let order = format!("gid://shopify/Order/{number}");
        for line in [
            json!({"__typename": "Order", "id": order, "updatedAt": "2026-07-01T10:00:00Z", "currencyCode": "USD",
                "presentmentCurrencyCode": "USD", "taxesIncluded": true}),
            json!({"__typename": "LineItem", "id": format!("gid://shopify/LineItem/{number}"), "quantity": 1,
                "originalUnitPriceSet": money("10000000.00"), "discountAllocations": [{"allocatedAmountSet": money(discount)}],
                "taxLines": [{"priceSet": money("100000000.00")}], "__parentId": order}),
        ] {
            lines += &format!("{line}\n");
        }
    }
    let operation = "gid://shopify/BulkOperation/1";
    let run = json!({"operation_id": operation, "kind": "orders_core", "started_at": "2026-07-02T10:00:00Z",
        "source": "bulk_sync", "received_at": "2026-11-01T10:00:00Z"});
    let call = "weir.ingest_bulk($1, $2, $3::text::json)";
    let answer = pair
        .answer(call, &[SHOP, &lines, &run.to_string()], "rejections", &[])
        .await;
    assert_eq!(answer["rejections"].as_array().unwrap().len(), 1, "{answer}");
    let run = json!({"operation_ids": [operation], "source": "bulk_sync", "received_at": "2026-11-01T10:00:01Z",
        "limit": 10, "after": null});
    let call = "weir.bulk_events($1, $2::text::json)";
    let answer = pair.answer(call, &[SHOP, &run.to_string()], "events", &[]).await;
    let events = answer["events"].as_array().unwrap();
    assert!(
        !events.is_empty() && events.iter().all(|event| event["order_id"] == "12"),
        "{answer}"
    );
    pair.same_tables().await;
}

/// Earlier versions stored such lines: their orders go on, and move with their shop.
#[tokio::test]
async fn a_discount_without_end_that_is_stored_holds_up_nothing() {
    let pair = Pair::new().await;
    ingest(
        &pair,
        &[delivery(
            "a",
            "orders/create",
            &order(7, 1, "\"taxes_included\": true,"),
        )],
    )
    .await;
    for (number, [discount, tax]) in [
        ["999999999", "10000000000"],
        ["1001", "1000000000000000"],
        ["1001", "-9223372036854775807"],
        ["9223372036854775807", "-9223372036854775807"],
        ["-9223372036854775808", "9223372036854775807"],
    ]
    .into_iter()
    .enumerate()
    {
        for admin in &pair.admins {
            let stored = format!(
                "update commerce.order_line_item set unit_price_minor = case {number} when 0 then 500000000 else 500 end,
                    discount_minor = {discount}, presentment_discount_minor = 5, tax_minor = {tax}, presentment_tax_minor = 7"
            );
            admin.batch_execute(&stored).await.unwrap();
        }
        // Zones so far apart that every day differs.
        pair.register(if number % 2 == 0 { 5 } else { 0 }).await;
        pair.same_tables().await;
        let again = refund(7).replace("\"id\": 5", &format!("\"id\": {}", 50 + number));
        let answer = ingest(&pair, &[delivery(&format!("r{number}"), "refunds/create", &again)]).await;
        assert_eq!(verdicts(&answer), ["accepted"]);
        pair.same_tables().await;
    }
}

/// PostgreSQL takes an abbreviation, which has no summer time, before the zone of the same name.
#[tokio::test]
async fn a_zone_that_is_named_like_an_abbreviation_has_summer_time() {
    let pair = Pair::new().await;
    for (number, zone) in ["CET", "MET", "EET", "WET", "EST", "MST", "HST", "cet"]
        .into_iter()
        .enumerate()
    {
        let domain = format!("{zone}.myshopify.com");
        let shop = json!({"shop_id": 100 + number, "shop_domain": domain, "iana_time_zone": zone, "currency": "USD"});
        let call = format!("select weir.register_shop('{shop}')::text");
        pair.same(&call).await.unwrap();
        let mut batch = Vec::new();
        for (id, time) in [
            (1, "2026-07-01T22:30:00Z"),
            (2, "2026-12-01T22:30:00Z"),
            (3, "2026-07-01T09:30:00Z"),
        ] {
            let body = order(id, 1, "").replace("2026-11-01T16:30:00Z", time);
            let mut one = delivery(&format!("{id}"), "orders/create", &body);
            one["shop_domain"] = domain.as_str().into();
            batch.push(one);
        }
        let answer = ingest(&pair, &batch).await;
        let days = answer["events"].as_array().unwrap();
        let days: Vec<_> = days
            .iter()
            .map(|event| event["sales"][0]["day"].as_str().unwrap())
            .collect();
        if zone == "CET" {
            assert_eq!(days, ["2026-07-02", "2026-12-01", "2026-07-01"]);
        }
    }
    pair.same_tables().await;
}
