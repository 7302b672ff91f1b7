//! Thousands of products against a second computation: windows by a plain loop here, labels by the domain's reference
//! (the engine itself refuses to write labels that differ from it).

use std::collections::HashMap;

use jiff::civil::{date, Date};
use jiff::ToSpan;
use serde_json::{json, Value};

use crate::world::{compute_with, interaction, objective, order, product, Entry};

const NOW: &str = "2026-03-31T03:00:00Z";
const SHOPS: [(&str, &str); 3] = [
    ("a.myshopify.com", "UTC"),
    ("b.myshopify.com", "Asia/Tokyo"),
    ("c.myshopify.com", "America/New_York"),
];
/// NOW in each shop's zone: 23:00 of the day before in New York.
const TODAY: [Date; 3] = [date(2026, 3, 31), date(2026, 3, 31), date(2026, 3, 30)];
/// 12,000 products in all; some are neither told of nor sold.
const PRODUCTS_PER_SHOP: u64 = 4000;

/// SplitMix64: the same numbers for the same seed on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub fn number(&mut self, limit: u64) -> i64 {
        i64::try_from(self.below(limit)).unwrap()
    }

    fn maybe(&mut self, limit: u64) -> Value {
        if self.below(4) == 0 {
            Value::Null
        } else {
            self.number(limit).into()
        }
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// Net units by (shop, product, day), as the loop below adds them up.
type Units = HashMap<(usize, String), Vec<(Date, i64)>>;

fn history(random: &mut Random) -> (Vec<Value>, Units) {
    let mut events = Vec::new();
    let mut units = Units::new();
    for (shop, (domain, zone)) in SHOPS.iter().enumerate() {
        for id in 0..PRODUCTS_PER_SHOP {
            if random.below(3) == 0 {
                continue;
            }
            let own = json!({
                "product_type": random.pick(&[&json!("Shoes"), &json!("Hats"), &Value::Null]),
                "product_is_active": random.pick(&[&json!(true), &json!(false), &Value::Null]),
            });
            events.push(product(domain, zone, &id.to_string(), "2026-01-01T00:00:00.000Z", own));
        }
        for id in 0..2 * PRODUCTS_PER_SHOP {
            let lines: Vec<_> = (0..=random.below(2))
                .map(|_| {
                    let product = random.below(PRODUCTS_PER_SHOP).to_string();
                    let sold = date(2026, 1, 1).saturating_add(random.number(100).days());
                    let reversed = sold.saturating_add(random.number(20).days());
                    (product, sold, random.number(4) + 1, reversed, random.number(2))
                })
                .collect();
            let texts: Vec<_> = lines
                .iter()
                .map(|line| (line.1.to_string(), line.3.to_string()))
                .collect();
            let mut ledger: Vec<Entry> = Vec::new();
            for ((product, sold, count, reversed, back), (sold_on, reversed_on)) in lines.iter().zip(&texts) {
                ledger.push((product, sold_on, "sale", *count, 0, count * 100, 0));
                ledger.push((product, reversed_on, "return", 0, *back, 0, back * 100));
                let own = units.entry((shop, product.clone())).or_default();
                own.extend([(*sold, *count), (*reversed, -back)]);
            }
            let at = "2026-03-01T00:00:00.000Z";
            let id = format!("o{id}");
            events.push(order(domain, zone, &id, 1, at, &ledger[..1]));
            events.push(order(domain, zone, &id, 2, at, &ledger));
        }
    }
    (events, units)
}

/// An interaction that may decide a value; the reference weighs it anew in every refresh.
fn seen(random: &mut Random, number: u32) -> Value {
    let kind = random.pick(&["impression", "click", "view", "conversion"]);
    let mut event = interaction(
        kind,
        &random.below(PRODUCTS_PER_SHOP).to_string(),
        number,
        "2026-03-20T00:00:00.000Z",
    );
    event["shop_domain"] = SHOPS[usize::try_from(random.below(3)).unwrap()].0.into();
    event["event_id"] = format!("seen {number}").into();
    event
}

fn objectives(random: &mut Random) -> Vec<Value> {
    let orders = [
        Value::Null,
        json!(["archive_candidate"]),
        json!(["banana", "winner", "top_riser"]),
    ];
    let mut all = Vec::new();
    for (shop, _) in SHOPS {
        for product_type in [Value::Null, json!("Shoes")] {
            all.push(objective(json!({
                "shop_domain": shop, "objective_spec_id": format!("spec {product_type}"), "product_type": product_type,
                "threshold_7d": random.maybe(5), "threshold_14d": random.maybe(6), "threshold_30d": random.maybe(9),
                "banana_count": random.maybe(400),
                "engagement_weights": {
                    "views": random.number(2500), "clicks": random.number(900), "conversions": random.maybe(5000),
                },
                "stale_after_days": if random.below(3) == 0 { Value::Null } else { json!(random.number(60) + 1) },
                "banana_pool": random.pick(&["all", "unclassified"]),
                "precedence": random.pick(&[&orders[0], &orders[1], &orders[2]]),
            })));
        }
    }
    all
}

#[test]
fn sql_equals_the_reference_on_random_histories() {
    let mut labels: HashMap<String, u32> = HashMap::new();
    let histories = std::env::var("WEIR_HISTORIES").map_or(2, |count| count.parse().expect("a number"));
    for seed in 1..=histories {
        let mut random = Random(seed);
        let (events, units) = history(&mut random);
        let seen: Vec<_> = (0..3000).map(|number| seen(&mut random, number)).collect();
        let written = compute_with(&events, &seen, &objectives(&mut random), NOW);
        assert!(written.performance.len() >= 10_000, "{}", written.performance.len());
        for row in &written.performance {
            let shop = SHOPS
                .iter()
                .position(|(domain, _)| row["shop_domain"] == *domain)
                .unwrap();
            let id = row["product_id"].as_str().unwrap().to_owned();
            let none = Vec::new();
            check_windows(seed, row, units.get(&(shop, id)).unwrap_or(&none), TODAY[shop]);
            let label = row["nominal_classification"].as_str().unwrap();
            *labels.entry(label.to_owned()).or_default() += 1;
        }
    }
    // A generator that never reaches a rule would prove nothing about it.
    for label in ["top_riser", "winner", "banana", "archive_candidate", "none"] {
        assert!(labels.get(label).is_some_and(|count| *count > 20), "{labels:?}");
    }
}

fn check_windows(seed: u64, row: &Value, units: &[(Date, i64)], today: Date) {
    let known: Vec<_> = units.iter().filter(|(day, _)| *day <= today).collect();
    let launch = known.iter().filter(|(_, count)| *count > 0).map(|(day, _)| *day).min();
    let sum = |first: Date, last: Date| -> i64 {
        known
            .iter()
            .filter(|(day, _)| (first..=last).contains(day))
            .map(|(_, count)| count)
            .sum()
    };
    for (column, length) in [
        ("sales_last_7_days", 7_i64),
        ("sales_last_14_days", 14),
        ("sales_last_30_days", 30),
    ] {
        let first = today.saturating_sub((length - 1).days());
        assert_eq!(row[column], sum(first, today), "seed {seed}, {column}: {row}");
    }
    for (column, length) in [("sales_first_7_days", 7_i64), ("sales_first_14_days", 14)] {
        let expected = launch.map_or(0, |launch| sum(launch, launch.saturating_add((length - 1).days())));
        assert_eq!(row[column], expected, "seed {seed}, {column}: {row}");
    }
}
