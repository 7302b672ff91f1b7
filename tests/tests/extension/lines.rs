//! What a line of an order is for good, whichever delivery says it: its product, which Shopify no longer names once it is deleted,
//! and whether it is a tip, which is no sale. And which goods a refund still books.

use serde_json::{json, Value};
use weir_tests::postgres::Database;

use super::bulk::{bulk_events, ingest_bulk, run_of};
use super::{delivery, ingest, shop, SHOP};

/// Ledger rows as (product, day, kind, units sold less returned).
async fn products(database: &Database) -> Vec<(String, String, String, i64)> {
    let sql = "select product_id, day::text, kind, units_sold - units_returned from commerce.sales_ledger
        order by day, kind, product_id";
    let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

fn row(product: &str, day: u8, kind: &str, units: i64) -> (String, String, String, i64) {
    (product.to_owned(), format!("2026-11-{day:02}"), kind.to_owned(), units)
}

fn body(day: u8, lines: &Value) -> Value {
    let body = json!({"id": 7, "currency": "USD", "processed_at": "2026-11-01T10:00:00Z", "line_items": lines,
        "updated_at": format!("2026-11-{day:02}T10:00:00Z")});
    delivery(&format!("{day} {lines}"), "orders/updated", &body.to_string())
}

fn refund(day: u8, line: &Value) -> Value {
    let body = json!({"id": day, "order_id": 7, "created_at": format!("2026-11-{day:02}T10:00:00Z"),
        "refund_line_items": [{"id": day, "line_item_id": line["id"], "line_item": line, "quantity": 1, "subtotal": "10.00"}]});
    delivery(&format!("r{day}"), "refunds/create", &body.to_string())
}

#[tokio::test]
async fn a_sale_stays_with_its_product_and_a_tip_is_none_in_any_sequence() {
    let line = json!({"id": 1, "product_id": 11, "variant_id": 21, "quantity": 2, "price": "10.00"});
    let gone = json!({"id": 1, "product_id": null, "variant_id": null, "quantity": 2, "price": "10.00"});
    let tip = json!({"id": 2, "title": "Tip", "product_id": null, "quantity": 1, "price": "3.59", "tip_payment_gateway": null});
    // A body that does not say what the tip is, as bulk operations do not.
    let unsaid = json!({"id": 2, "title": "Tip", "product_id": null, "quantity": 1, "price": "3.59"});
    let told = [
        body(1, &json!([line, tip])),
        body(4, &json!([gone, unsaid])),
        refund(6, &gone),
        refund(7, &tip),
        body(8, &json!([])),
        body(9, &json!([gone, unsaid])),
    ];
    for sequence in [
        [0, 1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1, 0],
        [2, 4, 0, 5, 3, 1],
        [1, 5, 0, 4, 2, 3],
    ] {
        let (database, edge) = shop().await;
        for index in sequence {
            ingest(&edge, &told[index..=index]).await;
        }
        assert_eq!(
            products(&database).await,
            [row("11", 1, "sale", 2), row("11", 6, "return", -1)],
            "{sequence:?}"
        );
        let known = "select line_item_id, product_id, variant_id, is_tip from commerce.order_line_item order by 1";
        let rows = database.admin().await.unwrap().query(known, &[]).await.unwrap();
        let known: Vec<(i64, Option<i64>, Option<i64>, bool)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
            .collect();
        assert_eq!(known, [(1, Some(11), Some(21), false), (2, None, None, true)]);
    }
}

#[tokio::test]
async fn a_refund_of_a_tip_that_the_newest_body_lacks_is_no_return() {
    let (database, edge) = shop().await;
    let line = json!({"id": 1, "product_id": 11, "quantity": 2, "price": "10.00"});
    let tip = json!({"id": 2, "title": "Tip", "quantity": 1, "price": "3.59", "tip_payment_gateway": null});
    let unsaid = json!({"id": 2, "title": "Tip", "quantity": 1, "price": "3.59"});
    let told = [
        body(1, &json!([line, tip])),
        refund(7, &unsaid),
        body(8, &json!([line])),
    ];
    ingest(&edge, &told).await;
    assert_eq!(products(&database).await, [row("11", 1, "sale", 2)]);
}

#[tokio::test]
async fn goods_that_a_return_has_booked_are_not_booked_by_its_refund() {
    let (database, edge) = shop().await;
    let line = json!({"id": 1, "product_id": 11, "quantity": 2, "price": "10.00"});
    ingest(&edge, &[body(3, &json!([line]))]).await;
    let node = |resource: &str, id: i64, fields: Value| {
        let mut node = json!({"__typename": resource, "id": format!("gid://shopify/{resource}/{id}")});
        node.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        node.to_string()
    };
    let bag = |amount: &str| {
        let money = json!({"amount": amount, "currencyCode": "USD"});
        json!({"shopMoney": money, "presentmentMoney": money})
    };
    let order = "gid://shopify/Order/7";
    let sale = |parent: &str, action: &str, units: i64, amount: &str| {
        json!({"__parentId": parent, "actionType": action, "lineType": "PRODUCT", "quantity": units,
            "totalAmount": bag(amount), "totalDiscountAmountBeforeTaxes": bag("0.00"), "totalTaxAmount": bag("0.00"),
            "lineItem": {"id": "gid://shopify/LineItem/1", "product": {"id": "gid://shopify/Product/11"}}})
    };
    let lines = [
        node("Order", 7, json!({"updatedAt": "2026-11-03T10:00:00Z", "test": false})),
        node(
            "OrderAgreement",
            1,
            json!({"__parentId": order, "happenedAt": "2026-11-01T10:00:00Z", "reason": "ORDER"}),
        ),
        node(
            "ProductSale",
            1,
            sale("gid://shopify/OrderAgreement/1", "ORDER", 2, "20.00"),
        ),
        node(
            "ReturnAgreement",
            2,
            json!({"__parentId": order, "happenedAt": "2026-11-03T10:00:00Z", "reason": "RETURN",
            "return": {"id": "gid://shopify/Return/6"}}),
        ),
        node(
            "ProductSale",
            2,
            sale("gid://shopify/ReturnAgreement/2", "RETURN", -1, "-10.00"),
        ),
    ];
    let run = run_of(1, "orders_ledger", "2026-11-04T00:00:00Z");
    ingest_bulk(&edge, SHOP, &lines.join("\n"), &run).await;
    bulk_events(&edge, SHOP, &[1], 10).await;
    let refund = |id: i64, of: Value| {
        let body = json!({"id": id, "order_id": 7, "created_at": "2026-11-06T10:00:00Z", "return": of,
            "refund_line_items": [{"id": id, "line_item_id": 1, "quantity": 1, "subtotal": "10.00"}]});
        delivery(&format!("r{id}"), "refunds/create", &body.to_string())
    };
    let booked = [row("11", 1, "sale", 2), row("11", 3, "return", -1)];
    assert_eq!(products(&database).await, booked);
    ingest(&edge, &[refund(5, json!({"id": 6}))]).await;
    assert_eq!(products(&database).await, booked);
    ingest(&edge, &[refund(8, json!(null))]).await;
    assert_eq!(products(&database).await[2..], [row("11", 6, "return", -1)]);
}
