//! A product of more than 100 variants: its webhook tells the first 100 and names all.

use serde_json::{json, Value};
use weir_tests::postgres::Database;

use super::bulk::{bulk_events, ingest_bulk, run_of};
use super::{delivery, ingest, shop, SHOP};

/// A body that tells some variants, by id and title, and names some.
fn body(second: u8, told: &[(i64, &str)], named: &[i64]) -> Value {
    let told: Vec<Value> = told
        .iter()
        .map(|(id, title)| json!({"id": id, "title": title, "sku": format!("S-{second}"), "price": "1.00"}))
        .collect();
    let named = named
        .iter()
        .map(|id| json!({"admin_graphql_api_id": format!("gid://shopify/ProductVariant/{id}"), "updated_at": "2026-11-01T00:00:00Z"}));
    let body = json!({"id": 11, "title": "Lamp", "status": "active", "updated_at": format!("2026-11-01T10:00:{second:02}Z"),
        "variants": told, "variant_gids": named.collect::<Vec<_>>()});
    delivery(&second.to_string(), "products/update", &body.to_string())
}

/// (id, title, sku, price) of the product's variants.
async fn variants(database: &Database) -> Vec<(i64, Option<String>, Option<String>, Option<i64>)> {
    let sql = "select variant_id, title, sku, price_minor from commerce.product_variant order by 1";
    let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

fn told(id: i64, title: &str, second: u8) -> (i64, Option<String>, Option<String>, Option<i64>) {
    (id, Some(title.to_owned()), Some(format!("S-{second}")), Some(100))
}

#[tokio::test]
async fn variants_that_the_newest_body_only_names_stay_in_any_sequence() {
    let bodies = [
        body(1, &[(1, "a"), (2, "b"), (3, "c")], &[1, 2, 3, 4]),
        body(2, &[(1, "d"), (4, "e")], &[1, 2, 3, 4]),
        body(3, &[(1, "f")], &[1, 2, 3, 4]),
        body(4, &[(5, "g")], &[1, 2, 4, 5, 6]),
    ];
    let newest = [
        told(1, "f", 3),
        told(2, "b", 1),
        told(4, "e", 2),
        told(5, "g", 4),
        (6, None, None, None),
    ];
    for sequence in [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [3, 0, 2, 1],
        [1, 3, 0, 2],
        [2, 0, 3, 1],
        [0, 3, 1, 2],
    ] {
        let (database, edge) = shop().await;
        for index in sequence {
            ingest(&edge, &bodies[index..=index]).await;
        }
        assert_eq!(variants(&database).await, newest, "{sequence:?}");
        ingest(&edge, &bodies).await;
        assert_eq!(variants(&database).await, newest);
    }
}

/// Bulk operations tell all.
#[tokio::test]
async fn a_reading_replaces_what_was_only_named() {
    let (database, edge) = shop().await;
    ingest(&edge, &[body(1, &[(1, "a")], &[1, 2])]).await;
    assert_eq!(variants(&database).await, [told(1, "a", 1), (2, None, None, None)]);
    let product = "gid://shopify/Product/11";
    let mut lines =
        vec![json!({"__typename": "Product", "id": product, "title": "Lamp", "updatedAt": "2026-11-01T10:00:02Z"})];
    lines.extend([1, 2].map(|id| {
        json!({"id": format!("gid://shopify/ProductVariant/{id}"), "title": "read", "sku": "S-2", "price": "1.00", "__parentId": product})
    }));
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    ingest_bulk(
        &edge,
        SHOP,
        &lines.join("\n"),
        &run_of(1, "products", "2026-12-01T00:00:00Z"),
    )
    .await;
    bulk_events(&edge, SHOP, &[1], 10).await;
    assert_eq!(variants(&database).await, [told(1, "read", 2), told(2, "read", 2)]);
    ingest(&edge, &[body(3, &[(1, "b")], &[1, 2])]).await;
    assert_eq!(variants(&database).await, [told(1, "b", 3), told(2, "read", 2)]);
}
