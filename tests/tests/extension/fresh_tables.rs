//! A first backfill: tables that were analysed while they were empty, and a session that fills them.

use jiff::Timestamp;
use serde_json::{json, Value};
use tokio_postgres::Client;
use weir_tests::bulk_jsonl::{jsonl, BulkShop, Sequence};

use super::bulk::{ingest_bulk, run_of};
use super::{order, shop, SHOP};

/// Orders of the fixture.
const COUNT: i64 = 1_000;
/// Orders of the first page: enough that PostgreSQL keeps its plan of the check, and as few as one page of the table.
const FIRST: i64 = 8;

async fn page(session: &Client, after: &Value, limit: i64) -> Value {
    let run = json!({"operation_ids": ["gid://shopify/BulkOperation/1", "gid://shopify/BulkOperation/2"], "source": "backfill", "after": after,
        "received_at": "2026-12-01T00:20:00.000Z", "limit": limit});
    let sql = "select weir.bulk_events($1, $2::text::json)::text";
    let row = session.query_one(sql, &[&SHOP, &run.to_string()]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

#[tokio::test]
async fn references_are_checked_by_key_once_the_tables_have_grown() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let mut told = BulkShop::default();
    for id in 1..=COUNT {
        let at: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        told.tell("orders/create", at, &serde_json::from_str(&order(id, 1, "")).unwrap());
    }
    let ever = Timestamp::MIN..Timestamp::MAX;
    let files = [
        ("orders_core", told.orders_core(ever.clone())),
        ("orders_ledger", told.orders_ledger(ever)),
    ];
    for (operation, (kind, lines)) in (1..).zip(files) {
        let lines = jsonl(lines, Sequence::Shuffled(1));
        ingest_bulk(
            &edge,
            SHOP,
            &lines,
            &run_of(operation, kind, "2026-12-01T00:00:00.000Z"),
        )
        .await;
    }
    admin.batch_execute("analyze").await.unwrap();

    // What checks a reference is a statement of PostgreSQL's own, whose plan the session keeps.
    let first = page(&edge, &Value::Null, FIRST).await;
    assert_eq!(first["next"], format!("Order/{FIRST}"));
    let second = page(&edge, &first["next"], COUNT * 4 / 5).await;
    assert_ne!(second["next"], Value::Null);
    // The view below also has what a session has not told yet of transactions before, which it does once a second.
    edge.batch_execute("select pg_stat_force_next_flush()").await.unwrap();
    edge.batch_execute("begin").await.unwrap();
    let third = page(&edge, &second["next"], COUNT).await;
    assert_eq!(third["next"], Value::Null);
    let sql = "select seq_scan, n_tup_ins from pg_stat_xact_user_tables
        where schemaname = 'commerce' and relname = 'order_header'";
    let row = edge.query_one(sql, &[]).await.unwrap();
    assert!(row.get::<_, i64>(1) > COUNT / 10);
    assert_eq!(row.get::<_, i64>(0), 0, "the orders are read as a whole");
}
