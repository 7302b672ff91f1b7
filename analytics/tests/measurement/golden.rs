//! Small histories with the arithmetic beside them. The shop is in Tokyo (UTC+9), money in JPY.

use serde_json::{json, Value};

use crate::world::{compute, compute_with, interaction, objective, order, product, Entry, Written, SHOP, ZONE};

/// Noon in Tokyo on 2026-03-31: the last 30 days are 2026-03-02 to 2026-03-31.
const NOON: &str = "2026-03-31T03:00:00.000Z";

fn sale<'a>(product: &'a str, day: &'a str, units: i64) -> Entry<'a> {
    (product, day, "sale", units, 0, units * 100, 0)
}

fn demo_order(id: &str, revision: i64, ledger: &[Entry]) -> Value {
    order(SHOP, ZONE, id, revision, "2026-03-20T00:00:00.000Z", ledger)
}

fn demo_product(id: &str, own: Value) -> Value {
    product(SHOP, ZONE, id, "2026-03-25T00:00:00.000Z", own)
}

fn demo() -> Written {
    let events = [
        demo_product(
            "1",
            json!({ "product_published_at": "2026-02-28T15:00:00.000Z", "product_is_active": true }),
        ),
        demo_product("3", json!({ "product_is_active": false })),
        // Product 1 launches on 2026-03-01 in Tokyo (15:00 UTC is midnight there): its first 7 days end on 03-07.
        demo_order("a", 1, &[sale("1", "2026-03-01", 2), sale("1", "2026-03-07", 3)]),
        demo_order(
            "b",
            1,
            &[
                sale("1", "2026-03-08", 4),
                sale("1", "2026-03-14", 1),
                sale("1", "2026-03-15", 9),
            ],
        ),
        // The refund of one unit of 03-07 counts on 03-15.
        demo_order(
            "c",
            1,
            &[sale("2", "2026-03-02", 5), ("1", "2026-03-15", "return", 0, 1, 0, 100)],
        ),
        demo_order(
            "d",
            1,
            &[
                sale("2", "2026-03-01", 50),
                ("unknown", "2026-03-03", "adjustment", 0, 0, 0, 70),
            ],
        ),
    ];
    let spec = objective(json!({
        "threshold_7d": 5, "threshold_14d": 10, "threshold_30d": 19, "banana_count": 2, "stale_after_days": 60
    }));
    compute(&events, &[spec], NOON)
}

#[test]
fn windows_start_at_the_launch_and_end_with_the_shops_day() {
    let written = demo();
    let one = written.product("1");
    // First 7: 2 + 3. First 14 (to 03-14): 2 + 3 + 4 + 1. Last 30 (from 03-02): 3 + 4 + 1 + 9 - 1 = 16.
    assert_eq!(one["launched_on"], "2026-03-01");
    assert_eq!(one["sales_first_7_days"], 5);
    assert_eq!(one["sales_first_14_days"], 10);
    assert_eq!(one["sales_last_30_days"], 16);
    // Last 7 days (from 03-25) and last 14 (from 03-18): nothing sold.
    assert_eq!(
        (&one["sales_last_7_days"], &one["sales_last_14_days"]),
        (&json!(0), &json!(0))
    );
    // Net sales of the same days: (3 + 4 + 1 + 9) x 100 - 100.
    assert_eq!(one["net_sales_last_30_days"], 1600);
    // Product 2 was never published here: its launch is its first sale, 03-01. 50 of that day are 31 days ago.
    let two = written.product("2");
    assert_eq!(two["launched_on"], "2026-03-01");
    assert_eq!(
        (&two["sales_first_7_days"], &two["sales_last_30_days"]),
        (&json!(55), &json!(5))
    );
}

#[test]
fn labels_follow_the_rules_and_all_matches_are_kept() {
    let written = demo();
    // 1: 5 >= 5 and 10 >= 10. 16 < 19, no winner. First by value 16, so it holds a banana place as well.
    assert_eq!(written.label("1"), "top_riser");
    assert_eq!(written.product("1")["matched_rules"], json!(["top_riser", "banana"]));
    // 2: 55 >= 5 and 55 >= 10.
    assert_eq!(written.label("2"), "top_riser");
    // 3: inactive and never sold.
    assert_eq!(written.label("3"), "archive_candidate");
    assert_eq!(written.product("3")["rank"], 3);
}

