use super::*;
use serde_json::Value;

use crate::order_state::Applied;
use crate::shopify::{self, Context, Fact};
use crate::telemetry::commerce;

fn shop() -> Shop {
    Shop::new("demo.myshopify.com", "Asia/Tokyo", "JPY").unwrap()
}

fn value(event: &RawValue) -> Value {
    serde_json::from_str(event.get()).unwrap()
}

fn run(deliveries: &[(&str, String)]) -> (OrderState, Vec<Vec<EventKey>>) {
    let (shop, mut state) = (shop(), OrderState::default());
    let events = deliveries.iter().enumerate().map(|(index, (topic, body))| {
        let context = Context {
            currency: shop.currency,
            triggered_at: index as i64,
        };
        let fact = shopify::parse(topic, body, context).unwrap().unwrap();
        let before = state.clone();
        state.apply(&fact);
        order_events(7, &before, &state, &shop.zone, 0)
    });
    let events = events.collect();
    (state, events)
}

fn order(second: u32, status: &str) -> String {
    format!(
        r#"{{"id": 7, "created_at": "2026-11-01T00:00:00Z", "processed_at": "2026-11-01T00:00:00Z", {status}
        "updated_at": "2026-11-01T00:00:{second:02}Z", "currency": "JPY", "customer": {{"id": 5}},
        "line_items": [{{"id": 1, "product_id": 11, "quantity": 2, "price": "500"}}]}}"#
    )
}

fn names(events: &[Vec<EventKey>]) -> Vec<Vec<&str>> {
    events
        .iter()
        .map(|keys| keys.iter().map(|key| key.event_type.as_str()).collect())
        .collect()
}

