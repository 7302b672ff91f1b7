//! `weir.known_ids`: which orders and products there are, page by page.

use serde_json::{json, Value};
use tokio_postgres::Client;

use super::{delivery, ingest, order, shop, SHOP};

async fn known(edge: &Client, shop: &str, request: &Value) -> Result<Value, String> {
    let sql = "select weir.known_ids($1, $2::text::json)::text";
    match edge.query_one(sql, &[&shop, &request.to_string()]).await {
        Ok(row) => Ok(serde_json::from_str(row.get(0)).unwrap()),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code().code(), "22023");
            assert!(error.hint().is_some());
            Err(format!("{}; {}", error.message(), error.detail().unwrap()))
        }
    }
}

fn request(resource: &str, from: &str, before: &str) -> Value {
    json!({"resource": resource, "created_from": from, "created_before": before, "after": 0, "limit": 2})
}

#[tokio::test]
async fn what_is_known_and_not_deleted_comes_page_by_page() {
    let (_database, edge) = shop().await;
    let created = |id: i64, day: u8| order(id, 1, &format!(r#""created_at": "2026-10-{day:02}T00:00:00Z","#));
    let product = |id: i64| json!({"id": id, "created_at": "2026-10-01T00:00:00Z", "title": "Lamp"}).to_string();
    let batch = [
        delivery("a", "orders/create", &created(7, 1)),
        delivery("b", "orders/create", &created(8, 2)),
        delivery("c", "orders/create", &created(9, 3)),
        delivery("d", "orders/create", &created(10, 4)),
        delivery("e", "orders/delete", r#"{"id": 8}"#),
        // Its order's body has not arrived.
        delivery("f", "refunds/create", r#"{"id": 5, "order_id": 11}"#),
        delivery("g", "products/create", &product(20)),
        delivery("h", "products/create", &product(21)),
        delivery("i", "products/delete", r#"{"id": 20}"#),
    ];
    ingest(&edge, &batch).await;
    let (from, before) = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
    let mut page = request("order", from, before);
    assert_eq!(
        known(&edge, SHOP, &page).await,
        Ok(json!({"ids": ["7", "9"], "next": "9"}))
    );
    page["after"] = 9.into();
    assert_eq!(
        known(&edge, SHOP, &page).await,
        Ok(json!({"ids": ["10"], "next": null}))
    );
    let products = request("product", from, before);
    assert_eq!(
        known(&edge, SHOP, &products).await,
        Ok(json!({"ids": ["21"], "next": null}))
    );
    let some = request("order", "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z");
    assert_eq!(known(&edge, SHOP, &some).await, Ok(json!({"ids": ["9"], "next": null})));
}

#[tokio::test]
async fn a_request_that_cannot_be_meant_is_refused() {
    let (_database, edge) = shop().await;
    let (from, before) = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
    let with = |name: &str, value: Value| {
        let mut request = request("order", from, before);
        request[name] = value;
        request
    };
    for (request, detail) in [
        (
            with("resource", "customer".into()),
            "resource is neither order nor product.",
        ),
        (with("limit", 0.into()), "limit is not from 1 to 100000."),
        (with("limit", "2".into()), "A field is missing or mistyped."),
        (with("created_from", "yesterday".into()), "A time is not RFC 3339."),
        (with("created_before", Value::Null), "A field is missing or mistyped."),
    ] {
        let expected = format!("the request is not readable; {detail}");
        assert_eq!(known(&edge, SHOP, &request).await, Err(expected), "{request}");
    }
    let stranger = known(&edge, "stranger.myshopify.com", &request("order", from, before)).await;
    assert_eq!(
        stranger,
        Err("the shop is not registered; No shop has this shop_domain.".to_owned())
    );
}
