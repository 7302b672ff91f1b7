//! A shop that moves to another time zone: days of the ledger are those of the zone it has now.

use std::collections::BTreeSet;

use serde_json::{json, Value};
use weir_tests::postgres::Database;

use super::{delivery, ingest, ledger, order, refund, shop, types, verdicts, SHOP};

/// Registers the shop anew; how many orders' ledgers moved.
async fn register(database: &Database, zone: &str) -> i64 {
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": zone, "currency": "USD"});
    let admin = database.admin().await.unwrap();
    let sql = "select weir.register_shop($1::text::json)::text";
    let row = admin.query_one(sql, &[&shop.to_string()]).await.unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    assert_eq!(answer["iana_time_zone"], zone);
    answer["moved_orders"].as_i64().expect("how many orders moved")
}

/// (day, kind) of an event's ledger.
fn told_days(event: &Value) -> BTreeSet<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = event["sales"].as_array().unwrap();
    rows.iter().map(|row| (text(row, "day"), text(row, "kind"))).collect()
}

async fn stored_days(database: &Database, order_id: i64) -> BTreeSet<(String, String)> {
    let rows = ledger(database, order_id).await;
    rows.into_iter().map(|row| (row.0, row.1)).collect()
}

fn days<const N: usize>(rows: [(&str, &str); N]) -> BTreeSet<(String, String)> {
    rows.map(|(day, kind)| (day.to_owned(), kind.to_owned())).into()
}

#[tokio::test]
async fn a_shop_that_moves_takes_its_ledgers_with_it() {
    let (database, edge) = shop().await;
    // 16:30 UTC on the 1st is the 2nd in Tokyo; the refund of midnight UTC is on the 3rd in both.
    let batch = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("r", "refunds/create", &refund(7)),
        delivery(
            "b",
            "orders/create",
            &order(8, 1, "").replace("T16:30:00Z", "T10:00:00Z"),
        ),
    ];
    let first = ingest(&edge, &batch).await;
    assert_eq!(
        stored_days(&database, 7).await,
        days([("2026-11-02", "sale"), ("2026-11-03", "return")])
    );
    assert_eq!(register(&database, "Asia/Tokyo").await, 0);
    // Order 8 is of the 1st in both.
    assert_eq!(register(&database, "UTC").await, 1);
    let moved = days([("2026-11-01", "sale"), ("2026-11-03", "return")]);
    assert_eq!(stored_days(&database, 7).await, moved);
    assert_eq!(stored_days(&database, 8).await, days([("2026-11-01", "sale")]));

    // What is read back from now on is a newer event with the new days, so that telling all orders again mends the lake.
    let row = edge
        .query_one("select weir.order_event($1)::text", &[&vec![7_i64]])
        .await
        .unwrap();
    let read: Value = serde_json::from_str(row.get(0)).unwrap();
    assert_eq!(told_days(&read[0]), moved);
    let revision = |event: &Value| event["order_revision"].as_i64().unwrap();
    let known: Vec<&Value> = first["events"].as_array().unwrap().iter().collect();
    for event in &known {
        assert_ne!(event["event_id"], read[0]["event_id"]);
        assert!(event["order_id"] != "7" || revision(event) < revision(&read[0]));
    }

    // The next event of an order tells what is stored.
    let paid = r#"{"id": 3, "order_id": 7, "kind": "sale", "status": "success", "amount": "20.00",
        "created_at": "2026-11-01T17:00:00Z"}"#;
    let answer = ingest(&edge, &[delivery("t", "order_transactions/create", paid)]).await;
    assert_eq!(types(&answer), ["payment_captured"]);
    assert_eq!(told_days(&answer["events"][0]), moved);
    assert_eq!(stored_days(&database, 7).await, moved);

    // And back, also when nothing else has happened.
    assert_eq!(register(&database, "Asia/Tokyo").await, 1);
    assert_eq!(
        stored_days(&database, 7).await,
        days([("2026-11-02", "sale"), ("2026-11-03", "return")])
    );
}

