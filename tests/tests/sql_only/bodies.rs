//! Random deliveries, most of them right, some with one thing wrong anywhere in them.

use serde_json::{json, Value};

use crate::contract::permutation::Random;
use crate::contract::SHOP;

/// A shop that deliveries are about.
pub struct Shop {
    pub id: i64,
    pub domain: &'static str,
    pub zone: &'static str,
    pub currency: &'static str,
    /// A currency that buyers may see.
    pub shown: &'static str,
}

const fn shop(id: i64, domain: &'static str, zone: &'static str, currency: &'static str, shown: &'static str) -> Shop {
    Shop {
        id,
        domain,
        zone,
        currency,
        shown,
    }
}

/// Time zones on both sides of UTC, with and without summer time and half hours; currencies of 0, 2 and 3 decimals.
pub const SHOPS: &[Shop] = &[
    shop(1, SHOP, "Asia/Tokyo", "USD", "EUR"),
    shop(2, "paris.myshopify.com", "Europe/Paris", "EUR", "JPY"),
    shop(3, "tokyo.myshopify.com", "Asia/Tokyo", "JPY", "USD"),
    shop(4, "kuwait.myshopify.com", "Asia/Kuwait", "KWD", "USD"),
    shop(5, "adelaide.myshopify.com", "Australia/Adelaide", "AUD", "KWD"),
    shop(6, "la.myshopify.com", "America/Los_Angeles", "USD", "USD"),
    // PostgreSQL knows an abbreviation of this name too, which has no summer time.
    shop(7, "brussels.myshopify.com", "CET", "EUR", "USD"),
];

/// Texts that stand for JSON that `serde_json::Value` cannot hold; [`with_raw_numbers`] puts them in.
const RAW: [&str; 8] = [
    "1e400",
    "1e3",
    "6e-2",
    "-0",
    "1.50",
    "1E+2",
    "12345678901234567890123",
    "0.0000",
];

/// Replaces `"\"@0\""` and so on by the texts of [`RAW`]. Bodies are texts in a text, so their quotes are escaped.
pub fn with_raw_numbers(text: &str) -> String {
    with_raw(text, r#"\""#, r"\\ud800")
}

/// The same where the JSON stands by itself.
pub fn with_plain_raw_numbers(text: &str) -> String {
    with_raw(text, "\"", r"\ud800")
}

fn with_raw(text: &str, quote: &str, surrogate: &str) -> String {
    let mut text = text.to_owned();
    for (index, raw) in RAW.iter().enumerate() {
        text = text.replace(&format!("{quote}@{index}{quote}"), raw);
    }
    text.replace("@surrogate", surrogate)
}

const TOPICS: [&str; 39] = [
    "orders/create",
    "orders/create",
    "orders/updated",
    "orders/updated",
    "orders/updated",
    "orders/paid",
    "orders/fulfilled",
    "orders/partially_fulfilled",
    "orders/cancelled",
    "orders/edited",
    "orders/edited",
    "orders/delete",
    "refunds/create",
    "refunds/create",
    "order_transactions/create",
    "order_transactions/create",
    "fulfillments/create",
    "fulfillments/update",
    "returns/request",
    "returns/approve",
    "returns/update",
    "returns/cancel",
    "returns/close",
    "returns/decline",
    "returns/reopen",
    "products/create",
    "products/update",
    "products/update",
    "products/delete",
    "customers/create",
    "customers/update",
    "customers/update",
    "customers/enable",
    "customers/disable",
    "customers/delete",
    "shop/update",
    "app/uninstalled",
    "bulk_operations/finish",
    "carts/update",
];

/// Breaks a text off at a byte, or before the character that the byte lies within.
pub fn break_off(text: &mut String, at: usize) {
    let end = (0..=at).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
}

/// One delivery.
pub fn delivery(random: &mut Random, webhook_id: &str) -> Value {
    let shop = &SHOPS[random.below(SHOPS.len() as u64) as usize];
    let topic = match random.below(150) {
        0 => "customers/redact",
        1 => "customers/data_request",
        2 if random.below(8) == 0 => "shop/redact",
        3 | 4 => "customers/merge",
        _ => random.one(&TOPICS),
    };
    let mut body = body(random, shop, topic);
    for _ in 0..random.below(8) / 6 {
        spoil(random, &mut body);
    }
    let mut text = body.to_string();
    if random.below(150) == 0 {
        let half = text.len() / 2 / 3 * 3;
        break_off(&mut text, half);
    }
    let mut one = json!({"webhook_id": webhook_id, "topic": topic, "shop_domain": shop.domain, "api_version": "2026-07",
        "received_at": time(random), "triggered_at": maybe(random, |random| time(random).into()), "body": text});
    match random.below(60) {
        0 => one["shop_domain"] = "nobody.myshopify.com".into(),
        1 => spoil(random, &mut one),
        2..=8 => one["source"] = random.one(&["webhook", "replay", "bulk_sync"]).into(),
        _ => {}
    }
    one
}

pub fn maybe(random: &mut Random, value: impl FnOnce(&mut Random) -> Value) -> Value {
    if random.below(5) == 0 {
        Value::Null
    } else {
        value(random)
    }
}

/// Days around a change of summer time, in several forms; few enough seconds that versions tie.
fn time(random: &mut Random) -> String {
    let (month, day) = [(3, 28), (3, 29), (10, 24), (10, 25), (11, 1), (2, 28)][random.below(6) as usize];
    let (hour, second) = (random.below(24), random.below(3));
    let end = random.one(&[
        "Z",
        "Z",
        ".123Z",
        ".123456Z",
        ".1234567Z",
        "+09:00",
        "-08:00",
        ".5+05:30",
    ]);
    format!("2026-{month:02}-{day:02}T{hour:02}:00:{second:02}{end}")
}

/// An amount of a currency as Shopify writes it, now and then as a number.
fn amount(random: &mut Random, currency: &str, most: u64) -> Value {
    let minor = random.below(most) as i64;
    let exponent = match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    };
    let text = weir_domain::money::format_minor(minor, exponent);
    match random.below(6) {
        0 => serde_json::from_str(&text).unwrap(),
        1 => format!("{text}{}", if exponent == 0 { ".00" } else { "00" }).into(),
        _ => text.into(),
    }
}

