//! Forgetting somebody whom Shopify names by their orders alone: a guest, or a customer who was deleted before.

use serde_json::{json, Value};

use super::bulk::{bulk_events, ingest_bulk, run_of};
use super::privacy::{call, tables_with};
use super::{delivery, ingest, order, shop, types, verdicts, SHOP};

/// An id that occurs nowhere by chance.
const CUSTOMER: &str = "7719116777";
const EMAIL: &str = "buyer@example.com";

fn order_of(id: i64, second: u8) -> String {
    let body = order(
        id,
        second,
        r#""email": "buyer@example.com", "contact_email": "buyer@example.com","#,
    );
    body.replace(r#""id": 77"#, &format!(r#""id": {CUSTOMER}"#))
}

fn redact(orders: &Value) -> String {
    json!({"shop_id": 1, "shop_domain": SHOP, "customer": {"email": EMAIL, "phone": "555-625-1199"},
        "orders_to_redact": orders})
    .to_string()
}

fn refund(order_id: i64, id: i64) -> String {
    json!({"id": id, "order_id": order_id, "created_at": "2026-11-20T10:00:00Z", "note": "for the buyer",
        "refund_line_items": [], "transactions": [], "order_adjustments": []})
    .to_string()
}

#[tokio::test]
async fn orders_of_somebody_without_an_id_are_redacted_and_stay_so() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let batch = [
        delivery("a", "orders/create", &order_of(7, 1)),
        delivery("b", "orders/create", &order_of(8, 1)),
        delivery("c", "refunds/create", &refund(7, 70)),
    ];
    let before = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&before), ["accepted"; 3]);
    let key = before["events"][0]["customer_key"].clone();
    assert!(key.is_string());

    // Order 9 has not arrived yet; order 7 is told once more in the same batch.
    let request = redact(&json!([9, "7", 7]));
    let forgotten = ingest(
        &edge,
        &[
            delivery("d", "orders/updated", &order_of(7, 2)),
            delivery("r", "customers/redact", &request),
        ],
    )
    .await;
    assert_eq!(verdicts(&forgotten), ["accepted"; 2]);
    let row = admin
        .query_one(
            "select subject, subject_digest, certificate::text from privacy.redaction",
            &[],
        )
        .await
        .unwrap();
    let (subject, digest, text): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    let certificate: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((subject.as_str(), digest.len()), ("orders", 64));
    assert_eq!(
        (&certificate["subject"], &certificate["subject_digest"]),
        (&json!("orders"), &json!(digest))
    );
    let removed = &certificate["removed"];
    assert_eq!(
        [
            &removed["commerce.order_header"],
            &removed["commerce.refund"],
            &removed["privacy.salt"]
        ],
        [1, 1, 1].map(|count| json!(count)).each_ref()
    );
    // The same orders in another sequence are the same person: the certificate is the first one.
    let asked = json!({"shop_domain": SHOP, "customer_id": null, "orders": [7, 9]});
    assert_eq!(call(&edge, "redact_customer", &asked).await, certificate);

    // Told later and told of before, by whatever way.
    let mut late = vec![
        batch[0].clone(),
        delivery("e", "orders/updated", &order_of(7, 30).replace("10.00", "11.00")),
        delivery("f", "orders/create", &order_of(7, 1)),
        delivery("g", "orders/create", &order_of(9, 1)),
        delivery("h", "refunds/create", &refund(9, 90)),
        delivery("i", "orders/updated", &order_of(8, 30).replace("10.00", "11.00")),
    ];
    late[2]["source"] = "replay".into();
    let told = ingest(&edge, &late).await;
    assert_eq!(
        types(&told),
        [
            "order_created",
            "order_updated",
            "order_created",
            "payment_refunded",
            "order_updated"
        ]
    );
    for event in told["events"].as_array().unwrap() {
        match event["order_id"].as_str() {
            // What the lake has of the orders under the old key is nobody's any more.
            Some("8") => assert!(
                event["customer_key"].is_string() && event["customer_key"] != key,
                "{event}"
            ),
            _ => assert!(event.get("customer_key").is_none(), "{event}"),
        }
    }
    let left = "select order_id from commerce.order_header where customer_id is not null or raw is not null
        union select order_id from commerce.refund where raw is not null";
    let left: Vec<i64> = admin
        .query(left, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(left, [8], "orders of the same customer that nobody named stay");
    for text in [EMAIL, "555-625-1199", "for the buyer"] {
        assert_eq!(tables_with(&admin, text).await, Vec::<String>::new(), "{text}");
    }
    // Sales stay: they are the shop's.
    let sold = "select count(distinct order_id) from commerce.sales_ledger where net_sales_minor <> 0";
    assert_eq!(admin.query_one(sold, &[]).await.unwrap().get::<_, i64>(0), 3);

    let forget = format!(r#"{{"shop_id": 1, "shop_domain": "{SHOP}"}}"#);
    ingest(&edge, &[delivery("s", "shop/redact", &forget)]).await;
    let left = "select count(*) from privacy.redacted_order";
    assert_eq!(admin.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_redacted_order_stays_so_in_bulk_and_for_its_visitor() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let line = |id: i64| {
        let body: Value = serde_json::from_str(&order_of(id, 1)).unwrap();
        let mut shop = weir_tests::bulk_jsonl::BulkShop::default();
        shop.tell("orders/create", "2026-11-20T00:00:00Z".parse().unwrap(), &body);
        let lines = shop.orders_core(jiff::Timestamp::MIN..jiff::Timestamp::MAX);
        weir_tests::bulk_jsonl::jsonl(lines, weir_tests::bulk_jsonl::Sequence::Grouped)
    };
    // Order 7 is read before it is named and order 8 after; both are put together afterwards.
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    ingest_bulk(&edge, SHOP, &line(7), &run).await;
    ingest(&edge, &[delivery("r", "customers/redact", &redact(&json!([7, 8])))]).await;
    for _ in 0..2 {
        ingest_bulk(&edge, SHOP, &format!("{}{}", line(7), line(8)), &run).await;
        let events = bulk_events(&edge, SHOP, &[1], 10).await;
        assert!(
            events.len() >= 2 && events.iter().all(|event| event.get("customer_key").is_none()),
            "{events:?}"
        );
        for table in ["order_header", "bulk_line"] {
            let sql = format!("select count(*) from commerce.{table} where customer_id is not null or raw is not null");
            assert_eq!(admin.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
        }
    }
    let visit = |event_id: &str, order_id: &str| {
        json!({"event_id": event_id, "event_type": "attribution", "schema_version": 1,
            "occurred_at": "2026-11-20T09:00:00.000Z", "received_at": "2026-11-20T09:00:01.000Z", "event_date": "2026-11-20",
            "event_hour": 9, "source": "interaction", "shop_domain": SHOP, "publisher_id": "daily-lamp",
            "order_id": order_id, "session_key": "s-key", "visitor_key": "v-key"})
    };
    let visits = json!([visit("v1", "7"), visit("v2", "10")]);
    let answer = call(&edge, "record_interactions", &visits).await;
    assert_eq!(
        answer["events"][0]["publisher_id"], "daily-lamp",
        "who brought the buyer is the publisher's: {answer}"
    );
    let kept = "select event_id from publication.publication_telemetry where visitor_key is not null or session_key is not null";
    let kept: Vec<String> = admin
        .query(kept, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(kept, ["v2"]);
}

/// A request that names neither a customer nor an order is refused, since PostgreSQL keeps no contact by which anybody could
/// be found: it goes to the quarantine, and of it nothing stays here.
#[tokio::test]
async fn a_contact_alone_names_nobody() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    ingest(&edge, &[delivery("a", "orders/create", &order_of(7, 1))]).await;
    for (name, body) in [
        ("none", redact(&json!([]))),
        (
            "null",
            json!({"customer": {"id": null, "email": EMAIL}, "orders_to_redact": null}).to_string(),
        ),
        ("nobody", "{}".to_owned()),
    ] {
        let answer = ingest(&edge, &[delivery(name, "customers/redact", &body)]).await;
        let told = &answer["deliveries"][0];
        assert_eq!(
            (&told["verdict"], &told["reason"]),
            (&json!("rejected"), &json!("missing_field")),
            "{answer}"
        );
        assert_eq!(
            told["detail"],
            "customer.id: whom to forget is named by this or by orders_to_redact"
        );
    }
    assert_eq!(tables_with(&admin, EMAIL).await, Vec::<String>::new());
    let count = "select (select count(*) from privacy.redaction) + (select count(*) from privacy.redacted_order)";
    assert_eq!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
}