#[tokio::test]
async fn a_shop_that_says_another_zone_is_not_passed_over() {
    let (database, edge) = shop().await;
    let batch = |zone: &str| {
        [
            delivery("a", "shop/update", &format!(r#"{{"id": 1, "iana_timezone": {zone}}}"#)),
            delivery("b", "orders/create", &order(7, 1, "")),
        ]
    };
    let answer = ingest(&edge, &batch(r#""Europe/Paris""#)).await;
    assert_eq!(verdicts(&answer), ["rejected", "accepted"]);
    assert_eq!(answer["deliveries"][0]["reason"], "time_zone_changed");
    assert_eq!(
        answer["deliveries"][0]["detail"],
        "iana_timezone: expected Asia/Tokyo, as registered; call weir.register_shop with what the body says, run weir \
         backfill from its first order --until now --again, and replay this"
    );
    for (zone, verdict) in [(r#""Asia/Tokyo""#, "ignored"), ("null", "ignored"), ("5", "rejected")] {
        assert_eq!(verdicts(&ingest(&edge, &batch(zone)).await)[0], verdict, "{zone}");
    }
    // Replayed after the move it is none any more.
    assert_eq!(register(&database, "Europe/Paris").await, 1);
    assert_eq!(
        verdicts(&ingest(&edge, &batch(r#""Europe/Paris""#)).await)[0],
        "ignored"
    );
}

#[tokio::test]
async fn more_orders_than_a_page_move_and_nothing_else_of_them_changes() {
    let (database, edge) = shop().await;
    let orders: Vec<Value> = (1..=1100)
        .map(|id| delivery(&id.to_string(), "orders/create", &order(id, 1, "")))
        .collect();
    for batch in orders.chunks(500) {
        ingest(&edge, batch).await;
    }
    // One of which only a part is known, and one that is deleted: they have no ledger.
    let parts = [
        delivery("r", "refunds/create", &refund(5000)),
        delivery("d", "orders/delete", r#"{"id": 1}"#),
    ];
    ingest(&edge, &parts).await;
    let rest = "select md5(string_agg((to_jsonb(h) - 'revision' - 'recorded_at')::text, '' order by order_id)),
        (select md5(string_agg(l::text, '' order by l::text)) from commerce.order_line_item as l)
        from commerce.order_header as h";
    let admin = database.admin().await.unwrap();
    let content = || async {
        let row = admin.query_one(rest, &[]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let before = content().await;
    assert_eq!(register(&database, "America/Los_Angeles").await, 1099);
    assert_eq!(content().await, before);
    let on = "select count(*), count(*) filter (where day = '2026-11-01') from commerce.sales_ledger";
    let row = admin.query_one(on, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1099, 1099));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_beside_a_move_are_on_the_new_days() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    // The move holds its transaction open while a batch arrives that has read the shop before.
    let admin = database.admin().await.unwrap();
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "UTC", "currency": "USD"}).to_string();
    admin.batch_execute("begin").await.unwrap();
    admin
        .execute("select weir.register_shop($1::text::json)", &[&shop])
        .await
        .unwrap();
    let writer = database.edge().await.unwrap();
    let waiting = tokio::spawn(async move {
        let batch = [
            delivery("b", "orders/create", &order(8, 1, "")),
            delivery("c", "orders/updated", &order(7, 2, r#""name": "x","#)),
        ];
        ingest(&writer, &batch).await
    });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let watcher = database.admin().await.unwrap();
    while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!waiting.is_finished(), "the batch does not wait for the move");
        tokio::task::yield_now().await;
    }
    admin.batch_execute("commit").await.unwrap();
    let answer = waiting.await.unwrap();
    let expected = days([("2026-11-01", "sale")]);
    for event in answer["events"].as_array().unwrap() {
        assert_eq!(told_days(event), expected, "{event}");
        assert_eq!(event["shop_time_zone"], "UTC");
    }
    for id in [7, 8] {
        assert_eq!(stored_days(&database, id).await, expected);
    }
}

/// Such a body names no time zone, right or wrong: it is refused, and so kept, rather than passed over.
#[tokio::test]
async fn a_shop_update_that_is_no_object_is_refused() {
    let (_, edge) = shop().await;
    for body in ["null", "true", "[]", "5"] {
        let answer = ingest(&edge, &[delivery(body, "shop/update", body)]).await;
        let told = &answer["deliveries"][0];
        assert_eq!(
            (&told["verdict"], &told["reason"], &told["detail"]),
            (
                &json!("rejected"),
                &json!("type_mismatch"),
                &json!("expected an object")
            ),
        );
    }
}

/// In the memory of the connection to SPI, or of several, which else would keep all that the move reads until its end.
#[tokio::test]
async fn a_move_takes_no_more_memory_for_more_orders() {
    let (database, edge) = shop().await;
    for page in 0..4 {
        let bodies: Vec<Value> = (0..500)
            .map(|n| page * 500 + n)
            .map(|id| delivery(&id.to_string(), "orders/create", &order(id, 1, "")))
            .collect();
        ingest(&edge, &bodies).await;
    }
    let watch = "create table memory (step serial, bytes bigint);
        create function remember() returns trigger language plpgsql as $$
        begin
            insert into public.memory (bytes)
            select sum(total_bytes)::bigint from pg_backend_memory_contexts where name like 'SPI %';
            return null;
        end
        $$;
        create trigger remember after insert on commerce.sales_ledger execute function remember()";
    database.admin().await.unwrap().batch_execute(watch).await.unwrap();
    assert_eq!(register(&database, "UTC").await, 2000);
    let admin = database.admin().await.unwrap();
    let rows = admin
        .query("select bytes from memory order by step", &[])
        .await
        .unwrap();
    let bytes: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(bytes.len(), 4, "a page of 500 each");
    assert!(bytes[3] < bytes[0] * 3 / 2, "{bytes:?}");
}
