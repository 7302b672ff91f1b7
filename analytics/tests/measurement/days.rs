//! Shopify's bodies through the ledger, the stream, the lake and two refreshes: what each shop sold on which of its days.
//! The arithmetic stands beside each case. The first delivery of an order is refreshed before the others come.

use std::collections::BTreeMap;

use serde_json::{json, Value};
use weir_domain::events::{order_events, Provenance, Renderer, Shop};
use weir_domain::money::Currency;
use weir_domain::order_state::OrderState;
use weir_domain::shopify::{parse, Context};

use crate::harness::Served;

/// 2026-11-20T00:00:00Z in microseconds.
const RECEIVED_AT: i64 = 1_795_132_800_000_000;

/// The events of an order's deliveries; those of the first, and those of the rest.
fn events(shop: &Shop, order_id: i64, deliveries: &[(&str, Value)]) -> [Vec<Value>; 2] {
    let (products, salts) = (BTreeMap::new(), BTreeMap::new());
    let renderer = Renderer {
        shop,
        products: &products,
        salts: &salts,
    };
    let mut state = OrderState::default();
    let mut told = [Vec::new(), Vec::new()];
    for (index, (topic, body)) in deliveries.iter().enumerate() {
        let context = Context {
            currency: Currency::from_code(shop.currency.code()).unwrap(),
            triggered_at: RECEIVED_AT,
        };
        let before = state.clone();
        state.apply(&parse(topic, &body.to_string(), context).unwrap().unwrap());
        let provenance = Provenance {
            received_at: RECEIVED_AT + i64::try_from(index).unwrap() * 1_000_000,
            source: "webhook".to_owned(),
        };
        let keys = order_events(order_id, &before, &state, &shop.zone, provenance.received_at);
        assert!(!keys.is_empty(), "{topic} of {order_id} tells nothing");
        let part = &mut told[index.min(1)];
        for key in &keys {
            part.push(serde_json::from_str(renderer.order(key, &state, &provenance).get()).unwrap());
        }
    }
    told
}

/// An order of one line: two units of `product` at 10.00 (or 10 in a currency without decimals).
fn order(id: i64, product: i64, processed_at: &str, currency: &str, own: Value) -> Value {
    let mut body = json!({
        "id": id, "processed_at": processed_at, "updated_at": processed_at, "currency": currency,
        "line_items": [{ "id": id * 10, "product_id": product, "quantity": 2,
            "price": if currency == "JPY" { "10" } else { "10.00" } }],
    });
    body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    body
}

fn refund(id: i64, order_id: i64, at: &str, subtotal: f64, tax: f64) -> Value {
    json!({ "id": id, "order_id": order_id, "processed_at": at, "created_at": at, "refund_line_items": [
        { "id": id * 10, "line_item_id": order_id * 10, "quantity": 1, "subtotal": subtotal, "total_tax": tax }] })
}

/// Product, day, sold, returned, gross, discounts, returns, net.
type Day<'a> = (&'a str, &'a str, i64, i64, i64, i64, i64, i64);