#[test]
fn a_reversal_counts_on_its_own_day_and_amounts_without_product_stay_in_the_sales() {
    let written = demo();
    let day = |product: &str, day: &str| {
        written
            .sales
            .iter()
            .find(|row| row["product_id"] == product && row["day"] == day)
            .unwrap()
    };
    // 9 sold in order b, 1 returned in order c, which has no sale of the product on that day.
    let refunded = day("1", "2026-03-15");
    assert_eq!(
        (&refunded["units_sold"], &refunded["units_returned"]),
        (&json!(9), &json!(1))
    );
    assert_eq!(
        (&refunded["net_sales"], &refunded["order_count"]),
        (&json!(800), &json!(1))
    );
    assert_eq!(day("1", "2026-03-07")["units_returned"], 0);
    assert_eq!(day("unknown", "2026-03-03")["net_sales"], -70);
    assert!(written.performance.iter().all(|row| row["product_id"] != "unknown"));
}

#[test]
fn only_the_newest_revision_counts_and_deleted_and_test_orders_vanish() {
    let mut deleted = demo_order("b", 2, &[]);
    deleted["is_deleted"] = true.into();
    deleted["sales"] = Value::Null;
    let mut test = demo_order("t", 1, &[sale("1", "2026-03-10", 7)]);
    test["is_test"] = true.into();
    let events = [
        demo_order("a", 3, &[sale("1", "2026-03-10", 2)]),
        demo_order("a", 2, &[sale("1", "2026-03-10", 9)]),
        demo_order("b", 1, &[sale("1", "2026-03-10", 5)]),
        deleted,
        test,
    ];
    let written = compute(&events, &[], NOON);
    assert_eq!(written.sales.len(), 1);
    assert_eq!(written.sales[0]["units_sold"], 2);
}

#[test]
fn an_event_that_came_before_its_order_counts_nothing_and_breaks_nothing() {
    // A refund of an order whose body has not arrived: no revision, no ledger, and no zone either.
    let mut orphan = demo_order("a", 1, &[]);
    for unknown in ["order_revision", "sales", "lines", "currency", "shop_time_zone"] {
        orphan[unknown] = Value::Null;
    }
    orphan["event_type"] = "refund_created".into();
    orphan["event_id"] = "orphan".into();
    let orphans_alone = compute(std::slice::from_ref(&orphan), &[], NOON);
    assert_eq!((orphans_alone.sales.len(), orphans_alone.performance.len()), (0, 0));

    // Even with a ledger, a row that does not say of which revision it tells is not counted; nor is a deletion.
    let mut untold = demo_order("a", 1, &[sale("1", "2026-03-10", 9)]);
    untold["order_revision"] = Value::Null;
    untold["event_id"] = "untold".into();
    let mut deleted = untold.clone();
    deleted["event_id"] = "deleted".into();
    deleted["is_deleted"] = true.into();
    let whole = demo_order("a", 1, &[sale("1", "2026-03-10", 2)]);
    let alone = compute(std::slice::from_ref(&whole), &[], NOON);
    let among = compute(&[orphan, untold, whole, deleted], &[], NOON);
    assert_eq!(among, alone);
    assert_eq!(among.sales[0]["units_sold"], 2);
}

#[test]
fn order_and_number_of_deliveries_do_not_matter() {
    let mut again = demo_order("a", 1, &[sale("1", "2026-03-10", 2)]);
    again["source"] = "bulk_sync".into();
    again["received_at"] = "2026-03-21T00:00:00.000Z".into();
    let mut events = vec![
        demo_order("a", 1, &[sale("1", "2026-03-10", 2)]),
        again,
        demo_order("a", 2, &[sale("1", "2026-03-10", 2), sale("2", "2026-03-11", 1)]),
        demo_order("b", 1, &[sale("2", "2026-03-11", 1)]),
        demo_product("1", json!({ "product_is_active": true, "product_title": "One" })),
    ];
    let spec = [objective(json!({ "banana_count": 1, "threshold_30d": 100 }))];
    let once = compute(&events, &spec, NOON);
    events.reverse();
    let reversed = compute(&events, &spec, NOON);
    events.extend(events.clone());
    let doubled = compute(&events, &spec, NOON);
    assert_eq!(once, reversed);
    assert_eq!(once, doubled);
    // Both sold 2 units for 200: the smaller id takes the place.
    assert_eq!((once.label("1"), once.label("2")), ("banana", "none"));
}

