//! The extension and the SQL-only install are told the same, and answer and keep the same: answers as JSON, tables row by
//! row. What is told is random: all topics, several shops, currencies and time zones, repetitions, old versions, and bodies
//! of which something is wrong.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use super::bodies::{self, Shop, SHOPS};
use super::pair::Pair;
use super::readings;
use super::visits;
use crate::contract::permutation::{history, Random};
use crate::contract::{delivery, FIXTURES, SHOP};

/// How many random batches; more by `WEIR_BATCHES`.
const BATCHES: u64 = 160;

#[tokio::test]
async fn both_installs_answer_and_keep_the_same() {
    let batches = std::env::var("WEIR_BATCHES").map_or(BATCHES, |text| text.parse().unwrap());
    let seed = std::env::var("WEIR_SEED").map_or(20_261_124, |text| text.parse().unwrap());
    let pair = Pair::new().await;
    let mut random = Random(seed);
    let mut told: Vec<Value> = Vec::new();
    let mut visits: Vec<Value> = Vec::new();
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut seen = BTreeMap::<String, u64>::new();
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
        // No text of PostgreSQL holds U+0000 as it is.
        let holds_nul = batch
            .iter()
            .any(|one| one["body"].as_str().is_some_and(|body| body.contains('\0')));
        let answer = if number % 2 == 0 || holds_nul {
            let text = bodies::with_raw_numbers(&Value::from(batch.clone()).to_string());
            pair.ingest(&batch, &text).await
        } else {
            pair.ingest_unquoted(&batch).await
        };
        for one in answer["deliveries"].as_array().unwrap() {
            let kind = one["reason"].as_str().or(one["verdict"].as_str()).unwrap();
            *seen.entry(kind.to_owned()).or_default() += 1;
        }
        for event in answer["events"].as_array().unwrap() {
            let kind = event["event_type"].as_str().unwrap();
            *seen.entry(kind.to_owned()).or_default() += 1;
        }
        if random.below(2) == 0 {
            visit(&pair, &mut random, number, &mut visits, &mut seen).await;
        }
        if random.below(2) == 0 {
            read(&pair, &mut random, number as i64, &mut chunks, &mut seen).await;
        }
        if number % 20 == 19 {
            pair.same_tables().await;
            let moved = pair.register(random.below(SHOPS.len() as u64) as usize).await;
            *seen.entry("moved".to_owned()).or_default() += moved;
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
        "time_zone_changed",
        "currency_changed",
        "redacted",
        "moved",
        "order_created",
        "order_completed",
        "order_cancelled",
        "order_updated",
        "payment_captured",
        "payment_refunded",
        "fulfillment_shipped",
        "return_requested",
        "product_changed",
        "attributed",
        "interaction accepted",
        "interaction duplicate",
        "interaction missing_field",
        "interaction type_mismatch",
        "lines upserted",
        "lines unchanged",
        "line type_mismatch",
        "line missing_field",
        "line parse_failure",
        "bulk events",
        "catalogue taken",
        "catalogue refused",
    ] {
        assert!(seen.get(kind).is_some_and(|count| *count > 2), "{kind} in {seen:?}");
    }
    same_reads(&pair).await;
    assert_ne!(pair.databases[0].admin_url, pair.databases[1].admin_url);
}

/// A batch of interactions, some told before, and a change of the catalogue.
async fn visit(pair: &Pair, random: &mut Random, number: u64, told: &mut Vec<Value>, seen: &mut BTreeMap<String, u64>) {
    let mut batch = Vec::new();
    for step in 0..=random.below(12) {
        let one = match told.len() {
            known @ 1.. if random.below(5) == 0 => told[random.below(known as u64) as usize].clone(),
            _ => visits::interaction(random, &format!("e{number}-{step}")),
        };
        told.push(one.clone());
        batch.push(one);
    }
    let text = bodies::with_plain_raw_numbers(&Value::from(batch.clone()).to_string());
    let call = "weir.record_interactions($1::text::json)";
    let answer = pair.answer(call, &[&text], "interactions", &batch).await;
    for one in answer["interactions"].as_array().unwrap() {
        let kind = one["reason"].as_str().or(one["verdict"].as_str()).unwrap();
        *seen.entry(format!("interaction {kind}")).or_default() += 1;
    }
    *seen.entry("attributed".to_owned()).or_default() += answer["events"].as_array().unwrap().len() as u64;
    for _ in 0..3 {
        let change = bodies::with_plain_raw_numbers(&visits::catalogue(random).to_string());
        let change = change.replace('\'', "''");
        let taken = pair
            .same(&format!("select weir.publish_catalogue('{change}'::json)::text"))
            .await;
        let kind = if taken.is_ok() { "taken" } else { "refused" };
        *seen.entry(format!("catalogue {kind}")).or_default() += 1;
    }
}

