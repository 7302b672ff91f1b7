//! Any sequence of a delivery history, with any repetitions, gives the same rows and the same ledger.

use serde_json::{json, Value};

use super::{delivery, ingest, shop, verdicts};

/// How many random histories; more by `WEIR_HISTORIES`.
const HISTORIES: i64 = 1000;
const BATCH: usize = 250;

/// SplitMix64: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// The deliveries about one order and its product, in the sequence of time.
pub fn history(random: &mut Random, id: i64) -> Vec<Value> {
    let mut deliveries = Vec::new();
    let length = 3 + random.below(8) as i64;
    for step in 0..length {
        // Two steps share a second now and then: the time of the delivery breaks the tie. Others are days apart.
        let at = |offset: i64| format!("2026-11-{:02}T10:00:{:02}Z", 1 + id % 20 + offset, offset);
        let now = at(step / 2 * 2);
        let part = random.below(3);
        let (topic, body) = match random.below(12) {
            0..=3 => {
                let lines: Vec<Value> = (0..=random.below(2))
                    .map(|line| {
                        // Deleted products are no longer named, and some bodies do not say that a line is a tip.
                        json!({"id": line + 1, "product_id": (random.below(3) > 0).then_some(id), "variant_id": random.below(2),
                            "tip": (random.below(12) == 0).then(|| json!({})), "quantity": 1 + random.below(3),
                            "current_quantity": random.below(2), "price": random.one(&["10.00", "7.50", "0.33"]),
                            "discount_allocations": [{"amount": "0.30"}], "gift_card": random.below(9) == 0})
                    })
                    .collect();
                let body = json!({"id": id, "created_at": at(0), "processed_at": at(0), "updated_at": now,
                    "name": "#1", "currency": "USD", "test": random.below(20) == 0, "line_items": lines,
                    "customer": {"id": 1000 + id, "updated_at": (random.below(2) == 0).then(|| now.clone()),
                        "state": random.one(&["enabled", "disabled"])}, "taxes_included": false,
                    "note_attributes": [{"name": "weir_publisher", "value": random.one(&["p1", "p2", "no id"])}],
                    "financial_status": random.one(&["paid", "pending"]),
                    "fulfillment_status": random.one(&["fulfilled", "partial"]),
                    "cancelled_at": (random.below(6) == 0).then(|| now.clone())});
                (random.one(&["orders/create", "orders/updated", "orders/paid"]), body)
            }
            4 => (
                "refunds/create",
                json!({"id": part, "order_id": id, "created_at": now,
                    "return": (random.below(2) == 0).then(|| json!({"id": part})), "refund_line_items": [{"id": 1,
                    "line_item_id": 1 + random.below(2), "quantity": 1, "subtotal": random.one(&["10.00", "5.00"])}]}),
            ),
            5 => (
                "order_transactions/create",
                json!({"id": part, "order_id": id, "kind": "sale", "amount": "10.00", "created_at": now,
                    "status": random.one(&["success", "pending"])}),
            ),
            6 => (
                "fulfillments/update",
                json!({"id": part, "order_id": id, "updated_at": now, "status": random.one(&["success", "cancelled"]),
                    "line_items": (random.below(2) == 0).then(|| json!([{"id": 1, "quantity": 2}]))}),
            ),
            7 => (
                "returns/approve",
                json!({"id": part, "order": {"id": id}, "status": random.one(&["open", "requested", "closed"])}),
            ),
            8 => (
                "products/update",
                json!({"id": id, "title": random.one(&["Lamp", "Light"]), "updated_at": now,
                    "status": random.one(&["active", "draft", "unlisted"]),
                    "variants": [{"id": 1 + random.below(2), "price": random.one(&["1.00", "1.005"])}],
                    "variant_gids": [{"admin_graphql_api_id": "gid://shopify/ProductVariant/1"},
                        {"admin_graphql_api_id": "gid://shopify/ProductVariant/2"}]}),
            ),
            9 => (
                "customers/update",
                json!({"id": 1000 + id, "updated_at": now, "state": random.one(&["enabled", "disabled"]),
                    "email_marketing_consent": {"state": random.one(&["subscribed", "unsubscribed"])}}),
            ),
            10 if random.below(4) == 0 => ("customers/delete", json!({"id": 1000 + id})),
            _ if random.below(4) == 0 => (random.one(&["orders/delete", "products/delete"]), json!({"id": id})),
            _ => (
                "orders/edited",
                json!({"order_edit": {"id": step, "order_id": id, "committed_at": now,
                    "line_items": {"additions": [{"id": 1, "delta": random.below(2)}], "removals": []}}}),
            ),
        };
        let mut one = delivery(&format!("{id}-{step}"), topic, &body.to_string());
        one["received_at"] = at(step).into();
        one["triggered_at"] = at(step).into();
        deliveries.push(one);
    }
    deliveries
}