#[test]
fn the_day_of_computation_is_the_shops_own() {
    let events = [
        demo_order("a", 1, &[sale("1", "2026-03-02", 1), sale("1", "2026-04-01", 1)]),
        order(
            "la.myshopify.com",
            "America/Los_Angeles",
            "b",
            1,
            "2026-03-20T00:00:00.000Z",
            &[sale("9", "2026-03-02", 1)],
        ),
    ];
    // 14:59 UTC is still 03-31 in Tokyo, a minute later it is 04-01: 03-02 leaves the window and 04-01 enters it.
    let before = compute(&events, &[], "2026-03-31T14:59:00Z");
    let after = compute(&events, &[], "2026-03-31T15:00:00Z");
    assert_eq!(
        (&before.product("1")["computed_on"], &after.product("1")["computed_on"]),
        (&json!("2026-03-31"), &json!("2026-04-01"))
    );
    assert_eq!(before.product("1")["sales_last_30_days"], 1);
    assert_eq!(after.product("1")["sales_last_30_days"], 1);
    assert_eq!(after.product("1")["sales_last_7_days"], 1);
    assert_eq!(after.product("9")["computed_on"], "2026-03-31");
    assert_ne!(before.refresh_id, after.refresh_id);
}

#[test]
fn a_product_says_itself_whether_it_is_active_and_a_shop_without_objective_still_has_rows() {
    let events = [
        demo_order("a", 1, &[sale("1", "2026-03-30", 1), sale("2", "2026-03-30", 1)]),
        product(
            SHOP,
            ZONE,
            "1",
            "2026-03-01T00:00:00.000Z",
            json!({ "product_is_active": true }),
        ),
        product(
            SHOP,
            ZONE,
            "1",
            "2026-03-02T00:00:00.000Z",
            json!({ "product_is_active": false }),
        ),
    ];
    let written = compute(&events, &[], NOON);
    assert_eq!((written.label("1"), written.label("2")), ("archive_candidate", "none"));
    assert_eq!(written.product("1")["objective_spec_id"], "unset");
}

#[test]
fn staleness_counts_from_the_last_sale() {
    // 2026-03-31 less 2026-03-01 is 30 days, less 2026-03-02 is 29.
    let events = [demo_order(
        "a",
        1,
        &[sale("1", "2026-03-01", 1), sale("2", "2026-03-02", 1)],
    )];
    let written = compute(&events, &[objective(json!({ "stale_after_days": 30 }))], NOON);
    assert_eq!((written.label("1"), written.label("2")), ("archive_candidate", "none"));
}

