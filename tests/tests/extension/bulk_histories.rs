//! Random histories told by webhooks, by bulk operations and by both: the same rows, the same ledger, the same events.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{json, Value};
use weir_tests::bulk_jsonl::BulkShop;
use weir_tests::postgres::Database;
use weir_tests::told_rows;

use super::bulk::{run_bulk, Bulk};
use super::permutation::Random;
use super::{delivery, ingest, shop, verdicts};

/// How many random histories; more by `WEIR_HISTORIES`. The test that reads the shop fifteen times takes a quarter.
const HISTORIES: i64 = 400;
const BATCH: usize = 100;
/// Above 2^53: a float anywhere would change it.
const FIRST_ID: i64 = 9_007_199_254_740_993;

fn histories() -> i64 {
    std::env::var("WEIR_HISTORIES").map_or(HISTORIES, |text| text.parse().unwrap())
}

fn at(second: i64) -> String {
    let start: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
    // Steps are hours apart, so that a history crosses days of Tokyo.
    (start + jiff::SignedDuration::from_secs(second * 7001)).to_string()
}

/// A money set; presentment money at twice the amount when `abroad`.
fn set(cents: i64, abroad: bool) -> Value {
    let text = |cents: i64| weir_domain::money::format_minor(cents, 2);
    let (shown, code) = if abroad { (2 * cents, "EUR") } else { (cents, "USD") };
    json!({"shop_money": {"amount": text(cents), "currency_code": "USD"},
        "presentment_money": {"amount": text(shown), "currency_code": code}})
}

struct Line {
    id: i64,
    product: i64,
    price: i64,
    quantity: i64,
    current: i64,
    discount: i64,
    unit_tax: i64,
    card: bool,
}

/// An order on its way, and the deliveries about it.
struct Story {
    id: i64,
    abroad: bool,
    included: bool,
    test: bool,
    lines: Vec<Line>,
    refunds: Vec<Value>,
    fulfillments: Vec<Value>,
    financial: &'static str,
    fulfilled: bool,
    cancelled: Option<String>,
    step: i64,
    told: Vec<Value>,
}

impl Story {
    fn new(random: &mut Random, id: i64) -> Self {
        let mut line = |line: i64| {
            let (price, quantity) = ([1000, 750, 33][random.below(3) as usize], 1 + random.below(4) as i64);
            Line {
                id: id * 10 + line,
                product: FIRST_ID + 100_000 + random.below(30) as i64,
                price,
                quantity,
                current: quantity,
                discount: if random.below(3) == 0 { 30 } else { 0 },
                unit_tax: random.below(2) as i64 * (price / 10),
                card: random.below(9) == 0,
            }
        };
        let lines = (0..=line(0).quantity % 3).map(&mut line).collect();
        Self {
            id,
            abroad: random.below(2) == 0,
            included: random.below(2) == 0,
            test: random.below(20) == 0,
            lines,
            refunds: Vec::new(),
            fulfillments: Vec::new(),
            financial: "pending",
            fulfilled: false,
            cancelled: None,
            step: random.below(20) as i64,
            told: Vec::new(),
        }
    }

    fn tell(&mut self, topic: &str, body: &Value) {
        let name = format!("{}-{}", self.id, self.told.len());
        let mut one = delivery(&name, topic, &body.to_string());
        one["triggered_at"] = at(self.step).into();
        self.told.push(one);
    }

