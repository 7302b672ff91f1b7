use super::*;
use crate::money::Currency;
use crate::order_state::{Agreement, Applied, OrderState, Sale};
use crate::shopify::{self, Context, Fact};
use crate::time_zone;
use proptest::prelude::*;

/// (product, day, kind, units sold, units returned, gross, discounts, returns)
type Row = (&'static str, &'static str, &'static str, i64, i64, i64, i64, i64);

fn state(currency: &str, deliveries: &[(&str, &str)]) -> OrderState {
    let currency = Currency::from_code(currency).unwrap();
    let mut state = OrderState::default();
    for (index, (topic, body)) in deliveries.iter().enumerate() {
        let context = Context {
            currency,
            triggered_at: index as i64,
        };
        state.apply(&shopify::parse(topic, body, context).unwrap().unwrap());
    }
    state
}

fn check(currency: &str, zone: &str, deliveries: &[(&str, &str)], expected: &[Row]) {
    let rows = ledger(&state(currency, deliveries), &time_zone::named(zone).unwrap());
    let found: Vec<_> = rows
        .iter()
        .map(|r| {
            assert_eq!(r.net_sales, r.gross_sales - r.discounts - r.returns);
            let (product, day, kind) = (r.product_id.as_str(), r.day.as_str(), r.kind.as_str());
            (
                product,
                day,
                kind,
                r.units_sold,
                r.units_returned,
                r.gross_sales,
                r.discounts,
                r.returns,
            )
        })
        .collect();
    assert_eq!(found, expected);
}

const ORDER: &str = r#"{"id": 7, "processed_at": "2026-11-01T16:30:00Z", "updated_at": "2026-11-01T16:30:00Z",
    "currency": "USD", "line_items": [{"id": 1, "product_id": 11, "quantity": 3, "price": "10.00",
    "discount_allocations": [{"amount": "3.00"}]}]}"#;

fn order(extra: &str) -> String {
    ORDER.replacen('{', &format!("{{{extra},"), 1)
}

#[test]
fn a_sale_counts_on_the_shops_day() {
    // 16:30 UTC is 01:30 the next day in Tokyo. Gross 3 x 10.00 = 30.00, discount 3.00.
    check(
        "USD",
        "Asia/Tokyo",
        &[("orders/create", ORDER)],
        &[("11", "2026-11-02", "sale", 3, 0, 3000, 300, 0)],
    );
}

#[test]
fn a_refund_counts_on_its_own_day_and_its_discrepancy_has_no_product() {
    // One of three units came back, worth 9.00 after discount, but 2.00 less was paid out: Shopify books the difference
    // as an adjustment of 2.00, which takes as much off the returns. Tax (0.72) is not included in these prices.
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-10T12:00:00Z",
        "refund_line_items": [{"id": 9, "line_item_id": 1, "quantity": 1, "subtotal": 9.00, "total_tax": 0.72}],
        "order_adjustments": [{"id": 4, "kind": "refund_discrepancy", "amount": "2.00"},
                              {"id": 6, "kind": "shipping_refund", "amount": "-5.00"}]}"#;
    check(
        "USD",
        "UTC",
        &[("orders/create", ORDER), ("refunds/create", refund)],
        &[
            ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0),
            ("11", "2026-11-10", "return", 0, 1, 0, 0, 900),
            ("unknown", "2026-11-10", "adjustment", 0, 0, 0, 0, -200),
        ],
    );
}

#[test]
fn a_cancelled_order_reverses_what_no_refund_has() {
    // Net 27.00; 9.00 came back on the 5th, so the cancellation on the 6th reverses 2 units and 18.00.
    let cancelled = order(
        r#""cancelled_at": "2026-11-06T00:00:00Z", "refunds": [{"id": 5,
        "created_at": "2026-11-05T00:00:00Z", "refund_line_items": [{"id": 9, "line_item_id": 1, "quantity": 1,
        "subtotal": "9.00"}]}]"#,
    );
    check(
        "USD",
        "UTC",
        &[("orders/cancelled", &cancelled)],
        &[
            ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0),
            ("11", "2026-11-05", "return", 0, 1, 0, 0, 900),
            ("11", "2026-11-06", "cancellation", 0, 2, 0, 0, 1800),
        ],
    );
}