/// A chunk of an operation: the shop, the lines, the argument `run`.
type Chunk = (&'static str, String, Value);

/// Chunks of a few operations, some told before, and the events of some of these operations, page by page.
async fn read(pair: &Pair, random: &mut Random, number: i64, told: &mut Vec<Chunk>, seen: &mut BTreeMap<String, u64>) {
    let shop = &SHOPS[random.below(SHOPS.len() as u64) as usize];
    let operation = |index: i64| format!("gid://shopify/BulkOperation/{}", 10 * number + index);
    for (index, kind) in readings::KINDS.iter().enumerate() {
        let run = json!({"operation_id": operation(index as i64), "kind": kind, "started_at": readings::time(random),
            "source": random.one(&["bulk_sync", "backfill"]), "received_at": "2026-11-01T10:00:00Z"});
        for _ in 0..random.below(3) {
            let lines = readings::lines(random, shop, kind);
            told.push((shop.domain, readings::chunk(random, &lines), run.clone()));
            let repeated = random.below(told.len() as u64) as usize;
            for (domain, lines, run) in [told.len() - 1, repeated].map(|index| told[index].clone()) {
                let call = "weir.ingest_bulk($1, $2, $3::text::json)";
                let answer = pair
                    .answer(call, &[domain, &lines, &run.to_string()], "rejections", &[])
                    .await;
                *seen.entry("lines upserted".to_owned()).or_default() += answer["upserted"].as_u64().unwrap();
                *seen.entry("lines unchanged".to_owned()).or_default() += answer["unchanged"].as_u64().unwrap();
                for one in answer["rejections"].as_array().unwrap() {
                    let reason = one["reason"].as_str().unwrap();
                    *seen.entry(format!("line {reason}")).or_default() += 1;
                }
            }
        }
    }
    // Operations of another shop or of an earlier run among them.
    let operations = [operation(0), operation(1), operation(2), operation(-9)];
    let mut run = json!({"operation_ids": &operations[random.below(2) as usize..], "source": "bulk_sync",
        "received_at": "2026-11-01T10:00:01Z", "limit": 1 + random.below(6), "after": null});
    loop {
        let call = "weir.bulk_events($1, $2::text::json)";
        let answer = pair.answer(call, &[shop.domain, &run.to_string()], "events", &[]).await;
        *seen.entry("bulk events".to_owned()).or_default() += answer["events"].as_array().unwrap().len() as u64;
        if answer["next"].is_null() {
            break;
        }
        run["after"] = answer["next"].clone();
    }
}

/// All that reads, over what the batches left.
async fn same_reads(pair: &Pair) {
    let orders = "select (one.value::jsonb - 'received_at')::text
        from json_array_elements(weir.order_event((select array_agg(order_id) || null::bigint from commerce.order_header))) as one";
    assert!(pair.same(orders).await.unwrap().len() > 20);
    for Shop { domain, .. } in SHOPS {
        let days = format!("select weir.reconcile('{domain}', '2026-01-01', '2027-12-31')::text");
        pair.same(&days).await.unwrap();
        let catalogue = format!("select weir.publication_catalogue('{domain}')::text");
        pair.same(&catalogue).await.unwrap();
        for customer in 1..9 {
            // When an interaction was written here is each database's own.
            let data = format!(
                r#"select regexp_replace((weir.customer_data('{{"shop_domain": "{domain}", "customer_id": {customer}}}')::jsonb)::text,
                    '"recorded_at": "[^"]*"', '"recorded_at": null', 'g')"#
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
    let deep_around = |levels: usize, core: &str| {
        format!(
            r#"{{"id": 1, "x": {}{core}{}}}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
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
        // Numbers with an exponent are read another way.
        deep_around(63, "1e2"),
        deep_around(64, "1e2"),
        deep_around(62, "[1e2, -0]"),
        deep_around(63, "[1e2, -0]"),
        // Characters that no escape stands for, beside what is.
        "{\"id\": 1, \"note\": \"\u{fdd0}\u{fdd1}\u{fdd2}\u{fdd3}\", \"x\": -0, \"name\": \"\u{fdd1}\"}".into(),
        "{\"id\": 1, \"name\": \"\u{fdd0}0\u{fdd0}s\u{fdd0}p12345678\\\\ \\ud83d\\ude00\", \"\u{fdd0}s\": -0}".into(),
        "{\"id\": 1, \"a\\ufdd00\": -0, \"\u{fdd2}\": 1}".into(),
        "{\"id\": 1, \"a\\\\ufdd00\": 1e2, \"b\\ufdd0s\": \"\\uFDD00\"}".into(),
        "{\"id\": 1, \"\u{fdd0}b\\\\\u{fdd0}\": {\"x\": \"\\u0000\"}}".into(),
        "{\"id\": 1, \"\u{fdd0}b\\\\\u{fdd0}\": {\"x\": \"\\u0000\"}, ".into(),
        "{\"id\": 1, \"a\": \"\u{fdd1}\", \"b\": \"\\ud800\"}".into(),
        "{\"id\": 1, \"\u{fdd1}\": \"\u{fdd2}\", \"b\": }".into(),
        "\u{fdd1}".into(),
        "{\"id\": \u{fdd0}}".into(),
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
        "select weir.ingest('{')",
        "select weir.ingest('{}'::text)",
        "select weir.ingest(e'{\"body_bytes\": [1.5]}\\n[7]\\n ')",
        "select weir.ingest(e'{\"body_bytes\": [1]}\\n7\\n ')",
        "select weir.ingest(e'{\"body_bytes\": []}\\n[]')",
        "select weir.ingest('{\"body_bytes\": []}'::json)::text",
        "select weir.ingest(e'{\"body_bytes\": [1]}\\n[7]\\n ')",
        "select weir.ingest(e'{\"body_bytes\": [1, 1]}\\n[7]\\n  ')",
        "select weir.ingest(e'{\"body_bytes\": [1, 1]}\\n[7, 8]\\né')",
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
        json!({"engagement_weights": {}}),
        json!({"engagement_weights": {"views": 1, "clicks": null, "conversions": 1_000_000_000}}),
        json!({"engagement_weights": 5}),
        json!({"engagement_weights": [1, 2]}),
        json!({"engagement_weights": "views"}),
        json!({"engagement_weights": {"likes": 1, "dislikes": 2, "views": -1}}),
        json!({"engagement_weights": {"impressions": -1, "clicks": 1.5}}),
        json!({"engagement_weights": {"views": 0.5}}),
        json!({"engagement_weights": {"views": 1_000_000_001}}),
        json!({"engagement_weights": {"views": {"b": [1, "x\n"], "a": {}}}}),
        json!({"threshold_7d": [1, 2]}),
        json!({"threshold_7d": {"zz": 1, "b": 2}}),
        json!({"product_type": [1, {"a": null}]}),
        json!({"precedence": {"a": 1, "b": [true, false]}}),
        json!({"precedence": [["winner", "banana"]]}),
        json!({"precedence": [{"a": 1}]}),
        json!({"zz": 1, "Zz": 2, "é": 3}),
        json!({"valid_from": "0001-01-01T00:00:00Z"}),
        json!({"valid_from": "9999-01-01T00:00:00Z"}),
        json!({"valid_from": "9998-12-31T23:59:59.999999Z"}),
        json!({"valid_from": "-000001-01-01T00:00:00Z"}),
        json!({"valid_from": "1969-12-31T23:59:59.0005Z"}),
        json!({"valid_from": "2026-06-30T23:59:60+23:59"}),
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
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Nowhere", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "usd"}"#,
        r#"{"shop_id": -12, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "bad.example.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com\n", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "demo.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "america/new_york", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "utc", "currency": "USD", "name": "X"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JYP"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": ""}"#,
        r#"{"shop_id": "20", "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x\u0000.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD"}"#,
        r#"{"shop_id": 20, "shop_domain": "x.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "USD", "name": "X", "more": 1}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "name": null}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "move_domain": null}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "move_domain": "yes"}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "move_domain": false}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "move_domain": true}"#,
        r#"{"shop_id": 20, "shop_domain": "Y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "move_domain": true}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "EUR"}"#,
        r#"{"shop_id": 20, "shop_domain": "y.myshopify.com", "iana_time_zone": "Europe/Paris", "currency": "USD", "name": 5}"#,
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
    for time in [
        "2026-07-01t12:00z",
        "2026-07-01 12:00:00.1234567-00:00",
        "2026-07-01T21:00+0900",
        "2026-07-01T04:00:00-08",
        "2026-07-02T11:59:00+23:59",
        "2026-06-30T12:01:00.5-16:00",
        "2026-07-01T12:00:00+24:00",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.5+15:59",
        "2026-07-01T12:00:61Z",
        "2026-07-01T12:60:00Z",
        "2026-07-01T24:00:00Z",
        "2026-07-01T12Z",
        "2026-07-01T12:00:00,5Z",
        "20260701T120000Z",
        "2026-07-01T12:00:00+09:00[Asia/Tokyo]",
        "2026-07-01T12:00:00+09:00:30",
        "2026-02-29T12:00:00Z",
        "1899-12-31T23:00:00-01:00",
        "9999-01-01T00:00:00+00:01",
    ] {
        // Where it is taken, the order's time says what it was taken for.
        let id = calls.len();
        let body = json!({"id": id, "updated_at": time, "line_items": [{"id": 1, "product_id": 2, "quantity": 1, "price": 1}]});
        let batch = Value::from(vec![delivery(
            &format!("at {time}"),
            "orders/create",
            &body.to_string(),
        )]);
        calls.push(format!("select weir.ingest('{batch}'::json)::text"));
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
