//! Contract of weir in PostgreSQL, over its SQL functions alone. `main.rs` holds it against the extension, and
//! `sql_only.rs` against the SQL-only install.

mod bulk;
mod bulk_histories;
mod customers;
mod fresh_tables;
mod isolation;
mod known;
mod ledger_versions;
mod lines;
mod long_keys;
mod migration;
mod objectives;
pub mod permutation;
mod privacy;
mod publication;
mod readback;
mod redacted_orders;
mod registration;
mod retention;
mod revisions;
mod server_log;
mod time_zones;
mod undated;
mod unquoted;
mod variants;

use std::collections::BTreeMap;

use serde_json::{json, Value};
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;
use weir_domain::telemetry::commerce;
use weir_tests::postgres::{Cluster, Database, Install};
use weir_tests::shop::{DaySales, Shop};

pub const SHOP: &str = "demo.myshopify.com";
/// An order id of the fixtures, above 2^53: a float anywhere would change it.
pub const ORDER: &str = "820982911946154515";

/// What is held to the contract.
pub fn install() -> Install {
    if module_path!().starts_with("sql_only") {
        Install::SqlOnly
    } else {
        Install::Extension
    }
}

/// One cluster for all tests; locked while a database is copied from the template, which allows one copy at a time.
static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);

/// A database with one registered shop (Tokyo, US dollars), and the Workers' connection to it.
pub async fn shop() -> (Database, Client) {
    shop_in(install()).await
}

/// The same, installed in a named way.
pub async fn shop_in(install: Install) -> (Database, Client) {
    let database = {
        let mut cluster = CLUSTER.lock().await;
        if cluster.is_none() {
            *cluster = Some(Cluster::start().await.expect("PostgreSQL with the extension"));
        }
        cluster.as_ref().unwrap().database_with(install).await.unwrap()
    };
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
    let admin = database.admin().await.unwrap();
    admin
        .execute("select weir.register_shop($1::text::json)", &[&shop.to_string()])
        .await
        .unwrap();
    admin.batch_execute(LONG_REGISTERED).await.unwrap();
    let edge = database.edge().await.unwrap();
    (database, edge)
}

/// What deliveries of the tests ask for was asked after the shop was registered, whatever the time is.
pub const LONG_REGISTERED: &str = "update commerce.shop set registered_at = '2026-01-01'";

/// Waits until so many sessions of the database wait for a lock, or `is_over`.
pub async fn until_waiting(admin: &Client, sessions: i64, is_over: impl Fn() -> bool) {
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_over() && admin.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < sessions {
        assert!(std::time::Instant::now() < deadline, "nobody waits");
    }
}

pub fn delivery(webhook_id: &str, topic: &str, body: &str) -> Value {
    json!({"webhook_id": webhook_id, "topic": topic, "shop_domain": SHOP, "received_at": "2026-11-24T10:00:00.000Z",
        "triggered_at": null, "api_version": "2026-07", "body": body})
}

pub async fn ingest(client: &Client, deliveries: &[Value]) -> Value {
    let text = Value::from(deliveries).to_string();
    let row = client
        .query_one("select weir.ingest($1::text::json)::text", &[&text])
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    for event in answer["events"].as_array().unwrap() {
        assert_eq!(commerce().validate(event), Ok(()), "{event}");
    }
    answer
}

pub fn verdicts(answer: &Value) -> Vec<&str> {
    answer["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect()
}

pub fn types(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect()
}

pub fn order(id: i64, second: u8, extra: &str) -> String {
    format!(
        r#"{{{extra} "id": {id}, "currency": "USD", "processed_at": "2026-11-01T16:30:00Z", "customer": {{"id": 77,
        "email": "buyer@example.com"}}, "updated_at": "2026-11-01T16:30:{second:02}Z", "line_items": [
        {{"id": 1, "product_id": 11, "quantity": 2, "price": "10.00"}}]}}"#
    )
}

pub fn refund(order_id: i64) -> String {
    format!(
        r#"{{"id": 5, "order_id": {order_id}, "created_at": "2026-11-03T00:00:00Z", "refund_line_items": [{{"id": 6,
        "line_item_id": 1, "quantity": 1, "subtotal": 10.00, "line_item": {{"id": 1, "product_id": 11}}}}]}}"#
    )
}

