//! Forgetting customers and shops, and telling what is kept.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;
use weir_tests::postgres::Database;

use super::{delivery, ingest, order, shop, types, verdicts, SHOP};

/// An id that occurs nowhere by chance.
const CUSTOMER: &str = "7719116777";

fn order_of(customer: &str, id: i64, second: u8) -> String {
    order(id, second, "").replace(r#""id": 77"#, &format!(r#""id": {customer}"#))
}

fn redact(customer: &str) -> String {
    format!(
        r#"{{"shop_id": 1, "shop_domain": "{SHOP}", "customer": {{"id": {customer}, "email": "buyer@example.com",
        "phone": "555-625-1199"}}, "orders_to_redact": [7]}}"#
    )
}

/// Names of the tables in which a row holds `text`.
pub async fn tables_with(admin: &Client, text: &str) -> Vec<String> {
    let tables = "select table_schema || '.' || table_name from information_schema.tables
        where table_schema in ('commerce', 'configuration', 'privacy', 'publication') and table_type = 'BASE TABLE' order by 1";
    let mut found = Vec::new();
    for table in admin.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("select exists (select from {table} as t where position($1 in t::text) > 0)");
        if admin.query_one(&sql, &[&text]).await.unwrap().get(0) {
            found.push(table);
        }
    }
    found
}