/// `name` and mostly `name_set`, in both currencies.
fn money(random: &mut Random, shop: &Shop, shown: &str, name: &str, most: u64, into: &mut Value) {
    into[name] = amount(random, shop.currency, most);
    if shown != shop.currency || random.below(2) == 0 {
        into[format!("{name}_set")] = json!({
            "shop_money": {"amount": amount(random, shop.currency, most), "currency_code": shop.currency},
            "presentment_money": {"amount": amount(random, shown, most), "currency_code": shown}
        });
    }
}

pub fn id(random: &mut Random, base: i64, count: u64) -> i64 {
    base + random.below(count) as i64
}

fn body(random: &mut Random, shop: &Shop, topic: &str) -> Value {
    let order = 9_007_199_254_740_993 + shop.id * 1000 + random.below(7) as i64;
    match topic {
        "orders/delete" => json!({"id": order}),
        "products/delete" => json!({"id": id(random, 10, 5)}),
        "products/create" | "products/update" => product(random, shop),
        "refunds/create" => {
            let mut body = refund(random, shop, shop.currency);
            body["order_id"] = order.into();
            body
        }
        "order_transactions/create" => {
            let mut body = transaction(random, shop);
            body["order_id"] = order.into();
            body
        }
        "fulfillments/create" | "fulfillments/update" => {
            let mut body = fulfillment(random);
            body["order_id"] = order.into();
            body
        }
        "orders/edited" => edit(random, order),
        "customers/create" | "customers/update" | "customers/enable" | "customers/disable" => customer(random),
        "customers/delete" => json!({"id": id(random, 1, 8)}),
        "shop/update" => {
            let zone = random.one(&[shop.zone, "", "Europe/Oslo", ""]);
            let currency = if zone == shop.zone { "XXX" } else { shop.currency };
            json!({"id": shop.id, "iana_timezone": maybe(random, |_| zone.into()), "currency": currency})
        }
        "customers/redact" => {
            // Somebody without an account has no id.
            let customer = match random.below(3) {
                0 => json!({"email": "a@example.com"}),
                _ => json!({"id": id(random, 1, 8), "email": "a@example.com"}),
            };
            let orders = [order, random.below(40) as i64, order];
            json!({"customer": customer, "orders_to_redact": [orders[0], orders[1], orders[2].to_string()]})
        }
        "customers/merge" => {
            let gid = |random: &mut Random| {
                let kind = if random.below(20) == 0 { "Order" } else { "Customer" };
                format!("gid://shopify/{kind}/{}", random.below(8) + 1)
            };
            json!({"admin_graphql_api_customer_kept_id": gid(random), "admin_graphql_api_customer_deleted_id": gid(random),
                "admin_graphql_api_job_id": null, "errors": [],
                "status": random.one(&["completed", "completed", "COMPLETED", "failed", "in_progress"])})
        }
        "customers/data_request" => {
            json!({"customer": {"id": id(random, 1, 8)}, "data_request": {"id": id(random, 1, 5)}})
        }
        _ if topic.starts_with("returns/") => {
            let status = random.one(&["requested", "open", "closed", "declined"]);
            let name = maybe(random, |_| "#1-R1".into());
            if random.below(2) == 0 {
                json!({"id": id(random, 800, 3), "order_id": order, "status": status, "name": name})
            } else {
                json!({"id": id(random, 800, 3), "order": {"id": order}, "status": status})
            }
        }
        _ => self::order(random, shop, order),
    }
}

