//! How a shop is registered: what it may be called, and the currency that its amounts are read in.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use super::publication::interaction;
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
}

#[tokio::test]
async fn a_row_of_an_order_that_has_not_come_is_no_amount() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let attribution = interaction("e1", "attribution", 1, json!({"order_id": "7", "publisher_id": "p1"}));
    let sql = "select weir.record_interactions($1::text::json)::text";
    edge.query_one(sql, &[&json!([attribution]).to_string()]).await.unwrap();
    let shipped = r#"{"id": 3, "order_id": 7, "status": "success", "updated_at": "2026-11-02T00:00:00Z"}"#;
    let parts = [
        delivery("f", "fulfillments/create", shipped),
        delivery("d", "orders/delete", r#"{"id": 8}"#),
    ];
    assert_eq!(verdicts(&ingest(&edge, &parts).await), ["accepted"; 2]);
    let answer = register(&admin, json!({"currency": "JPY"})).await.unwrap();
    assert_eq!(answer["previous_currency"], "USD");
    // Of a refund the units were read by the shop's decimals.
    assert_eq!(
        verdicts(&ingest(&edge, &[delivery("r", "refunds/create", &super::refund(9))]).await),
        ["accepted"]
    );
    refused(&admin, json!({"currency": "USD"})).await;
}

/// Shopify lets a shop change it. Orders name their own; what is known of buyers, publishers and products stays.
#[tokio::test]
async fn a_shop_changes_its_currency_where_that_is_meant_and_keeps_the_rest() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let product = |second: u8, price: &str| {
        let at = format!("2026-11-01T00:00:{second:02}Z");
        format!(
            r#"{{"id": 11, "title": "Lamp", "updated_at": "{at}", "variants": [{{"id": 12, "price": "{price}"}}]}}"#
        )
    };
    let known = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("p", "products/create", &product(1, "10.50")),
        delivery("d", "orders/delete", r#"{"id": 8}"#),
    ];
    assert_eq!(verdicts(&ingest(&edge, &known).await), ["accepted"; 3]);
    let attribution = interaction("e1", "attribution", 1, json!({"order_id": "7", "publisher_id": "p1"}));
    let sql = "select weir.record_interactions($1::text::json)::text";
    edge.query_one(sql, &[&json!([attribution]).to_string()]).await.unwrap();
    let rest = "select concat_ws(' ', (select salt from privacy.salt), (select count(*) from commerce.tombstone),
        (select count(*) from publication.publication_telemetry), (select title from commerce.product),
        (select to_jsonb(h)::text from commerce.order_header as h where order_id = 7),
        (select string_agg(l::text, ' ') from commerce.sales_ledger as l))";
    let rest = async || admin.query_one(rest, &[]).await.unwrap().get::<_, String>(0);
    let price = "select price_minor, price_text from commerce.product_variant";
    let price = async || {
        let row = admin.query_one(price, &[]).await.unwrap();
        (row.get::<_, Option<i64>>(0), row.get::<_, Option<String>>(1))
    };
    let before = rest().await;
    for mistyped in [json!("true"), json!(null), json!(1)] {
        refused(&admin, json!({"currency": "JPY", "change_currency": mistyped})).await;
    }
    // The same currency is no change.
    register(&admin, json!({"change_currency": true})).await.unwrap();
    assert_eq!(price().await, (Some(1050), None));
    let answer = register(&admin, json!({"currency": "JPY", "change_currency": true}))
        .await
        .unwrap();
    assert_eq!(
        (&answer["currency"], &answer["previous_currency"]),
        (&json!("JPY"), &json!("USD"))
    );
    // 1050 would be so many yen.
    assert_eq!((price().await, rest().await), ((None, None), before));
    let row = edge
        .query_one("select weir.registration($1)::text", &[&SHOP])
        .await
        .unwrap();
    let registration: Value = serde_json::from_str(row.get(0)).unwrap();
    assert_eq!(
        (&registration["currency"], &registration["is_forgotten"]),
        (&json!("JPY"), &json!(false))
    );

    let yen = order(9, 1, "").replace("USD", "JPY").replace("10.00", "1000");
    let batch = [
        delivery("b", "orders/create", &yen),
        delivery("q", "products/update", &product(2, "1100")),
        delivery("c", "orders/updated", &order(7, 2, r#""name": "n","#)),
        delivery("u", "shop/update", r#"{"id": 1, "currency": "JPY"}"#),
    ];
    let answer = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted", "accepted", "accepted", "ignored"]);
    assert_eq!(price().await, (Some(1100), None));
    let sql =
        "select string_agg(concat_ws(' ', order_id, currency, gross_sales_minor, publisher_id), ', ' order by order_id)
        from commerce.order_enriched";
    let orders: String = admin.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(orders, "7 USD 2000 p1, 9 JPY 2000");
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
    let (database, edge) = shop().await;
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
            "nmae: is not a field; known are shop_id, shop_domain, iana_time_zone, currency, name, move_domain, \
             change_currency",
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
    // Earlier versions kept it as it was written.
    let earlier = "update commerce.shop set iana_time_zone = 'america/new_york'";
    admin.batch_execute(earlier).await.unwrap();
    let told = |zone: &str| {
        let body = format!(r#"{{"id": 1, "iana_timezone": "{zone}"}}"#);
        [delivery("a", "shop/update", &body)]
    };
    for (zone, verdict) in [("America/New_York", "ignored"), ("America/Chicago", "rejected")] {
        assert_eq!(verdicts(&ingest(&edge, &told(zone)).await), [verdict], "{zone}");
    }
}