#[test]
fn a_cancellation_leaves_what_was_removed_before_on_its_day() {
    // One unit was gone on the 4th, by nothing that told when; the rest went with the cancellation of the 6th.
    let at = |day: u8, left: u8, extra: &str| {
        order(extra)
            .replace(
                r#""quantity": 3"#,
                &format!(r#""quantity": 3, "current_quantity": {left}"#),
            )
            .replace(
                r#""updated_at": "2026-11-01T16:30:00Z""#,
                &format!(r#""updated_at": "2026-11-{day:02}T00:00:00Z""#),
            )
    };
    let cancelled = at(6, 0, r#""cancelled_at": "2026-11-06T00:00:00Z""#);
    let bodies = [at(1, 3, r#""x": 1"#), at(4, 2, r#""x": 1"#), cancelled];
    for sequence in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let told: Vec<_> = sequence
            .map(|index| ("orders/updated", bodies[index].as_str()))
            .to_vec();
        check(
            "USD",
            "UTC",
            &told,
            &[
                ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0),
                ("11", "2026-11-04", "edit", 0, 1, 0, 0, 900),
                ("11", "2026-11-06", "cancellation", 0, 2, 0, 0, 1800),
            ],
        );
    }
}

#[test]
fn test_orders_deleted_orders_and_gift_cards_are_no_sales() {
    check("USD", "UTC", &[("orders/create", &order(r#""test": true"#))], &[]);
    check(
        "USD",
        "UTC",
        &[("orders/create", ORDER), ("orders/delete", r#"{"id": 7}"#)],
        &[],
    );
    let card = ORDER.replace(r#""quantity": 3"#, r#""gift_card": true, "quantity": 3"#);
    check("USD", "UTC", &[("orders/create", &card)], &[]);
}

#[test]
fn a_tip_is_no_sale_and_its_refund_no_return() {
    let tip = |how: &str| {
        let tip = format!(
            r#"{{"id": 2, "title": "Tip", "product_id": null, "variant_id": null, "gift_card": false, {how}, "quantity": 1, "price": "3.59"}}"#
        );
        let body = ORDER.replace(r#""line_items": ["#, &format!(r#""line_items": [{tip}, "#));
        let refund = format!(
            r#"{{"id": 5, "order_id": 7, "created_at": "2026-11-05T00:00:00Z", "refund_line_items": [{{"id": 9,
            "line_item_id": 2, "quantity": 1, "subtotal": "3.59", "line_item": {tip}}}]}}"#
        );
        (body, refund)
    };
    let sale = ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0);
    for how in [
        r#""tip": {"type": "preset"}, "tip_payment_gateway": null"#,
        r#""tip_payment_gateway": null"#,
        r#""tip_payment_method": "Visa""#,
    ] {
        let (body, refund) = tip(how);
        check(
            "USD",
            "UTC",
            &[("orders/create", &body), ("refunds/create", &refund)],
            &[sale],
        );
        // Nor when a later body no longer says what the line is.
        let other = body.replace("16:30:00Z", "16:31:00Z").replace(how, r#""x": 1"#);
        for told in [[&body, &other], [&other, &body]] {
            let told: Vec<_> = told.iter().map(|body| ("orders/updated", body.as_str())).collect();
            check("USD", "UTC", &told, &[("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0)]);
        }
    }
    // Nor when the newest body has no such line any more and the refund does not say what it was.
    let how = r#""tip_payment_gateway": null"#;
    let (body, refund) = tip(how);
    let (refund, without) = (
        refund.replace(how, r#""x": 1"#),
        ORDER.replace("16:30:00Z", "16:31:00Z"),
    );
    let told = [
        ("orders/create", &*body),
        ("refunds/create", &refund),
        ("orders/updated", &without),
    ];
    check("USD", "UTC", &told, &[sale]);
    // A line of no product that does not call itself a tip is a sale.
    let custom = ("unknown", "2026-11-01", "sale", 1, 0, 359, 0, 0);
    check(
        "USD",
        "UTC",
        &[("orders/create", &tip(r#""tip": null"#).0)],
        &[sale, custom],
    );
}

#[test]
fn a_sale_stays_with_its_product_when_that_is_deleted() {
    let gone = ORDER
        .replace(r#""product_id": 11"#, r#""product_id": null, "variant_id": null"#)
        .replace(
            r#""updated_at": "2026-11-01T16:30:00Z""#,
            r#""updated_at": "2026-11-05T16:30:00Z""#,
        );
    let refund = r#"{"id": 5, "order_id": 7, "created_at": "2026-11-06T00:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 1, "quantity": 1, "subtotal": "9.00", "line_item": {"id": 1, "product_id": null}}]}"#;
    let expected = [
        ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0),
        ("11", "2026-11-06", "return", 0, 1, 0, 0, 900),
    ];
    let (known, gone, refund) = (
        ("orders/create", ORDER),
        ("orders/updated", gone.as_str()),
        ("refunds/create", refund),
    );
    for told in [
        [known, gone, refund],
        [gone, refund, known],
        [refund, gone, known],
        [gone, known, refund],
    ] {
        check("USD", "UTC", &told, &expected);
    }
    // The line is gone from the newest body, or there again; its product is known all the same.
    let none = r#"{"id": 7, "currency": "USD", "updated_at": "2026-11-07T00:00:00Z", "line_items": []}"#;
    let back = gone.1.replace("2026-11-05", "2026-11-08");
    let (none, back) = (("orders/updated", none), ("orders/updated", back.as_str()));
    let returned = [("11", "2026-11-06", "return", 0, 1, 0, 0, 900)];
    for told in [[known, refund, none], [none, refund, known], [refund, none, known]] {
        check("USD", "UTC", &told, &returned);
    }
    for told in [
        [known, none, back, refund],
        [none, known, refund, back],
        [back, refund, none, known],
    ] {
        check("USD", "UTC", &told, &expected);
    }
}

#[test]
fn included_tax_is_no_sale() {
    // 2 x 11.90 = 23.80 listed, 3.80 allocated, so 20.00 paid of which 3.19 is tax: net 16.81.
    // Discount without tax = 3.80 x 16.81 / 20.00 = 3.1939 -> 3.19; gross = 16.81 + 3.19 = 20.00.
    // Returned whole: subtotal 20.00 - tax 3.19 = 16.81.
    let body = r#"{"id": 7, "processed_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-02T00:00:00Z",
        "currency": "EUR", "taxes_included": true, "line_items": [{"id": 1, "product_id": 11, "quantity": 2,
        "price": "11.90", "discount_allocations": [{"amount": "3.80"}], "tax_lines": [{"price": "3.19", "rate": 0.19}]}],
        "refunds": [{"id": 5, "created_at": "2026-11-02T00:00:00Z", "refund_line_items":
        [{"id": 9, "line_item_id": 1, "quantity": 2, "subtotal": 20.00, "total_tax": 3.19}]}]}"#;
    check(
        "EUR",
        "UTC",
        &[("orders/create", body)],
        &[
            ("11", "2026-11-01", "sale", 2, 0, 2000, 319, 0),
            ("11", "2026-11-02", "return", 0, 2, 0, 0, 1681),
        ],
    );
    // Discounted to nothing: 11.90 / 1.19 = 10.00 gross and discount.
    let free = r#"{"id": 7, "processed_at": "2026-11-01T00:00:00Z", "taxes_included": true, "currency": "EUR",
        "line_items": [{"id": 1, "product_id": 11, "quantity": 1, "price": "11.90",
        "discount_allocations": [{"amount": "11.90"}], "tax_lines": [{"price": "0.00", "rate": 0.19}]}]}"#;
    check(
        "EUR",
        "UTC",
        &[("orders/create", free)],
        &[("11", "2026-11-01", "sale", 1, 0, 1000, 1000, 0)],
    );
}

#[test]
fn yen_has_no_minor_unit_and_a_line_without_product_is_unknown() {
    let body = r#"{"id": 7, "processed_at": "2026-11-01T00:00:00Z", "currency": "JPY",
        "line_items": [{"id": 1, "product_id": null, "quantity": 2, "price": "1500.00"}]}"#;
    check(
        "JPY",
        "UTC",
        &[("orders/create", body)],
        &[("unknown", "2026-11-01", "sale", 2, 0, 3000, 0, 0)],
    );
}

#[test]
fn the_buyers_currency_is_kept_beside_the_shops() {
    let body = r#"{"id": 7, "processed_at": "2026-11-01T00:00:00Z", "currency": "USD", "presentment_currency": "JPY",
        "line_items": [{"id": 1, "product_id": 11, "quantity": 2, "price": "10.00", "price_set": {
        "shop_money": {"amount": "10.00", "currency_code": "USD"},
        "presentment_money": {"amount": "1510", "currency_code": "JPY"}}}]}"#;
    let rows = ledger(&state("USD", &[("orders/create", body)]), &TimeZone::UTC);
    // 2 x 10.00 USD and 2 x 1510 JPY.
    assert_eq!((rows[0].gross_sales, rows[0].presentment_gross_sales), (2000, 3020));
}

#[test]
fn an_edit_sells_and_removes_on_its_own_day() {
    // 2 units ordered, 1 added on the 3rd (10.00 - 1.00 of the line's discount), 1 removed on the 4th (net 27.00 / 3).
    let body = ORDER
        .replace(r#""quantity": 3"#, r#""quantity": 3, "current_quantity": 2"#)
        .replace(
            r#""updated_at": "2026-11-01T16:30:00Z""#,
            r#""updated_at": "2026-11-04T00:00:00Z""#,
        );
    let edit = |id: u8, kind: &str| {
        format!(
            r#"{{"order_edit": {{"id": {id}, "order_id": 7, "committed_at": "2026-11-0{id}T00:00:00Z",
            "line_items": {{"{kind}": [{{"id": 1, "delta": 1}}]}}}}}}"#
        )
    };
    let (third, fourth) = (edit(3, "additions"), edit(4, "removals"));
    check(
        "USD",
        "UTC",
        &[
            ("orders/edited", &third),
            ("orders/edited", &fourth),
            ("orders/updated", &body),
        ],
        &[
            ("11", "2026-11-01", "sale", 2, 0, 2000, 200, 0),
            ("11", "2026-11-03", "edit", 1, 0, 1000, 100, 0),
            ("11", "2026-11-04", "edit", 0, 1, 0, 0, 900),
        ],
    );
}

/// The order's body as of a day of November, with `left` of its three units and its tags.
fn body(day: u8, left: u8, tags: &str) -> String {
    order(&format!(r#""tags": "{tags}""#))
        .replace(
            r#""updated_at": "2026-11-01T16:30:00Z""#,
            &format!(r#""updated_at": "2026-11-{day:02}T20:00:00Z""#),
        )
        .replace(
            r#""quantity": 3"#,
            &format!(r#""quantity": 3, "current_quantity": {left}"#),
        )
}

/// Checks the ledger of deliveries in every sequence, the first and the last one twice.
fn check_any_sequence(deliveries: &[(&str, &str)], expected: &[Row]) {
    let mut sequences = vec![Vec::new()];
    for delivery in deliveries {
        let longer = |sequence: &Vec<_>| {
            let places = 0..=sequence.len();
            let put = |place| {
                let mut longer = sequence.clone();
                longer.insert(place, *delivery);
                longer
            };
            places.map(put).collect::<Vec<_>>()
        };
        sequences = sequences.iter().flat_map(longer).collect();
    }
    for mut sequence in sequences {
        sequence.extend([sequence[0], sequence[sequence.len() - 1]]);
        check("USD", "UTC", &sequence, expected);
    }
}

const SOLD: Row = ("11", "2026-11-01", "sale", 3, 0, 3000, 300, 0);

#[test]
fn a_removal_that_nothing_dates_stays_on_the_day_of_the_first_body_that_lacked_the_units() {
    // One unit is gone on the 4th, another on the 8th, each worth 9.00; the tags of the 6th and the 9th move neither.
    let (first, tag) = (body(4, 2, ""), body(6, 2, "a"));
    let (second, last) = (body(8, 1, ""), body(9, 1, "b"));
    let bodies = [&first, &tag, &second, &last].map(|body| ("orders/updated", body.as_str()));
    let expected = [
        SOLD,
        ("11", "2026-11-04", "edit", 0, 1, 0, 0, 900),
        ("11", "2026-11-08", "edit", 0, 1, 0, 0, 900),
    ];
    check_any_sequence(&bodies, &expected);
    check_any_sequence(&bodies[..2], &expected[..2]);
    // The edit of the first unit is told at last, and dates it.
    let edit = r#"{"order_edit": {"id": 2, "order_id": 7, "committed_at": "2026-11-03T00:00:00Z",
        "line_items": {"removals": [{"id": 1, "delta": 1}]}}}"#;
    let dated = ("11", "2026-11-03", "edit", 0, 1, 0, 0, 900);
    check_any_sequence(
        &[&[("orders/edited", edit)], &bodies[..]].concat(),
        &[expected[0], dated, expected[2]],
    );
}

#[test]
fn a_later_refund_does_not_move_a_removal() {
    // One unit is removed on the 4th, another refunded on the 6th.
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-06T12:00:00Z",
        "refund_line_items": [{"id": 9, "line_item_id": 1, "quantity": 1, "subtotal": 9.00}]}"#;
    let (removed, refunded, tag) = (body(4, 2, ""), body(6, 1, ""), body(9, 1, "b"));
    check_any_sequence(
        &[
            ("orders/updated", &removed),
            ("refunds/create", refund),
            ("orders/updated", &refunded),
            ("orders/updated", &tag),
        ],
        &[
            SOLD,
            ("11", "2026-11-04", "edit", 0, 1, 0, 0, 900),
            ("11", "2026-11-06", "return", 0, 1, 0, 0, 900),
        ],
    );
}

#[test]
fn a_refund_that_comes_late_takes_the_place_of_a_removal() {
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-04T12:00:00Z",
        "refund_line_items": [{"id": 9, "line_item_id": 1, "quantity": 1, "subtotal": 9.00}]}"#;
    let (body, tag) = (body(4, 2, ""), body(9, 2, "b"));
    check_any_sequence(
        &[
            ("orders/updated", &body),
            ("orders/updated", &tag),
            ("refunds/create", refund),
        ],
        &[SOLD, ("11", "2026-11-04", "return", 0, 1, 0, 0, 900)],
    );
}

#[test]
fn what_the_newest_body_has_again_is_not_reversed() {
    // Two units are gone on the 4th, one of them is back on the 6th; the line itself is away on the 5th.
    let (two, one) = (body(4, 1, ""), body(6, 2, ""));
    let none = two
        .replace("2026-11-04T20", "2026-11-05T20")
        .replace(r#""id": 1, "product_id""#, r#""id": 2, "product_id""#);
    check_any_sequence(
        &[
            ("orders/updated", &two),
            ("orders/updated", &none),
            ("orders/updated", &one),
        ],
        &[SOLD, ("11", "2026-11-04", "edit", 0, 1, 0, 0, 900)],
    );
    let back = body(7, 3, "");
    check_any_sequence(&[("orders/updated", &two), ("orders/updated", &back)], &[SOLD]);
}

/// A history of one order in which every delivery has its own version; some share `updated_at`.
fn history() -> Vec<(&'static str, String)> {
    let at = |day: u8, rest: &str| {
        ORDER
            .replace(
                r#""updated_at": "2026-11-01T16:30:00Z""#,
                &format!(r#""updated_at": "2026-11-{day:02}T20:00:00Z""#),
            )
            .replacen('{', &format!("{{{rest}"), 1)
    };
    let refund = |quantity: u8| {
        format!(
            r#"{{"id": 5, "order_id": 7, "created_at": "2026-11-03T12:00:00Z", "refund_line_items": [{{"id": 9,
            "line_item_id": 1, "quantity": {quantity}, "subtotal": "9.00"}}]}}"#
        )
    };
    vec![
        ("orders/create", at(1, "")),
        ("orders/paid", at(2, r#""financial_status": "paid","#)),
        (
            "orders/fulfilled",
            at(2, r#""financial_status": "paid", "fulfillment_status": "fulfilled","#),
        ),
        ("refunds/create", refund(1)),
        ("orders/updated", at(4, &format!(r#""refunds": [{}],"#, refund(1)))),
        (
            "orders/edited",
            r#"{"order_edit": {"id": 2, "order_id": 7, "committed_at": "2026-11-04T00:00:00Z",
            "line_items": {"removals": [{"id": 1, "delta": 1}]}}}"#
                .into(),
        ),
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
            r#"{"id": 4, "order_id": 7, "status": "success", "updated_at": "2026-11-03T00:00:00Z"}"#.into(),
        ),
        (
            "fulfillments/update",
            r#"{"id": 4, "order_id": 7, "status": "cancelled", "updated_at": "2026-11-04T00:00:00Z"}"#.into(),
        ),
        ("orders/updated", body(4, 1, "")),
        ("orders/updated", body(5, 0, "a")),
        ("orders/updated", body(5, 1, "b")),
        (
            "orders/updated",
            body(3, 4, "c").replace(r#""quantity": 3"#, r#""quantity": 5"#),
        ),
        (
            "orders/updated",
            body(5, 4, "d").replace(r#""quantity": 3"#, r#""quantity": 4"#),
        ),
        ("orders/updated", body(2, 3, "e").replace(r#""id": 1,"#, r#""id": 2,"#)),
        ("orders/cancelled", at(6, r#""cancelled_at": "2026-11-06T00:00:00Z","#)),
        // Shopify no longer names a product that was deleted; a line that vanished comes back without it.
        (
            "orders/updated",
            body(6, 3, "f").replace(r#""product_id": 11"#, r#""product_id": null"#),
        ),
        (
            "orders/updated",
            body(4, 3, "g").replace(r#""id": 1,"#, r#""tip": {"method": null}, "id": 2,"#),
        ),
        (
            "refunds/create",
            refund(2).replace(r#""id": 5,"#, r#""return": {"id": 8}, "id": 5,"#),
        ),
        ("orders/delete", r#"{"id": 7}"#.into()),
    ]
}

/// Shopify's ledger of the order, with two of its units, as of so many days after it was placed.
fn reading(days: i64) -> Fact {
    let placed_at = shopify::json::instant("2026-11-01T16:30:00Z").unwrap();
    let both = |minor| Amount {
        shop: minor,
        presentment: minor,
    };
    let sale = Sale {
        sale_id: 1,
        action_type: "order".into(),
        line_type: "product".into(),
        quantity: 2,
        line_item_id: Some(1),
        product_id: Some(11),
        variant_id: None,
        total: both(1800),
        discount: both(200),
        tax: both(0),
    };
    Fact::Agreements {
        order_id: 7,
        updated_at: placed_at + days * 86_400_000_000,
        agreements: vec![Agreement {
            agreement_id: 1,
            happened_at: placed_at,
            reason: "order".into(),
            refund_id: None,
            return_id: None,
            sales: vec![sale],
        }],
    }
}

proptest! {
    #[test]
    fn any_sequence_of_deliveries_ends_in_the_same_state(
        length in 1_usize..=21,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        order in Just((0..46).collect::<Vec<usize>>()).prop_shuffle(),
        read_at in prop::option::of(0..6_i64),
    ) {
        let currency = Currency::from_code("USD").unwrap();
        let mut facts: Vec<_> = history()[..length].iter().enumerate().map(|(index, (topic, body))| {
            let context = Context { currency, triggered_at: 1_000 + index as i64 };
            shopify::parse(topic, body, context).unwrap().unwrap()
        }).collect();
        facts.extend(read_at.map(reading));
        let length = facts.len();
        let mut expected = OrderState::default();
        for fact in &facts {
            expected.apply(fact);
        }
        let mut sequence: Vec<usize> = (0..length).chain(picks.iter().map(|pick| pick.index(length))).collect();
        sequence.sort_by_key(|index| order[*index]);
        let rotate = order[0] % sequence.len();
        sequence.rotate_left(rotate);
        let mut state = OrderState::default();
        let zone = time_zone::named("America/New_York").unwrap();
        for index in &sequence {
            let before = state.clone();
            state.apply(&facts[*index]);
            // Else the event that tells of it would have the id of an earlier one.
            prop_assert!(state.revision > before.revision || ledger(&state, &zone) == ledger(&before, &zone));
        }
        prop_assert_eq!(ledger(&state, &zone), ledger(&expected, &zone));
        let again = state.clone();
        for fact in &facts {
            prop_assert_ne!(state.apply(fact), Applied::Changed);
        }
        prop_assert_eq!(&state, &again);
        state.revision = expected.revision;
        prop_assert_eq!(state, expected);
    }
}

/// Where a zone's rules have changed the same facts give other days, and nothing but its version says so of a stored ledger.
#[test]
fn other_time_zone_data_is_another_version_of_the_ledger() {
    assert_eq!(
        (LEDGER_VERSION, time_zone::edition()),
        (1, "2026f"),
        "the time zones are other ones: raise LEDGER_VERSION with them, as CONTRIBUTING.md says of a rule, unless no past day changes"
    );
}