/// The whole content of schema commerce, without what says when a delivery came.
pub async fn content(database: &Database) -> String {
    let admin = database.admin().await.unwrap();
    let tables = "select table_name::text from information_schema.tables where table_schema = 'commerce' order by 1";
    let mut content = String::new();
    for table in admin.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let rows =
            format!("select coalesce(string_agg(t::text, chr(10) order by t::text), '') from commerce.{table} as t");
        let rows: String = admin.query_one(&rows, &[]).await.unwrap().get(0);
        content.push_str(&format!("{table}\n{rows}\n"));
    }
    content
}

/// Ledger rows as (day, kind, units sold, units returned, net sales).
pub async fn ledger(database: &Database, order_id: i64) -> Vec<(String, String, i64, i64, i64)> {
    let sql = "select day::text, kind, units_sold, units_returned, net_sales_minor from commerce.sales_ledger
        where order_id = $1 order by day, kind, product_id";
    let rows = database.admin().await.unwrap().query(sql, &[&order_id]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect()
}

macro_rules! fixture {
    ($topic:literal, $file:literal) => {
        (
            $topic,
            include_str!(concat!("../../fixtures/webhooks/", $file, ".json")),
        )
    };
}

pub const FIXTURES: [(&str, &str); 25] = [
    fixture!("products/create", "products__create"),
    fixture!("products/update", "products__update"),
    fixture!("orders/create", "orders__create"),
    fixture!("orders/updated", "orders__updated"),
    fixture!("orders/paid", "orders__paid"),
    fixture!("order_transactions/create", "order_transactions__create"),
    fixture!("orders/partially_fulfilled", "orders__partially_fulfilled"),
    fixture!("fulfillments/create", "fulfillments__create"),
    fixture!("fulfillments/update", "fulfillments__update"),
    fixture!("orders/fulfilled", "orders__fulfilled"),
    fixture!("orders/edited", "orders__edited"),
    fixture!("refunds/create", "refunds__create"),
    fixture!("returns/request", "returns__request"),
    fixture!("returns/approve", "returns__approve"),
    fixture!("returns/update", "returns__update"),
    fixture!("returns/close", "returns__close"),
    fixture!("returns/reopen", "returns__reopen"),
    fixture!("returns/decline", "returns__decline"),
    fixture!("returns/cancel", "returns__cancel"),
    fixture!("orders/cancelled", "orders__cancelled"),
    fixture!("customers/create", "customers__create"),
    fixture!("customers/update", "customers__update"),
    fixture!("customers/delete", "customers__delete"),
    fixture!("products/delete", "products__delete"),
    fixture!("orders/delete", "orders__delete"),
];

#[tokio::test]
async fn every_topic_is_accepted_and_a_repetition_changes_nothing() {
    let (database, edge) = shop().await;
    let mut answers = Vec::new();
    for (topic, body) in FIXTURES {
        let answer = ingest(&edge, &[delivery(topic, topic, body)]).await;
        assert_eq!(verdicts(&answer), ["accepted"], "{topic}: {answer}");
        answers.push(answer);
    }
    let told: Vec<String> = answers
        .iter()
        .flat_map(|answer| types(answer).into_iter().map(str::to_owned))
        .collect();
    for event_type in [
        "order_created",
        "order_completed",
        "order_cancelled",
        "order_updated",
        "payment_captured",
        "payment_refunded",
        "fulfillment_shipped",
        "return_requested",
        "product_changed",
    ] {
        assert!(
            told.iter().any(|one| one == event_type),
            "{event_type} is missing in {told:?}"
        );
    }
    let before = content(&database).await;
    for ((topic, body), first) in FIXTURES.iter().zip(&answers) {
        let again = ingest(&edge, &[delivery(topic, topic, body)]).await;
        assert_eq!(verdicts(&again), ["duplicate"]);
        assert_eq!(
            again["deliveries"][0]["event_ids"], first["deliveries"][0]["event_ids"],
            "{topic}"
        );
        assert_eq!(types(&again), types(first), "{topic}");
    }
    assert_eq!(content(&database).await, before);
}

#[tokio::test]
async fn ids_above_2_to_the_53_are_exact_and_no_personal_data_is_kept() {
    let (database, edge) = shop().await;
    let answer = ingest(&edge, &[delivery("a", "orders/create", FIXTURES[2].1)]).await;
    let event = &answer["events"][0];
    assert_eq!(event["order_id"], ORDER);
    let stored: i64 = database
        .admin()
        .await
        .unwrap()
        .query_one("select order_id from commerce.order_header", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(stored.to_string(), ORDER);
    for text in [content(&database).await, answer.to_string()] {
        for personal in [
            "example.com",
            "Invented address1",
            "+00 000",
            "00000\"",
            "order_status_url",
        ] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
    assert_eq!(event["customer_key"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn an_update_before_its_create_and_an_old_update_after_a_new_one() {
    let (database, edge) = shop().await;
    let first = ingest(
        &edge,
        &[delivery(
            "u",
            "orders/updated",
            &order(7, 30, r#""financial_status": "paid","#),
        )],
    )
    .await;
    assert_eq!(types(&first), ["order_created"]);
    let late = ingest(
        &edge,
        &[delivery(
            "c",
            "orders/create",
            &order(7, 1, r#""financial_status": "pending","#),
        )],
    )
    .await;
    assert_eq!((verdicts(&late), types(&late)), (vec!["stale"], vec![]));
    let status: String = database
        .admin()
        .await
        .unwrap()
        .query_one("select financial_status from commerce.order_header", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(status, "paid");
    // Equal updated_at is applied: it has a resolution of one second.
    let tie = ingest(
        &edge,
        &[delivery(
            "t",
            "orders/updated",
            &order(7, 30, r#""cancelled_at": "2026-11-05T00:00:00Z","#),
        )],
    )
    .await;
    assert_eq!(
        (verdicts(&tie), types(&tie)),
        (vec!["accepted"], vec!["order_cancelled"])
    );
    let rows = ledger(&database, 7).await;
    // 16:30 UTC on the 1st is the 2nd in Tokyo.
    let row = |day: &str, kind: &str, sold, returned, net| (day.to_owned(), kind.to_owned(), sold, returned, net);
    assert_eq!(
        rows,
        [
            row("2026-11-02", "sale", 2, 0, 2000),
            row("2026-11-05", "cancellation", 0, 2, -2000)
        ]
    );
}

#[tokio::test]
async fn a_refund_before_its_order() {
    let (database, edge) = shop().await;
    let early = ingest(&edge, &[delivery("r", "refunds/create", &refund(7))]).await;
    assert_eq!(types(&early), ["payment_refunded"]);
    assert!(early["events"][0].get("sales").is_none());
    let answer = ingest(&edge, &[delivery("c", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(types(&answer), ["order_created"]);
    assert_eq!(answer["events"][0]["sales"].as_array().unwrap().len(), 2);
    let days: Vec<String> = ledger(&database, 7).await.into_iter().map(|row| row.0).collect();
    assert_eq!(days, ["2026-11-02", "2026-11-03"]);
}

#[tokio::test]
async fn a_return_is_told_at_first_sight_and_its_newest_status_stays_in_any_sequence() {
    let at = |second: u8, topic: &str, status: &str, name: &str| {
        let order = match topic {
            "returns/close" => r#""order_id": 7"#,
            _ => r#""order": {"id": 7}"#,
        };
        let body = format!(r#"{{"id": 900, {order}, {name} "status": "{status}"}}"#);
        let mut delivery = delivery(topic, topic, &body);
        delivery["triggered_at"] = format!("2026-11-24T09:00:{second:02}.000Z").into();
        delivery
    };
    let history = [
        at(1, "returns/request", "requested", r##""name": "#1-R1","##),
        at(2, "returns/approve", "open", r##""name": "#1-R1","##),
        at(3, "returns/close", "closed", ""),
        delivery(
            "u",
            "returns/update",
            r#"{"admin_graphql_api_id": "gid://shopify/Return/900"}"#,
        ),
        delivery("c", "orders/create", &order(7, 1, "")),
    ];
    let mut contents = Vec::new();
    for sequence in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 1, 0, 4, 2], [2, 0, 4, 1, 3]] {
        let (database, edge) = shop().await;
        let mut told = Vec::new();
        for index in sequence {
            let answer = ingest(&edge, &history[index..=index]).await;
            assert!(["accepted", "stale"].contains(&verdicts(&answer)[0]), "{answer}");
            told.extend(answer["events"].as_array().unwrap().clone());
        }
        let returns: Vec<_> = told
            .iter()
            .filter(|event| event["event_type"] == "return_requested")
            .collect();
        assert_eq!(returns.len(), 1, "{told:?}");
        let id = weir_domain::telemetry::event_id(SHOP, "return_requested", "gid://shopify/Return/900", "");
        assert_eq!(
            (
                &returns[0]["event_id"],
                &returns[0]["return_id"],
                &returns[0]["order_id"]
            ),
            (&json!(id), &json!("900"), &json!("7"))
        );
        let sql = "select r.name, r.status, r.requested_at::text, revision > 0 from commerce.order_return as r
            join commerce.order_header using (shop_id, order_id)";
        let admin = database.admin().await.unwrap();
        admin.batch_execute("set time zone 'UTC'").await.unwrap();
        let row = admin.query_one(sql, &[]).await.unwrap();
        assert!(row.get::<_, bool>(3));
        contents.push((row.get(0), row.get(1), row.get(2), ledger(&database, 7).await));
    }
    let expected: (String, String, String) = ("#1-R1".into(), "closed".into(), "2026-11-24 09:00:01+00".into());
    for (name, status, requested_at, sold) in contents {
        assert_eq!((name, status, requested_at), expected);
        assert_eq!(sold.len(), 1);
    }
}

#[tokio::test]
async fn a_deleted_order_stays_deleted() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("c", "orders/create", &order(7, 1, ""))]).await;
    let gone = ingest(&edge, &[delivery("d", "orders/delete", r#"{"id": 7}"#)]).await;
    assert_eq!(types(&gone), ["order_updated"]);
    assert_eq!(
        (&gone["events"][0]["is_deleted"], &gone["events"][0]["sales"]),
        (&json!(true), &json!([]))
    );
    let late = ingest(&edge, &[delivery("u", "orders/updated", &order(7, 50, ""))]).await;
    assert_eq!((verdicts(&late), types(&late)), (vec!["stale"], vec![]));
    assert!(ledger(&database, 7).await.is_empty());
}

#[tokio::test]
async fn a_bad_delivery_is_refused_alone_and_not_remembered() {
    let (database, edge) = shop().await;
    let mut stranger = delivery("s", "orders/create", &order(1, 1, ""));
    stranger["shop_domain"] = "nobody.myshopify.com".into();
    let mut untimed = delivery("x", "orders/create", &order(1, 1, ""));
    untimed.as_object_mut().unwrap().remove("received_at");
    let batch = [
        delivery("1", "orders/create", &order(7, 1, "")),
        delivery("2", "orders/create", r#"{"id": 8, "name": "a\u0000b"}"#),
        delivery("3", "orders/create", r#"{"id": 9"#),
        delivery("4", "orders/create", r#"{"name": "no id"}"#),
        delivery("5", "orders/create", r#"{"id": null}"#),
        delivery(
            "6",
            "orders/create",
            r#"{"id": 10, "line_items": [{"id": 1, "price": "ten"}]}"#,
        ),
        delivery("7", "orders/create", r#"{"id": 11, "unread": 1e400000}"#),
        delivery("8", "carts/update", "{}"),
        stranger,
        delivery("n1", "shop/update", r#"{"id": 1, "iana_timezone": null}"#),
        delivery("n2", "app/uninstalled", r#"{"id": 1, "email": "owner@example.com"}"#),
        delivery("n3", "bulk_operations/finish", "{}"),
        untimed,
        json!(null),
        delivery("9", "orders/create", &order(12, 1, "")),
    ];
    let answer = ingest(&edge, &batch).await;
    let found: Vec<(&str, &str)> = answer["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["verdict"].as_str().unwrap(), one["reason"].as_str().unwrap_or("")))
        .collect();
    let expected = [
        ("accepted", ""),
        ("rejected", "invalid_text"),
        ("rejected", "parse_failure"),
        ("rejected", "missing_field"),
        ("rejected", "null_value"),
        ("rejected", "type_mismatch"),
        ("rejected", "type_mismatch"),
        ("ignored", "unsupported_topic"),
        ("rejected", "unknown_shop"),
        ("ignored", ""),
        ("ignored", ""),
        ("ignored", ""),
        ("rejected", "missing_field"),
        ("rejected", "type_mismatch"),
        ("accepted", ""),
    ];
    assert_eq!(found, expected, "{answer}");
    assert_eq!(
        answer["deliveries"][5]["detail"],
        "line_items[0].price: expected a decimal amount of the currency"
    );
    let admin = database.admin().await.unwrap();
    let orders: i64 = admin
        .query_one("select count(*) from commerce.order_header", &[])
        .await
        .unwrap()
        .get(0);
    let kept: i64 = admin
        .query_one("select count(*) from commerce.webhook_delivery", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!((orders, kept), (2, 2));
    let repaired = ingest(&edge, &[delivery("3", "orders/create", &order(9, 1, ""))]).await;
    assert_eq!(verdicts(&repaired), ["accepted"]);
}

#[tokio::test]
async fn a_variant_price_that_does_not_fit_the_currency_does_not_hold_up_its_product() {
    let (database, edge) = shop().await;
    let body = |second: u8, status: &str, price: &str| {
        format!(
            r#"{{"id": 11, "title": "Lamp", "status": "{status}", "updated_at": "2026-11-01T00:00:0{second}Z",
            "variants": [{{"id": 1, "price": "12.50"}}, {{"id": 2, "price": {price}}}]}}"#
        )
    };
    let sql = "select price_minor, price_text from commerce.product_variant order by variant_id";
    let admin = database.admin().await.unwrap();
    let versions = [
        (1, "active", "\"12.505\"", None, Some("12.505")),
        (2, "archived", "1e9", None, Some("1e9")),
        (3, "draft", "\"12.505000\"", None, Some("12.505000")),
        (4, "active", "13", Some(1300), None),
        (5, "draft", "null", None, None),
    ];
    for (second, status, sent, minor, text) in versions {
        let delivery = delivery(&second.to_string(), "products/update", &body(second, status, sent));
        let answer = ingest(&edge, &[delivery]).await;
        assert_eq!(
            (verdicts(&answer), types(&answer)),
            (vec!["accepted"], vec!["product_changed"])
        );
        assert_eq!(answer["events"][0]["product_status"], status);
        let rows = admin.query(sql, &[]).await.unwrap();
        let found: Vec<(Option<i64>, Option<&str>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, [(Some(1250), None), (minor, text)], "{sent}");
    }
    let answer = ingest(&edge, &[delivery("6", "products/update", &body(6, "active", "[]"))]).await;
    assert_eq!(answer["deliveries"][0]["reason"], "type_mismatch");
}

#[tokio::test]
async fn the_same_order_twice_in_one_batch() {
    let (database, edge) = shop().await;
    let batch = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("b", "orders/paid", &order(7, 2, r#""financial_status": "paid","#)),
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("r", "refunds/create", &refund(7)),
    ];
    let answer = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted", "accepted", "duplicate", "accepted"]);
    assert_eq!(types(&answer), ["order_created", "payment_refunded"]);
    assert_eq!(ledger(&database, 7).await.len(), 2);
}

#[tokio::test]
async fn a_line_that_vanished_is_removed_and_a_revision_only_grows() {
    let (database, edge) = shop().await;
    let first = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let moved = order(7, 1, "").replace(r#""id": 1, "product_id": 11"#, r#""id": 2, "product_id": 12"#);
    let second = ingest(&edge, &[delivery("b", "orders/updated", &moved)]).await;
    assert_eq!(types(&second), ["order_updated"]);
    let revision = |answer: &Value| answer["events"][0]["order_revision"].as_i64().unwrap();
    assert!(revision(&second) > revision(&first));
    let lines: Vec<i64> = database
        .admin()
        .await
        .unwrap()
        .query("select line_item_id from commerce.order_line_item", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(lines, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_writers_over_the_same_orders_do_not_deadlock() {
    const ORDERS: i64 = 40;
    let (database, _edge) = shop().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6_i64 {
        let client = database.edge().await.unwrap();
        writers.spawn(async move {
            for round in 0..4_i64 {
                // Each writer walks the same orders and products in another sequence.
                let mut batch = Vec::new();
                for step in 0..ORDERS {
                    let id = 100 + (step * 7 + writer * 13 + round) % ORDERS;
                    let name = format!("{writer}-{round}-{step}");
                    batch.push(delivery(
                        &name,
                        "orders/updated",
                        &order(id, (writer * 4 + round) as u8, ""),
                    ));
                    batch.push(delivery(
                        &name,
                        "products/update",
                        &format!(r#"{{"id": {id}, "title": "{name}"}}"#),
                    ));
                }
                let answer = ingest(&client, &batch).await;
                assert!(verdicts(&answer)
                    .iter()
                    .all(|verdict| matches!(*verdict, "accepted" | "stale")));
            }
        });
    }
    while let Some(finished) = writers.join_next().await {
        finished.expect("a writer failed");
    }
    let admin = database.admin().await.unwrap();
    let sql = "select count(*), count(*) filter (where updated_at = '2026-11-01T16:30:23Z') from commerce.order_header";
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (ORDERS, ORDERS));
    let rows: i64 = admin
        .query_one("select count(*) from commerce.sales_ledger", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(rows, ORDERS);
}

#[tokio::test]
async fn dropping_the_functions_keeps_the_data() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let before = content(&database).await;
    let admin = database.admin().await.unwrap();
    let drop = match install() {
        Install::Extension => "drop extension weir",
        Install::SqlOnly => "drop schema weir, weir_sql cascade",
    };
    admin.batch_execute(drop).await.unwrap();
    install().run(&database.admin_url).await.unwrap();
    assert_eq!(content(&database).await, before);
    let again = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(verdicts(&again), ["duplicate"]);
}

#[tokio::test]
async fn a_call_that_is_no_list_is_an_error_without_its_payload() {
    let (_database, edge) = shop().await;
    let error = edge
        .query_one("select weir.ingest('{\"secret\": 1}'::json)::text", &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
    assert!(error.hint().is_some() && error.detail().is_some());
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn the_workers_login_can_ingest_and_little_else() {
    let (_database, edge) = shop().await;
    for sql in [
        "select weir.migrate()",
        "select weir.register_shop('{}'::json)",
        "select weir.publish_objective('{}'::json)",
        "delete from configuration.macrodata_artifact",
        "delete from commerce.order_header",
        "update commerce.shop set name = 'x'",
        "truncate commerce.sales_ledger",
        "delete from privacy.salt",
        "select secret from privacy.secret",
        "select salt from privacy.salt",
        "select raw from commerce.order_header",
    ] {
        let error = edge.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
}

#[tokio::test]
async fn the_workers_login_executes_the_api_and_touches_no_table() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    // An earlier version gave these; a migration takes them away.
    let earlier =
        "grant usage on schema privacy to weir_edge; grant select on privacy.secret, privacy.salt to weir_edge;
        grant select (shop_id, request_id) on privacy.data_request to weir_edge";
    admin.batch_execute(earlier).await.unwrap();
    admin.batch_execute("select weir.migrate()").await.unwrap();
    let sql = "select object from (
            select relation.oid::regclass::text as object, relation.relnamespace from pg_class as relation
            where relkind in ('r', 'v') and (has_table_privilege('weir_edge', oid, 'select, insert, update, delete')
                or has_any_column_privilege('weir_edge', oid, 'select, insert, update'))
            union all
            select nspname, oid from pg_namespace
            where nspname <> 'weir' and has_schema_privilege('weir_edge', oid, 'usage')
        ) as allowed
        where relnamespace::regnamespace::text ~ '^(commerce|configuration|privacy|publication|weir.*)$'";
    let allowed = admin.query(sql, &[]).await.unwrap();
    let allowed: Vec<String> = allowed.iter().map(|row| row.get(0)).collect();
    assert!(allowed.is_empty(), "{allowed:?}");
    // What runs with the owner's rights finds no function or operator that its caller put in the way.
    let sql = "select p.oid::regprocedure::text from pg_proc as p where p.pronamespace = 'weir'::regnamespace
        and has_function_privilege('weir_edge', p.oid, 'execute') and p.proname <> 'version'
        and not (p.prosecdef and 'search_path=pg_catalog, pg_temp' = any (p.proconfig))";
    assert_eq!(admin.query(sql, &[]).await.unwrap().len(), 0);

    let body = order(7, 1, "");
    let keys = async |webhook_id: &str| {
        let answer = ingest(&edge, &[delivery(webhook_id, "orders/create", &body)]).await;
        assert_eq!(verdicts(&answer).len(), 1);
        answer["events"][0]["customer_key"].as_str().map(str::to_owned)
    };
    let key = keys("a").await;
    assert!(key.is_some());
    assert_eq!(keys("a").await, key);
    let forget = r#"{"shop_domain": "demo.myshopify.com", "customer_id": 77}"#;
    let sql = "select weir.redact_customer($1::text::json)::text";
    edge.query_one(sql, &[&forget]).await.unwrap();
    // The digest of who was forgotten is found again.
    let later = order(8, 1, "");
    let answer = ingest(&edge, &[delivery("c", "orders/create", &later)]).await;
    assert_eq!(answer["events"][0]["event_type"], "order_created");
    assert_eq!(answer["events"][0]["customer_key"], Value::Null);
}

#[tokio::test]
async fn readers_read_what_names_no_person() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let reader = database.admin().await.unwrap();
    reader.batch_execute("set role weir_reader").await.unwrap();
    for table in ["order_enriched", "sales_ledger"] {
        let sql = format!("select count(*) from commerce.{table}");
        let row = reader.query_one(&sql, &[]).await.expect(&sql);
        assert_eq!(row.get::<_, i64>(0), 1, "{table}");
    }
    let sql = "select relation.oid::regclass::text from pg_class as relation
        where relkind in ('r', 'v')
        and relnamespace::regnamespace::text in ('commerce', 'publication', 'configuration', 'privacy')
        and has_table_privilege('weir_reader', relation.oid, 'select') order by 1";
    let rows = reader.query(sql, &[]).await.unwrap();
    let readable: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        readable,
        [
            "commerce.order_enriched",
            "commerce.product",
            "commerce.product_variant",
            "commerce.sales_ledger",
            "commerce.shop",
            "configuration.macrodata_artifact",
            "configuration.objective_change",
            "configuration.schema_migration",
            "publication.item",
            "publication.program",
            "publication.publisher"
        ]
    );
    let write = "delete from commerce.sales_ledger";
    let error = reader.batch_execute(write).await.expect_err(write);
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let (database, _edge) = shop().await;
    let sql = "select c.oid::regclass::text || coalesce('.' || a.attname, '')
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname in ('commerce', 'configuration', 'privacy', 'publication') and c.relkind in ('r', 'v')
        and (coalesce(col_description(c.oid, a.attnum), '') !~ '\\[.+\\]$'
            or coalesce(obj_description(c.oid, 'pg_class'), '') !~ '\\[.+\\]$')";
    let silent = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    let silent: Vec<String> = silent.iter().map(|row| row.get(0)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_delivery_on_two_connections_at_once_is_applied_once() {
    let (database, first) = shop().await;
    let second = database.edge().await.unwrap();
    for id in 0..20_i64 {
        let batch = [delivery(&id.to_string(), "orders/create", &order(100 + id, 1, ""))];
        let (one, two) = tokio::join!(ingest(&first, &batch), ingest(&second, &batch));
        let mut found = [verdicts(&one)[0], verdicts(&two)[0]];
        found.sort_unstable();
        assert_eq!(found, ["accepted", "duplicate"]);
        assert_eq!(one["events"], two["events"]);
    }
}

#[tokio::test]
async fn a_dump_and_restore_keeps_the_data() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let before = content(&database).await;
    let admin = database.admin().await.unwrap();
    let publish =
        format!("select weir.publish_objective('{{\"shop_domain\": \"{SHOP}\", \"measure\": \"net_units\"}}'::json)");
    admin.batch_execute(&publish).await.unwrap();
    admin.batch_execute("create database restored").await.unwrap();
    let name: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let restored = |url: &str| url.replace(&format!("/{name}"), "/restored");
    let restored = Database {
        admin_url: restored(&database.admin_url),
        edge_url: restored(&database.edge_url),
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump.sql");
    for (tool, url, option) in [
        ("pg_dump", &database.admin_url, "--file"),
        ("psql", &restored.admin_url, "--file"),
    ] {
        let output = std::process::Command::new(tool_path(tool))
            .arg(url)
            .arg(option)
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !errors.contains("ERROR"), "{tool}: {errors}");
    }
    assert_eq!(content(&restored).await, before);
    let edge = restored.edge().await.unwrap();
    assert_eq!(
        verdicts(&ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await),
        ["duplicate"]
    );
    // Revisions and the change log go on where they were.
    restored.admin().await.unwrap().batch_execute(&publish).await.unwrap();
    let changes = "select string_agg(sequence || '-' || revision, ' ' order by sequence) from
        configuration.objective_change";
    let row = restored.admin().await.unwrap().query_one(changes, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "1-1 2-2");
}

pub fn tool_path(tool: &str) -> std::path::PathBuf {
    let pg_config = std::env::var("WEIR_PG_CONFIG").unwrap_or("/usr/lib/postgresql/15/bin/pg_config".into());
    let output = std::process::Command::new(pg_config).arg("--bindir").output().unwrap();
    std::path::Path::new(String::from_utf8(output.stdout).unwrap().trim()).join(tool)
}

#[tokio::test]
async fn the_server_is_of_the_version_that_was_asked_for() {
    let (_database, edge) = shop().await;
    let server: String = edge.query_one("show server_version", &[]).await.unwrap().get(0);
    let output = std::process::Command::new(tool_path("pg_config"))
        .arg("--version")
        .output()
        .unwrap();
    let asked = String::from_utf8(output.stdout).unwrap();
    let major = |text: &str| text.split('.').next().map(str::to_owned);
    assert_eq!(major(asked.trim_start_matches("PostgreSQL ")), major(&server));
}

/// What the sync Worker compares with Shopify before it reads a shop.
#[tokio::test]
async fn a_registration_says_how_the_shop_is_registered() {
    let (_database, edge) = shop().await;
    let told = async |domain: &str| {
        let sql = "select weir.registration($1)::text";
        let row = edge.query_one(sql, &[&domain]).await.unwrap();
        serde_json::from_str::<Value>(row.get(0)).unwrap()
    };
    let known = told(SHOP).await;
    assert_eq!(
        json!([known["iana_time_zone"], known["currency"], known["is_forgotten"]]),
        json!(["Asia/Tokyo", "USD", false])
    );
    let nobody = json!({"registered_at": null, "iana_time_zone": null, "currency": null, "is_forgotten": false});
    assert_eq!(told("nobody.myshopify.com").await, nobody);
}

/// Every shop of the harness in the sequence of time, backwards, and shuffled: the ledger equals the sums that the
/// harness made without weir.
#[tokio::test]
async fn the_ledger_of_a_whole_history_is_exact_in_any_sequence() {
    let now: jiff::Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
    for shop_of in [Shop::tokyo(), Shop::paris()] {
        let history = shop_of.history(now);
        for stride in [1, history.deliveries.len() - 1, 7919] {
            let (database, edge) = shop().await;
            let admin = database.admin().await.unwrap();
            let registration = shop_of.registration().to_string();
            admin
                .execute("select weir.register_shop($1::text::json)", &[&registration])
                .await
                .unwrap();
            let count = history.deliveries.len();
            // 7919 is prime and the last stride walks backwards: each sequence holds every delivery once.
            let sequence = (1..=count).map(|step| history.deliveries[step * stride % count].to_ingest());
            for batch in sequence.collect::<Vec<_>>().chunks(100) {
                let answer = ingest(&edge, batch).await;
                assert!(
                    verdicts(&answer)
                        .iter()
                        .all(|verdict| ["accepted", "stale"].contains(verdict)),
                    "{answer}"
                );
            }
            let sql = "select product_id, day::text, sum(units_sold)::bigint, sum(units_returned)::bigint,
                sum(gross_sales_minor)::bigint, sum(discounts_minor)::bigint, sum(returns_minor)::bigint
                from commerce.sales_ledger group by 1, 2";
            let rows = admin.query(sql, &[]).await.unwrap();
            let found = rows.iter().map(|row| {
                let sales = DaySales {
                    units_sold: row.get(2),
                    units_returned: row.get(3),
                    gross_sales: row.get(4),
                    discounts: row.get(5),
                    returns: row.get(6),
                };
                ((row.get(0), row.get(1)), sales)
            });
            let found: BTreeMap<(String, String), DaySales> = found.collect();
            let differing: Vec<_> = history
                .sales
                .iter()
                .filter(|(key, sales)| found.get(*key) != Some(*sales))
                .collect();
            assert!(
                differing.is_empty(),
                "{stride}: {:?} is {:?}",
                differing[0],
                found.get(differing[0].0)
            );
            assert_eq!(found.len(), history.sales.len());
        }
    }
}
