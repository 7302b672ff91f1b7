//! Goldens of the ledger from agreements, worked out by hand, beside what webhooks give for the same orders.

use super::*;
use crate::money::Currency;
use crate::order_state::{Agreement, OrderState, Sale};
use crate::shopify::{self, Context, Fact};
use crate::time_zone;

/// (product, day, kind, units sold, units returned, gross, discounts, returns)
type Row = (&'static str, &'static str, &'static str, i64, i64, i64, i64, i64);

fn both(minor: i64) -> Amount {
    Amount {
        shop: minor,
        presentment: minor,
    }
}

fn time(text: &str) -> i64 {
    shopify::json::instant(text).unwrap()
}

/// (action, line type, units, line item, product, total with tax, discount without tax, tax)
type Told = (&'static str, &'static str, i64, i64, Option<i64>, i64, i64, i64);

fn agreement(id: i64, at: &str, reason: &str, refund_id: Option<i64>, sales: &[Told]) -> Agreement {
    let sale = |(index, told): (usize, &Told)| {
        let (action_type, line_type, quantity, line_item_id, product_id, total, discount, tax) = *told;
        Sale {
            sale_id: id * 100 + index as i64,
            action_type: action_type.to_owned(),
            line_type: line_type.to_owned(),
            quantity,
            line_item_id: (line_item_id > 0).then_some(line_item_id),
            product_id,
            variant_id: None,
            total: both(total),
            discount: both(discount),
            tax: both(tax),
        }
    };
    Agreement {
        agreement_id: id,
        happened_at: time(at),
        reason: reason.to_owned(),
        refund_id,
        return_id: None,
        sales: sales.iter().enumerate().map(sale).collect(),
    }
}

struct World {
    state: OrderState,
}

impl World {
    fn told(deliveries: &[(&str, &str)]) -> Self {
        let mut state = OrderState::default();
        for (topic, body) in deliveries {
            let currency = Currency::from_code("EUR").unwrap();
            let context = Context {
                currency,
                triggered_at: 0,
            };
            state.apply(&shopify::parse(topic, body, context).unwrap().unwrap());
        }
        Self { state }
    }

    fn read(mut self, at: &str, agreements: &[Agreement]) -> Self {
        let (order_id, updated_at) = (7, time(at));
        self.state.apply(&Fact::Agreements {
            order_id,
            updated_at,
            agreements: agreements.to_vec(),
        });
        self
    }

    fn gives(&self, expected: &[Row]) {
        let rows = ledger(&self.state, &time_zone::named("Asia/Tokyo").unwrap());
        let found = rows.iter().map(|r| {
            let (product, day, kind) = (r.product_id.as_str(), r.day.as_str(), r.kind.as_str());
            let sums = (r.units_sold, r.units_returned, r.gross_sales, r.discounts, r.returns);
            (product, day, kind, sums.0, sums.1, sums.2, sums.3, sums.4)
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

/// 2 x 11.90 with tax, 3.80 off, so 20.00 are paid of which 3.19 are tax: 16.81 net. Without its tax the discount is
/// 3.80 x 16.81 / 20.00 = 3.19, and gross is 16.81 + 3.19 = 20.00. Placed at 01:30 of the 2nd in Tokyo.
const ORDER: &str = r#"{"id": 7, "processed_at": "2026-11-01T16:30:00Z", "created_at": "2026-11-05T00:00:00Z",
    "updated_at": "2026-11-06T00:00:00Z", "currency": "EUR", "taxes_included": true, "line_items": [
    {"id": 1, "product_id": 11, "quantity": 2, "price": "11.90", "discount_allocations": [{"amount": "3.80"}],
     "tax_lines": [{"price": "3.19", "rate": 0.19}]},
    {"id": 2, "product_id": 12, "gift_card": true, "quantity": 1, "price": "50.00"}]}"#;

fn of_order() -> Agreement {
    // Agreed when the order was created here, placed days before: an imported order counts on the day it was placed.
    agreement(
        1,
        "2026-11-05T00:00:00Z",
        "order",
        None,
        &[
            ("order", "product", 2, 1, Some(11), 2000, 319, 319),
            ("order", "gift_card", 1, 2, Some(12), 5000, 0, 0),
            ("order", "shipping", 1, 0, None, 490, 0, 78),
            ("order", "tip", 1, 0, None, 100, 0, 0),
            ("order", "duty", 1, 0, None, 300, 0, 0),
            ("order", "additional_fee", 1, 0, None, 20, 0, 0),
        ],
    )
}

const SALE: Row = ("11", "2026-11-02", "sale", 2, 0, 2000, 319, 0);

#[test]
fn both_ledgers_agree_on_an_order_and_only_goods_are_sales() {
    World::told(&[("orders/create", ORDER)]).gives(&[SALE]);
    World::told(&[("orders/create", ORDER)])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[SALE]);
}

#[test]
fn both_ledgers_agree_on_a_refund_with_a_discrepancy() {
    // One unit came back, 10.00 with 1.60 tax: 8.40. It was paid 1.00 less than that.
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-05T20:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 1, "quantity": 1, "subtotal": "10.00", "total_tax": "1.60"}],
        "order_adjustments": [{"id": 4, "kind": "refund_discrepancy", "amount": "1.00"}]}"#;
    let told = [("orders/create", ORDER), ("refunds/create", refund)];
    let expected = [
        SALE,
        ("11", "2026-11-06", "return", 0, 1, 0, 0, 840),
        ("unknown", "2026-11-06", "adjustment", 0, 0, 0, 0, -100),
    ];
    World::told(&told).gives(&expected);
    let booked = agreement(
        2,
        "2026-11-05T20:00:00Z",
        "refund",
        Some(5),
        &[
            ("return", "product", -1, 1, Some(11), -1000, -160, -160),
            ("update", "adjustment", 0, 0, None, 100, 0, 0),
            ("return", "shipping", -1, 0, None, -490, 0, -78),
        ],
    );
    World::told(&told)
        .read("2026-11-06T00:00:00Z", &[of_order(), booked])
        .gives(&expected);
}