    fn body(&self, first: &str) -> Value {
        let line = |line: &Line| {
            let mut discounts = Vec::new();
            if line.discount > 0 {
                discounts.push(json!({"amount_set": set(line.discount, self.abroad)}));
            }
            json!({"id": line.id, "product_id": line.product, "variant_id": line.product + 1, "title": "A & B </title>",
                "vendor": "W", "quantity": line.quantity, "current_quantity": line.current, "gift_card": line.card,
                "price_set": set(line.price, self.abroad), "discount_allocations": discounts,
                "tax_lines": [{"title": "VAT", "rate": 0.1, "price_set": set(line.unit_tax * line.quantity, self.abroad)}]})
        };
        json!({"id": self.id, "name": "#1", "currency": "USD", "presentment_currency": if self.abroad { "EUR" } else { "USD" },
            "created_at": first, "processed_at": first, "updated_at": at(self.step), "test": self.test,
            "taxes_included": self.included, "cancelled_at": self.cancelled, "financial_status": self.financial,
            "fulfillment_status": self.fulfilled.then_some("fulfilled"), "source_name": "web",
            "customer": {"id": self.id % 7 + 1}, "total_price": "10.00", "total_price_set": set(1000, self.abroad),
            "line_items": self.lines.iter().map(line).collect::<Vec<_>>(), "refunds": self.refunds,
            "fulfillments": self.fulfillments,
            "shipping_lines": [{"id": self.id + 3, "title": "Post", "price_set": set(500, self.abroad)}]})
    }

    /// Whether both ledgers must share its lines alike: a discount is shared over the units of a line, and Shopify's shares
    /// are its own.
    fn is_editable(&self) -> bool {
        let is_edited = self.told.iter().any(|one| one["topic"] == "orders/edited");
        self.cancelled.is_none() && !is_edited && self.lines.iter().all(|line| line.discount == 0)
    }

    /// Adds units to a line, or removes some.
    fn edit(&mut self, random: &mut Random) {
        let index = random.below(self.lines.len() as u64) as usize;
        let (edit_id, step, line) = (self.id + self.step, self.step, &mut self.lines[index]);
        let adds = random.below(2) == 0;
        let delta = if adds {
            1 + random.below(2) as i64
        } else {
            1.min(line.current)
        };
        if adds {
            (line.quantity, line.current) = (line.quantity + delta, line.current + delta);
        } else {
            line.current -= delta;
        }
        let changes = json!([{"id": line.id, "delta": delta}]);
        let (more, less) = if adds {
            (changes, json!([]))
        } else {
            (json!([]), changes)
        };
        self.tell(
            "orders/edited",
            &json!({"order_edit": {"id": edit_id, "order_id": self.id, "committed_at": at(step),
            "line_items": {"additions": more, "removals": less}}}),
        );
    }

    fn refund(&mut self, random: &mut Random) {
        let now = at(self.step);
        let id = self.id + 50 + self.step;
        let mut items = Vec::new();
        for line in self.lines.iter_mut().filter(|line| line.current > 0) {
            line.current -= 1;
            items.push(
                json!({"id": id * 10 + line.id % 10, "line_item_id": line.id, "quantity": 1, "restock_type": "return",
                "subtotal": 1, "subtotal_set": set(line.price - 10, self.abroad),
                "total_tax_set": set(if self.included { 7 } else { 0 }, self.abroad)}),
            );
        }
        let kept = random.below(3) == 0;
        let adjustments = if kept {
            json!([{"id": id + 1, "kind": "refund_discrepancy", "amount_set": set(200, self.abroad)},
                {"id": id + 2, "kind": "shipping_refund", "amount_set": set(-500, self.abroad)}])
        } else {
            json!([])
        };
        let moved = json!({"id": id + 3, "order_id": self.id, "kind": "refund", "status": "success", "gateway": "bogus",
            "amount": "9.90", "currency": "USD", "created_at": now, "processed_at": now, "parent_id": self.id + 4});
        let refund = json!({"id": id, "order_id": self.id, "created_at": now, "processed_at": now,
            "refund_line_items": items, "order_adjustments": adjustments, "transactions": [moved]});
        self.financial = "partially_refunded";
        // Shopify fires this topic without presentment currency of the order; the sets name both.
        self.tell("refunds/create", &refund);
        self.tell("order_transactions/create", &moved);
        self.refunds.push(refund);
    }
}

