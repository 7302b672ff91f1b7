//! Hostile bodies over the real database: whatever arrives gets a verdict, and nothing that is stored is broken.
//!
//! Seeded, so that a failure can be had again: `WEIR_FUZZ_SEED`, and `WEIR_FUZZ` for how many.

use serde_json::{json, Value};
use tokio_postgres::Client;
use weir_domain::telemetry::commerce;

use super::contract::permutation::Random;
use super::{delivery, ingest, shop, FIXTURES, ORDER};

const COUNT: usize = 2000;
const BATCH: usize = 50;

/// JSON texts that take the place of a value: other types, borders of numbers and times, text that cannot be stored.
const HOSTILE: [&str; 40] = [
    "null",
    "true",
    "0",
    "-1",
    "-0.0",
    "0.1e1",
    "1.005",
    "6e-2",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "1e400",
    "1e-400",
    "1e99999999999999999999",
    r#""""#,
    r#""\u0000""#,
    r#""a\u0000b""#,
    r#""\ud800""#,
    r#""\udc00x""#,
    r#""\ud83d\ude00""#,
    r#""\x""#,
    r#""\u12""#,
    r#""9223372036854775807""#,
    r#""99999999999999.99""#,
    r#""1e5""#,
    r#""NaN""#,
    r#""Infinity""#,
    r#""-infinity""#,
    r#""0001-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59Z""#,
    r#""2026-02-30T00:00:00Z""#,
    r#""'; drop schema commerce; --""#,
    r#""{1,NULL}\\\"""#,
    "[]",
    "{}",
    "[null]",
    "[[1]]",
    r#"{"id": null, "amount": "1", "currency_code": "XXX"}"#,
    r#"{"id": 1, "id": 2}"#,
];

/// What is put somewhere into the text.
const FRAGMENTS: [&str; 12] = [
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "\\",
    "\"",
    "}",
    "[",
    ",",
    "\u{202e}",
    "\u{1f4a5}",
    "9",
    "e",
];

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// JSON pointers of all values in `value`.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                pointers(member, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn hostile(random: &mut Random) -> String {
    match random.below(HOSTILE.len() as u64 + 2) as usize {
        0 => "[".repeat(2000) + &"]".repeat(2000),
        1 => json!("x".repeat(100_000)).to_string(),
        index => HOSTILE[index - 2].to_owned(),
    }
}

