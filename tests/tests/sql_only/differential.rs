//! The extension and the SQL-only install are told the same, and answer and keep the same: answers as JSON, tables row by
//! row. What is told is random: all topics, several shops, currencies and time zones, repetitions, old versions, and bodies
//! of which something is wrong.

#[path = "bodies.rs"]
mod bodies;

use serde_json::{json, Value};
use tokio_postgres::Client;
use weir_tests::postgres::{Database, Install};

use crate::contract::permutation::{history, Random};
use crate::contract::{delivery, shop_in, FIXTURES, SHOP};
use bodies::{Shop, SHOPS};

/// How many random batches; more by `WEIR_BATCHES`.
const BATCHES: u64 = 120;

/// Two databases that are told the same.
struct Pair {
    databases: [Database; 2],
    edges: [Client; 2],
    admins: [Client; 2],
}

impl Pair {
    /// Both with the shops of [`SHOPS`], the same salts and the same secret: what is random in either is no difference.
    async fn new() -> Self {
        let (extension, sql_only) = (shop_in(Install::Extension).await, shop_in(Install::SqlOnly).await);
        let admins = [extension.0.admin().await.unwrap(), sql_only.0.admin().await.unwrap()];
        for admin in &admins {
            let secret = "update privacy.secret set secret = 'the same'";
            admin.batch_execute(secret).await.unwrap();
        }
        let pair = Self {
            databases: [extension.0, sql_only.0],
            edges: [extension.1, sql_only.1],
            admins,
        };
        pair.register().await;
        pair
    }

    /// Registers the shops, anew where one was forgotten, and gives their customers the same salts on both.
    async fn register(&self) {
        let sample: Value = serde_json::from_str(FIXTURES[2].1).unwrap();
        for admin in &self.admins {
            for shop in SHOPS {
                let registration = json!({"shop_id": shop.id, "shop_domain": shop.domain, "currency": shop.currency,
                    "iana_time_zone": shop.zone});
                let sql = "select weir.register_shop($1::text::json)";
                admin.execute(sql, &[&registration.to_string()]).await.unwrap();
            }
            let salts = "insert into privacy.salt (shop_id, customer_id, salt)
                select shop, customer, 'salt ' || shop || '-' || customer
                from generate_series(1, 9) as shop,
                    (select generate_series(1, 99) union all select generate_series(1000, 1099)
                        union all select $1::text::bigint) as named (customer)
                on conflict do nothing";
            let customer = sample["customer"]["id"].to_string();
            admin.execute(salts, &[&customer]).await.unwrap();
        }
    }

    /// The answer of both to a batch, which has to be the same; returns it.
    async fn ingest(&self, batch: &[Value], text: &str) -> Value {
        let mut answers = Vec::new();
        for edge in &self.edges {
            let sql = "select weir.ingest($1::text::json)::text";
            let row = edge.query_one(sql, &[&text]).await.unwrap();
            answers.push(serde_json::from_str::<Value>(row.get(0)).unwrap());
        }
        let of = |answer: &Value, list: &str| answer[list].as_array().unwrap().clone();
        for list in ["deliveries", "events"] {
            let (left, right) = (of(&answers[0], list), of(&answers[1], list));
            for (index, (left, right)) in left.iter().zip(&right).enumerate() {
                let told = if list == "deliveries" {
                    &batch[index]
                } else {
                    &Value::Null
                };
                assert_eq!(
                    left,
                    right,
                    "{list}[{index}] {}",
                    told.to_string().get(..4000).unwrap_or(&told.to_string())
                );
            }
            assert_eq!(left.len(), right.len(), "{list}");
        }
        answers.swap_remove(0)
    }