/// The deliveries about one order in the sequence of time. Without `transients`, the last version shows all that happened,
/// so that a single reading can tell it.
fn history(random: &mut Random, id: i64, transients: bool) -> Vec<Value> {
    let mut story = Story::new(random, FIRST_ID + id * 1000);
    let first = at(story.step);
    story.tell("orders/create", &story.body(&first));
    story.step += 1;
    let payment = json!({"id": story.id + 4, "order_id": story.id, "kind": random.one(&["sale", "capture"]), "status": "success",
        "gateway": "bogus", "amount": "10.00", "currency": "USD", "created_at": at(story.step), "processed_at": at(story.step)});
    story.tell("order_transactions/create", &payment);
    story.financial = "paid";
    story.tell("orders/paid", &story.body(&first));
    for _ in 0..random.below(4) {
        story.step += 1;
        match random.below(if transients { 5 } else { 4 }) {
            0 if story.is_editable() => story.edit(random),
            1 => story.refund(random),
            2 => {
                let body = json!({"id": story.id + 8, "order": {"id": story.id}, "name": "#1-R1", "status": random.one(&["requested", "open"])});
                story.tell(random.one(&["returns/request", "returns/approve"]), &body);
            }
            3 if random.below(4) == 0 && story.cancelled.is_none() => {
                story.cancelled = Some(at(story.step));
                // At Shopify nothing of a cancelled order is current, so that no later refund brings units back.
                story.lines.iter_mut().for_each(|line| line.current = 0);
            }
            4 => {
                story.fulfilled = true;
                story.financial = random.one_static();
            }
            _ => continue,
        }
        let topic = if story.cancelled.is_some() {
            "orders/cancelled"
        } else {
            "orders/updated"
        };
        story.tell(topic, &story.body(&first));
    }
    story.step += 1;
    if random.below(2) == 0 && story.cancelled.is_none() && (transients || story.refunds.is_empty()) {
        let shipment = json!({"id": story.id + 9, "order_id": story.id, "status": "success", "created_at": at(story.step),
            "updated_at": at(story.step), "tracking_company": "Post & Co"});
        story.tell("fulfillments/create", &shipment);
        story.fulfillments.push(shipment);
        story.fulfilled = true;
        story.tell("orders/fulfilled", &story.body(&first));
    }
    let product = |status: &str, second: i64| {
        json!({"id": FIRST_ID + 100_000 + id % 30, "title": format!("Lamp {}", id % 30), "vendor": "W", "product_type": "Light",
            "status": status, "created_at": at(0), "published_at": at(0), "updated_at": at(second),
            "variants": [{"id": FIRST_ID + id % 30, "title": "One", "sku": "S", "price": random_price(id)}]})
    };
    let mut told = story.told;
    let mut more = vec![("products/create", product("active", 0), 0)];
    if transients {
        more.push(("products/update", product("archived", 20), 20));
        if random.below(15) == 0 {
            more.push(("orders/delete", json!({"id": story.id}), 60));
        }
    }
    for (topic, body, second) in more {
        let mut one = delivery(&format!("{}-{topic}", story.id), topic, &body.to_string());
        one["triggered_at"] = at(second).into();
        told.push(one);
    }
    told
}

fn random_price(id: i64) -> &'static str {
    if id % 30 % 2 == 0 {
        "1.00"
    } else {
        "1.005"
    }
}

impl Random {
    fn one_static(&mut self) -> &'static str {
        ["paid", "pending"][self.below(2) as usize]
    }
}

/// The shop as the Admin API shows it at a moment.
fn shop_at(told: &[Value], moment: Timestamp) -> BulkShop {
    let mut shop = BulkShop::default();
    for one in told {
        let fired: Timestamp = one["triggered_at"].as_str().unwrap().parse().unwrap();
        if fired <= moment {
            let body = serde_json::from_str(one["body"].as_str().unwrap()).unwrap();
            shop.tell(one["topic"].as_str().unwrap(), fired, &body);
        }
    }
    shop
}

async fn content(database: &Database, all: bool) -> Vec<String> {
    told_rows::read(&database.admin().await.unwrap(), all).await.unwrap()
}