struct Case<'a> {
    shop: [&'a str; 3],
    /// Order id with its deliveries.
    orders: Vec<(i64, Vec<(&'a str, Value)>)>,
    expected: Vec<Day<'a>>,
}

fn created(id: i64, product: i64, at: &str, currency: &str) -> (i64, Vec<(&'static str, Value)>) {
    (id, vec![("orders/create", order(id, product, at, currency, json!({})))])
}

/// Where a day begins: the last minute before it and the first of it, in UTC.
fn borders() -> Vec<Case<'static>> {
    let case = |shop, currency, moments: [&str; 4], days: [&'static str; 4], gross| Case {
        shop,
        orders: (1..)
            .zip(moments)
            .map(|(id, at)| created(id, id, at, currency))
            .collect(),
        expected: ["1", "2", "3", "4"]
            .into_iter()
            .zip(days)
            .map(|(product, day)| (product, day, 2, 0, gross, 0, 0, gross))
            .collect(),
    };
    vec![
        // UTC+9 throughout: midnight is 15:00 UTC. 2 x 10 JPY have no decimals.
        case(
            ["tokyo.myshopify.com", "Asia/Tokyo", "JPY"],
            "JPY",
            [
                "2026-11-10T14:59:59Z",
                "2026-11-10T15:00:00Z",
                "2026-11-11T14:59:59Z",
                "2026-11-11T15:00:00Z",
            ],
            ["2026-11-10", "2026-11-11", "2026-11-11", "2026-11-12"],
            20,
        ),
        // UTC+5:45: midnight is 18:15 UTC.
        case(
            ["ktm.myshopify.com", "Asia/Kathmandu", "USD"],
            "USD",
            [
                "2026-11-10T18:14:59Z",
                "2026-11-10T18:15:00Z",
                "2026-11-11T18:14:59Z",
                "2026-11-11T18:15:00Z",
            ],
            ["2026-11-10", "2026-11-11", "2026-11-11", "2026-11-12"],
            2000,
        ),
        // Clocks go back on 2026-11-01, a day of 25 hours: midnight is 07:00 UTC before it and 08:00 UTC after it.
        case(
            ["la.myshopify.com", "America/Los_Angeles", "USD"],
            "USD",
            [
                "2026-11-01T06:59:59Z",
                "2026-11-01T07:00:00Z",
                "2026-11-02T07:59:59Z",
                "2026-11-02T08:00:00Z",
            ],
            ["2026-10-31", "2026-11-01", "2026-11-01", "2026-11-02"],
            2000,
        ),
        // Clocks go forward on 2026-03-08, a day of 23 hours: 08:00 UTC before it and 07:00 UTC after it.
        case(
            ["la-spring.myshopify.com", "America/Los_Angeles", "USD"],
            "USD",
            [
                "2026-03-08T07:59:59Z",
                "2026-03-08T08:00:00Z",
                "2026-03-09T06:59:59Z",
                "2026-03-09T07:00:00Z",
            ],
            ["2026-03-07", "2026-03-08", "2026-03-08", "2026-03-09"],
            2000,
        ),
    ]
}

fn kinds() -> Case<'static> {
    const PLACED: &str = "2026-11-02T12:00:00Z";
    let whole = |own| vec![("orders/create", order(1, 1, PLACED, "EUR", own))];
    let with_id = |id: i64, product: i64, own| ("orders/create", order(id, product, PLACED, "EUR", own));
    let money = |shop: &str, shown: &str| {
        json!({ "shop_money": { "amount": shop, "currency_code": "EUR" },
            "presentment_money": { "amount": shown, "currency_code": "USD" } })
    };
    Case {
        shop: ["berlin.myshopify.com", "Europe/Berlin", "EUR"],
        orders: vec![
            // A test order counts nothing.
            (1, whole(json!({ "test": true }))),
            // Selling a gift card is no sale, the line beside it is: 1 x 5.00.
            (
                2,
                vec![with_id(
                    2,
                    2,
                    json!({ "line_items": [
                { "id": 20, "product_id": 2, "quantity": 2, "price": "10.00", "gift_card": true },
                { "id": 21, "product_id": 22, "quantity": 1, "price": "5.00" }] }),
                )],
            ),
            // Deleted later: nothing is left of 2 x 10.00.
            (3, vec![with_id(3, 3, json!({})), ("orders/delete", json!({ "id": 3 }))]),
            // Cancelled on 11-05: the sale stays on 11-02, its reversal is on 11-05.
            (
                4,
                vec![
                    with_id(4, 4, json!({})),
                    (
                        "orders/cancelled",
                        order(
                            4,
                            4,
                            PLACED,
                            "EUR",
                            json!({ "cancelled_at": "2026-11-05T12:00:00Z", "updated_at": "2026-11-05T12:00:00Z" }),
                        ),
                    ),
                ],
            ),
            // One of two units comes back on 11-07 (23:30 UTC on 11-06 is past midnight in Berlin).
            (
                5,
                vec![
                    with_id(5, 5, json!({})),
                    ("refunds/create", refund(50, 5, "2026-11-06T23:30:00Z", 10.0, 0.0)),
                ],
            ),
            // Tax is no sale: 2 x 11.90 with 3.80 of 19 % in them is 20.00; one unit back is 11.90 - 1.90 = 10.00.
            (
                6,
                vec![
                    with_id(
                        6,
                        6,
                        json!({ "taxes_included": true, "line_items": [
                    { "id": 60, "product_id": 6, "quantity": 2, "price": "11.90",
                        "tax_lines": [{ "price": "3.80", "rate": 0.19 }] }] }),
                    ),
                    ("refunds/create", refund(60, 6, "2026-11-08T12:00:00Z", 11.9, 1.9)),
                ],
            ),
            // Shown in USD, kept in EUR: 2 x 10.00 EUR less 3.00 EUR; what the customer saw (23.00, 3.45) is not added.
            (
                7,
                vec![with_id(
                    7,
                    7,
                    json!({ "presentment_currency": "USD", "line_items": [
                { "id": 70, "product_id": 7, "quantity": 2, "price": "10.00", "price_set": money("10.00", "11.50"),
                    "discount_allocations": [{ "amount": "3.00", "amount_set": money("3.00", "3.45") }] }] }),
                )],
            ),
        ],
        expected: vec![
            ("22", "2026-11-02", 1, 0, 500, 0, 0, 500),
            ("4", "2026-11-02", 2, 0, 2000, 0, 0, 2000),
            ("4", "2026-11-05", 0, 2, 0, 0, 2000, -2000),
            ("5", "2026-11-02", 2, 0, 2000, 0, 0, 2000),
            ("5", "2026-11-07", 0, 1, 0, 0, 1000, -1000),
            ("6", "2026-11-02", 2, 0, 2000, 0, 0, 2000),
            ("6", "2026-11-08", 0, 1, 0, 0, 1000, -1000),
            ("7", "2026-11-02", 2, 0, 2000, 300, 0, 1700),
        ],
    }
}

#[tokio::test]
async fn what_each_shop_sold_on_its_own_days() {
    let served = Served::start().await;
    let mut cases = borders();
    cases.push(kinds());
    let mut parts = [Vec::new(), Vec::new()];
    for case in &cases {
        let [domain, zone, currency] = case.shop;
        let shop = Shop::new(domain, zone, currency).unwrap();
        for (id, deliveries) in &case.orders {
            for (part, told) in parts.iter_mut().zip(events(&shop, *id, deliveries)) {
                part.extend(told);
            }
        }
    }
    let [first, rest] = parts;
    served.ingest(&first).await;
    served.refresh("2026-11-20T00:00:00Z").await;
    served.ingest(&rest).await;
    let outcome = served.refresh("2026-11-20T00:00:00Z").await;
    // The days of the deleted order, the cancellation and the two refunds; no other.
    assert_eq!(
        (&outcome["mode"], &outcome["changed_days"]),
        (
            &json!("incremental"),
            &json!(["2026-11-02", "2026-11-05", "2026-11-07", "2026-11-08"])
        )
    );

    for case in cases {
        let answer = served.get(&format!("/v1/sales?shop={}", case.shop[0])).await;
        let mut found: Vec<Day> = answer["sales"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let number = |column: &str| row[column].as_i64().unwrap();
                assert_eq!(row["currency"], case.shop[2]);
                (
                    row["product_id"].as_str().unwrap(),
                    row["day"].as_str().unwrap(),
                    number("units_sold"),
                    number("units_returned"),
                    number("gross_sales"),
                    number("discounts"),
                    number("returns"),
                    number("net_sales"),
                )
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, case.expected, "{:?}", case.shop);
    }
    served.server.stop().await.unwrap();
}