#[test]
fn a_refund_that_the_agreements_do_not_know_is_put_on_top_until_they_do() {
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-08T20:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 1, "quantity": 1, "subtotal": "10.00", "total_tax": "1.60"}]}"#;
    let told = [("orders/create", ORDER), ("refunds/create", refund)];
    let expected = [SALE, ("11", "2026-11-09", "return", 0, 1, 0, 0, 840)];
    let world = World::told(&told).read("2026-11-06T00:00:00Z", &[of_order()]);
    world.gives(&expected);
    let booked = agreement(
        2,
        "2026-11-08T20:00:00Z",
        "refund",
        Some(5),
        &[("return", "product", -1, 1, Some(11), -1000, -160, -160)],
    );
    world
        .read("2026-11-08T20:00:00Z", &[of_order(), booked])
        .gives(&expected);
}

#[test]
fn what_shopify_knows_better_replaces_the_provisional_ledger() {
    // An exchange: one unit came back by a return (no refund at all), another product went out. A webhook body alone cannot
    // date either; a price lowered afterwards is an update that sells no units.
    let mut exchange = agreement(
        2,
        "2026-11-05T20:00:00Z",
        "return",
        None,
        &[
            ("return", "product", -1, 1, Some(11), -1000, -160, -160),
            ("order", "product", 1, 3, Some(13), 1190, 0, 190),
        ],
    );
    exchange.return_id = Some(6);
    let repriced = agreement(
        3,
        "2026-11-05T21:00:00Z",
        "order_edit",
        None,
        &[("update", "product", 0, 3, None, -119, 100, -19)],
    );
    // The order's line knows the product that the sale no longer names.
    let body = ORDER.replace(
        r#""line_items": ["#,
        r#""line_items": [{"id": 3, "product_id": 13, "quantity": 1, "price": "11.90", "tax_lines": [{"price": "1.90"}]},"#,
    );
    World::told(&[("orders/create", &body)])
        .read("2026-11-06T00:00:00Z", &[of_order(), exchange, repriced])
        .gives(&[
            SALE,
            ("11", "2026-11-06", "return", 0, 1, 0, 0, 840),
            // 10.00 gross; the update takes 1.00 as a discount: its base is -1.19 + 0.19 = -1.00.
            ("13", "2026-11-06", "edit", 1, 0, 1000, 100, 0),
        ]);
}

