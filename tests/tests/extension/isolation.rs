//! What weir asks of a database and of the transaction that calls it.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use weir_tests::postgres::connect;

use super::privacy::call;
use super::publication::interaction;
use super::{delivery, ingest, install, order, shop, until_waiting, verdicts, SHOP};

#[tokio::test]
async fn whoever_would_not_see_a_redaction_is_refused() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let batch = json!([delivery("1", "orders/create", &order(7, 1, ""))]).to_string();
    let run = json!({"operation_id": "gid://shopify/BulkOperation/1", "operation_ids": [], "kind": "orders_core", "limit": 1,
        "source": "bulk_sync", "started_at": "2026-11-01T00:00:00Z", "received_at": "2026-11-01T00:00:00Z"});
    let person = json!({"shop_domain": SHOP, "customer_id": 5});
    let interaction = interaction("e1", "referral", 1, json!({"item_id": "i1"}));
    let registration = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
    let calls = [
        format!("select weir.ingest($${batch}$$::json)"),
        format!("select weir.ingest($${batch}$$::text)"),
        format!("select weir.ingest_bulk('{SHOP}', '{{}}', $${run}$$::json)"),
        format!("select weir.bulk_events('{SHOP}', $${run}$$::json)"),
        format!("select weir.record_interactions('[{interaction}]'::json)"),
        format!("select weir.redact_customer('{person}'::json)"),
        format!("select weir.redact_shop('{person}'::json)"),
        format!("select weir.customer_data('{person}'::json)"),
        format!("select weir.register_shop('{registration}'::json)"),
    ];
    for level in ["repeatable read", "serializable"] {
        for call in &calls {
            let begin = format!("begin isolation level {level}; {call}");
            let error = admin.batch_execute(&begin).await.unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!(
                error.code(),
                &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "{call}: {error}"
            );
            assert_eq!(error.message(), "the transaction is not read committed", "{call}");
            assert!(error.hint().unwrap().contains("default_transaction_isolation"));
            admin.batch_execute("rollback").await.unwrap();
        }
    }
    for call in &calls {
        admin.batch_execute(call).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let create = "create database ascii template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'";
    admin.batch_execute(create).await.unwrap();
    let name = "select current_database()::text";
    let name: String = admin.query_one(name, &[]).await.unwrap().get(0);
    let url = database.admin_url.replace(&format!("/{name}"), "/ascii");
    let refused = install().run(&url).await.unwrap_err().to_string();
    assert!(refused.contains("not encoded in UTF-8"), "{refused}");
    let tables = "select count(*) from pg_tables where schemaname = 'commerce'";
    let other = connect(&url).await.unwrap();
    assert_eq!(other.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
    drop(other);
    admin.batch_execute("drop database ascii with (force)").await.unwrap();
}

#[tokio::test]
async fn a_shop_moves_to_another_domain_only_where_that_is_meant() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    for (domain, hint) in [
        ("new.myshopify.com", "move_domain"),
        ("New.myshopify.com", "demo.myshopify.com"),
    ] {
        let error = admin.batch_execute(&register(domain, false)).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
        assert!(error.hint().unwrap().contains(hint), "{error:?}");
    }
    for (domain, before) in [("new.myshopify.com", SHOP), ("new.myshopify.com", "new.myshopify.com")] {
        let row = admin.query_one(&register(domain, before == SHOP), &[]).await.unwrap();
        let answer: Value = serde_json::from_str(row.get(0)).unwrap();
        assert_eq!(answer["previous_shop_domain"], before);
    }
}

fn register(domain: &str, is_meant: bool) -> String {
    let shop = json!({"shop_id": 1, "shop_domain": domain, "iana_time_zone": "Asia/Tokyo", "currency": "USD",
        "move_domain": is_meant});
    format!("select weir.register_shop('{shop}'::json)::text")
}

/// It is refused like whatever comes a moment later, and not taken without being kept. But who asks to be forgotten is: customers are
/// the same under each domain that their shop had.
#[tokio::test]
async fn what_waits_while_its_shop_moves_to_another_domain_is_refused() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let batch = json!([
        delivery("1", "orders/create", &order(7, 1, "")),
        delivery("2", "customers/redact", r#"{"customer": {"id": 77}}"#),
        delivery(
            "3",
            "products/create",
            r#"{"id": 11, "updated_at": "2026-11-01T00:00:00Z"}"#
        ),
    ]);
    let attributions = json!([interaction(
        "e1",
        "attribution",
        1,
        json!({"order_id": "7", "publisher_id": "p1"})
    )]);
    let line = json!({"id": "gid://shopify/Order/7"});
    let run = json!({"operation_id": "gid://shopify/BulkOperation/1", "kind": "orders_core", "source": "bulk_sync",
        "started_at": "2026-11-01T00:00:00Z", "received_at": "2026-11-01T00:00:00Z"});
    let calls = [
        (format!("select weir.ingest($${batch}$$::text)"), "deliveries", 3),
        (
            format!("select weir.record_interactions($${attributions}$$::json)::text"),
            "interactions",
            1,
        ),
        (
            format!("select weir.ingest_bulk('{SHOP}', $${line}$$, $${run}$$::json)::text"),
            "rejections",
            1,
        ),
    ];
    for (call, list, count) in calls {
        admin.batch_execute("begin").await.unwrap();
        admin.batch_execute(&register("new.myshopify.com", true)).await.unwrap();
        let (answer, ()) = tokio::join!(edge.query_one(&call, &[]), async {
            let watcher = database.admin().await.unwrap();
            until_waiting(&watcher, 1, || false).await;
            admin.batch_execute("commit").await.unwrap();
        });
        let answer: Value = serde_json::from_str(answer.unwrap().get(0)).unwrap();
        let reasons: Vec<&Value> = answer[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["reason"])
            .collect();
        let mut expected = vec![json!("unknown_shop"); count];
        if list == "deliveries" {
            expected[1] = Value::Null;
            assert_eq!(answer[list][1]["verdict"], "accepted");
        }
        assert_eq!(reasons, expected.iter().collect::<Vec<_>>(), "{answer}");
        admin.batch_execute(&register(SHOP, true)).await.unwrap();
    }
    for (table, count) in [
        ("commerce.order_header", 0),
        ("commerce.product", 0),
        ("commerce.webhook_delivery", 1),
        ("privacy.redaction", 1),
    ] {
        let rows = format!("select count(*) from {table}");
        let found: i64 = admin.query_one(&rows, &[]).await.unwrap().get(0);
        assert_eq!(found, count, "{table}");
    }
}