#[test]
fn each_fact_is_told_once() {
    let done = r#""financial_status": "paid", "fulfillment_status": "fulfilled","#;
    let (_, events) = run(&[
        ("orders/create", order(1, "")),
        ("orders/paid", order(2, done)),
        ("orders/updated", order(2, done)),
        (
            "order_transactions/create",
            r#"{"id": 3, "order_id": 7, "kind": "sale", "status": "pending"}"#.into(),
        ),
        (
            "order_transactions/create",
            r#"{"id": 3, "order_id": 7, "kind": "sale", "status": "success"}"#.into(),
        ),
        (
            "fulfillments/create",
            r#"{"id": 4, "order_id": 7, "status": "success"}"#.into(),
        ),
        (
            "orders/cancelled",
            order(9, r#""cancelled_at": "2026-11-03T00:00:00Z","#),
        ),
        ("orders/delete", r#"{"id": 7}"#.into()),
        ("orders/updated", order(20, done)),
    ]);
    let expected: Vec<Vec<&str>> = vec![
        vec!["order_created"],
        vec!["order_completed"],
        vec![],
        vec![],
        vec!["payment_captured"],
        vec!["fulfillment_shipped"],
        vec!["order_cancelled"],
        vec!["order_updated"],
        vec![],
    ];
    assert_eq!(names(&events), expected);
}

#[test]
fn events_fit_the_stream_and_hold_no_customer_id() {
    let (state, events) = run(&[
        ("orders/create", order(1, "")),
        (
            "refunds/create",
            r#"{"id": 6, "order_id": 7, "created_at": "2026-11-02T00:00:00Z", "refund_line_items":
            [{"id": 8, "line_item_id": 1, "quantity": 1, "subtotal": 500}]}"#
                .into(),
        ),
    ]);
    let shop = shop();
    let (products, salts) = (BTreeMap::new(), BTreeMap::from([(5, "salt".to_owned())]));
    let renderer = Renderer {
        shop: &shop,
        products: &products,
        salts: &salts,
    };
    let provenance = Provenance {
        received_at: 1_700_000_000_123_456,
        source: "webhook".into(),
    };
    for key in events.iter().flatten() {
        let event = value(&renderer.order(key, &state, &provenance));
        assert_eq!(commerce().validate(&event), Ok(()), "{event}");
        assert_eq!(event["received_at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(event["customer_key"].as_str().unwrap().len(), 64);
        assert_eq!(event["sales"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_part_before_its_order_carries_no_ledger() {
    let (state, events) = run(&[(
        "fulfillments/create",
        r#"{"id": 4, "order_id": 7, "status": "success"}"#.into(),
    )]);
    let shop = shop();
    let (products, salts) = (BTreeMap::new(), BTreeMap::new());
    let renderer = Renderer {
        shop: &shop,
        products: &products,
        salts: &salts,
    };
    let provenance = Provenance {
        received_at: 0,
        source: "webhook".into(),
    };
    let event = value(&renderer.order(&events[0][0], &state, &provenance));
    assert_eq!(commerce().validate(&event), Ok(()));
    assert!(event.get("sales").is_none() && event.get("order_revision").is_none());
}

#[test]
fn a_product_change_is_named_by_its_version_and_a_deletion_stays() {
    let shop = shop();
    let parse = |topic, body: &str| {
        let context = Context {
            currency: shop.currency,
            triggered_at: 50,
        };
        match shopify::parse(topic, body, context).unwrap().unwrap() {
            shopify::Fact::Product(product) => *product,
            shopify::Fact::ProductDeleted { product_id, at } => Product::deleted(product_id, at),
            other => panic!("{other:?}"),
        }
    };
    let first = parse(
        "products/create",
        r#"{"id": 1, "status": "active", "updated_at": "2026-01-01T00:00:00Z"}"#,
    );
    let key = product_event(None, &first).unwrap();
    assert_eq!(key.discriminator, "2026-01-01T00:00:00.000Z");
    assert_eq!(product_event(Some(&first), &first), None);
    let gone = Product::merged(Some(&first), &parse("products/delete", r#"{"id": 1}"#));
    assert_eq!(product_event(Some(&first), &gone).unwrap().discriminator, "deleted");
    let late = parse(
        "products/update",
        r#"{"id": 1, "status": "active", "updated_at": "2026-01-02T00:00:00Z"}"#,
    );
    assert_eq!(Product::merged(Some(&gone), &late).is_active(), Some(false));
    // On sale through its link: who knows it buys it. A status that is to come sells nothing until weir knows it.
    for (status, is_active) in [
        ("unlisted", true),
        ("draft", false),
        ("archived", false),
        ("suspended", false),
    ] {
        let status = Some(status.to_owned());
        assert_eq!(Product { status, ..late.clone() }.is_active(), Some(is_active));
    }
}

#[test]
fn revisions_only_grow() {
    let (state, _) = run(&[("orders/create", order(1, ""))]);
    let mut later = state.clone();
    let context = Context {
        currency: shop().currency,
        triggered_at: 9,
    };
    let fact = shopify::parse("refunds/create", r#"{"id": 6, "order_id": 7}"#, context)
        .unwrap()
        .unwrap();
    assert_eq!(later.apply(&fact), Applied::Changed);
    assert_eq!(later.revision, state.revision + 1);
    assert_eq!(later.apply(&fact), Applied::Unchanged);
    assert_eq!(later.revision, state.revision + 1);
}

#[test]
fn a_deletion_is_newer_than_any_body_that_is_not_known() {
    let deleted = Fact::OrderDeleted { order_id: 7, at: 1_000 };
    let mut state = OrderState::default();
    assert_eq!(state.apply(&deleted), Applied::Changed);
    assert_eq!(state.revision, 1_000);
    // A restored database knows an older body than the one that was told.
    let (mut state, _) = run(&[("orders/create", order(1, ""))]);
    let at = state.revision + 5_000;
    state.apply(&Fact::OrderDeleted { order_id: 7, at });
    assert_eq!(state.revision, at);
}

#[test]
fn changes_in_a_shop_that_was_registered_anew_are_newer_than_its_registration() {
    let deleted = Fact::OrderDeleted { order_id: 7, at: 1_000 };
    let mut state = OrderState::default();
    assert_eq!(state.change_since(5_000, |one| one.apply(&deleted)), Applied::Changed);
    assert_eq!(state.revision, 5_000);
    // What changes nothing is no revision either.
    assert_eq!(state.change_since(6_000, |one| one.apply(&deleted)), Applied::Stale);
    assert_eq!(state.revision, 5_000);
}

#[test]
fn instants_lose_nothing_on_the_way_to_postgresql() {
    assert_eq!(exact_time(1_700_000_000_123_456), "2023-11-14T22:13:20.123456Z");
    assert_eq!(exact_time(-1), "1969-12-31T23:59:59.999999Z");
    assert_eq!(wire_time(-1), "1969-12-31T23:59:59.999Z");
}

#[test]
fn of_two_equally_new_bodies_the_later_arrival_holds() {
    let context = Context {
        currency: shop().currency,
        triggered_at: 1,
    };
    let mut state = OrderState::default();
    for status in ["pending", "paid"] {
        let body = order(1, &format!(r#""financial_status": "{status}","#));
        state.apply(&shopify::parse("orders/updated", &body, context).unwrap().unwrap());
    }
    assert_eq!(state.header.unwrap().financial_status.as_deref(), Some("paid"));
}

fn attribution(occurred_at: i64, event_id: &str, publisher: &str) -> crate::order_state::Attribution {
    crate::order_state::Attribution {
        occurred_at,
        event_id: event_id.into(),
        referred_by: crate::order_state::ReferredBy {
            publisher_id: Some(publisher.into()),
            program_id: None,
        },
    }
}

#[test]
fn the_newest_attribution_wins_over_others_and_over_the_body() {
    let noted = r#""note_attributes": [{"name": "gift", "value": 1}, {"name": "weir_publisher", "value": "noted"}],"#;
    let told = [
        attribution(1, "a", "old"),
        attribution(2, "a", "lost"),
        attribution(2, "b", "won"),
    ];
    for sequence in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let (mut state, _) = run(&[("orders/create", order(1, noted))]);
        assert_eq!(state.referred_by().unwrap().publisher_id.as_deref(), Some("noted"));
        let before = state.clone();
        for index in sequence {
            state.attribute(&told[index]);
        }
        assert_eq!(state.referred_by().unwrap().publisher_id.as_deref(), Some("won"));
        let events = order_events(7, &before, &state, &shop().zone, 0);
        assert_eq!(names(&[events]), [["order_updated"]]);
        assert_eq!(state.clone().attribute(&told[2]), Applied::Unchanged);
        assert_eq!(state.clone().attribute(&told[0]), Applied::Stale);
    }
}

#[test]
fn what_a_buyer_wrote_into_a_note_attribute_is_no_publisher() {
    for attributes in [
        r#"[{"name": "weir_publisher", "value": "bea@example.com"}]"#,
        r#"[{"name": "weir_publisher"}, 7]"#,
        r#"{"weir_publisher": "x"}"#,
    ] {
        let (state, _) = run(&[(
            "orders/create",
            order(1, &format!(r#""note_attributes": {attributes},"#)),
        )]);
        assert_eq!(state.referred_by(), Some(&crate::order_state::ReferredBy::default()));
    }
}