    /// What a statement of one text column gives on both, or the error it ends with.
    async fn same(&self, sql: &str) -> Result<Vec<String>, String> {
        let mut answers = Vec::new();
        for admin in &self.admins {
            answers.push(match admin.query(sql, &[]).await {
                Ok(rows) => Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()),
                Err(error) => {
                    let error = error.as_db_error().expect("an answer of the server");
                    let (code, detail, hint) = (error.code().code(), error.detail(), error.hint());
                    Err(format!("{code} {} {detail:?} {hint:?}", error.message()))
                }
            });
        }
        if let [Ok(left), Ok(right)] = &answers[..] {
            for (left, right) in left.iter().zip(right) {
                let (a, b) = (
                    serde_json::from_str::<Value>(left),
                    serde_json::from_str::<Value>(right),
                );
                match (a, b) {
                    (Ok(a), Ok(b)) => assert_eq!(a, b, "{sql}"),
                    _ => assert_eq!(left, right, "{sql}"),
                }
            }
            assert_eq!(left.len(), right.len(), "{sql}");
        } else {
            assert_eq!(answers[0], answers[1], "{sql}");
        }
        answers.swap_remove(0)
    }

    /// Every table of weir, row by row, but for when and under which random name something was done.
    async fn same_tables(&self) -> usize {
        let tables = "select table_schema || '.' || table_name from information_schema.tables
            where table_schema in ('commerce', 'configuration', 'privacy', 'publication') and table_type = 'BASE TABLE' order by 1";
        let mut rows = 0;
        for table in self.same(tables).await.unwrap() {
            let volatile = match table.as_str() {
                "commerce.shop" => "'{registered_at, updated_at}'",
                "privacy.salt" => "'{created_at}'",
                "privacy.redaction" => "'{redacted_at, certificate}'",
                "configuration.schema_migration" => "'{applied_at}'",
                "configuration.objective_change" => "'{changed_at}'",
                "configuration.macrodata_artifact" => "'{published_at, ended_at}'",
                _ => "'{}'",
            };
            let sql = format!("select (to_jsonb(t) - {volatile}::text[])::text from {table} as t order by 1");
            rows += self.same(&sql).await.unwrap().len();
        }
        let certificates =
            "select (certificate -> 'removed')::text from privacy.redaction order by shop_id, subject_digest";
        self.same(certificates).await.unwrap();
        rows
    }
}

#[tokio::test]
async fn both_installs_answer_and_keep_the_same() {
    let batches = std::env::var("WEIR_BATCHES").map_or(BATCHES, |text| text.parse().unwrap());
    let seed = std::env::var("WEIR_SEED").map_or(20_261_124, |text| text.parse().unwrap());
    let pair = Pair::new().await;
    let mut random = Random(seed);
    let mut told: Vec<Value> = Vec::new();
    let mut seen = std::collections::BTreeMap::<String, u64>::new();
    for number in 0..batches {
        let mut batch = Vec::new();
        for step in 0..=random.below(40) {
            let again = random.below(12) == 0 && !told.is_empty();
            let mut one = if again {
                told[random.below(told.len() as u64) as usize].clone()
            } else {
                bodies::delivery(&mut random, &format!("{number}-{step}"))
            };
            if again && one.is_object() && random.below(3) == 0 {
                one["webhook_id"] = format!("{number}-{step} anew").into();
            }
            told.push(one.clone());
            batch.push(one);
        }
        let text = bodies::with_raw_numbers(&Value::from(batch.clone()).to_string());
        let answer = pair.ingest(&batch, &text).await;
        for one in answer["deliveries"].as_array().unwrap() {
            let kind = one["reason"].as_str().or(one["verdict"].as_str()).unwrap();
            *seen.entry(kind.to_owned()).or_default() += 1;
        }
        for event in answer["events"].as_array().unwrap() {
            let kind = event["event_type"].as_str().unwrap();
            *seen.entry(kind.to_owned()).or_default() += 1;
        }
        if number % 20 == 19 {
            pair.same_tables().await;
            pair.register().await;
        }
    }
    let rows = pair.same_tables().await;
    println!("{rows} rows, {seen:?}");
    // A difference can only be found in what was told.
    for kind in [
        "accepted",
        "duplicate",
        "stale",
        "missing_field",
        "type_mismatch",
        "parse_failure",
        "null_value",
        "invalid_text",
        "unknown_shop",
        "unsupported_topic",
        "redacted",
        "order_created",
        "order_completed",
        "order_cancelled",
        "order_updated",
        "payment_captured",
        "payment_refunded",
        "fulfillment_shipped",
        "return_requested",
        "product_changed",
    ] {
        assert!(seen.get(kind).is_some_and(|count| *count > 2), "{kind} in {seen:?}");
    }
    same_reads(&pair).await;
    assert_ne!(pair.databases[0].admin_url, pair.databases[1].admin_url);
}