/// A request that waited in the quarantine while its shop moved names the domain of before.
#[tokio::test]
async fn a_customer_is_the_same_under_each_domain_that_their_shop_had() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let first = ingest(&edge, &[delivery("1", "orders/create", &order(7, 1, ""))]).await;
    let key = &first["events"][0]["customer_key"];
    admin.batch_execute(&register("new.myshopify.com", true)).await.unwrap();
    let asked = r#"{"customer": {"id": 77}, "data_request": {"id": 5}}"#;
    let batch = [
        delivery("2", "customers/data_request", asked),
        delivery("3", "orders/create", &order(8, 1, "")),
        delivery("4", "shop/redact", r#"{"shop_id": 1}"#),
    ];
    // What is for the shop that it was stays refused, in one batch with a request or alone.
    let answer = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted", "rejected", "rejected"]);
    assert_eq!(verdicts(&ingest(&edge, &batch[1..]).await), ["rejected"; 2]);
    // The lake knows the customer under both.
    for domain in [SHOP, "new.myshopify.com"] {
        let about = json!({"shop_domain": domain, "customer_id": 77});
        let data = call(&admin, "customer_data", &about).await;
        assert_eq!(data["data_requests"][0]["request_id"], 5);
        let keys = data["customer_keys"].as_array().unwrap();
        let domains: Vec<&Value> = keys.iter().map(|one| &one["shop_domain"]).collect();
        assert_eq!(domains, ["new.myshopify.com", SHOP]);
        assert_eq!(&keys[1]["customer_key"], key);
        assert_ne!(&keys[0]["customer_key"], key);
        let own = keys.iter().find(|one| one["shop_domain"] == domain).unwrap();
        assert_eq!(data["customer_key"], own["customer_key"]);
    }
    let redact = [delivery("5", "customers/redact", r#"{"customer": {"id": 77}}"#)];
    assert_eq!(verdicts(&ingest(&edge, &redact).await), ["accepted"]);
    assert_eq!(verdicts(&ingest(&edge, &redact).await), ["duplicate"]);
    let left = "select (select count(*) from privacy.salt), (select count(*) from commerce.order_header where customer_id is not null)";
    let row = admin.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    let whole = format!(r#"select weir.redact_shop('{{"shop_domain": "{SHOP}"}}'::json)"#);
    assert!(edge.query_one(&whole, &[]).await.is_err());

    // Whoever has the domain is asked first, and of two that had it nobody can say whose it is.
    let other = |domain: &str| {
        let shop = json!({"shop_id": 2, "shop_domain": domain, "iana_time_zone": "UTC", "currency": "USD", "move_domain": true});
        format!("select weir.register_shop('{shop}'::json)")
    };
    let redacted = "select count(*) from privacy.redaction where shop_id = $1";
    let redacted = async |shop_id: i64| admin.query_one(redacted, &[&shop_id]).await.unwrap().get::<_, i64>(0);
    admin.batch_execute(&other(SHOP)).await.unwrap();
    let redact = |id: i64| {
        [delivery(
            &id.to_string(),
            "customers/redact",
            &format!(r#"{{"customer": {{"id": {id}}}}}"#),
        )]
    };
    assert_eq!(verdicts(&ingest(&edge, &redact(81)).await), ["accepted"]);
    assert_eq!((redacted(1).await, redacted(2).await), (1, 1));
    admin.batch_execute(&other("other.myshopify.com")).await.unwrap();
    let answer = ingest(&edge, &redact(82)).await;
    assert_eq!(answer["deliveries"][0]["reason"], "unknown_shop");
    // Back again, it is no former one any more.
    admin.batch_execute(&register(SHOP, true)).await.unwrap();
    let sql = "select string_agg(array_to_string(former_domains, ' '), ', ' order by shop_id) from commerce.shop";
    let former: String = admin.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(former, "new.myshopify.com, demo.myshopify.com");
    assert_eq!(verdicts(&ingest(&edge, &redact(83)).await), ["accepted"]);
    assert_eq!((redacted(1).await, redacted(2).await), (2, 1));
}
