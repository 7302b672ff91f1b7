//! A ledger that other rules have written: what is told is what is stored, and both are made anew together.

use serde_json::{json, Value};
use weir_tests::postgres::Database;

use super::bulk::{at, bulk_events, run_bulk, told};
use super::publication::interaction;
use super::{delivery, ingest, order, shop, types, verdicts, SHOP};

/// As an earlier version left orders: their ledgers of a product that it did not find, and no version.
const OLD: &str = "update commerce.order_header set ledger_version = null;
    update commerce.sales_ledger set product_id = 'unknown'";

/// (product, day, kind, units sold, net sales) of the order.
async fn stored(database: &Database, order_id: i64) -> Vec<(String, String, String, i64, i64)> {
    let sql = "select product_id, day::text, kind, units_sold, net_sales_minor from commerce.sales_ledger
        where order_id = $1 order by 1, 2, 3";
    let rows = database.admin().await.unwrap().query(sql, &[&order_id]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect()
}

fn in_event(event: &Value) -> Vec<(String, String, String, i64, i64)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let count = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let rows = event["sales"].as_array().unwrap().iter();
    rows.map(|row| {
        let [product, day, kind] = ["product_id", "day", "kind"].map(|name| text(row, name));
        (product, day, kind, count(row, "units_sold"), count(row, "net_sales"))
    })
    .collect()
}

async fn run_sql(database: &Database, sql: &str) {
    database.admin().await.unwrap().batch_execute(sql).await.unwrap();
}