/// All that reads, over what the batches left.
async fn same_reads(pair: &Pair) {
    let orders = "select (one.value::jsonb - 'received_at')::text
        from json_array_elements(weir.order_event((select array_agg(order_id) from commerce.order_header))) as one";
    assert!(pair.same(orders).await.unwrap().len() > 20);
    for Shop { domain, .. } in SHOPS {
        let days = format!("select weir.reconcile('{domain}', '2026-01-01', '2027-12-31')::text");
        pair.same(&days).await.unwrap();
        for customer in 1..9 {
            let data = format!(
                r#"select (weir.customer_data('{{"shop_domain": "{domain}", "customer_id": {customer}}}')::jsonb)::text"#
            );
            pair.same(&data).await.unwrap();
        }
    }
    let view = "select to_jsonb(v)::text from commerce.order_enriched as v order by shop_id, order_id";
    pair.same(view).await.unwrap();
    pair.same("select weir.purge_deliveries(interval '49 hours')::text")
        .await
        .unwrap();
    pair.same("select weir.version()").await.unwrap();
}

/// The histories of the permutation test and every sample body, in one batch each.
#[tokio::test]
async fn both_installs_agree_on_histories_and_samples() {
    let pair = Pair::new().await;
    let mut random = Random(7);
    for ids in [1..=40, 41..=80] {
        let batch: Vec<Value> = ids.flat_map(|id| history(&mut random, id)).collect();
        pair.ingest(&batch, &Value::from(batch.clone()).to_string()).await;
    }
    let batch: Vec<Value> = FIXTURES
        .iter()
        .map(|(topic, body)| delivery(topic, topic, body))
        .collect();
    pair.ingest(&batch, &Value::from(batch.clone()).to_string()).await;
    assert!(pair.same_tables().await > 300);
    same_reads(&pair).await;
}