fn product(random: &mut Random, shop: &Shop) -> Value {
    let variants: Vec<Value> = (0..random.below(4))
        .map(|_| {
            let price = match random.below(5) {
                0 => json!("1.23456"),
                1 => json!("@1"),
                _ => amount(random, shop.currency, 99_999),
            };
            json!({"id": id(random, 1, 4), "title": maybe(random, |_| "Small".into()), "sku": maybe(random, |_| "S-1".into()),
                "price": price})
        })
        .collect();
    // Of a large product most variants are only named.
    let named = (0..random.below(5)).map(|_| {
        let variant = id(random, 1, 6);
        json!({"admin_graphql_api_id": format!("gid://shopify/ProductVariant/{variant}"), "updated_at": "2026-03-28T00:00:00Z"})
    });
    let named: Vec<Value> = named.collect();
    json!({"id": id(random, 10, 5), "variant_gids": named, "title": random.one(&["Lamp", "Löwe \"L\"", "灯"]), "vendor": maybe(random, |_| "Weir".into()),
        "product_type": maybe(random, |_| "Light".into()), "status": maybe(random, |random| random.one(&["active", "draft", "archived", "unlisted"]).into()),
        "created_at": maybe(random, |random| time(random).into()), "published_at": maybe(random, |random| time(random).into()),
        "updated_at": maybe(random, |random| time(random).into()), "variants": variants, "note": "private",
        "images": [{"id": 1, "note": "private", "src": "x"}]})
}

fn line(random: &mut Random, shop: &Shop, shown: &str) -> Value {
    let quantity = random.below(5);
    let mut line = json!({"id": id(random, 1, 4), "product_id": maybe(random, |random| id(random, 10, 6).into()),
        "variant_id": maybe(random, |random| id(random, 1, 4).into()), "title": "Lamp", "vendor": maybe(random, |_| "Line".into()),
        "gift_card": random.below(7) == 0, "quantity": quantity, "properties": [{"name": "engraving", "value": "private"}],
        "current_quantity": maybe(random, |random| random.below(quantity + 1).into())});
    tip(random, &mut line);
    money(random, shop, shown, "price", 20_000, &mut line);
    let allocations = (0..random.below(3)).map(|_| {
        let mut one = json!({});
        money(random, shop, shown, "amount", 700, &mut one);
        one
    });
    line["discount_allocations"] = allocations.collect();
    if random.below(9) == 0 {
        // Discounted to nothing: the rates tell what part of the discount was tax.
        line["quantity"] = 1.into();
        line["discount_allocations"] = json!([{"amount": line["price"], "amount_set": line["price_set"]}]);
    }
    let taxes = (0..random.below(3)).map(|_| {
        let rate = random.one(&["0.08", "0.0825", "@2", "@4", "", "x", "0.1234567891", "99"]);
        let rate = if rate == "0.08" { json!(0.08) } else { json!(rate) };
        let mut one = json!({"rate": maybe(random, |_| rate)});
        money(random, shop, shown, "price", 900, &mut one);
        one
    });
    line["tax_lines"] = taxes.collect();
    line
}