/// Rows of schema commerce, without the counter of changes and the memory of deliveries, which tell of the sequence.
const CONTENT: &str = "
    select 'order_header' || (to_jsonb(t) - 'revision')::text from commerce.order_header as t
    union all select 'order_line_item' || t::text from commerce.order_line_item as t
    union all select 'refund' || t::text from commerce.refund as t
    union all select 'refund_line_item' || t::text from commerce.refund_line_item as t
    union all select 'payment' || t::text from commerce.payment as t
    union all select 'fulfillment' || t::text from commerce.fulfillment as t
    union all select 'fulfillment_line_item' || t::text from commerce.fulfillment_line_item as t
    union all select 'customer' || t::text from commerce.customer as t
    union all select 'order_return' || t::text from commerce.order_return as t
    union all select 'order_edit_line' || t::text from commerce.order_edit_line as t
    union all select 'sales_ledger' || t::text from commerce.sales_ledger as t
    union all select 'product' || t::text from commerce.product as t
    union all select 'product_variant' || t::text from commerce.product_variant as t
    union all select 'tombstone' || t::text from commerce.tombstone as t
    order by 1";

/// The same deliveries, each third of which was fired by somebody whose clock is years ahead.
fn fired_in_the_future(mut deliveries: Vec<Value>) -> Vec<Value> {
    for (place, one) in deliveries.iter_mut().enumerate().filter(|(place, _)| place % 3 == 0) {
        one["triggered_at"] = format!("20{}-01-01T00:00:00Z", 99 - place % 50).into();
    }
    deliveries
}

#[tokio::test]
async fn a_trigger_in_the_future_changes_nothing() {
    let mut random = Random(20_261_201);
    let told: Vec<Value> = (1..=200).flat_map(|id| history(&mut random, id)).collect();
    let mut contents = Vec::new();
    for mut deliveries in [
        told.clone(),
        fired_in_the_future(told.clone()),
        fired_in_the_future(told),
    ] {
        if !contents.is_empty() {
            deliveries.sort_by_cached_key(|_| random.below(u64::MAX));
        }
        let (database, edge) = shop().await;
        for batch in deliveries.chunks(BATCH) {
            ingest(&edge, batch).await;
        }
        let rows = database.admin().await.unwrap().query(CONTENT, &[]).await.unwrap();
        contents.push(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>());
    }
    assert!(!contents[0].is_empty());
    assert_eq!(contents[0], contents[1]);
    assert_eq!(contents[0], contents[2]);
}

#[tokio::test]
async fn random_histories_end_alike_in_any_sequence() {
    let histories = std::env::var("WEIR_HISTORIES").map_or(HISTORIES, |text| text.parse().unwrap());
    let mut random = Random(20_261_124);
    let told: Vec<Value> = (1..=histories).flat_map(|id| history(&mut random, id)).collect();
    let mut contents: Vec<Vec<String>> = Vec::new();
    for shuffled in [false, true] {
        let (database, edge) = shop().await;
        let mut sequence = told.clone();
        if shuffled {
            // Every third delivery comes again under its own id, every ninth under another.
            let again = told.iter().step_by(3).cloned();
            let anew = told.iter().step_by(9).cloned().map(|mut one| {
                one["webhook_id"] = format!("{} anew", one["webhook_id"]).into();
                one
            });
            sequence.extend(again.chain(anew).collect::<Vec<_>>());
            for index in (1..sequence.len()).rev() {
                sequence.swap(index, random.below(index as u64 + 1) as usize);
            }
        }
        for batch in sequence.chunks(BATCH) {
            let answer = ingest(&edge, batch).await;
            assert!(!verdicts(&answer).contains(&"rejected"), "{answer}");
        }
        let admin = database.admin().await.unwrap();
        let rows = admin.query(CONTENT, &[]).await.unwrap();
        contents.push(rows.iter().map(|row| row.get(0)).collect());
    }
    let [told, shuffled] = &contents[..] else {
        panic!("two runs")
    };
    let only = |a: &[String], b: &[String]| a.iter().find(|row| b.binary_search(row).is_err()).cloned();
    assert!(told.len() as i64 > histories * 3);
    assert_eq!((only(told, shuffled), only(shuffled, told)), (None, None));
    assert_eq!(told.len(), shuffled.len());
}
