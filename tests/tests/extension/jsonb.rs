//! Bodies are stored as the very bytes that `jsonb_in` would make of their text.

use serde_json::Value;
use tokio_postgres::Client;

use super::contract::permutation::Random;
use super::{delivery, ingest, shop, verdicts};

/// How many random bodies; more by `WEIR_BODIES`, others by `WEIR_BODIES_SEED`.
const BODIES: i64 = 2000;
const BATCH: usize = 100;

/// Texts of JSON strings: escapes of every kind, other scripts, blanks, and none at all.
const STRINGS: [&str; 14] = [
    "",
    "a",
    "id",
    "0",
    " ",
    "weir works",
    r"\n\t\r\b\f\/\\\u0022",
    r"\u00e9\u20ac",
    r"\ud83d\ude00",
    "\u{e9}\u{20ac}\u{1f600}",
    "\u{5800}\u{3092}\u{6e2c}\u{308b}",
    r"\u0001\u001f",
    "\u{7f}\u{80}\u{10ffff}",
    "a longer text, so that what follows begins anywhere but at a multiple of four bytes",
];

/// Shapes of numbers that a random number of digits seldom meets.
const NUMBERS: [&str; 34] = [
    "0",
    "-0",
    "0.0",
    "-0.000",
    "0e5",
    "0e-300",
    "1",
    "-1",
    "9",
    "10",
    "9999",
    "10000",
    "10001",
    "99999999",
    "100000000",
    "1.0",
    "1.10",
    "0.1",
    "0.01",
    "0.001",
    "0.0001",
    "0.00001",
    "0.00010",
    "12345.6789",
    "1e0",
    "1E5",
    "1e+5",
    "1.5e-3",
    "1e-5",
    "123e-2",
    "1e300",
    "1e-300",
    "9223372036854775807",
    "-9007199254740993",
];

fn string(random: &mut Random) -> String {
    let parts = 1 + random.below(2);
    let text: String = (0..parts).map(|_| random.one(&STRINGS)).collect();
    format!("\"{text}\"")
}

fn digits(random: &mut Random, most: u64) -> String {
    let count = 1 + random.below(most);
    // Zeros in runs: they are what digits to base 10,000 leave out at either end.
    let digit = |random: &mut Random| if random.below(3) == 0 { 0 } else { random.below(10) };
    (0..count).map(|_| digit(random).to_string()).collect()
}

fn number(random: &mut Random) -> String {
    if random.below(3) == 0 {
        return random.one(&NUMBERS).to_owned();
    }
    let sign = random.one(&["", "-"]);
    let whole = match digits(random, 30).trim_start_matches('0') {
        "" => "0".to_owned(),
        whole => whole.to_owned(),
    };
    let fraction = match random.below(3) {
        0 => format!(".{}", digits(random, 68)),
        _ => String::new(),
    };
    let exponent = match random.below(4) {
        0 => format!(
            "{}{}{}",
            random.one(&["e", "E"]),
            random.one(&["", "-", "+"]),
            random.below(301)
        ),
        _ => String::new(),
    };
    let text = format!("{sign}{whole}{fraction}{exponent}");
    // Longer ones are refused.
    if text.len() <= 100 {
        text
    } else {
        whole
    }
}

fn value(random: &mut Random, depth: u64) -> String {
    let blank = random.one(&["", "", " ", "\n\t"]);
    let text = match random.below(if depth > 5 { 5 } else { 8 }) {
        0 => random.one(&["null", "true", "false"]).to_owned(),
        1 | 2 => number(random),
        3 | 4 => string(random),
        5 => array(random, depth),
        _ => object(random, depth),
    };
    format!("{blank}{text}{blank}")
}

/// Mostly few items, now and then more than one or two strides of offsets.
fn count(random: &mut Random, depth: u64) -> u64 {
    match random.below(12) {
        0 if depth < 3 => 30 + random.below(40),
        1 => 0,
        _ => random.below(5),
    }
}

fn array(random: &mut Random, depth: u64) -> String {
    let items: Vec<String> = (0..count(random, depth)).map(|_| value(random, depth + 1)).collect();
    format!("[{}]", items.join(","))
}