/// Now and then what only tips have.
fn tip(random: &mut Random, line: &mut Value) {
    match random.below(16) {
        0 => line["tip"] = json!({"type": "preset"}),
        1 => line["tip_payment_gateway"] = Value::Null,
        2 => line["tip_payment_method"] = "Visa".into(),
        3 => line["tip"] = Value::Null,
        _ => {}
    }
}

fn order(random: &mut Random, shop: &Shop, order: i64) -> Value {
    let shown = if random.below(3) == 0 {
        shop.shown
    } else {
        shop.currency
    };
    let lines: Vec<Value> = (0..random.below(4)).map(|_| line(random, shop, shown)).collect();
    let refunds: Vec<Value> = (0..random.below(5) / 3).map(|_| refund(random, shop, shown)).collect();
    let shipments: Vec<Value> = (0..random.below(5) / 3).map(|_| fulfillment(random)).collect();
    json!({"id": order, "name": maybe(random, |_| "#1001".into()), "email": "buyer@example.com", "test": random.below(25) == 0,
        "created_at": maybe(random, |random| time(random).into()), "processed_at": maybe(random, |random| time(random).into()),
        "updated_at": maybe(random, |random| time(random).into()),
        "cancelled_at": if random.below(7) == 0 { json!(time(random)) } else { Value::Null },
        "currency": maybe(random, |_| shop.currency.into()), "presentment_currency": shown,
        "financial_status": maybe(random, |random| random.one(&["paid", "paid", "pending"]).into()),
        "fulfillment_status": maybe(random, |random| random.one(&["fulfilled", "fulfilled", "partial"]).into()),
        "taxes_included": random.below(2) == 0, "total_price": amount(random, shop.currency, 90_000),
        "customer": maybe(random, customer), "note_attributes": notes(random),
        "source_name": maybe(random, |_| "web".into()), "line_items": lines, "refunds": refunds, "fulfillments": shipments,
        "shipping_lines": [{"id": 1, "phone": "555"}], "deep": {"er": [{"token": "secret", "kept": 1.50}]}})
}

fn refund(random: &mut Random, shop: &Shop, shown: &str) -> Value {
    let lines = (0..random.below(3)).map(|_| {
        let mut one = json!({"id": id(random, 1, 4), "line_item_id": maybe(random, |random| id(random, 1, 5).into()),
            "quantity": random.below(3), "restock_type": maybe(random, |_| "return".into()),
            "line_item": maybe(random, |random| {
                let mut sold = json!({"product_id": maybe(random, |random| id(random, 10, 6).into()), "gift_card": random.below(6) == 0});
                tip(random, &mut sold);
                sold
            })});
        money(random, shop, shown, "subtotal", 20_000, &mut one);
        money(random, shop, shown, "total_tax", 900, &mut one);
        one
    });
    let lines: Vec<Value> = lines.collect();
    let adjustments = (0..random.below(3)).map(|_| {
        let mut one = json!({"id": id(random, 1, 3), "kind": random.one(&["refund_discrepancy", "shipping_refund"])});
        money(random, shop, shown, "amount", 900, &mut one);
        money(random, shop, shown, "tax_amount", 90, &mut one);
        one
    });
    let adjustments: Vec<Value> = adjustments.collect();
    let transactions: Vec<Value> = (0..random.below(3)).map(|_| transaction(random, shop)).collect();
    json!({"id": id(random, 600, 3), "created_at": maybe(random, |random| time(random).into()),
        "processed_at": maybe(random, |random| time(random).into()), "note": "private", "refund_line_items": lines,
        "return": maybe(random, |random| json!({"id": id(random, 800, 3)})),
        "order_adjustments": adjustments, "transactions": transactions})
}

fn transaction(random: &mut Random, shop: &Shop) -> Value {
    let currency = random.one(&[shop.currency, shop.currency, shop.shown]).to_owned();
    json!({"id": id(random, 700, 4), "kind": random.one(&["sale", "capture", "refund", "authorization"]),
        "status": random.one(&["success", "success", "pending", "failure"]), "gateway": maybe(random, |random| random.one(&["card", "gift_card"]).into()),
        "amount": amount(random, &currency, 90_000), "currency": currency, "test": random.below(9) == 0,
        "parent_id": maybe(random, |random| id(random, 700, 4).into()), "receipt": {"secret": 1},
        "created_at": maybe(random, |random| time(random).into()), "processed_at": maybe(random, |random| time(random).into())})
}