fn same(one: &[String], other: &[String], what: &str) {
    let only = |a: &[String], b: &[String]| a.iter().find(|row| b.binary_search(row).is_err()).cloned();
    assert_eq!((only(one, other), only(other, one)), (None, None), "{what}");
    assert_eq!(one.len(), other.len(), "{what}");
}

/// Ids of events, without those that tell of a revision: revisions count the changes of one database.
fn identities(events: &[Value]) -> BTreeSet<String> {
    let facts = events.iter().filter(|event| event["event_type"] != "order_updated");
    facts
        .map(|event| format!("{} {}", event["event_type"], event["event_id"]))
        .collect()
}

async fn webhooks(edge: &tokio_postgres::Client, told: &[Value]) -> Vec<Value> {
    let mut events = Vec::new();
    for batch in told.chunks(BATCH) {
        let answer = ingest(edge, batch).await;
        assert!(!verdicts(&answer).contains(&"rejected"), "{answer}");
        events.extend(answer["events"].as_array().unwrap().clone());
    }
    events
}

fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for index in (1..items.len()).rev() {
        items.swap(index, random.below(index as u64 + 1) as usize);
    }
}

#[tokio::test]
async fn a_single_reading_tells_what_all_webhooks_told() {
    let mut random = Random(20_261_124);
    let told: Vec<Value> = (1..=histories())
        .flat_map(|id| history(&mut random, id, false))
        .collect();
    let (by_webhooks, edge) = shop().await;
    let first = webhooks(&edge, &told).await;
    let (by_bulk, edge) = shop().await;
    let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let second = run_bulk(
        &edge,
        &shop_at(&told, now),
        &Bulk {
            first_operation: 1,
            started_at: now,
            seed: 7,
        },
    )
    .await;
    same(
        &content(&by_webhooks, false).await,
        &content(&by_bulk, false).await,
        "rows",
    );
    assert_eq!(identities(&first), identities(&second));
    let agreed: i64 = by_bulk
        .admin()
        .await
        .unwrap()
        .query_one(
            "select count(*) from commerce.agreement_sale where action_type = 'return'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!(agreed > histories() / 4, "{agreed}");
}

#[tokio::test]
async fn readings_of_any_age_among_webhooks_in_any_sequence_change_nothing() {
    let mut random = Random(20_261_125);
    let told: Vec<Value> = (1..=histories() / 4)
        .flat_map(|id| history(&mut random, id, true))
        .collect();
    let (by_webhooks, edge) = shop().await;
    let first = webhooks(&edge, &told).await;
    let expected = content(&by_webhooks, true).await;
    for round in 0..3 {
        let (mixed, edge) = shop().await;
        let mut sequence = told.clone();
        shuffle(&mut random, &mut sequence);
        // Readings of the past, of the middle and of the end, between the webhooks and in any sequence too.
        let mut moments = vec![at(3), at(9), at(14), at(21), at(70)];
        shuffle(&mut random, &mut moments);
        let mut events = Vec::new();
        for (index, part) in sequence.chunks(sequence.len().div_ceil(moments.len())).enumerate() {
            events.extend(webhooks(&edge, part).await);
            let moment: Timestamp = moments[index].parse().unwrap();
            let bulk = Bulk {
                first_operation: 10 * (index as i64 + 1),
                started_at: moment + jiff::SignedDuration::from_millis(500),
                seed: random.below(1000),
            };
            events.extend(run_bulk(&edge, &shop_at(&told, moment), &bulk).await);
        }
        same(&expected, &content(&mixed, true).await, &format!("round {round}"));
        let (known, found) = (identities(&first), identities(&events));
        // A stranger sequence may miss what was true for a moment only, and never makes up an event.
        let made_up: Vec<_> = found
            .difference(&known)
            .filter(|one| !one.contains("product_changed"))
            .collect();
        assert_eq!(made_up, Vec::<&String>::new());
        let missing = known.difference(&found).filter(|one| !one.contains("product_changed"));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}
