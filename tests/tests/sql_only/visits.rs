//! Random interactions and changes of the catalogue, most of them right, some with one thing wrong.

use serde_json::{json, Map, Value};

use super::bodies::{id, maybe, spoil, Shop, SHOPS};
use crate::contract::permutation::Random;

/// One event of stream publication_v1; its id is `event_id`, about an order of [`super::bodies`].
pub fn interaction(random: &mut Random, event_id: &str) -> Value {
    let shop = &SHOPS[random.below(SHOPS.len() as u64) as usize];
    // Few seconds, so that attributions tie.
    let at = format!("2026-11-01T10:00:0{}.000Z", random.below(3));
    let order = 9_007_199_254_740_993 + shop.id * 1000 + random.below(7) as i64;
    let event_type = random.one(&["attribution", "attribution", "attribution", "conversion", "referral"]);
    let mut row = json!({"event_id": event_id, "event_type": event_type, "schema_version": 1, "occurred_at": at,
        "received_at": "2026-11-01T10:01:00.5Z", "event_date": "2026-11-01", "event_hour": 10,
        "source": random.one(&["interaction", "replay"]), "shop_domain": shop.domain,
        "publisher_id": maybe(random, |random| random.one(&["p1", "p2", "p3"]).into()),
        "program_id": maybe(random, |_| "summer:2026".into()), "order_id": order.to_string()});
    let more = json!({"item_id": "i1", "placement": "top \u{e9}", "product_id": id(random, 10, 5).to_string(),
        "url": random.one(&["https://a.example/lamp?email=b#c", "https://b:c@a.example/", "mailto:a", "//a.example",
            "https://", "a//b//c?d", "https:///x", "https://a.example/b@c.example", "https://a.example/@b/c%2525",
            "https://a.example/%C3%A9/b%252540c?d", "https://a.example/b%eF%Bc%a0c", "https://a.example/\u{e9}\u{ff20}c", "a//b/%40"]),
        "referrer_host": "a.example", "country": "JP", "device_class": "phone", "session_key": "s", "visitor_key": "v",
        "is_bot": random.below(2) == 0, "engaged_seconds": random.one(&["1.25", "@1", "@2", "3"])});
    for (name, value) in more.as_object().unwrap() {
        if random.below(3) > 0 {
            // Numbers as they are written, some with an exponent.
            let number = value.as_str().filter(|_| name == "engaged_seconds");
            let number = number.and_then(|text| serde_json::from_str(text).ok());
            row[name] = number.unwrap_or_else(|| value.clone());
        }
    }
    match random.below(40) {
        0 => row["shop_domain"] = "nobody.myshopify.com".into(),
        1 => row["event_type"] = random.one(&["click", ""]).into(),
        2 => row["publisher_id"] = random.one(&["a b", "", "reader@example.com"]).into(),
        3 => row["order_id"] = random.one(&["12x", "+7", "-0", "007", "9223372036854775808"]).into(),
        4 => {
            let time = random.one(&[
                "2026-02-30T00:00:00Z",
                "2026-02-28 10:00Z",
                "2026-02-28T10:00:00+00:00",
                "0001-01-01T00:00:00Z",
                "1899-12-31T23:59:59.9999Z",
                "2024-02-29t10:00:00.1234567Z",
                "2026-02-28T10:00:00z",
                "9999-01-01T00:00:00Z",
            ]);
            let field = random.one(&["occurred_at", "received_at"]);
            row[field] = time.into();
        }
        5 => {
            row["event_date"] = random
                .one(&["2026-2-28", "2026-02-29", "0000-01-01", "2024-02-29", "20260228"])
                .into()
        }
        6 => row["schema_version"] = random.one(&["@1", "@3", "@4", "@6"]).into(),
        7 => row["event_hour"] = json!(2_147_483_648_i64 - random.below(2) as i64),
        8 => row["event_id"] = random.one(&["", "\u{706f}"]).repeat(43).into(),
        9 => row[random.one(&["a surprise", "Z"])] = Value::Null,
        10..=13 => spoil(random, &mut row),
        14 => row = random.one(&["@0", "@1", "text", "@surrogate"]).into(),
        _ => {}
    }
    row
}

/// A change of a shop's catalogue.
pub fn catalogue(random: &mut Random) -> Value {
    let Shop { domain, .. } = &SHOPS[random.below(2) as usize];
    let publisher = |random: &mut Random| Value::from(random.one(&["p1", "p2"]));
    let url = |random: &mut Random| Value::from(random.one(&["https://a.example/x", "http://b.example", "https://c"]));
    let mut change = json!({"shop_domain": domain});
    type Entry<'a> = &'a dyn Fn(&mut Random) -> Value;
    let parts: [(&str, Entry<'_>); 4] = [
        ("publishers", &|random| json!({"name": random.one(&["P", "Q \"q\""])})),
        (
            "items",
            &|random| json!({"publisher_id": publisher(random), "title": "T", "url": maybe(random, url), "kind": maybe(random, |_| "k".into())}),
        ),
        (
            "programs",
            &|random| json!({"name": "G", "publisher_id": maybe(random, publisher)}),
        ),
        ("links", &|random| {
            json!({"url": url(random), "publisher_id": maybe(random, publisher), "placement": maybe(random, |_| "top".into()),
                "product_id": maybe(random, |random| random.one(&["7", "007", "9007199254740993"]).into())})
        }),
    ];
    for (part, entry) in parts {
        let entries: Map<String, Value> = (0..random.below(4))
            .map(|_| (random.one(&["p1", "p2"]).to_owned(), maybe(random, entry)))
            .collect();
        if random.below(4) > 0 {
            change[part] = entries.into();
        }
    }
    match random.below(12) {
        0 => change["shop_domain"] = "nobody.myshopify.com".into(),
        1 => change["items"] = json!({"a b": null}),
        2 => {
            let url = random.one(&[
                "javascript:alert(1)",
                "",
                "https:/a",
                "https://",
                "https:///x",
                "https://a b",
                "https://a/\u{e9}",
                "https://a\u{131}.example/",
                "https://a@b.example/",
                "https://a.example/@b",
                "https://a\\@b.example",
                "https://[::1]:80?x",
                "https://a.example#x\u{7f}",
                "HTTPS://a.example",
            ]);
            change["links"] = json!({"x": {"url": url}});
        }
        3 => change["publishers"] = json!({"x": {"name": random.one(&["", "n"]).repeat(2049)}}),
        4 => change["programs"] = json!({"x": {"name": "n", "surprise": 1}}),
        5..=6 => spoil(random, &mut change),
        8 => {
            let code = random.one(&["a/b", "a:b", ".", "..", "...", "a.b-c_D"]);
            let id = random.one(&[
                "0",
                "9223372036854775807",
                "9223372036854775808",
                "-7",
                "7 ",
                "",
                "\u{664}",
            ]);
            change["links"] = json!({code: maybe(random, |_| json!({"url": "https://d", "product_id": id}))});
        }
        // There or not: a link may name an item and a program.
        7 => change["links"] = json!({"y": {"url": "https://d", "item_id": "p1", "program_id": "p2"}}),
        _ => {}
    }
    change
}