fn place(random: &mut Random, text: &str) -> usize {
    let mut at = random.below(text.len() as u64 + 1) as usize;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `text` cut short, with something put in, or with up to three of its values replaced.
fn mutated(random: &mut Random, text: &str) -> String {
    match random.below(5) {
        0 => text[..place(random, text)].to_owned(),
        1 => {
            let at = place(random, text);
            format!("{}{}{}", &text[..at], random.one(&FRAGMENTS), &text[at..])
        }
        _ => {
            let mut value: Value = serde_json::from_str(text).expect("a fixture is JSON");
            for _ in 0..=random.below(3) {
                let mut found = Vec::new();
                pointers(&value, "", &mut found);
                let pointer = &found[random.below(found.len() as u64) as usize];
                *value.pointer_mut(pointer).expect("a value that was just found") = "@here@".into();
            }
            let mut text = value.to_string();
            while text.contains("\"@here@\"") {
                text = text.replacen("\"@here@\"", &hostile(random), 1);
            }
            text
        }
    }
}

/// Every row of weir's schemas whose text is no UTF-8, holds U+0000, or whose jsonb is not what its text says.
async fn broken(admin: &Client) -> Vec<String> {
    let tables = "select c.oid::regclass::text, coalesce(bool_or(a.atttypid = 'jsonb'::regtype), false)
        from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relkind = 'r' and c.relnamespace::regnamespace::text
            in ('commerce', 'configuration', 'privacy', 'publication')
        group by 1 order by 1";
    let mut found = Vec::new();
    for row in admin.query(tables, &[]).await.unwrap() {
        let (table, has_raw): (String, bool) = (row.get(0), row.get(1));
        let raw = if has_raw { "or raw::text::jsonb <> raw" } else { "" };
        // convert_from checks every byte, and raises where it is not UTF-8.
        let sql = format!(
            "select count(*) from {table} as t where position('\\x00'::bytea in textsend(t::text)) > 0
                or length(convert_from(textsend(t::text), 'UTF8')) = 0 {raw}"
        );
        let count: i64 = admin.query_one(&sql, &[]).await.unwrap().get(0);
        found.extend((count > 0).then(|| format!("{table}: {count}")));
    }
    let sums = "select count(*) from commerce.sales_ledger
        where net_sales_minor <> gross_sales_minor - discounts_minor - returns_minor";
    let count: i64 = admin.query_one(sums, &[]).await.unwrap().get(0);
    found.extend((count > 0).then(|| format!("sums: {count}")));
    found
}

/// Which server and which of its processes: another one would mean that the first has crashed.
async fn server(client: &Client) -> String {
    let sql = "select pg_postmaster_start_time()::text || ' ' || pg_backend_pid()";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn count(answer: &Value, list: &str, allowed: &[&str]) -> usize {
    let all = answer[list].as_array().unwrap();
    for one in all {
        let verdict = one["verdict"].as_str().expect("a verdict");
        assert!(allowed.contains(&verdict), "{one}");
        assert_eq!(verdict == "rejected", one["detail"].is_string(), "{one}");
    }
    all.len()
}

#[tokio::test]
async fn whatever_arrives_gets_a_verdict_and_breaks_nothing() {
    let seed = setting("WEIR_FUZZ_SEED", 20_261_124);
    println!("WEIR_FUZZ_SEED={seed}");
    let mut random = Random(seed as u64);
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let before = server(&edge).await;
    let order: i64 = ORDER.parse().unwrap();
    let mut accepted = 0;
    let total = setting("WEIR_FUZZ", COUNT);
    for first in (0..total).step_by(BATCH) {
        let batch: Vec<Value> = (first..(first + BATCH).min(total))
            .map(|index| {
                let (topic, body) = FIXTURES[random.below(FIXTURES.len() as u64) as usize];
                // Now and then a body of another topic.
                let other = FIXTURES[random.below(FIXTURES.len() as u64) as usize].0;
                let topic = if random.below(8) == 0 { other } else { topic };
                // An order for twenty of them: one that is deleted or very new takes nothing more.
                let body = body.replace(ORDER, &(order + index as i64 / 20).to_string());
                let mut one = delivery(&format!("{index}"), topic, &mutated(&mut random, &body));
                if random.below(16) == 0 {
                    let member = random.one(&[
                        "webhook_id",
                        "topic",
                        "shop_domain",
                        "received_at",
                        "triggered_at",
                        "source",
                    ]);
                    one[member] = serde_json::from_str(&hostile(&mut random)).unwrap_or(json!("a\u{0}b"));
                }
                one
            })
            .collect();
        // A delivery that fails alone is a verdict; an error of the call, or a panic in it, ends this test.
        let answer = ingest(&edge, &batch).await;
        let allowed = ["accepted", "duplicate", "stale", "ignored", "rejected"];
        assert_eq!(count(&answer, "deliveries", &allowed), batch.len());
        let verdicts = answer["deliveries"].as_array().unwrap();
        accepted += verdicts.iter().filter(|one| one["verdict"] == "accepted").count();
    }
    // Neither is everything refused nor everything let in.
    assert!(
        accepted > total / 10 && accepted < total * 9 / 10,
        "{accepted} of {total}"
    );
    assert_eq!(server(&edge).await, before);
    assert_eq!(broken(&admin).await, Vec::<String>::new());
    // What was let in can be told.
    let sql = "select weir.order_event(array(select order_id from commerce.order_header))::text";
    let events: Vec<Value> = serde_json::from_str(admin.query_one(sql, &[]).await.unwrap().get(0)).unwrap();
    assert!(!events.is_empty());
    for event in &events {
        assert_eq!(commerce().validate(event), Ok(()), "{event}");
    }
}

#[tokio::test]
async fn whatever_interaction_arrives_gets_a_verdict_and_breaks_nothing() {
    let seed = setting("WEIR_FUZZ_SEED", 20_261_124);
    println!("WEIR_FUZZ_SEED={seed}");
    let mut random = Random(seed as u64);
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let before = server(&edge).await;
    let total = setting("WEIR_FUZZ", COUNT) / 4;
    for first in (0..total).step_by(BATCH) {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let row = json!({"event_id": format!("e{}-{}", first, batch.len()), "event_type": "attribution",
                "schema_version": 1, "occurred_at": "2026-11-20T10:00:00.000Z", "received_at": "2026-11-20T10:00:01.000Z",
                "event_date": "2026-11-20", "event_hour": 10, "source": "interaction", "shop_domain": super::SHOP,
                "order_id": "7", "product_id": "11", "publisher_id": "p", "url": "https://a.example/", "is_bot": false,
                "engaged_seconds": 1.5});
            let text = mutated(&mut random, &row.to_string());
            // What PostgreSQL's json type does not take never reaches the function.
            let is_json = "select pg_catalog.json_typeof($1::text::json)";
            if !text.contains('\0') && admin.query_one(is_json, &[&text]).await.is_ok() {
                batch.push(text);
            }
        }
        let sql = "select weir.record_interactions($1::text::json)::text";
        let row = edge.query_one(sql, &[&format!("[{}]", batch.join(","))]).await.unwrap();
        let answer: Value = serde_json::from_str(row.get(0)).unwrap();
        assert_eq!(
            count(&answer, "interactions", &["accepted", "duplicate", "rejected"]),
            BATCH
        );
    }
    assert_eq!(server(&edge).await, before);
    assert_eq!(broken(&admin).await, Vec::<String>::new());
    let recorded = "select count(*) from publication.publication_telemetry";
    let recorded: i64 = admin.query_one(recorded, &[]).await.unwrap().get(0);
    assert!(recorded > 0 && recorded < total as i64, "{recorded} of {total}");
}
