//! Units that a body no longer has although no refund and no edit says when they were removed, and such that it has beyond
//! Shopify's agreements although no edit says when they were added: they count on the day of the first body that lacked or
//! had them, whatever came when and whatever changed since.

use std::collections::BTreeMap;

use serde_json::{json, Value};
use tokio_postgres::Client;

use weir_tests::bulk_jsonl::BulkShop;

use super::bulk::{run_bulk, Bulk};
use super::permutation::{history, Random};
use super::{delivery, ingest, ledger, shop, types, verdicts};

/// How many random histories.
const HISTORIES: i64 = 300;

/// The order as of a day of November, with `left` of its three units.
fn body(day: u8, left: u8, tags: &str) -> Value {
    body_of(3, day, left, tags)
}

fn body_of(quantity: u8, day: u8, left: u8, tags: &str) -> Value {
    let body = json!({"id": 7, "currency": "USD", "processed_at": "2026-11-01T10:00:00Z", "tags": tags,
        "created_at": "2026-11-01T10:00:00Z", "updated_at": format!("2026-11-{day:02}T10:00:00Z"), "line_items": [
            {"id": 1, "product_id": 11, "quantity": quantity, "current_quantity": left, "price": "10.00"}]});
    delivery(&format!("{day} {left} {tags}"), "orders/updated", &body.to_string())
}

type Row = (String, String, i64, i64, i64);

fn row(day: u8, kind: &str, sold: i64, returned: i64) -> Row {
    let units = sold - returned;
    (
        format!("2026-11-{day:02}"),
        kind.to_owned(),
        sold,
        returned,
        units * 1000,
    )
}

#[tokio::test]
async fn a_removal_counts_on_the_day_of_the_first_body_that_lacked_the_unit() {
    let (database, edge) = shop().await;
    let sold = row(1, "sale", 3, 0);
    ingest(&edge, &[body(1, 3, "")]).await;
    ingest(&edge, &[body(4, 2, "")]).await;
    let removed = [sold.clone(), row(4, "edit", 0, 1)];
    assert_eq!(ledger(&database, 7).await, removed);
    // What is unrelated moves nothing and is no event.
    let tagged = ingest(&edge, &[body(6, 2, "a"), body(9, 2, "b")]).await;
    assert_eq!((types(&tagged), ledger(&database, 7).await), (vec![], removed.to_vec()));
    // A refund of another unit dates that one.
    let refund = json!({"id": 5, "order_id": 7, "processed_at": "2026-11-10T10:00:00Z", "refund_line_items": [
        {"id": 6, "line_item_id": 1, "quantity": 1, "subtotal": "10.00"}]});
    ingest(&edge, &[delivery("r", "refunds/create", &refund.to_string())]).await;
    ingest(&edge, &[body(11, 1, "b")]).await;
    let mut all = removed.to_vec();
    all.push(row(10, "return", 0, 1));
    all.sort();
    assert_eq!(ledger(&database, 7).await, all);
    // An edit that is told at last dates the first.
    let edit = json!({"order_edit": {"id": 8, "order_id": 7, "committed_at": "2026-11-03T10:00:00Z",
        "line_items": {"additions": [], "removals": [{"id": 1, "delta": 1}]}}});
    let edited = ingest(&edge, &[delivery("e", "orders/edited", &edit.to_string())]).await;
    assert_eq!(types(&edited), ["order_updated"]);
    all = vec![sold, row(3, "edit", 0, 1), row(10, "return", 0, 1)];
    assert_eq!(ledger(&database, 7).await, all);
}

#[tokio::test]
async fn an_older_body_that_comes_late_and_lacked_the_unit_before_moves_the_day() {
    let (database, edge) = shop().await;
    let newest = ingest(&edge, &[body(9, 2, "b")]).await;
    assert_eq!(types(&newest), ["order_created"]);
    let (sold, at) = (row(1, "sale", 3, 0), |day| row(day, "edit", 0, 1));
    assert_eq!(ledger(&database, 7).await, [sold.clone(), at(9)]);
    let revision = |answer: &Value| answer["events"][0]["order_revision"].as_i64().unwrap();
    let late = ingest(&edge, &[body(4, 2, "")]).await;
    assert_eq!(types(&late), ["order_updated"]);
    assert!(revision(&late) > revision(&newest));
    assert_eq!(late["events"][0]["sales"][1]["day"], "2026-11-04");
    assert_eq!(ledger(&database, 7).await, [sold.clone(), at(4)]);
    // Older bodies that say nothing new: one between, one that had the unit, one told again.
    for body in [body(6, 2, "a"), body(1, 3, ""), body(4, 2, "again")] {
        let answer = ingest(&edge, &[body]).await;
        assert_eq!((verdicts(&answer), types(&answer)), (vec!["stale"], vec![]));
    }
    assert_eq!(ledger(&database, 7).await, [sold, at(4)]);
}

