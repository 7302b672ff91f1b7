//! How a shop is registered: what it may be called, and the currency that its amounts are read in.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use super::{delivery, ingest, order, shop, until_waiting, verdicts, SHOP};

/// The shop of the tests with these fields.
fn registration(fields: Value) -> Value {
    let mut shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
    shop.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    shop
}

async fn register(client: &Client, fields: Value) -> Result<Value, tokio_postgres::Error> {
    let sql = "select weir.register_shop($1::text::json)::text";
    let row = client.query_one(sql, &[&registration(fields).to_string()]).await?;
    Ok(serde_json::from_str(row.get(0)).unwrap())
}

/// The detail of the refusal.
async fn refused(client: &Client, fields: Value) -> String {
    let error = register(client, fields.clone()).await.expect_err(&fields.to_string());
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{error:?}");
    assert!(error.hint().is_some());
    error.detail().unwrap().to_owned()
}

const PRODUCT: &str = r#"{"id": 11, "updated_at": "2026-11-01T00:00:00Z", "variants": [{"id": 12, "price": "1000"}]}"#;

#[tokio::test]
async fn a_wrong_currency_is_refused_or_can_be_corrected_until_an_amount_is_stored() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    for code in ["JYP", "XXQ", "XXX", "usd", ""] {
        let detail = refused(&admin, json!({"currency": code})).await;
        assert_eq!(detail, "Field currency is not a known value.", "{code}");
    }
    // A product without a price and a customer are no amounts.
    let known = [
        delivery(
            "p",
            "products/create",
            r#"{"id": 10, "updated_at": "2026-11-01T00:00:00Z"}"#,
        ),
        delivery(
            "c",
            "customers/create",
            r#"{"id": 5, "updated_at": "2026-11-01T00:00:00Z"}"#,
        ),
    ];
    assert_eq!(verdicts(&ingest(&edge, &known).await), ["accepted", "accepted"]);
    let answer = register(&admin, json!({"currency": "JPY"})).await.unwrap();
    assert_eq!(
        (&answer["currency"], &answer["previous_currency"]),
        (&json!("JPY"), &json!("USD"))
    );
    ingest(&edge, &[delivery("q", "products/create", PRODUCT)]).await;
    let price = "select price_minor from commerce.product_variant where variant_id = 12";
    assert_eq!(admin.query_one(price, &[]).await.unwrap().get::<_, i64>(0), 1000);
    let detail = refused(&admin, json!({"currency": "USD"})).await;
    assert!(detail.contains("in which its amounts are stored"), "{detail}");
    admin
        .execute("delete from commerce.product_variant", &[])
        .await
        .unwrap();
    register(&admin, json!({"currency": "USD"})).await.unwrap();
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    refused(&admin, json!({"currency": "JPY"})).await;
    // The way out of docs/operate.md.
    let forget = json!({ "shop_domain": SHOP }).to_string();
    let sql = "select weir.redact_shop($1::text::json)::text";
    admin.query_one(sql, &[&forget]).await.unwrap();
    let answer = register(&admin, json!({"currency": "JPY"})).await.unwrap();
    assert_eq!(answer["currency"], "JPY");
    let again = ingest(&edge, &[delivery("q2", "products/create", PRODUCT)]).await;
    assert_eq!(verdicts(&again), ["accepted"]);
    assert_eq!(admin.query_one(price, &[]).await.unwrap().get::<_, i64>(0), 1000);
}

#[tokio::test]
async fn a_shop_that_says_another_currency_is_not_passed_over() {
    let (database, edge) = shop().await;
    let batch = |currency: &str| {
        let body = format!(r#"{{"id": 1, "iana_timezone": "Asia/Tokyo", "currency": {currency}}}"#);
        [delivery("a", "shop/update", &body)]
    };
    let answer = ingest(&edge, &batch(r#""JPY""#)).await;
    let told = &answer["deliveries"][0];
    assert_eq!(
        (&told["verdict"], &told["reason"], &told["detail"]),
        (
            &json!("rejected"),
            &json!("currency_changed"),
            &json!(
                "currency: expected USD, as registered; register the shop with what the body says, as docs/operate.md has \
                 it, and replay this"
            )
        )
    );
    for (currency, verdict) in [(r#""USD""#, "ignored"), ("null", "ignored"), ("5", "rejected")] {
        assert_eq!(
            verdicts(&ingest(&edge, &batch(currency)).await),
            [verdict],
            "{currency}"
        );
    }
    // Replayed after the correction it is none any more.
    let admin = database.admin().await.unwrap();
    register(&admin, json!({"currency": "JPY"})).await.unwrap();
    assert_eq!(verdicts(&ingest(&edge, &batch(r#""JPY""#)).await), ["ignored"]);
}

/// It has read its amounts by the decimals of the other currency by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_beside_a_correction_comes_again() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin.batch_execute("begin").await.unwrap();
    register(&admin, json!({"currency": "JPY"})).await.unwrap();
    let waiting = tokio::spawn(async move {
        let text = json!([delivery("q", "products/create", PRODUCT)]).to_string();
        let sql = "select weir.ingest($1::text::json)::text";
        let first = edge.query_one(sql, &[&text]).await.map(|_| ());
        (first, edge)
    });
    let watcher = database.admin().await.unwrap();
    until_waiting(&watcher, 1, || waiting.is_finished()).await;
    admin.batch_execute("commit").await.unwrap();
    let (first, edge) = waiting.await.unwrap();
    assert_eq!(first.unwrap_err().code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
    ingest(&edge, &[delivery("q", "products/create", PRODUCT)]).await;
    let price = "select price_minor from commerce.product_variant";
    assert_eq!(admin.query_one(price, &[]).await.unwrap().get::<_, i64>(0), 1000);
}

#[tokio::test]
async fn a_shop_of_which_nothing_would_arrive_is_refused() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let domain = "shop_domain is not a shop's permanent domain, NAME.myshopify.com.";
    for (fields, expected) in [
        (json!({"shop_domain": "https://x.myshopify.com/"}), domain),
        (json!({"shop_domain": "bad.example.com"}), domain),
        (json!({"shop_domain": ".myshopify.com"}), domain),
        (json!({"shop_domain": "a b.myshopify.com"}), domain),
        (json!({"shop_id": -12}), "shop_id is not positive."),
        (
            json!({"nmae": "x"}),
            "nmae: is not a field; known are shop_id, shop_domain, iana_time_zone, currency, name, move_domain",
        ),
        (json!({"shop_id": 2}), "Shop 1 is registered as demo.myshopify.com."),
    ] {
        assert_eq!(refused(&admin, fields.clone()).await, expected, "{fields}");
    }
    // IANA's own spelling is kept, as Shopify says it: else every shop/update would be of another zone.
    let answer = register(&admin, json!({"iana_time_zone": "america/new_york"}))
        .await
        .unwrap();
    assert_eq!(answer["iana_time_zone"], "America/New_York");
}