fn object(random: &mut Random, depth: u64) -> String {
    let member = |random: &mut Random| {
        // Few names, so that some come twice; an escaped one is the same key as the plain one.
        let key = match random.below(4) {
            0 => string(random),
            1 => format!("\"k{}\"", random.below(100)),
            _ => format!(
                "\"{}\"",
                random.one(&["a", r"\u0061", "b", "aa", "B", "\u{e9}", r"\u00e9"])
            ),
        };
        format!("{key}:{}", value(random, depth + 1))
    };
    let members: Vec<String> = (0..count(random, depth)).map(|_| member(random)).collect();
    format!("{{{}}}", members.join(","))
}

/// Bodies that are large in one way each.
fn large() -> Vec<String> {
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    vec![
        format!("[{}]", list(5000, &|n| n.to_string())),
        format!("[{}]", list(1500, &|n| format!("\"{}\"", "x".repeat(n % 50)))),
        format!("{{{}}}", list(3000, &|n| format!("\"k{n}\":[{n},{{\"a\":null}}]"))),
        format!("{{{}}}", list(33, &|n| format!("\"{n}\":{n}.{n}0"))),
        format!("{}{}", "[".repeat(60), "]".repeat(60)),
        format!("{}1{}", "{\"a\":[".repeat(30), "]}".repeat(30)),
        format!("\"{}\"", "long text \u{e9} ".repeat(100_000)),
        "[[],{},[{}],{\"a\":{}},\"\"]".to_owned(),
    ]
}

/// Ids whose stored body has other bytes than `jsonb_in` makes of the text, or is not there.
async fn differing(admin: &Client, ids: &[i64], bodies: &[String]) -> Vec<i64> {
    let sql = "select told.id from unnest($1::bigint[], $2::text[]) as told (id, body)
        left join commerce.order_header as header on header.order_id = told.id
        where header.raw::bytea is distinct from told.body::jsonb::bytea";
    let rows = admin.query(sql, &[&ids, &bodies]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn bodies_are_stored_as_the_bytes_that_their_text_would_be() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    // The bytes of a jsonb as they are; only a superuser may ask for them.
    admin
        .batch_execute("create cast (jsonb as bytea) without function")
        .await
        .unwrap();
    let seed = std::env::var("WEIR_BODIES_SEED").map_or(20_261_128, |text| text.parse().unwrap());
    let count = std::env::var("WEIR_BODIES").map_or(BODIES, |text| text.parse().unwrap());
    let mut random = Random(seed);
    let random_values = (0..count).map(|_| value(&mut random, 0)).collect::<Vec<_>>();
    let bodies: Vec<String> = large()
        .into_iter()
        .chain(random_values)
        .enumerate()
        .map(|(index, value)| format!("{{\"value\": {value}, \"id\": {}}}", index + 1))
        .collect();
    let ids: Vec<i64> = (1..).take(bodies.len()).collect();
    for (ids, bodies) in ids.chunks(BATCH).zip(bodies.chunks(BATCH)) {
        let deliveries = ids.iter().zip(bodies);
        let deliveries = deliveries.map(|(id, body)| delivery(&id.to_string(), "orders/create", body));
        let answer = ingest(&edge, &deliveries.collect::<Vec<Value>>()).await;
        assert!(
            verdicts(&answer).iter().all(|verdict| *verdict == "accepted"),
            "{answer}"
        );
        let differing = differing(&admin, ids, bodies).await;
        let example = differing.first().map(|id| &bodies[(id - ids[0]) as usize]);
        assert!(example.is_none(), "seed {seed}: {differing:?}, such as {example:?}");
    }
}

#[tokio::test]
async fn what_jsonb_cannot_hold_is_refused_alone() {
    let (_database, edge) = shop().await;
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    let cases = [
        (r#""a\u0000b""#, "invalid_text"),
        (r#"{"a\u0000": 1}"#, "invalid_text"),
        ("1e400000", "type_mismatch"),
        ("1e99999999999999999999", "type_mismatch"),
        (&"9".repeat(101), "type_mismatch"),
        (&deep, "parse_failure"),
        (r#""\ud800""#, "parse_failure"),
        ("1", ""),
    ];
    let deliveries = cases.iter().enumerate().map(|(id, (value, _))| {
        let body = format!("{{\"id\": {}, \"value\": {value}}}", id + 1);
        delivery(&id.to_string(), "orders/create", &body)
    });
    let answer = ingest(&edge, &deliveries.collect::<Vec<Value>>()).await;
    let reasons: Vec<&str> = answer["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reason"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(reasons, cases.map(|(_, reason)| reason));
}
