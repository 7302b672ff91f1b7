//! What weir asks of a database and of the transaction that calls it.

use serde_json::json;
use tokio_postgres::error::SqlState;
use weir_tests::postgres::connect;

use super::publication::interaction;
use super::{delivery, install, order, shop, SHOP};

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
async fn a_shop_that_is_registered_under_another_domain_is_told_of_the_one_before() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let register = |domain: &str| {
        let shop = json!({"shop_id": 1, "shop_domain": domain, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
        format!("select weir.register_shop('{shop}'::json) ->> 'previous_shop_domain'")
    };
    for (domain, before) in [("new.myshopify.com", SHOP), ("new.myshopify.com", "new.myshopify.com")] {
        let row = admin.query_one(&register(domain), &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<String>>(0).as_deref(), Some(before));
    }
}