pub async fn call(client: &Client, function: &str, request: &Value) -> Value {
    let sql = format!("select weir.{function}($1::text::json)::text");
    let row = client.query_one(&sql, &[&request.to_string()]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

async fn salts(database: &Database) -> i64 {
    let admin = database.admin().await.unwrap();
    let row = admin.query_one("select count(*) from privacy.salt", &[]).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_forgotten_customer_stays_forgotten() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let batch = [
        delivery("a", "orders/create", &order_of(CUSTOMER, 7, 1)),
        delivery("b", "orders/create", &order_of(CUSTOMER, 8, 1)),
        delivery("c", "orders/create", &order_of("78", 9, 1)),
        delivery(
            "q",
            "customers/data_request",
            &format!(
                r#"{{"shop_domain": "{SHOP}", "customer": {{"id": {CUSTOMER}, "email": "buyer@example.com"}},
                "orders_requested": [7], "data_request": {{"id": 9999}}}}"#
            ),
        ),
    ];
    let before = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&before), ["accepted"; 4]);
    let key = before["events"][0]["customer_key"].clone();
    assert!(key.is_string());
    assert_eq!(salts(&database).await, 2);

    let about = json!({"shop_domain": SHOP, "customer_id": CUSTOMER.parse::<i64>().unwrap()});
    let data = call(&admin, "customer_data", &about).await;
    assert_eq!(data["customer_key"], key);
    assert_eq!(data["customer"]["customer_id"], about["customer_id"]);
    assert_eq!(data["orders"][1]["order"]["order_id"], 8);
    assert_eq!(data["orders"][0]["lines"].as_array().unwrap().len(), 1);
    assert_eq!(data["data_requests"][0]["request_id"], 9999);
    let named = [
        "commerce.customer",
        "commerce.order_header",
        "privacy.data_request",
        "privacy.salt",
    ];
    assert_eq!(tables_with(&admin, CUSTOMER).await, named);

    // The Workers' login forgets; an order of the same customer in the same batch does not bring them back.
    let forgotten = ingest(
        &edge,
        &[
            delivery("d", "orders/create", &order_of(CUSTOMER, 10, 1)),
            delivery("r", "customers/redact", &redact(CUSTOMER)),
        ],
    )
    .await;
    assert_eq!(verdicts(&forgotten), ["accepted", "accepted"]);
    assert!(forgotten["events"][0].get("customer_key").is_none());
    let rows = admin
        .query("select certificate::text from privacy.redaction", &[])
        .await
        .unwrap();
    let certificate: Value = serde_json::from_str(rows[0].get(0)).unwrap();
    let removed = json!({"privacy.salt": 1, "privacy.data_request": 1, "commerce.order_header": 2,
        "publication.publication_telemetry": 0, "commerce.customer": 1, "commerce.refund": 0, "commerce.payment": 0,
        "commerce.order_return": 0, "commerce.bulk_line": 0});
    assert_eq!((rows.len(), &certificate["removed"]), (1, &removed));

    // Replays: the delivery itself, the same body as a new delivery, a newer body, another request for data.
    let newer = order_of(CUSTOMER, 7, 30).replace("10.00", "11.00");
    let mut late = vec![
        delivery("r", "customers/redact", &redact(CUSTOMER)),
        delivery(
            "q2",
            "customers/data_request",
            &batch[3]["body"].as_str().unwrap().replace("9999", "9998"),
        ),
        batch[0].clone(),
        delivery("e", "orders/create", &order_of(CUSTOMER, 7, 1)),
        delivery("f", "orders/updated", &newer),
    ];
    late[3]["source"] = "replay".into();
    let replayed = ingest(&edge, &late).await;
    assert_eq!(
        verdicts(&replayed),
        ["duplicate", "accepted", "duplicate", "accepted", "accepted"]
    );
    assert_eq!(types(&replayed), ["order_created", "order_updated"]);
    for event in replayed["events"].as_array().unwrap() {
        assert!(event.get("customer_key").is_none(), "{event}");
    }
    for text in [CUSTOMER, "buyer@example.com", "555-625-1199"] {
        assert_eq!(tables_with(&admin, text).await, Vec::<String>::new(), "{text}");
    }
    assert_eq!(salts(&database).await, 1);
    // Sales stay: they are the shop's.
    let sold: i64 = admin
        .query_one("select sum(units_sold)::bigint from commerce.sales_ledger", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(sold, 8);
    // A repetition finds nothing and gives the first certificate.
    assert_eq!(call(&admin, "redact_customer", &about).await, certificate);
    let data = call(&admin, "customer_data", &about).await;
    assert_eq!((&data["orders"], &data["customer_key"]), (&json!([]), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_while_others_write_leaves_nobody_behind() {
    let (database, _edge) = shop().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_i64 {
        let client = database.edge().await.unwrap();
        writers.spawn(async move {
            for round in 0..15_i64 {
                let id = 1000 * writer + round;
                let name = id.to_string();
                let mut batch = vec![delivery(&name, "orders/create", &order_of(CUSTOMER, id, 1))];
                if writer == 0 && round == 7 {
                    batch.push(delivery(&name, "customers/redact", &redact(CUSTOMER)));
                }
                assert!(verdicts(&ingest(&client, &batch).await)
                    .iter()
                    .all(|one| *one == "accepted"));
            }
        });
    }
    while let Some(finished) = writers.join_next().await {
        finished.expect("a writer failed");
    }
    let admin = database.admin().await.unwrap();
    assert_eq!(tables_with(&admin, CUSTOMER).await, Vec::<String>::new());
    let orders: i64 = admin
        .query_one(
            "select count(*) from commerce.order_header where updated_at is not null",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(orders, 60);
}

/// Forgetting waits for a batch that has not committed, instead of passing by what it cannot see.
#[tokio::test]
async fn forgetting_waits_for_a_batch_under_way() {
    let (database, edge) = shop().await;
    edge.batch_execute("begin").await.unwrap();
    ingest(&edge, &[delivery("a", "orders/create", &order_of(CUSTOMER, 7, 1))]).await;
    let other = database.edge().await.unwrap();
    let forgetting = tokio::spawn(async move {
        let about = json!({"shop_domain": SHOP, "customer_id": CUSTOMER.parse::<i64>().unwrap()});
        call(&other, "redact_customer", &about).await
    });
    let admin = database.admin().await.unwrap();
    let waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database()))";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !admin.query_one(waiting, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(!forgetting.is_finished(), "it did not wait");
        assert!(std::time::Instant::now() < deadline, "it did not start");
    }
    edge.batch_execute("commit").await.unwrap();
    assert_eq!(forgetting.await.unwrap()["removed"]["commerce.order_header"], 1);
    assert_eq!(tables_with(&admin, CUSTOMER).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_forgotten_shop_keeps_nothing_until_it_registers_again() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let other = json!({"shop_id": 2, "shop_domain": "other.myshopify.com", "iana_time_zone": "UTC", "currency": "USD"});
    call(&admin, "register_shop", &other).await;
    let mut strange = delivery("s", "orders/create", &order_of("78", 9, 1));
    strange["shop_domain"] = "other.myshopify.com".into();
    let batch: Vec<Value> = super::FIXTURES
        .iter()
        .filter(|(topic, _)| !topic.ends_with("/delete"))
        .map(|(topic, body)| delivery(topic, topic, body))
        .chain([strange])
        .collect();
    ingest(&edge, &batch).await;
    let redact = format!(r#"{{"shop_id": 1, "shop_domain": "{SHOP}"}}"#);
    let answer = ingest(&edge, &[delivery("r", "shop/redact", &redact)]).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
    let certificate: String = admin
        .query_one(
            "select certificate::text from privacy.redaction where subject = 'shop'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let certificate: Value = serde_json::from_str(&certificate).unwrap();
    assert_eq!(certificate["removed"]["commerce.order_header"], 1);
    // Whatever tables there are: only the shop, the tombstone and the memory of the request itself.
    let tables = "select c.oid::regclass::text from pg_class as c join pg_attribute as a on a.attrelid = c.oid
        where c.relkind = 'r' and a.attname = 'shop_id' and c.relnamespace::regnamespace::text in ('commerce', 'privacy', 'publication')
        order by 1";
    let mut left = Vec::new();
    for table in admin.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let sql = format!("select count(*) from {table} where shop_id = 1");
        let count: i64 = admin.query_one(&sql, &[]).await.unwrap().get(0);
        left.extend((count > 0).then_some((table, count)));
    }
    let expected = ["commerce.shop", "commerce.webhook_delivery", "privacy.redaction"];
    assert_eq!(left, expected.map(|table| (table.to_owned(), 1)));
    assert_eq!(salts(&database).await, 1);

    let late = ingest(&edge, &[delivery("x", "orders/create", &order_of(CUSTOMER, 7, 1))]).await;
    assert_eq!(verdicts(&late), ["ignored"]);
    assert_eq!(late["deliveries"][0]["reason"], "redacted");
    // Asked for again, by whom the request reached: deliveries known since are no commerce, the certificate is the first one.
    let asked = call(&edge, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    assert_eq!(asked, certificate);
    let again = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
    call(&admin, "register_shop", &again).await;
    let fresh = ingest(&edge, &[delivery("y", "orders/create", &order_of(CUSTOMER, 7, 1))]).await;
    assert_eq!(verdicts(&fresh), ["accepted"]);
}

#[tokio::test]
async fn a_shop_that_registered_anew_is_not_forgotten_by_a_request_of_before() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let now = || async {
        let sql = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let time: String = admin.query_one(sql, &[]).await.unwrap().get(0);
        time
    };
    let orders = || async {
        let row = admin.query_one("select count(*) from commerce.order_header", &[]).await;
        row.unwrap().get::<_, i64>(0)
    };
    let redact = |id: &str, received_at: &str, triggered_at: Option<&str>| {
        let mut request = delivery(
            id,
            "shop/redact",
            &format!(r#"{{"shop_id": 1, "shop_domain": "{SHOP}"}}"#),
        );
        request["received_at"] = received_at.into();
        request["triggered_at"] = triggered_at.into();
        request
    };
    let registration = async || {
        let sql = "select weir.registration($1)::text";
        let row = edge.query_one(sql, &[&SHOP]).await.unwrap();
        serde_json::from_str::<Value>(row.get(0)).unwrap()
    };
    let asked = now().await;
    let first = registration().await;
    assert!(first["registered_at"].as_str().unwrap() <= asked.as_str());
    assert_eq!(first["is_forgotten"], false);
    ingest(&edge, &[delivery("a", "orders/create", &order_of(CUSTOMER, 7, 1))]).await;
    assert_eq!(
        verdicts(&ingest(&edge, &[redact("r", &asked, None)]).await),
        ["accepted"]
    );
    assert_eq!(registration().await["is_forgotten"], true);
    // Not registered anew: done once more.
    assert_eq!(
        verdicts(&ingest(&edge, &[redact("r", &asked, None)]).await),
        ["accepted"]
    );
    let certificate = call(
        &edge,
        "redact_shop",
        &json!({"shop_domain": SHOP, "requested_at": asked}),
    )
    .await;
    let again = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "USD"});
    call(&admin, "register_shop", &again).await;
    let second = registration().await;
    assert!(second["registered_at"].as_str().unwrap() > certificate["redacted_at"].as_str().unwrap());
    assert_eq!(second["is_forgotten"], false);
    ingest(&edge, &[delivery("b", "orders/create", &order_of(CUSTOMER, 8, 1))]).await;

    // The same delivery once more, as Shopify and the Worker may send it, and one that came late.
    let late = now().await;
    for request in [redact("r", &asked, None), redact("s", &late, Some(&asked))] {
        let order = delivery("c", "orders/create", &order_of(CUSTOMER, 9, 1));
        let answer = ingest(&edge, &[request, order]).await;
        assert_eq!(answer["deliveries"][0]["verdict"], "ignored");
        assert_eq!(answer["deliveries"][0]["reason"], "registered_anew");
        assert_ne!(answer["deliveries"][1]["verdict"], "ignored");
        assert_eq!(answer["deliveries"][1]["event_ids"].as_array().unwrap().len(), 1);
    }
    let mut told = call(
        &edge,
        "redact_shop",
        &json!({"shop_domain": SHOP, "requested_at": asked}),
    )
    .await;
    let renewed_at = told.as_object_mut().unwrap().remove("registered_anew_at").unwrap();
    assert!(renewed_at.as_str().unwrap() > certificate["redacted_at"].as_str().unwrap());
    assert_eq!((told, orders().await), (certificate.clone(), 2));

    // Another change of the registration is none that follows a redaction: a request of before it is about this shop.
    let of_this_one = now().await;
    call(&admin, "register_shop", &again).await;
    assert_eq!(registration().await, second);
    assert_eq!(
        verdicts(&ingest(&edge, &[redact("t", &of_this_one, None)]).await),
        ["accepted"]
    );
    assert_eq!(orders().await, 0);
    // By hand, without a moment, a shop is forgotten whenever that is.
    call(&admin, "register_shop", &again).await;
    ingest(&edge, &[delivery("d", "orders/create", &order_of(CUSTOMER, 8, 1))]).await;
    call(&edge, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    assert_eq!(orders().await, 0);
    // Registered anew by an earlier version, which left registered_at as it was.
    call(&admin, "register_shop", &again).await;
    admin
        .batch_execute("update commerce.shop set registered_at = '2020-01-01'")
        .await
        .unwrap();
    assert!(registration().await["registered_at"].as_str().unwrap() > second["registered_at"].as_str().unwrap());
    assert_eq!(
        ingest(&edge, &[redact("u", &asked, None)]).await["deliveries"][0]["reason"],
        "registered_anew"
    );
}

/// A request that was refused, for nobody had registered the shop, is replayed after the shop has come.
#[tokio::test]
async fn a_request_of_before_the_first_registration_takes_nothing_of_what_came_after() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let of_late = |id: &str, topic: &str, body: &str, received_at: &str| {
        let mut delivery = delivery(id, topic, body);
        delivery["shop_domain"] = "late.myshopify.com".into();
        delivery["received_at"] = received_at.into();
        delivery
    };
    let asked = "2025-11-24T10:00:00.000Z";
    let request = [of_late("r", "shop/redact", r#"{"shop_id": 2}"#, asked)];
    let refused = ingest(&edge, &request).await;
    assert_eq!(refused["deliveries"][0]["reason"], "unknown_shop");
    let late = json!({"shop_id": 2, "shop_domain": "late.myshopify.com", "iana_time_zone": "UTC", "currency": "USD"});
    call(&admin, "register_shop", &late).await;
    let registered = |is_forgotten: bool| {
        let sql =
            format!("select (weir.registration('late.myshopify.com') ->> 'is_forgotten')::boolean = {is_forgotten}");
        let admin = &admin;
        async move { admin.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) }
    };
    let later = "2100-01-01T00:00:00.000Z";
    ingest(&edge, &[of_late("a", "orders/create", &order(7, 1, ""), later)]).await;

    let mut certificates = Vec::new();
    for _ in 0..2 {
        let replayed = ingest(&edge, &request).await;
        assert_eq!(replayed["deliveries"][0]["reason"], "registered_anew");
        let about = json!({"shop_domain": "late.myshopify.com", "requested_at": asked});
        certificates.push(call(&edge, "redact_shop", &about).await);
    }
    assert_eq!(certificates[0], certificates[1]);
    assert!(certificates[0]["certificate_id"].is_string() && certificates[0]["registered_anew_at"].is_string());
    for (name, expected) in [
        ("redacted_at", json!(asked)),
        ("kept_since", json!(asked)),
        ("removed", json!({})),
    ] {
        assert_eq!(certificates[0][name], expected, "{name}");
    }
    assert!(registered(false).await);
    let orders = "select count(*) from commerce.order_header where shop_id = 2";
    assert_eq!(admin.query_one(orders, &[]).await.unwrap().get::<_, i64>(0), 1);
    // What is told of it is taken as before, and a request of after the registration is done.
    let more = ingest(&edge, &[of_late("b", "orders/create", &order(8, 1, ""), later)]).await;
    assert_eq!(verdicts(&more), ["accepted"]);
    let of_this_one = ingest(&edge, &[of_late("s", "shop/redact", r#"{"shop_id": 2}"#, later)]).await;
    assert_eq!(verdicts(&of_this_one), ["accepted"]);
    assert!(registered(true).await);
    assert_eq!(admin.query_one(orders, &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// Else the shop, registered once more, would be taken for one that was never forgotten, and its objects of before would stay.
#[tokio::test]
async fn the_certificate_of_a_redaction_that_finds_nothing_takes_the_place_of_that_of_none() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let early = json!({"shop_domain": SHOP, "requested_at": "2025-11-24T10:00:00.000Z"});
    let of_nothing = call(&edge, "redact_shop", &early).await;
    assert_eq!(
        (&of_nothing["removed"], of_nothing["kept_since"].is_string()),
        (&json!({}), true)
    );
    let done = call(&edge, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    assert_ne!(done["certificate_id"], of_nothing["certificate_id"]);
    assert_eq!(done["removed"]["commerce.order_header"], 0);
    let again = call(&edge, "redact_shop", &json!({ "shop_domain": SHOP })).await;
    assert_eq!(again, done);
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "UTC", "currency": "USD"});
    call(&admin, "register_shop", &shop).await;
    let replayed = call(&edge, "redact_shop", &early).await;
    assert_eq!(replayed["certificate_id"], done["certificate_id"]);
    assert!(replayed["registered_anew_at"].is_string() && replayed["kept_since"].is_null());
}

#[tokio::test]
async fn a_request_that_was_answered_does_not_come_back() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let asks = |id: &str| {
        delivery(
            id,
            "customers/data_request",
            r#"{"customer": {"id": 77}, "data_request": {"id": 5}}"#,
        )
    };
    let waiting = async || {
        let row = admin.query_one("select count(*) from privacy.data_request", &[]).await;
        row.unwrap().get::<_, i64>(0)
    };
    assert_eq!(
        verdicts(&ingest(&edge, &[asks("q"), asks("q")]).await),
        ["accepted", "duplicate"]
    );
    assert_eq!(waiting().await, 1);
    admin.batch_execute("delete from privacy.data_request").await.unwrap();
    assert_eq!(verdicts(&ingest(&edge, &[asks("q")]).await), ["duplicate"]);
    assert_eq!(waiting().await, 0);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    for (function, request) in [
        ("redact_customer", json!({"shop_domain": SHOP})),
        (
            "redact_customer",
            json!({"shop_domain": SHOP, "customer_id": null, "orders": []}),
        ),
        (
            "redact_customer",
            json!({"shop_domain": "nobody.myshopify.com", "customer_id": 1}),
        ),
        ("customer_data", json!([])),
        ("redact_shop", json!({})),
        ("redact_shop", json!({"shop_domain": SHOP, "requested_at": "yesterday"})),
        ("redact_shop", json!({"shop_domain": SHOP, "requested_at": 5})),
    ] {
        let sql = format!("select weir.{function}($1::text::json)");
        let error = admin.execute(&sql, &[&request.to_string()]).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INVALID_PARAMETER_VALUE),
            "{function} {request}"
        );
    }
    let error = edge
        .batch_execute("select weir.customer_data('{}'::json)")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    let bad = [
        delivery("1", "customers/redact", r#"{"customer": {"email": "a@example.com"}}"#),
        delivery("2", "customers/data_request", r#"{"customer": {"id": 5}}"#),
        delivery(
            "3",
            "customers/redact",
            r#"{"customer": {"id": 5}, "orders_to_redact": ["x"]}"#,
        ),
    ];
    assert_eq!(verdicts(&ingest(&edge, &bad).await), ["rejected"; 3]);
}
