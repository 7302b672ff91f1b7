//! Plans that a session keeps: by key, whatever the tables held when they were made, and without a trace in the settings of
//! whoever calls.

use std::ops::Range;

use serde_json::Value;

use super::{delivery, ingest, order, shop, verdicts};

const SETTINGS: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings
    where name like 'enable\\_%' or name in ('jit', 'plan_cache_mode')";

/// Deliveries of orders, as they were in this second.
fn deliveries(orders: Range<i64>, second: u8) -> Vec<Value> {
    let told = |id: i64| delivery(&format!("{id} {second}"), "orders/updated", &order(id, second, ""));
    orders.map(told).collect()
}

#[tokio::test]
async fn rows_are_looked_up_by_their_keys_however_small_the_tables_were_when_it_was_planned() {
    let (database, _) = shop().await;
    let session = database.admin().await.unwrap();
    let known = deliveries(1..40, 1);
    ingest(&session, &known).await;
    // Of a few pages, and known to be: PostgreSQL would rather read such tables as a whole.
    session.batch_execute("analyze").await.unwrap();
    session.batch_execute("begin").await.unwrap();
    for _ in 0..3 {
        assert_eq!(verdicts(&ingest(&session, &known[..1]).await), ["duplicate"]);
    }
    ingest(&session, &deliveries(39..42, 2)).await;
    // What checks references to shops and orders are statements of PostgreSQL's own. The secret is one row.
    let sql = "select string_agg(relname, ', ' order by relname) from pg_stat_xact_user_tables
        where schemaname in ('commerce', 'privacy') and relname not in ('shop', 'order_header', 'secret') and seq_scan > 0";
    let read_as_a_whole: Option<String> = session.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(read_as_a_whole, None);
}

#[tokio::test]
async fn settings_that_a_plan_is_made_with_are_seen_by_nobody() {
    let (database, _) = shop().await;
    let session = database.admin().await.unwrap();
    session
        .batch_execute(&format!(
            "set enable_hashjoin = off;
            create table seen (settings text);
            create function remember() returns trigger language plpgsql as
                $$ begin insert into public.seen {SETTINGS}; return null; end $$;
            create trigger remember after insert on commerce.sales_ledger execute function remember()"
        ))
        .await
        .unwrap();
    let own: String = session.query_one(SETTINGS, &[]).await.unwrap().get(0);
    for id in 1..4 {
        let verdict = ingest(&session, &deliveries(id..id + 1, 1)).await;
        assert_eq!(verdicts(&verdict), ["accepted"]);
        // So that the next one plans anew.
        session.batch_execute("analyze").await.unwrap();
    }
    let sql = "select count(*), count(*) filter (where settings = $1) from seen";
    let row = session.query_one(sql, &[&own]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 3));
    let after: String = session.query_one(SETTINGS, &[]).await.unwrap().get(0);
    assert_eq!(after, own);
}
