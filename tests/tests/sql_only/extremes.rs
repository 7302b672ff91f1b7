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
    // Half a surrogate pair is no JSON to anybody, so the line names no node; U+0000 is.
    lines += "{\"id\": \"gid://shopify/Order/13\", \"name\": \"\\ud800\"}\n{\"id\": \"gid://shopify/Order/14\", \"name\": \"\\u0000\"}\n";
    let operation = "gid://shopify/BulkOperation/1";
    let run = json!({"operation_id": operation, "kind": "orders_core", "started_at": "2026-07-02T10:00:00Z",
        "source": "bulk_sync", "received_at": "2026-11-01T10:00:00Z"});
    let call = "weir.ingest_bulk($1, $2, $3::text::json)";
    let answer = pair
        .answer(call, &[SHOP, &lines, &run.to_string()], "rejections", &[])
        .await;
    let named: Vec<&Value> = answer["rejections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    let wanted = [
        json!("gid://shopify/LineItem/11"),
        Value::Null,
        json!("gid://shopify/Order/14"),
    ];
    assert_eq!(named, wanted.iter().collect::<Vec<_>>(), "{answer}");
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
        let domain = format!("zone-{number}.myshopify.com");
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

/// Orders and edits of more lines than any loop that copies its list would get through.
#[tokio::test]
async fn long_lists_are_read_and_merged() {
    const MANY: i64 = 700;
    let pair = Pair::new().await;
    let id = 9_007_199_254_740_993_i64;
    // Not in their sequence, and some twice.
    let ids = || (0..MANY).map(|n| n * 389 % MANY + 1).chain([5, 7]);
    let lines = |quantity: i64, gone: i64| -> Vec<Value> {
        let line = |line| {
            json!({"id": line, "product_id": 1000 + line % 50, "quantity": quantity, "current_quantity": quantity - gone,
                "price": "10.00", "discount_allocations": [{"amount": "1.00"}], "tax_lines": [{"price": "0.10", "rate": 0.01}]})
        };
        ids().map(line).collect()
    };
    let refund = |number: i64| {
        let item = |line| {
            json!({"id": 10_000 * number + line, "line_item_id": line, "quantity": line % 2, "subtotal": "9.00",
                "line_item": {"product_id": 1000 + line % 50}})
        };
        let items: Vec<Value> = ids().filter(|line| line % 7 == number % 7).map(item).collect();
        json!({"id": number, "order_id": id, "created_at": format!("2026-11-{:02}T10:00:00Z", number % 9 + 2), "note": "x",
            "refund_line_items": items, "order_adjustments": [{"id": number, "kind": "refund_discrepancy", "amount": "0.10"}],
            "transactions": [{"id": number, "kind": "refund", "status": "success", "amount": "1.00"}]})
    };
    let fulfillment = |number: i64| {
        let items: Vec<Value> = ids()
            .filter(|line| line % 11 == number % 11)
            .map(|line| json!({"id": line, "quantity": 1}))
            .collect();
        json!({"id": number, "order_id": id, "created_at": "2026-11-05T10:00:00Z", "status": "success", "line_items": items,
            "updated_at": format!("2026-11-05T10:00:{:02}Z", number % 3)})
    };
    let edit = |number: i64, second: i64| {
        let deltas = |of: i64| -> Vec<Value> {
            ids()
                .filter(|line| line % 3 != of)
                .map(|line| json!({"id": line, "delta": 1 + line % 2}))
                .collect()
        };
        json!({"order_edit": {"id": number, "order_id": id, "committed_at": format!("2026-11-02T10:00:{second:02}Z"),
            "line_items": {"additions": deltas(number % 3), "removals": deltas(1)}}})
    };
    let order = |second: i64, lines: Vec<Value>, refunds: &[i64], shipments: &[i64]| {
        let refunds: Vec<Value> = refunds.iter().map(|number| refund(*number)).collect();
        let shipments: Vec<Value> = shipments.iter().map(|number| fulfillment(*number)).collect();
        json!({"id": id, "currency": "USD", "created_at": "2026-11-01T10:00:00Z", "taxes_included": true, "line_items": lines,
            "updated_at": format!("2026-11-03T10:00:{second:02}Z"), "refunds": refunds, "fulfillments": shipments})
    };
    let told = [
        ("orders/create", order(1, lines(2, 0), &[], &[])),
        ("orders/edited", edit(40, 5)),
        ("orders/edited", edit(30, 3)),
        ("orders/edited", edit(40, 4)),
        // Refunds and shipments neither in sequence nor once.
        (
            "orders/updated",
            order(7, lines(4, 1), &[9, 3, 20, 3, 11], &[8, 2, 30, 2]),
        ),
        ("refunds/create", refund(10)),
        ("refunds/create", refund(3)),
        ("fulfillments/update", fulfillment(5)),
        ("orders/updated", order(5, lines(3, 2), &[2, 30, 9], &[1, 8, 40])),
        ("orders/edited", edit(35, 6)),
        ("orders/updated", order(9, lines(5, 3), &[], &[])),
        ("orders/edited", edit(40, 5)),
    ];
    for (number, (topic, body)) in told.iter().enumerate() {
        let answer = ingest(&pair, &[delivery(&number.to_string(), topic, &body.to_string())]).await;
        assert_ne!(verdicts(&answer), ["rejected"], "{answer}");
    }
    let count = "select ((select count(*) from commerce.order_edit_line) || ' ' || (select count(*) from commerce.refund)
        || ' ' || (select count(*) from commerce.fulfillment) || ' ' || (select count(*) from commerce.order_line_item))";
    let rows = pair.same(count).await.unwrap();
    assert!(rows[0].ends_with(&format!(" 7 6 {MANY}")), "{rows:?}");
    pair.same_tables().await;

    let orders: Vec<i64> = (id..id + 3000).rev().collect();
    let redact = json!({"customer": {"email": "a@example.com"}, "orders_to_redact": orders});
    let variants: Vec<Value> = ids().map(|n| json!({"id": n, "price": "1.00"})).collect();
    let batch = [
        delivery("redact", "customers/redact", &redact.to_string()),
        delivery(
            "product",
            "products/create",
            &json!({"id": 5, "variants": variants}).to_string(),
        ),
    ];
    assert_eq!(verdicts(&ingest(&pair, &batch).await), ["accepted", "accepted"]);
    let redacted = "select count(*)::text from privacy.redacted_order";
    assert_eq!(pair.same(redacted).await.unwrap(), ["3000"]);
    pair.same_tables().await;
}