fn fulfillment(random: &mut Random) -> Value {
    json!({"id": id(random, 900, 3), "status": maybe(random, |random| random.one(&["success", "success", "pending", "cancelled"]).into()),
    "tracking_company": maybe(random, |_| "Weir Post".into()), "tracking_urls": ["https://example.com/private"],
    "tracking_url": "https://example.com/private", "tracking_number": "private", "tracking_numbers": ["private"],
    "created_at": maybe(random, |random| time(random).into()), "updated_at": maybe(random, |random| time(random).into()),
    "destination": {"address1": "private"}, "line_items": maybe(random, |random| {
        (0..random.below(3)).map(|_| json!({"id": id(random, 1, 3), "quantity": random.below(4)})).collect()
    })})
}

fn customer(random: &mut Random) -> Value {
    json!({"id": id(random, 1, 8), "email": "buyer@example.com", "created_at": maybe(random, |random| time(random).into()),
        "updated_at": maybe(random, |random| time(random).into()), "verified_email": random.below(2) == 0,
        "state": if random.below(9) == 0 { json!(5) } else { random.one(&["enabled", "disabled", "invited"]).into() },
        "tax_exempt": random.below(2) == 0, "currency": maybe(random, |_| "USD".into()),
        "email_marketing_consent": maybe(random, |random| json!({"state": random.one(&["subscribed", "pending"])})),
        "sms_marketing_consent": maybe(random, |_| json!({"state": "not_subscribed"}))})
}

/// A cart's attributes: anybody may write them.
fn notes(random: &mut Random) -> Value {
    let one = |random: &mut Random| {
        let name = random.one(&["weir_publisher", "weir_program", "gift"]);
        let value = match random.below(5) {
            0 => json!("no id, with blanks"),
            1 => json!(5),
            _ => random.one(&["p1", "p2", "summer:2026"]).into(),
        };
        json!({"name": name, "value": value})
    };
    match random.below(4) {
        0 => Value::Null,
        1 => json!({"name": "weir_publisher"}),
        _ => (0..random.below(4)).map(|_| one(random)).collect(),
    }
}

fn edit(random: &mut Random, order: i64) -> Value {
    let changes = |random: &mut Random| -> Vec<Value> {
        (0..random.below(3))
            .map(|_| json!({"id": id(random, 1, 4), "delta": random.below(3)}))
            .collect()
    };
    json!({"order_edit": {"id": id(random, 500, 4), "order_id": order, "committed_at": maybe(random, |random| time(random).into()),
        "created_at": time(random), "line_items": maybe(random, |random| json!({"additions": changes(random), "removals": changes(random)}))}})
}

/// Puts something wrong, or only strange, at a random place.
pub fn spoil(random: &mut Random, value: &mut Value) {
    let last = random.below(6) == 0;
    match value {
        Value::Object(members) if !members.is_empty() && !last => {
            let at = random.below(members.len() as u64) as usize;
            let key = members.keys().nth(at).unwrap().clone();
            if random.below(8) == 0 {
                members.remove(&key);
            } else if random.below(20) == 0 {
                members.insert(format!("{key}\u{0}"), Value::Null);
            } else {
                spoil(random, &mut members[&key]);
            }
        }
        Value::Array(items) if !items.is_empty() && !last => {
            let at = random.below(items.len() as u64) as usize;
            spoil(random, &mut items[at]);
        }
        _ => {
            *value = match random.below(22) {
                0..=3 => Value::Null,
                4 => json!(true),
                5 => json!(5),
                6 => json!(-5),
                7 => json!("5"),
                8 => json!("text"),
                9 => json!("a\u{0}b"),
                10 => json!([]),
                11 => json!({}),
                12 => json!([5, {"id": 1}]),
                13 => json!(1_000_001),
                14 => json!("2026-02-30T00:00:00Z"),
                15 => json!("usd"),
                16 => json!("9999999999999999.99"),
                17 => json!("1.2345678"),
                18 => json!("@surrogate"),
                _ => json!(format!("@{}", random.below(RAW.len() as u64))),
            }
        }
    }
}