#[test]
fn a_body_newer_than_the_agreements_adds_what_it_knows_beyond_them() {
    let read = |body: &str, edit: &str| {
        World::told(&[("orders/edited", edit), ("orders/updated", body)]).read("2026-11-06T00:00:00Z", &[of_order()])
    };
    let edit = r#"{"order_edit": {"id": 8, "order_id": 7, "committed_at": "2026-11-07T20:00:00Z",
        "line_items": {"additions": [{"id": 1, "delta": 1}], "removals": []}}}"#;
    // 3 x 11.90 with 3.80 off: 31.90 paid, 5.09 tax, 26.81 net; discount 3.80 x 26.81 / 31.90 = 3.19; gross 30.00.
    let newer = ORDER
        .replace("2026-11-06T00:00:00Z", "2026-11-07T20:00:00Z")
        .replace(r#""quantity": 2"#, r#""quantity": 3"#)
        .replace("3.19", "5.09");
    read(&newer, edit).gives(&[SALE, ("11", "2026-11-08", "edit", 1, 0, 1000, 0, 0)]);
    // A newer body that changes nothing about the goods changes nothing here.
    let tagged = ORDER.replace("2026-11-06T00:00:00Z", "2026-11-09T00:00:00Z");
    World::told(&[("orders/updated", &tagged)])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[SALE]);
    // Cancelled afterwards: both units go back at what was left of them.
    let cancelled = tagged.replacen('{', r#"{"cancelled_at": "2026-11-08T20:00:00Z","#, 1);
    World::told(&[("orders/cancelled", &cancelled)])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[SALE, ("11", "2026-11-09", "cancellation", 0, 2, 0, 0, 1681)]);
}

#[test]
fn a_removal_since_the_agreements_stays_on_the_day_of_the_first_body_that_lacked_the_unit() {
    let body = |day: u8, left: u8| {
        ORDER
            .replace("2026-11-06T00:00:00Z", &format!("2026-11-{day:02}T00:00:00Z"))
            .replace(
                r#""quantity": 2"#,
                &format!(r#""quantity": 2, "current_quantity": {left}"#),
            )
    };
    // Removed on the 7th; what the agreements book on the 8th is another unit, and the tag of the 9th moves neither.
    let bodies = [body(6, 2), body(7, 1), body(8, 0), body(9, 0)];
    let refunded = agreement(
        2,
        "2026-11-08T00:00:00Z",
        "refund",
        Some(5),
        &[("return", "product", -1, 1, Some(11), -1000, -160, -160)],
    );
    for sequence in [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2], [1, 3, 0, 2]] {
        let told = sequence.map(|index| ("orders/updated", bodies[index].as_str()));
        World::told(&told).read("2026-11-06T00:00:00Z", &[of_order()]).gives(&[
            SALE,
            ("11", "2026-11-07", "edit", 0, 1, 0, 0, 841),
            ("11", "2026-11-08", "edit", 0, 1, 0, 0, 840),
        ]);
        World::told(&told)
            .read("2026-11-08T00:00:00Z", &[of_order(), refunded.clone()])
            .gives(&[
                SALE,
                ("11", "2026-11-07", "edit", 0, 1, 0, 0, 841),
                ("11", "2026-11-08", "return", 0, 1, 0, 0, 840),
            ]);
    }
}