/// Bodies whose whole text is strange, and deliveries that are none.
#[tokio::test]
async fn both_installs_refuse_the_same_texts() {
    let pair = Pair::new().await;
    let deep = |levels: usize| format!(r#"{{"id": 1, "x": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let texts = [
        String::new(),
        " ".into(),
        "{".into(),
        "[]".into(),
        "null".into(),
        "1e400".into(),
        "\"x\"".into(),
        deep(63),
        deep(64),
        deep(65),
        deep(3000),
        deep(100_000),
        "[".repeat(100_000),
        r#"{"id": 1, "a": "\ud800"}"#.into(),
        r#"{"id": 1, "a": "\u0000"}"#.into(),
        r#"{"id": 1, "a\u0000": 1}"#.into(),
        r#"{"id": 1, "a": "\\u0000"}"#.into(),
        r#"{"b": {"y": "\u0000"}, "a": 1e999, "id": 1}"#.into(),
        r#"{"id": 1e0}"#.into(),
        r#"{"id": 1.0}"#.into(),
        r#"{"id": "+5"}"#.into(),
        r#"{"id": " 5"}"#.into(),
        r#"{"id": 9223372036854775807}"#.into(),
        r#"{"id": 9223372036854775808}"#.into(),
        r#"{"id": "-0"}"#.into(),
        r#"{"id": 5, "id": 6}"#.into(),
        r#"{"id": 5, "total_price": 1E2}"#.into(),
        r#"{"id": 5, "note": 1e2, "x": 1e2}"#.into(),
        r#"{"id": 1, "x": 00}"#.into(),
        "{\"id\": 1, \"x\": \"a\tb\"}".into(),
        format!(r#"{{"id": 1, "x": {}}}"#, "9".repeat(101)),
        format!(r#"{{"id": 1, "x": {}}}"#, "9".repeat(100)),
        format!(r#"{{"id": 1, "x": 0.{}}}"#, "9".repeat(98)),
        r#"{"id": 1, "line_items": 1e5}"#.into(),
        r#"{"id": 1, "customer": [1]}"#.into(),
        r#"{"id": 1, "customer": {"id": 1e1}}"#.into(),
        // What cannot be stored, before the place where it ceases to be JSON, and after.
        r#"{"id": 1, "a": [5, {"b": "\u0000"}], "c""#.into(),
        r#"{"id": 1, "a": {"b": [1, 1e999]}, "c": }"#.into(),
        r#"{"id": 1, "a": {"b\u0000": 1}, "#.into(),
        r#"{"id": 1, "a": "\ud800", "b": "\u0000"#.into(),
        r#"{"id": 1, "a": tru, "b": "\u0000"}"#.into(),
        r#"{"id": 1, "z": "\u0000", "a": 1e999}"#.into(),
    ];
    for (number, text) in texts.iter().enumerate() {
        for topic in ["orders/create", "products/update", "returns/update", "shop/redacted"] {
            let batch = [delivery(&number.to_string(), topic, text)];
            pair.ingest(&batch, &Value::from(batch.to_vec()).to_string()).await;
        }
    }
    let strange = [
        json!(null),
        json!(5),
        json!([]),
        json!({}),
        json!({"webhook_id": 5}),
        json!({"webhook_id": null}),
        json!({"webhook_id": "a", "topic": "orders/create", "shop_domain": SHOP, "received_at": "today", "body": "{}"}),
        json!({"webhook_id": "a", "topic": "orders/create", "shop_domain": SHOP, "received_at": "2026-02-30T00:00:00Z", "body": "{}"}),
        json!({"webhook_id": "a", "topic": "orders/create", "shop_domain": SHOP, "received_at": "2026-02-03T00:00:00Z"}),
        json!({"webhook_id": "a\u{0}b", "topic": "orders/create", "shop_domain": SHOP, "received_at": "2026-02-03T00:00:00Z", "body": "{}"}),
        json!({"webhook_id": "a", "topic": "orders/create", "shop_domain": SHOP, "received_at": "2026-02-03T00:00:00Z", "body": "{\u{0}}"}),
        delivery("last", "orders/create", r#"{"id": 99}"#),
    ];
    let answer = pair.ingest(&strange, &Value::from(strange.to_vec()).to_string()).await;
    assert_eq!(answer["deliveries"][strange.len() - 1]["verdict"], "accepted");
    pair.same_tables().await;
    for call in [
        "select weir.ingest('{}'::json)::text",
        "select weir.ingest('[')",
        "select weir.ingest('[]')",
    ] {
        let _ = pair.same(call).await;
    }
}

/// Objectives, shops and requests, right and wrong.
#[tokio::test]
async fn both_installs_take_and_refuse_the_same_calls() {
    let pair = Pair::new().await;
    let mut calls = Vec::new();
    for fields in [
        json!({}),
        json!({"measure": "net_sales"}),
        json!({"measure": "revenue"}),
        json!({"threshold_7d": 5}),
        json!({"threshold_14d": 1.5}),
        json!({"threshold_30d": "20"}),
        json!({"banana_count": -1}),
        json!({"banana_count": 9.5e18}),
        json!({"stale_after_days": 0}),
        json!({"banana_pool": "unclassified"}),
        json!({"banana_pool": "some"}),
        json!({"precedence": ["winner", "banana"]}),
        json!({"precedence": ["winner", "winner"]}),
        json!({"precedence": ["none"]}),
        json!({"precedence": "winner"}),
        json!({"precedence": [5]}),
        json!({"shop_domain": ""}),
        json!({"shop_domain": null}),
        json!({"treshold_30d": 5}),
        json!({"product_type": "Lamp"}),
        json!({"product_type": 5}),
        json!({"objective_spec_id": "x"}),
        json!({"objective_spec_id": 5}),
        json!({"objective_spec_id": null}),
        json!({"objective_spec_id": ""}),
        json!({"valid_from": "yesterday"}),
        json!({"valid_from": 5}),
        json!({"product_type": "a\u{0}"}),
        json!({"revision": 77}),
        json!({"product_type": "it's \"x\""}),
    ] {
        let mut specification = json!({"shop_domain": SHOP, "valid_from": "2026-01-01T00:00:00+09:00"});
        specification
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let text = specification.to_string().replace('\'', "''");
        calls.push(format!("select weir.publish_objective('{text}'::json)::text"));
    }
    for text in ["[]", "5"] {
        calls.push(format!("select weir.publish_objective('{text}'::json)::text"));
    }
    for text in [
        "{}",
        "[]",
        "null",
        r#"{"shop_id": 20, "shop_domain": "x", "iana_time_zone": "Asia/Nowhere", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x", "iana_time_zone": "Asia/Tokyo", "currency": "usd"}"#,
        r#"{"shop_id": "20", "shop_domain": "x", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x\u0000", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x", "iana_time_zone": "Asia/Tokyo", "currency": "USD", "name": "X", "more": 1}"#,
        r#"{"shop_id": 20, "shop_domain": "y", "iana_time_zone": "Europe/Paris", "currency": "USD", "name": null}"#,
        r#"{"shop_id": 20, "shop_domain": "y", "iana_time_zone": "Europe/Paris", "currency": "EUR"}"#,
        r#"{"shop_id": 20, "shop_domain": "y", "iana_time_zone": "Europe/Paris", "currency": "USD", "name": 5}"#,
    ] {
        calls.push(format!("select weir.register_shop('{text}'::json)::text"));
    }
    for function in ["redact_customer", "redact_shop", "customer_data"] {
        for text in [
            "{}",
            "[]",
            r#"{"shop_domain": 5}"#,
            r#"{"shop_domain": "nobody"}"#,
            r#"{"shop_domain": "demo.myshopify.com"}"#,
            r#"{"shop_domain": "demo.myshopify.com", "customer_id": "5"}"#,
            r#"{"shop_domain": "demo.myshopify.com", "customer_id": 5.5}"#,
            r#"{"shop_domain": "demo.myshopify.com", "customer_id": 5, "orders": [1, "2"]}"#,
            r#"{"shop_domain": "demo.myshopify.com", "customer_id": 5, "orders": [1, 2]}"#,
            r#"{"shop_domain": "\u0000"}"#,
        ] {
            // A certificate has a random name and a time; what it says was removed is the same.
            calls.push(format!(
                "select ((weir.{function}('{text}'::json)::jsonb) - '{{certificate_id, redacted_at}}'::text[])::text"
            ));
        }
    }
    calls.push("select weir.reconcile('nobody', '2026-01-01', '2026-01-02')::text".to_owned());
    calls.push("select weir.purge_deliveries(interval '1 day')::text".to_owned());
    // Both refuse a number with an exponent; the extension writes it out in the detail.
    for admin in &pair.admins {
        let call = r#"select weir.publish_objective('{"shop_domain": "a", "threshold_7d": 1e3}')"#;
        let error = admin.batch_execute(call).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("22023"));
    }
    let mut taken = 0;
    for call in &calls {
        taken += usize::from(pair.same(call).await.is_ok());
    }
    assert!(taken > 12 && taken < calls.len() - 12, "{taken} of {}", calls.len());
    pair.same(
        "select (one.value::jsonb - 'changed_at')::text
        from json_array_elements(weir.objective_changes(0) -> 'changes') as one",
    )
    .await
    .unwrap();
    pair.same("select weir.objective_snapshot()::text").await.unwrap();
    pair.same_tables().await;
}