async fn versions(database: &Database) -> Vec<Option<i16>> {
    let sql = "select ledger_version from commerce.order_header order by order_id";
    let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn read_back(database: &Database, order_id: i64) -> Value {
    let sql = "select (weir.order_event(array[$1::bigint]) -> 0)::text";
    let admin = database.admin().await.unwrap();
    let row = admin.query_one(sql, &[&order_id]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

fn revision(event: &Value) -> i64 {
    event["order_revision"].as_i64().unwrap()
}

#[tokio::test]
async fn an_old_ledger_stays_until_its_order_is_changed_and_is_then_told_and_written() {
    let (database, edge) = shop().await;
    let first = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("b", "orders/create", &order(8, 1, "")),
    ];
    ingest(&edge, &first).await;
    assert_eq!(versions(&database).await, [Some(1), Some(1)]);
    let (new, before) = (stored(&database, 7).await, read_back(&database, 7).await);
    run_sql(&database, OLD).await;
    let old = stored(&database, 7).await;
    assert_ne!(old, new);

    // What comes again, and what is read back, tells what is stored.
    let again = ingest(&edge, &first[..1]).await;
    assert_eq!(verdicts(&again), ["duplicate"]);
    assert_eq!(in_event(&again["events"][0]), old);
    assert_eq!(in_event(&read_back(&database, 7).await), old);
    let same = ingest(&edge, &[delivery("c", "orders/updated", &order(7, 1, ""))]).await;
    assert_eq!((types(&same), versions(&database).await), (vec![], vec![None, None]));

    // Nothing but a tag changes, which is no event by itself; and a body that only was fired later says nothing new at all.
    let tagged = delivery("d", "orders/updated", &order(7, 5, r#""tags": "a","#));
    let mut later = delivery("e", "orders/updated", &order(8, 1, ""));
    later["triggered_at"] = json!("2026-11-24T10:00:02.000Z");
    later["received_at"] = json!("2026-11-24T10:00:03.000Z");
    let answer = ingest(&edge, &[tagged, later]).await;
    assert_eq!(types(&answer), ["order_updated", "order_updated"]);
    for (event, order_id) in answer["events"].as_array().unwrap().iter().zip([7, 8]) {
        assert_eq!(in_event(event), new);
        assert_eq!(stored(&database, order_id).await, new);
        assert!(revision(event) > revision(&before));
        assert_ne!(event["event_id"], before["event_id"]);
    }
    assert_eq!(versions(&database).await, [Some(1), Some(1)]);
    let body = order(7, 6, r#""tags": "b","#);
    assert_eq!(
        types(&ingest(&edge, &[delivery("f", "orders/updated", &body)]).await),
        [""; 0]
    );
}

/// Tips were sales.
#[tokio::test]
async fn rows_that_the_rules_no_longer_give_are_cleared() {
    let (database, edge) = shop().await;
    let body = |second: u8, lines: &Value| {
        let body = json!({"id": 7, "currency": "USD", "processed_at": "2026-11-01T16:30:00Z", "line_items": lines,
            "updated_at": format!("2026-11-01T16:30:{second:02}Z")});
        delivery(&second.to_string(), "orders/updated", &body.to_string())
    };
    let tip = json!({"id": 2, "title": "Tip", "quantity": 1, "price": "3.59", "tip_payment_gateway": null});
    ingest(&edge, &[body(1, &json!([tip]))]).await;
    assert_eq!(stored(&database, 7).await, []);
    run_sql(
        &database,
        "update commerce.order_header set ledger_version = null;
        insert into commerce.sales_ledger values
            (1, 7, 'unknown', '2026-11-02', 'sale', 1, 0, 359, 0, 0, 359, 359, 0, 0, 359)",
    )
    .await;
    let goods = json!([tip, {"id": 3, "quantity": 1, "price": "10.00"}]);
    let answer = ingest(&edge, &[body(2, &goods)]).await;
    let sold = |units, net| {
        vec![(
            "unknown".to_owned(),
            "2026-11-02".to_owned(),
            "sale".to_owned(),
            units,
            net,
        )]
    };
    assert_eq!(stored(&database, 7).await, sold(1, 1000));
    assert_eq!(in_event(&answer["events"][0]), sold(1, 1000));
    // And where nothing is left.
    run_sql(&database, "update commerce.order_header set ledger_version = 0").await;
    ingest(&edge, &[body(3, &json!([tip]))]).await;
    assert_eq!(stored(&database, 7).await, []);
}

#[tokio::test]
async fn a_backfill_renews_all_old_ledgers() {
    let (database, edge) = shop().await;
    let bulk = told(&[("orders/create", order(7, 1, "")), ("orders/create", order(8, 2, ""))]);
    run_bulk(&edge, &bulk, &at("2026-12-01T00:00:00Z")).await;
    let (new, before) = (stored(&database, 7).await, read_back(&database, 7).await);
    run_sql(&database, OLD).await;
    let events = bulk_events(&edge, SHOP, &[1, 2, 3], 1).await;
    for order_id in [7, 8] {
        assert_eq!(stored(&database, order_id).await, new);
    }
    let updated: Vec<&Value> = events
        .iter()
        .filter(|event| event["event_type"] == "order_updated")
        .collect();
    assert_eq!(updated.len(), 2);
    assert!(updated.iter().all(|event| in_event(event) == new));
    assert!(updated[0]["order_id"] == "7" && revision(updated[0]) > revision(&before));
    assert_eq!(versions(&database).await, [Some(1), Some(1)]);
}

#[tokio::test]
async fn an_attribution_and_a_new_time_zone_renew_an_old_ledger() {
    let (database, edge) = shop().await;
    let bodies = [7, 8].map(|id| delivery(&id.to_string(), "orders/create", &order(id, 1, "")));
    ingest(&edge, &bodies).await;
    let new = stored(&database, 7).await;
    run_sql(&database, OLD).await;
    let more = json!({"order_id": "7", "publisher_id": "p1", "program_id": "autumn"});
    let attributed = Value::from(vec![interaction("i1", "attribution", 1, more)]).to_string();
    let sql = "select weir.record_interactions($1::text::json)::text";
    let row = edge.query_one(sql, &[&attributed]).await.unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    assert_eq!(in_event(&answer["events"][0]), new);
    assert_eq!(stored(&database, 7).await, new);
    assert_eq!(versions(&database).await, [Some(1), None]);

    // A zone with the same days moves only the order whose ledger is old.
    let register = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Seoul", "currency": "USD"});
    let sql = format!("select (weir.register_shop('{register}') ->> 'moved_orders')::bigint");
    let admin = database.admin().await.unwrap();
    assert_eq!(admin.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(stored(&database, 8).await, new);
    assert_eq!(versions(&database).await, [Some(1), Some(1)]);
}
