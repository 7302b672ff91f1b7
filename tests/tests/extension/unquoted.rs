//! A batch whose bodies stand after its lines as they came: it is the same batch.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use weir_domain::webhook::{batch_text, Delivery};
use weir_tests::postgres::Database;

use super::{content, delivery, ingest, order, refund, shop, verdicts};

fn unquoted(deliveries: &[Value]) -> String {
    let deliveries: Vec<Delivery> = deliveries
        .iter()
        .map(|one| serde_json::from_value(one.clone()).unwrap())
        .collect();
    let parts: Vec<_> = deliveries.iter().map(|one| (one.headers(), &*one.body)).collect();
    batch_text(&parts).unwrap()
}

fn lines(sizes: &Value, deliveries: &[Value]) -> String {
    format!("{}\n{}\n", json!({ "body_bytes": sizes }), Value::from(deliveries))
}

/// The content but for when the shop was registered.
async fn orders(database: &Database) -> String {
    let content = content(database).await;
    let (before, after) = (content.split("\nshop\n"), content.split("\ntombstone\n"));
    [before.into_iter().next(), after.last()].map(Option::unwrap).concat()
}

#[tokio::test]
async fn a_batch_is_the_same_with_its_bodies_unquoted() {
    let batch = [
        delivery("a", "orders/create", &order(7, 1, r#""name": "№ 7 \"é\"","#)),
        delivery("b", "orders/updated", &order(8, 1, "\n\r\n")),
        delivery("c", "refunds/create", &refund(7)),
        delivery("d", "orders/create", ""),
        delivery("e", "orders/create", "{\"id\": 9"),
        delivery("f", "orders/create", r#"{"id": 10, "name": "\u0000"}"#),
        delivery("a", "orders/create", &order(7, 1, "")),
    ];
    let (quoted, edge) = shop().await;
    let answer = ingest(&edge, &batch).await;
    let (other, edge) = shop().await;
    let row = edge
        .query_one("select weir.ingest($1::text)", &[&unquoted(&batch)])
        .await;
    let told: Value = serde_json::from_str(row.unwrap().get(0)).unwrap();
    assert_eq!(told["deliveries"], answer["deliveries"]);
    assert_eq!(
        verdicts(&told),
        [
            "accepted",
            "accepted",
            "accepted",
            "rejected",
            "rejected",
            "rejected",
            "duplicate"
        ]
    );
    assert_eq!(
        told["events"].as_array().unwrap().len(),
        answer["events"].as_array().unwrap().len()
    );
    assert_eq!(orders(&other).await, orders(&quoted).await);
    assert_eq!(verdicts(&ingest(&edge, &batch[..3]).await), ["duplicate"; 3]);
}

#[tokio::test]
async fn a_delivery_that_is_not_readable_does_not_hide_the_bodies_after_it() {
    let (_database, edge) = shop().await;
    let bodies = [
        order(7, 1, ""),
        order(8, 1, ""),
        order(9, 1, ""),
        "é".to_owned(),
        order(10, 1, ""),
    ];
    let mut told: Vec<Value> = ["a", "b", "c", "d", "e"]
        .map(|id| delivery(id, "orders/create", ""))
        .into();
    for one in &mut told {
        one.as_object_mut().unwrap().remove("body");
    }
    told[0]["webhook_id"] = json!("a\u{0}");
    told[1]["received_at"] = json!(7);
    told[2] = json!(["no delivery"]);
    let sizes: Vec<usize> = bodies.iter().map(String::len).collect();
    let text = lines(&json!(sizes), &told) + &bodies.concat();
    let row = edge.query_one("select weir.ingest($1::text)", &[&text]).await.unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    assert_eq!(
        verdicts(&answer),
        ["rejected", "rejected", "rejected", "rejected", "accepted"]
    );
}

#[tokio::test]
async fn a_batch_whose_sizes_are_not_its_bodies_is_refused_whole() {
    let (database, edge) = shop().await;
    let one = delivery("a", "orders/create", "");
    let two = |sizes: &Value, bodies: &str| lines(sizes, &[one.clone(), one.clone()]) + bodies;
    let before = content(&database).await;
    for text in [
        "{".to_owned(),
        "{}\n[]\n".to_owned(),
        "{\"body_bytes\": []}".to_owned(),
        "{\"body_bytes\": []}\n{}".to_owned(),
        "{\"body_bytes\": []}\n[]\n ".to_owned(),
        two(&json!([2, 2]), "{}{"),
        two(&json!([2, 2]), "{}{}{"),
        two(&json!([3, 1]), "éé"),
        two(&json!([-2, 6]), "{}{}"),
        two(&json!(["2", 2]), "{}{}"),
        two(&json!([2.0, 2]), "{}{}"),
        two(&json!([2, null]), "{}{}"),
        two(&json!([4]), "{}{}"),
        two(&json!([4, i64::MAX]), "{}{}"),
        two(&json!(4), "{}{}"),
    ] {
        let error = edge
            .query_one("select weir.ingest($1::text)", &[&text])
            .await
            .expect_err(&text);
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{text}");
        assert!(error.as_db_error().unwrap().detail().is_some());
    }
    assert_eq!(content(&database).await, before);
}