#[test]
fn engagement_is_counted_by_the_shops_days_without_bots_and_keeps_a_product_alive() {
    let orders = [demo_order(
        "a",
        1,
        &[sale("1", "2026-02-01", 1), sale("2", "2026-02-01", 1)],
    )];
    // Four impressions on 03-25, the first of the last 7 days, and one click each on 03-25 and on 03-24 (14:59 UTC in
    // Tokyo is a minute before midnight).
    let mut seen: Vec<_> = (0..4)
        .map(|number| interaction("impression", "1", number, "2026-03-24T15:00:00.000Z"))
        .collect();
    seen.push(interaction("click", "1", 0, "2026-03-24T15:00:00.000Z"));
    seen.push(interaction("click", "1", 1, "2026-03-24T14:59:00.000Z"));
    seen.push(interaction("conversion", "1", 0, "2026-03-24T15:00:00.000Z"));
    seen.push(interaction("conversion", "1", 0, "2026-03-24T15:00:00.000Z"));
    let mut bot = interaction("click", "1", 2, "2026-03-24T15:00:00.000Z");
    bot["is_bot"] = true.into();
    seen.push(bot);
    let written = compute_with(&orders, &seen, &[objective(json!({ "stale_after_days": 30 }))], NOON);
    let one = written.product("1");
    assert_eq!(
        (&one["impressions_last_7_days"], &one["clicks_last_7_days"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(
        (&one["clicks_last_30_days"], &one["conversions_last_30_days"]),
        (&json!(2), &json!(1))
    );
    // 1 / 4 and 1 / 2.
    assert_eq!(one["click_through_rate_last_7_days"], 0.25);
    assert_eq!(one["conversion_rate_last_30_days"], 0.5);
    assert_eq!(written.product("2")["click_through_rate_last_7_days"], Value::Null);
    // Told again at another time, one interaction counts once within 30 days, on the first of these.
    let mut seen = vec![
        interaction("view", "1", 0, "2026-03-10T03:00:00.000Z"),
        interaction("view", "1", 0, "2026-03-30T03:00:00.000Z"),
        interaction("view", "1", 1, "2026-03-01T14:59:00.000Z"),
        interaction("view", "1", 1, "2026-03-30T03:00:00.000Z"),
    ];
    for turned in [false, true] {
        let again = compute_with(&orders, &seen, &[], NOON);
        let row = again.product("1");
        assert_eq!(
            (
                &row["views_last_7_days"],
                &row["views_last_30_days"],
                &row["last_engagement_on"]
            ),
            (&json!(1), &json!(2), &json!("2026-03-30")),
            "{turned}"
        );
        seen.reverse();
    }
    // Both sold last 58 days ago, but people still look at product 1.
    assert_eq!((written.label("1"), written.label("2")), ("none", "archive_candidate"));
}

#[test]
fn engagement_weighs_in_the_value_and_decides_places_and_ranks() {
    let orders = [demo_order(
        "a",
        1,
        &[
            sale("1", "2026-03-20", 3),
            sale("2", "2026-03-20", 2),
            sale("3", "2026-03-20", 1),
        ],
    )];
    // Product 2: 3 clicks and 1 conversion; product 3: 9 views, of which 4 are older than 30 days.
    let mut seen: Vec<_> = (0..3)
        .map(|number| interaction("click", "2", number, "2026-03-21T00:00:00.000Z"))
        .collect();
    seen.push(interaction("conversion", "2", 0, "2026-03-21T00:00:00.000Z"));
    seen.extend((0..5).map(|number| interaction("view", "3", number, "2026-03-21T00:00:00.000Z")));
    seen.extend((5..9).map(|number| interaction("view", "3", number, "2026-02-20T00:00:00.000Z")));
    let spec = objective(json!({
        "banana_count": 1, "engagement_weights": { "clicks": 250, "conversions": 1000, "views": 399 }
    }));
    let written = compute_with(&orders, &seen, &[spec], NOON);
    // 2 sold + (3 x 250 + 1 x 1000) / 1000 = 2 + 1 (1.75 rounded down) = 3, as product 1; 2 units sold for less.
    // 1 sold + 5 x 399 / 1000 = 1 + 1 (1.995 rounded down) = 2.
    let values: Vec<_> = ["1", "2", "3"]
        .iter()
        .map(|id| written.product(id)["aggregate_measurement_value"].as_i64().unwrap())
        .collect();
    assert_eq!(values, [3, 3, 2]);
    assert_eq!((written.label("1"), written.label("2")), ("banana", "none"));
    let heavier = objective(json!({
        "banana_count": 1, "engagement_weights": { "clicks": 334, "conversions": 1000 }
    }));
    // 3 x 334 + 1000 = 2002 thousandths: 2 + 2 = 4 beats 3.
    let written = compute_with(&orders, &seen, &[heavier], NOON);
    assert_eq!((written.label("1"), written.label("2")), ("none", "banana"));
    assert_eq!(written.product("2")["sales_last_30_days"], 2);
}

#[test]
fn money_measures_count_the_shops_newest_currency_and_never_add_currencies() {
    let mut before = demo_order("a", 1, &[sale("1", "2026-03-10", 5)]);
    before["currency"] = "EUR".into();
    let events = [before, demo_order("b", 1, &[sale("1", "2026-03-11", 2)])];
    let by = |measure: &str| {
        let written = compute(&events, &[objective(json!({ "measure": measure }))], NOON);
        written.product("1")["sales_last_30_days"].as_i64().unwrap()
    };
    // 5 units for 500 EUR cents and 2 units for 200 JPY; the newest currency is JPY.
    assert_eq!((by("net_units"), by("net_sales"), by("gross_sales")), (7, 200, 200));
}

#[test]
fn a_shops_newest_currency_is_that_of_its_newest_sale() {
    // The shop changed from USD to EUR: on 03-12 it sells in both, in EUR later, on 03-20 in EUR alone; what was sold in USD
    // comes back on the days of EUR.
    let told = |id: &str, currency: &str, placed_at: &str, ledger: &[Entry]| {
        let mut order = demo_order(id, 1, ledger);
        order["currency"] = currency.into();
        order["order_processed_at"] = placed_at.into();
        order
    };
    let mut events = vec![
        told(
            "a",
            "USD",
            "2026-03-12T01:00:00.000Z",
            &[sale("1", "2026-03-12", 7), ("1", "2026-03-20", "return", 0, 1, 0, 100)],
        ),
        told("b", "EUR", "2026-03-12T02:00:00.000Z", &[sale("1", "2026-03-12", 4)]),
    ];
    let by_money = |events: &[Value]| {
        let written = compute(events, &[objective(json!({ "measure": "net_sales" }))], NOON);
        let one = written.product("1");
        (one["currency"].clone(), one["sales_last_30_days"].as_i64().unwrap())
    };
    assert_eq!(by_money(&events), (json!("EUR"), 400));
    events.push(told(
        "c",
        "EUR",
        "2026-03-20T01:00:00.000Z",
        &[sale("2", "2026-03-20", 1)],
    ));
    assert_eq!(by_money(&events), (json!("EUR"), 400));
    // A return is no sale, whatever its day.
    assert_eq!(by_money(&events[..1]), (json!("USD"), 700 - 100));
    let only_returned = told(
        "d",
        "USD",
        "2025-03-12T01:00:00.000Z",
        &[("1", "2026-03-20", "return", 0, 1, 0, 100)],
    );
    assert_eq!(by_money(&[only_returned]), (Value::Null, 0));
}

#[test]
fn a_publication_to_come_is_no_activity() {
    // 04-05 is five days ahead. Product 1 sold last 199 days ago, product 2 never, product 3 is published today.
    let scheduled = json!({ "product_published_at": "2026-04-04T15:00:00.000Z", "product_is_active": true });
    let events = [
        demo_product("1", scheduled.clone()),
        demo_product("2", scheduled),
        demo_product("3", json!({ "product_published_at": "2026-03-30T15:00:00.000Z" })),
        demo_order("a", 1, &[sale("1", "2025-09-13", 1)]),
    ];
    let written = compute(&events, &[objective(json!({ "stale_after_days": 90 }))], NOON);
    let told = |id: &str| {
        let row = written.product(id);
        (row["last_activity_on"].as_str(), written.label(id))
    };
    assert_eq!(told("1"), (Some("2025-09-13"), "archive_candidate"));
    assert_eq!(written.product("1")["launched_on"], "2026-04-05");
    assert_eq!(told("2"), (None, "none"));
    assert_eq!(told("3"), (Some("2026-03-31"), "none"));
}

#[test]
fn a_launch_is_on_the_day_of_its_sales_by_the_rules_of_the_ledger() {
    // Midnight in Vancouver, which keeps UTC-7 in the winter of 2026: files of time zones of before say that it is still the
    // day before, and the first seven days would end on 12-06.
    let shop = "west.myshopify.com";
    let zone = "America/Vancouver";
    let own = json!({ "product_published_at": "2026-12-01T07:00:00.000Z", "product_is_active": true });
    let events = [
        product(shop, zone, "1", "2026-11-20T00:00:00.000Z", own),
        order(
            shop,
            zone,
            "a",
            1,
            "2026-12-08T06:30:00.000Z",
            &[sale("1", "2026-12-07", 5)],
        ),
    ];
    let mut seen = interaction("view", "1", 1, "2026-12-10T07:30:00.000Z");
    seen["shop_domain"] = shop.into();
    let written = compute_with(&events, &[seen], &[], "2026-12-17T07:30:00Z");
    let row = written.product("1");
    assert_eq!(row["computed_on"], "2026-12-17");
    assert_eq!(row["launched_on"], "2026-12-01");
    assert_eq!(row["sales_first_7_days"], 5);
    // The last 7 days begin with 12-11.
    assert_eq!(
        (&row["views_last_7_days"], &row["last_engagement_on"]),
        (&json!(0), &json!("2026-12-10"))
    );
}
