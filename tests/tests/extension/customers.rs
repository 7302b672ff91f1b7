//! Customers, what shipments carry, and the bodies kept of an order's parts.

use serde_json::{json, Value};

use super::privacy::call;
use super::publication::interaction;
use super::{content, delivery, ingest, order, refund, shop, verdicts, SHOP};

fn customer(second: u8, state: &str, consent: &str) -> String {
    json!({"id": 77, "updated_at": format!("2026-11-01T16:30:{second:02}Z"), "state": state, "verified_email": true,
        "first_name": "Bea", "email": "bea@example.com", "phone": "555-0100", "note": "likes lamps",
        "email_marketing_consent": {"state": consent}, "default_address": {"address1": "1 Example Street"}})
    .to_string()
}

fn at(mut delivery: Value, second: u8) -> Value {
    delivery["triggered_at"] = format!("2026-11-24T09:00:{second:02}.000Z").into();
    delivery
}

#[tokio::test]
async fn the_newest_version_of_a_customer_holds_in_any_sequence_and_reaches_nobody() {
    let embedded = order(7, 1, "").replace(r#""id": 77,"#, r#""id": 77, "updated_at": "2026-11-01T16:30:20Z","#);
    let told = [
        at(
            delivery("a", "customers/create", &customer(1, "disabled", "subscribed")),
            1,
        ),
        at(
            delivery("b", "customers/update", &customer(20, "enabled", "unsubscribed")),
            2,
        ),
        // The copy in an order, as new by its time but with less in it; and a copy without a time.
        at(delivery("c", "orders/create", &embedded), 3),
        at(delivery("d", "orders/create", &order(8, 1, "")), 4),
        at(delivery("e", "customers/delete", r#"{"id": 78}"#), 5),
        at(
            delivery(
                "f",
                "customers/update",
                &customer(30, "enabled", "subscribed").replace("77", "78"),
            ),
            6,
        ),
    ];
    let mut contents = Vec::new();
    for stride in [1, 5] {
        let (database, edge) = shop().await;
        for step in 1..=told.len() {
            let answer = ingest(&edge, &told[step * stride % told.len()..][..1]).await;
            assert!(["accepted", "stale"].contains(&verdicts(&answer)[0]), "{answer}");
            assert!(!answer.to_string().contains("unsubscribed"), "{answer}");
        }
        let rows = "select concat_ws(' ', customer_id, state, email_consent, is_whole, deleted_at is not null)
            from commerce.customer order by customer_id";
        let rows = database.admin().await.unwrap().query(rows, &[]).await.unwrap();
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(rows, ["77 enabled unsubscribed t f", "78 t t"]);
        let content = content(&database).await;
        for personal in ["example.com", "555-0100", "Bea", "Example Street", "likes lamps"] {
            assert!(!content.contains(personal), "{personal} in {content}");
        }
        let customers = content.split("fulfillment\n").next().unwrap().to_owned();
        contents.push(customers);
    }
    assert_eq!(contents[0], contents[1]);
}

/// The copy in an order knows no consents.
#[tokio::test]
async fn the_copy_in_an_order_takes_nothing_away_also_where_it_is_newer() {
    let newer = order(7, 1, "").replace(r#""id": 77,"#, r#""id": 77, "updated_at": "2026-11-01T16:30:20Z","#);
    let told = [
        delivery("a", "customers/update", &customer(1, "enabled", "subscribed")),
        delivery("b", "orders/create", &newer),
    ];
    for sequence in [[0, 1], [1, 0]] {
        for at_once in [1, 2] {
            let (database, edge) = shop().await;
            for some in sequence.map(|at| told[at].clone()).chunks(at_once) {
                ingest(&edge, some).await;
            }
            let rows = "select concat_ws(' ', state, email_consent, is_whole) from commerce.customer";
            let row = database.admin().await.unwrap().query_one(rows, &[]).await.unwrap();
            assert_eq!(
                row.get::<_, String>(0),
                "enabled subscribed t",
                "{sequence:?} {at_once}"
            );
        }
    }
}

#[tokio::test]
async fn a_customer_that_is_not_readable_does_not_hold_up_the_order() {
    let (database, edge) = shop().await;
    let strange = order(7, 1, "").replace(r#""id": 77,"#, r#""id": 77, "state": 5, "updated_at": [],"#);
    let batch = [
        delivery("a", "orders/create", &strange),
        delivery("b", "customers/update", r#"{"id": 79, "state": 5}"#),
    ];
    let answer = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted", "rejected"]);
    assert_eq!(answer["deliveries"][1]["detail"], "state: expected text");
    let ids = "select array_agg(customer_id) from commerce.customer";
    let row = database.admin().await.unwrap().query_one(ids, &[]).await.unwrap();
    assert_eq!(row.get::<_, Vec<i64>>(0), [77]);
}

#[tokio::test]
async fn shipments_keep_their_lines_and_parts_their_bodies_until_the_customer_is_forgotten() {
    let (database, edge) = shop().await;
    let shipment = |status: &str, lines: &str| {
        format!(r#"{{"id": 4, "order_id": 7, "status": "{status}", "updated_at": "2026-11-03T00:00:00Z" {lines}}}"#)
    };
    let lines = r#", "line_items": [{"id": 1, "quantity": 2}, {"id": 2, "quantity": 1}]"#;
    let returned = r#"{"id": 9, "order": {"id": 7}, "status": "open", "return_line_items": [{"id": 3,
        "customer_note": "secret", "return_reason": "COLOR"}]}"#;
    let noted = refund(7).replace(r#""id": 5,"#, r#""id": 5, "note": "secret", "restock": true,"#);
    let paid = r#"{"id": 3, "order_id": 7, "kind": "sale", "status": "success", "amount": "1.00", "receipt": {"x": "secret"},
        "payment_id": "c1.1"}"#;
    let batch = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("b", "fulfillments/create", &shipment("success", lines)),
        delivery("c", "fulfillments/update", &shipment("cancelled", "")),
        delivery("d", "returns/approve", returned),
        delivery("e", "refunds/create", &noted),
        delivery("f", "order_transactions/create", paid),
    ];
    assert_eq!(verdicts(&ingest(&edge, &batch).await), ["accepted"; 6]);
    let admin = database.admin().await.unwrap();
    let carried = "select string_agg(line_item_id || 'x' || quantity, ' ' order by line_item_id)
        from commerce.fulfillment_line_item";
    let bodies =
        "select raw ->> 'restock', null, null from commerce.refund union all select null, raw ->> 'payment_id', null
        from commerce.payment union all select null, null, raw #>> '{return_line_items,0,return_reason}'
        from commerce.order_return";
    let carried: String = admin.query_one(carried, &[]).await.unwrap().get(0);
    assert_eq!(carried, "1x2 2x1");
    let read = || async {
        let rows = admin.query(bodies, &[]).await.unwrap();
        let found = rows
            .iter()
            .flat_map(|row| (0..3).filter_map(|at| row.get::<_, Option<String>>(at)));
        found.collect::<Vec<_>>()
    };
    assert_eq!(read().await, ["true", "c1.1", "COLOR"]);
    // A further part of the order leaves the bodies of the others where they are.
    let second = noted.replace(r#""id": 5,"#, r#""id": 55,"#);
    ingest(&edge, &[delivery("g", "refunds/create", &second)]).await;
    assert_eq!(read().await, ["true", "true", "c1.1", "COLOR"]);
    assert!(!content(&database).await.contains("secret"));
    ingest(
        &edge,
        &[delivery("r", "customers/redact", r#"{"customer": {"id": 77}}"#)],
    )
    .await;
    assert!(read().await.is_empty());
    let late = ingest(
        &edge,
        &[delivery(
            "h",
            "customers/update",
            &customer(40, "enabled", "subscribed"),
        )],
    )
    .await;
    assert_eq!(
        (verdicts(&late)[0], &late["deliveries"][0]["reason"]),
        ("ignored", &json!("redacted"))
    );
    let kept = "select count(*) from commerce.customer";
    assert_eq!(admin.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 0);
}

fn merge(id: &str, gone: i64, kept: i64, status: &str) -> Value {
    let body = json!({"admin_graphql_api_customer_kept_id": format!("gid://shopify/Customer/{kept}"),
        "admin_graphql_api_customer_deleted_id": format!("gid://shopify/Customer/{gone}"),
        "admin_graphql_api_job_id": null, "status": status, "errors": []});
    at(delivery(id, "customers/merge", &body.to_string()), 10)
}

fn of_customer(id: i64, customer: i64, second: u8) -> String {
    order(id, second, "").replace(r#""id": 77,"#, &format!(r#""id": {customer},"#))
}

#[tokio::test]
async fn merged_customers_are_one_in_any_sequence_and_later_events_name_the_one_who_was_kept() {
    let told = [
        delivery("a", "orders/create", &of_customer(7, 77, 1)),
        at(
            delivery("b", "customers/update", &customer(20, "enabled", "subscribed")),
            2,
        ),
        merge("c", 77, 78, "completed"),
        merge("d", 78, 79, "completed"),
        delivery("e", "orders/create", &of_customer(8, 78, 1)),
        delivery("f", "orders/create", &of_customer(9, 79, 1)),
        merge("g", 79, 80, "failed"),
    ];
    let mut contents = Vec::new();
    for stride in [1, 2, 3, 5, 6] {
        let (database, edge) = shop().await;
        for step in 0..told.len() {
            let answer = ingest(&edge, &told[step * stride % told.len()..][..1]).await;
            assert_eq!(verdicts(&answer), ["accepted"], "{answer}");
        }
        let admin = database.admin().await.unwrap();
        let rows = "select concat_ws(' ', customer_id, merged_into, deleted_at is not null, state)
            from commerce.customer order by customer_id";
        let rows = admin.query(rows, &[]).await.unwrap();
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(rows, ["77 79 t", "78 79 t", "79 f"]);
        let named = "select array_agg(distinct customer_id) from commerce.order_header";
        assert_eq!(admin.query_one(named, &[]).await.unwrap().get::<_, Vec<i64>>(0), [79]);
        let content = content(&database).await;
        // All but the shop, which was registered at another time.
        let rows = content
            .lines()
            .filter(|row| !row.starts_with("(1,demo.myshopify.com,,"));
        contents.push(rows.collect::<Vec<_>>().join("\n"));

        // What is told of an order from now on is the kept one's.
        let mut keys = Vec::new();
        for (id, order, customer) in [("h", 7, 77), ("i", 8, 78), ("j", 9, 79)] {
            let changed = of_customer(order, customer, 30).replace(r#""quantity": 2"#, r#""quantity": 3"#);
            let answer = ingest(&edge, &[delivery(id, "orders/updated", &changed)]).await;
            keys.push(answer["events"][0]["customer_key"].as_str().unwrap().to_owned());
        }
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
    assert!(contents.iter().all(|one| *one == contents[0]), "{contents:#?}");
}

#[tokio::test]
async fn forgetting_the_kept_customer_forgets_those_who_were_merged_into_them() {
    let (database, edge) = shop().await;
    let batch = [
        delivery("a", "orders/create", &of_customer(7, 77, 1)),
        delivery("b", "orders/create", &of_customer(8, 78, 1)),
        merge("c", 77, 78, "completed"),
        delivery("d", "customers/redact", r#"{"customer": {"id": 78}}"#),
        merge("e", 76, 78, "completed"),
        delivery("f", "orders/create", &of_customer(9, 76, 1)),
        merge("g", 77, 80, "completed"),
        delivery("h", "orders/updated", &of_customer(7, 77, 20)),
    ];
    for one in &batch {
        let answer = ingest(&edge, std::slice::from_ref(one)).await;
        let expected = if one["webhook_id"] == "e" || one["webhook_id"] == "g" {
            "ignored"
        } else {
            "accepted"
        };
        assert_eq!(verdicts(&answer), [expected], "{answer}");
    }
    let admin = database.admin().await.unwrap();
    let left = "select (select count(*) from commerce.customer), (select count(*) from privacy.salt),
        (select count(*) from commerce.order_header where customer_id is not null),
        (select count(*) from commerce.order_header), (select count(*) from privacy.redaction)";
    let left = admin.query_one(left, &[]).await.unwrap();
    let left: Vec<i64> = (0..5).map(|at| left.get(at)).collect();
    assert_eq!(
        left,
        [0, 0, 0, 3, 3],
        "customers, salts, named orders, orders, tombstones"
    );
}

#[tokio::test]
async fn a_merge_that_names_no_customer_is_refused() {
    let (_database, edge) = shop().await;
    let body = r#"{"status": "completed", "admin_graphql_api_customer_deleted_id": "gid://shopify/Order/1"}"#;
    let batch = [
        delivery("a", "customers/merge", body),
        delivery("b", "customers/merge", r#"{"status": "completed"}"#),
        delivery("c", "customers/merge", r#"{"status": 5}"#),
    ];
    let answer = ingest(&edge, &batch).await;
    let details: Vec<&Value> = (0..3).map(|at| &answer["deliveries"][at]["detail"]).collect();
    let name = "admin_graphql_api_customer_deleted_id";
    let expected = [
        format!("{name}: expected a global id of Shopify"),
        format!("{name}: an id is required"),
        "status: expected text".to_owned(),
    ];
    assert_eq!(
        details,
        expected
            .iter()
            .map(|text| json!(text))
            .collect::<Vec<_>>()
            .iter()
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn whoever_asks_is_told_all_parts_under_every_key_also_when_merged_meanwhile() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let attribution = interaction("e1", "attribution", 1, json!({"order_id": "7", "publisher_id": "p1"}));
    let asks = json!({"customer": {"id": 77}, "data_request": {"id": 5}});
    ingest(
        &edge,
        &[
            delivery("a", "orders/create", &of_customer(7, 77, 1)),
            delivery("b", "refunds/create", &refund(7)),
        ],
    )
    .await;
    ingest(&edge, &[delivery("c", "orders/create", &of_customer(8, 78, 1))]).await;
    let record = json!([attribution]).to_string();
    edge.query_one("select weir.record_interactions($1::text::json)::text", &[&record])
        .await
        .unwrap();
    ingest(&edge, &[delivery("q", "customers/data_request", &asks.to_string())]).await;
    ingest(&edge, &[merge("m", 77, 78, "completed")]).await;
    for asked in [77, 78] {
        let data = call(
            &admin,
            "customer_data",
            &json!({"shop_domain": SHOP, "customer_id": asked}),
        )
        .await;
        assert_eq!(data["customer"]["customer_id"], 78, "{asked}: {data}");
        assert_eq!(data["merged_customers"][0]["customer_id"], 77);
        assert_eq!(data["data_requests"][0]["request_id"], 5);
        let orders = data["orders"].as_array().unwrap();
        assert_eq!(orders.len(), 2);
        assert_eq!(orders[0]["refund_lines"][0]["quantity"], 1);
        assert_eq!(orders[0]["interactions"][0]["event_id"], "e1");
        assert!(!orders[0]["sales_ledger"].as_array().unwrap().is_empty());
        let keys = data["customer_keys"].as_array().unwrap();
        let of: Vec<&str> = keys.iter().map(|one| one["customer_id"].as_str().unwrap()).collect();
        assert_eq!(of, ["77", "78"]);
        assert!(keys.iter().any(|one| one["customer_key"] == data["customer_key"]));
    }
}