#[tokio::test]
async fn an_addition_since_a_reading_counts_on_the_day_of_the_first_body_that_had_the_unit() {
    // Two units on the 1st, read on the 2nd; a third on the 4th, a tag on the 6th.
    let bodies = [body_of(2, 1, 2, ""), body(4, 3, ""), body(6, 3, "a")];
    let mut read = BulkShop::default();
    let first = serde_json::from_str(bodies[0]["body"].as_str().unwrap()).unwrap();
    read.tell("orders/create", "2026-11-01T10:00:00Z".parse().unwrap(), &first);
    let expected = [row(1, "sale", 2, 0), row(4, "edit", 1, 0)];
    const READING: usize = 3;
    for sequence in [
        [0, READING, 1, 2],
        [2, 1, READING, 0],
        [READING, 2, 0, 1],
        [1, 2, 0, READING],
        [2, 0, 1, READING],
    ] {
        let (database, edge) = shop().await;
        let mut told = Vec::new();
        for index in sequence {
            if index == READING {
                let bulk = Bulk {
                    first_operation: 1,
                    started_at: "2026-11-02T10:00:00Z".parse().unwrap(),
                    seed: 7,
                };
                told.extend(run_bulk(&edge, &read, &bulk).await);
            } else {
                let answer = ingest(&edge, &bodies[index..=index]).await;
                told.extend(answer["events"].as_array().unwrap().clone());
            }
        }
        assert_eq!(ledger(&database, 7).await, expected, "{sequence:?}");
        // Whatever moved the day was told under a newer revision.
        let newest = told
            .iter()
            .max_by_key(|event| event["order_revision"].as_i64())
            .unwrap();
        assert_eq!(newest["sales"][1]["day"], "2026-11-04", "{sequence:?}");
    }
}

async fn rows(client: &Client) -> Vec<String> {
    let rows = client
        .query("select t::text from commerce.sales_ledger as t order by 1", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whatever a history is: a body that only carries another tag changes no row of the ledger.
#[tokio::test]
async fn an_unrelated_change_moves_no_day_of_any_history() {
    let mut random = Random(20_261_129);
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let told: Vec<Value> = (1..=HISTORIES).flat_map(|id| history(&mut random, id)).collect();
    let mut newest: BTreeMap<i64, (String, Value)> = BTreeMap::new();
    for one in &told {
        let body: Value = serde_json::from_str(one["body"].as_str().unwrap()).unwrap();
        if body
            .get("line_items")
            .is_some_and(|_| body.get("processed_at").is_some())
        {
            let version = format!("{} {}", body["updated_at"], one["triggered_at"]);
            let place = newest.entry(body["id"].as_i64().unwrap()).or_default();
            if version >= place.0 {
                *place = (version, body);
            }
        }
    }
    for batch in told.chunks(250) {
        ingest(&edge, batch).await;
    }
    let again = |day: &str| {
        let bodies = newest.iter().map(|(id, (_, body))| {
            let mut body = body.clone();
            body["updated_at"] = format!("2026-12-{day}T10:00:00Z").into();
            body["tags"] = day.into();
            delivery(&format!("{id} {day}"), "orders/updated", &body.to_string())
        });
        bodies.collect::<Vec<Value>>()
    };
    // The first tells of edits that were committed after the newest body.
    ingest(&edge, &again("10")).await;
    let before = rows(&admin).await;
    let removed = before.iter().filter(|row| row.contains(",edit,")).count();
    assert!(removed as i64 > HISTORIES / 4, "{removed} of {}", before.len());
    ingest(&edge, &again("12")).await;
    assert_eq!(rows(&admin).await, before);
}
