//! References from the parts of an order to it, and from orders and customers to their shop: not looked up by PostgreSQL where
//! the call itself has made or locked what is referred to, and true all the same.

use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use super::{content, delivery, ingest, order, refund, shop, verdicts};

async fn rows(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_order_is_not_looked_up_for_each_of_its_parts() {
    let (database, _) = shop().await;
    let session = database.admin().await.unwrap();
    session.batch_execute("begin").await.unwrap();
    let told = |id: i64| delivery(&format!("{id}"), "orders/create", &order(id, 1, ""));
    let batch: Vec<_> = (1..=50).map(told).collect();
    ingest(&session, &batch).await;
    let scans =
        "select idx_scan from pg_stat_xact_user_tables where schemaname = 'commerce' and relname = 'order_header'";
    // Once for the conflict that there is none of; each has a line and a row of its ledger.
    assert_eq!(rows(&session, scans).await, 50);
    assert_eq!(rows(&session, "select count(*) from commerce.sales_ledger").await, 50);
    // A shop twice in all: by its domain, and when it is locked.
    let scans =
        "select seq_scan + idx_scan from pg_stat_xact_user_tables where schemaname = 'commerce' and relname = 'shop'";
    assert_eq!(rows(&session, scans).await, 2);
}

#[tokio::test]
async fn a_shop_cannot_be_deleted_under_a_batch() {
    let (database, _) = shop().await;
    let (session, other) = (database.admin().await.unwrap(), database.admin().await.unwrap());
    session.batch_execute("begin").await.unwrap();
    ingest(&session, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    other.batch_execute("set lock_timeout = '100ms'").await.unwrap();
    let error = other.batch_execute("delete from commerce.shop").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    session.batch_execute("commit").await.unwrap();
    let error = other.batch_execute("delete from commerce.shop").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
}

#[tokio::test]
async fn every_other_statement_is_held_to_them() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    ingest(&edge, &[delivery("b", "refunds/create", &refund(7))]).await;
    let admin = database.admin().await.unwrap();
    let sql = "update commerce.order_line_item set order_id = 8";
    let error = admin.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
    let sql = "insert into commerce.sales_agreement values (1, 8, 1, now(), 'order')";
    let error = admin.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
    admin.batch_execute("delete from commerce.order_header").await.unwrap();
    for part in ["order_line_item", "refund", "refund_line_item", "sales_ledger"] {
        assert_eq!(
            rows(&admin, &format!("select count(*) from commerce.{part}")).await,
            0,
            "{part}"
        );
    }
}

#[tokio::test]
async fn nothing_is_taken_for_granted_where_somebody_has_a_trigger_of_their_own() {
    for (table, makes_it_vanish) in [
        ("order_header", "before insert on commerce.order_header for each row"),
        (
            "order_line_item",
            "after insert on commerce.order_line_item for each statement",
        ),
    ] {
        let (database, edge) = shop().await;
        let admin = database.admin().await.unwrap();
        let before = content(&database).await;
        let sql = format!(
            "create function public.vanish() returns trigger language plpgsql security definer as
                $$ begin delete from commerce.order_header; return null; end $$;
            create trigger vanish {makes_it_vanish} execute function public.vanish()"
        );
        admin.batch_execute(&sql).await.unwrap();
        let batch = serde_json::json!([delivery("a", "orders/create", &order(7, 1, ""))]).to_string();
        let call = "select weir.ingest($1::text)";
        let error = edge.query_one(call, &[&batch]).await.expect_err(table);
        assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{table}");
        assert_eq!(content(&database).await, before);
        admin
            .batch_execute("drop function public.vanish() cascade")
            .await
            .unwrap();
        assert_eq!(
            verdicts(&ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await),
            ["accepted"]
        );
    }
}

#[tokio::test]
async fn triggers_of_others_still_run() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let sql = "create table public.seen (line bigint);
        create function public.see() returns trigger language plpgsql security definer as
            $$ begin insert into public.seen values (new.line_item_id); return null; end $$;
        create trigger see after insert on commerce.order_line_item for each row execute function public.see()";
    admin.batch_execute(sql).await.unwrap();
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(rows(&admin, "select count(*) from public.seen").await, 1);
}