#[test]
fn an_addition_since_the_agreements_stays_on_the_day_of_the_first_body_that_had_the_unit() {
    // A third unit on the 7th (26.81 net in all, see above), a tag on the 9th; a second line on the 8th, likewise.
    let body = |day: u8, quantity: u8, tax: &str, more: &str| {
        ORDER
            .replace("2026-11-06T00:00:00Z", &format!("2026-11-{day:02}T00:00:00Z"))
            .replace(r#""quantity": 2"#, &format!(r#""quantity": {quantity}"#))
            .replace("3.19", tax)
            .replace(r#""line_items": ["#, &format!(r#""line_items": [{more}"#))
    };
    let line = r#"{"id": 3, "product_id": 13, "quantity": 1, "price": "11.90", "tax_lines": [{"price": "1.90"}]},"#;
    let bodies = [
        body(6, 2, "3.19", ""),
        body(7, 3, "5.09", ""),
        body(8, 3, "5.09", line),
        body(9, 3, "5.09", line),
    ];
    let added = ("11", "2026-11-07", "edit", 1, 0, 1000, 0, 0);
    let new = ("13", "2026-11-08", "edit", 1, 0, 1000, 0, 0);
    for sequence in [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let told = sequence.map(|index| ("orders/updated", bodies[index].as_str()));
        let read = || World::told(&told).read("2026-11-06T00:00:00Z", &[of_order()]);
        read().gives(&[SALE, added, new]);
        // Read again before the line was added, and after: what is booked is not added twice.
        let edit = agreement(
            2,
            "2026-11-07T00:00:00Z",
            "order_edit",
            None,
            &[("order", "product", 1, 1, Some(11), 1190, 0, 190)],
        );
        read()
            .read("2026-11-07T00:00:00Z", std::slice::from_ref(&edit))
            .gives(&[SALE, added, new]);
    }
    // Of an order that was first seen on the 9th, that day is all that is known.
    World::told(&[("orders/updated", &bodies[3])])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[
            SALE,
            ("11", "2026-11-09", "edit", 1, 0, 1000, 0, 0),
            ("13", "2026-11-09", "edit", 1, 0, 1000, 0, 0),
        ]);
}

/// The order with a tip, which Shopify lists among the lines, as of a day of November.
fn tipped(day: u8, how: &str) -> String {
    let tip = format!(r#"{{"id": 3, "title": "Tip", "product_id": null, {how} "quantity": 1, "price": "3.59"}},"#);
    ORDER
        .replace("2026-11-06T00:00:00Z", &format!("2026-11-{day:02}T00:00:00Z"))
        .replace(r#""line_items": ["#, &format!(r#""line_items": [{tip}"#))
}

#[test]
fn a_tip_is_no_sale_whether_a_body_or_the_agreements_say_that_it_is_one() {
    let mut of_order = of_order();
    of_order.sales[3].line_item_id = Some(3);
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-09T00:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 3, "quantity": 1, "subtotal": "3.59"}]}"#;
    for how in [r#""tip": {}, "tip_payment_gateway": null,"#, ""] {
        for day in [6, 8] {
            let body = tipped(day, how);
            let told = [("orders/create", body.as_str()), ("refunds/create", refund)];
            World::told(&told)
                .read("2026-11-06T00:00:00Z", std::slice::from_ref(&of_order))
                .gives(&[SALE]);
        }
    }
    // A tip that is told after the reading, which knows no line of it.
    World::told(&[
        ("orders/updated", &tipped(8, r#""tip": {},"#)),
        ("refunds/create", refund),
    ])
    .read("2026-11-06T00:00:00Z", std::slice::from_ref(&of_order))
    .gives(&[SALE]);
}

#[test]
fn what_comes_back_after_a_product_was_deleted_is_of_the_product_that_was_sold() {
    // The order is first seen when Shopify no longer names the product; its agreements were read when it did.
    let gone = ORDER.replace(r#""product_id": 11"#, r#""product_id": null"#);
    let later = gone.replace("2026-11-06T00:00:00Z", "2026-11-10T00:00:00Z");
    let cancelled = later.replacen('{', r#"{"cancelled_at": "2026-11-09T20:00:00Z","#, 1);
    let refund = r#"{"id": 5, "order_id": 7, "processed_at": "2026-11-08T20:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 1, "quantity": 1, "subtotal": "10.00", "total_tax": "1.60", "line_item": {"product_id": null}}]}"#;
    let told = [
        ("orders/create", gone.as_str()),
        ("refunds/create", refund),
        ("orders/cancelled", &cancelled),
    ];
    let back = ("11", "2026-11-09", "return", 0, 1, 0, 0, 840);
    let expected = [SALE, back, ("11", "2026-11-10", "cancellation", 0, 1, 0, 0, 841)];
    World::told(&told)
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&expected);
    // The agreement of the refund does not name it either.
    let booked = agreement(
        2,
        "2026-11-08T20:00:00Z",
        "refund",
        Some(5),
        &[("return", "product", -1, 1, None, -1000, -160, -160)],
    );
    World::told(&told)
        .read("2026-11-08T20:00:00Z", &[of_order(), booked])
        .gives(&expected);
}

#[test]
fn goods_of_a_return_are_booked_once_whenever_their_refund_is_made() {
    // Given back on the 6th in Tokyo and read that night; paid back on the 9th, 1.00 less.
    let mut returned = agreement(
        2,
        "2026-11-05T20:00:00Z",
        "return",
        None,
        &[("return", "product", -1, 1, Some(11), -1000, -160, -160)],
    );
    returned.return_id = Some(6);
    let refund = |of: &str| {
        format!(
            r#"{{"id": 5, "order_id": 7, "processed_at": "2026-11-08T20:00:00Z", {of} "refund_line_items": [{{"id": 9,
            "line_item_id": 1, "quantity": 1, "subtotal": "10.00", "total_tax": "1.60"}}],
            "order_adjustments": [{{"id": 4, "kind": "refund_discrepancy", "amount": "1.00"}}]}}"#
        )
    };
    let newer = ORDER.replace("2026-11-06T00:00:00Z", "2026-11-09T00:00:00Z");
    let gives = |of: &str, expected: &[Row]| {
        let told = [
            ("orders/create", ORDER),
            ("refunds/create", &refund(of)),
            ("orders/updated", &newer),
        ];
        World::told(&told)
            .read("2026-11-06T00:00:00Z", &[of_order(), returned.clone()])
            .gives(expected);
    };
    let first = ("11", "2026-11-06", "return", 0, 1, 0, 0, 840);
    let second = ("11", "2026-11-09", "return", 0, 1, 0, 0, 840);
    let less = ("unknown", "2026-11-09", "adjustment", 0, 0, 0, 0, -100);
    gives(r#""return": {"id": 6},"#, &[SALE, first, less]);
    // Of another return, or of none: another unit.
    gives(r#""return": {"id": 7},"#, &[SALE, first, second, less]);
    gives(r#""return": null,"#, &[SALE, first, second, less]);
    // The return is known from a version that bulk operations told in brief, or from an older one.
    let named = refund(r#""return": {"id": 6},"#);
    let told = [
        ("refunds/create", named.as_str()),
        ("refunds/create", &refund("")),
        ("orders/create", ORDER),
    ];
    World::told(&told)
        .read("2026-11-06T00:00:00Z", &[of_order(), returned.clone()])
        .gives(&[SALE, first, less]);
}

#[test]
fn test_orders_and_deleted_orders_count_nothing_by_agreements_either() {
    let test = ORDER.replacen('{', r#"{"test": true,"#, 1);
    World::told(&[("orders/create", &test)])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[]);
    World::told(&[("orders/create", ORDER), ("orders/delete", r#"{"id": 7}"#)])
        .read("2026-11-06T00:00:00Z", &[of_order()])
        .gives(&[]);
}

#[test]
fn readings_merge_in_any_sequence() {
    let older = |world: World| world.read("2026-11-06T00:00:00Z", &[of_order()]);
    let refunded = agreement(
        2,
        "2026-11-08T20:00:00Z",
        "refund",
        Some(5),
        &[("return", "product", -1, 1, Some(11), -1000, -160, -160)],
    );
    let newer = |world: World| world.read("2026-11-08T20:00:00Z", &[of_order(), refunded.clone()]);
    let (one, other) = (
        older(newer(World::told(&[("orders/create", ORDER)]))),
        newer(older(World::told(&[("orders/create", ORDER)]))),
    );
    assert_eq!(one.state.agreements, other.state.agreements);
    assert_eq!(one.state.agreements_updated_at, other.state.agreements_updated_at);
    one.gives(&[SALE, ("11", "2026-11-09", "return", 0, 1, 0, 0, 840)]);
}