/// A number that is nearer to 0 than any float is 0, and its neighbours are recorded.
#[tokio::test]
async fn a_number_below_every_float_is_nothing() {
    let pair = Pair::new().await;
    let given = |name: &str, seconds: &str| {
        let row = json!({"event_id": name, "event_type": "referral", "schema_version": 1, "occurred_at": "2026-11-01T10:00:00Z",
            "received_at": "2026-11-01T10:00:00Z", "event_date": "2026-11-01", "event_hour": 10, "source": "interaction",
            "shop_domain": SHOP, "engaged_seconds": "@"});
        row.to_string().replace("\"@\"", seconds)
    };
    let tiny = format!("0.{}1e-300", "0".repeat(90));
    let batch = [
        given("a", "1.5"),
        given("b", &tiny),
        given("c", &format!("-{tiny}")),
        // Below every float that has all its digits, and still one.
        given("d", "0.0000000000001e-300"),
        given("e", "0e-300"),
        given("f", "3"),
    ];
    let text = format!("[{}]", batch.join(","));
    let call = "weir.record_interactions($1::text::json)";
    let answer = pair.answer(call, &[&text], "interactions", &[]).await;
    for one in answer["interactions"].as_array().unwrap() {
        assert_eq!(one["verdict"], "accepted", "{answer}");
    }
    pair.same_tables().await;
}

#[tokio::test]
async fn an_order_of_which_nothing_is_told_has_no_ledger_yet() {
    let pair = Pair::new().await;
    let at = "2026-07-01T10:00:00Z";
    let edit = json!({"order_edit": {"id": 1, "order_id": 21, "committed_at": at, "created_at": at,
        "line_items": {"additions": [], "removals": []}}});
    let shipment =
        json!({"id": 2, "order_id": 22, "status": "pending", "created_at": at, "updated_at": at, "line_items": []});
    let payment = json!({"id": 3, "order_id": 23, "kind": "authorization", "status": "failure", "amount": "1.00",
        "currency": "USD", "created_at": at});
    let batch = [
        delivery("a", "orders/edited", &edit.to_string()),
        delivery("b", "fulfillments/create", &shipment.to_string()),
        delivery("c", "order_transactions/create", &payment.to_string()),
        delivery("d", "orders/create", &order(24, 1, "")),
    ];
    let answer = ingest(&pair, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted"; 4]);
    let told = "select concat_ws(' ', order_id, revision, ledger_version) from commerce.order_header order by order_id";
    let told = pair.same(told).await.unwrap();
    assert_eq!(told[..3], ["21 0", "22 1 1", "23 1 1"]);
    assert_eq!(told.len(), 4);
}
