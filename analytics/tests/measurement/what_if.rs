//! Other thresholds over stored facts: against the reference, through HTTP and the verb.

use serde_json::{json, Value};
use weir_analytics::measurement::reads::{PerformanceRow, Windows};
use weir_analytics::measurement::what_if::{what_if, Question};
use weir_domain::classification::{classify, ProductFacts};
use weir_domain::objective::ObjectiveSpecification;

use crate::command::{printed, refreshed, weir};
use crate::harness::{demo_events, sale, Served, NOON};
use crate::world::{objective, order, product, SHOP, ZONE};

/// A shop with another measure.
const ABROAD: &str = "other.myshopify.com";

fn facts(id: usize, seed: usize) -> ProductFacts {
    // A product's numbers from a fixed mix; small, so that they lie around the thresholds and tie often.
    let mixed = |salt: usize| ((id * 7919 + seed * 104_729 + salt * 31) ^ (id * salt)) % 13;
    let value = mixed(1) as i64 - 2;
    ProductFacts {
        shop_domain: SHOP.to_owned(),
        product_id: id.to_string(),
        product_type: None,
        is_active: [Some(true), Some(false), None][mixed(2) % 3],
        sales_first_7_days: mixed(3) as i64,
        sales_first_14_days: mixed(4) as i64,
        sales_last_30_days: value,
        aggregate_measurement_value: value,
        net_sales_last_30_days: mixed(5) as i64,
        days_without_activity: (mixed(6) != 0).then(|| mixed(6) as i64),
    }
}

fn rows(products: &[ProductFacts], spec: &ObjectiveSpecification) -> Vec<PerformanceRow> {
    let verdicts = classify(products, std::slice::from_ref(spec));
    let by_id = |facts: &ProductFacts| verdicts.iter().find(|own| own.product_id == facts.product_id).unwrap();
    products
        .iter()
        .map(|facts| {
            let own = by_id(facts);
            let last = facts
                .days_without_activity
                .map(|days| format!("2026-03-{:02}", 31 - days));
            serde_json::from_value(json!({
                "shop_domain": SHOP, "product_id": facts.product_id, "product_title": null,
                "computed_on": "2026-03-31", "nominal_classification": own.label.name(),
                "matched_rules": [], "measure": spec.measure.name(), "currency": "JPY", "is_active": facts.is_active,
                "last_activity_on": last, "sales_first_7_days": facts.sales_first_7_days,
                "sales_first_14_days": facts.sales_first_14_days, "sales_last_30_days": facts.sales_last_30_days,
                "net_sales_last_30_days": facts.net_sales_last_30_days,
                "aggregate_measurement_value": facts.aggregate_measurement_value, "rank": own.rank,
                "objective_spec_id": spec.objective_spec_id, "objective_spec_revision": spec.revision
            }))
            .unwrap()
        })
        .collect()
}

fn spec(own: Value) -> ObjectiveSpecification {
    ObjectiveSpecification::from_json(&objective(own)).unwrap()
}

fn question(own: Value) -> Question {
    serde_json::from_value(own).unwrap()
}

#[test]
fn who_changes_class_is_what_the_reference_says() {
    let mut changed = 0;
    for seed in 0..60 {
        let products: Vec<_> = (0..50).map(|id| facts(id, seed)).collect();
        let [a, b, c] = [seed as i64 % 7, seed as i64 % 5, 1 + seed as i64 % 11];
        let held = spec(json!({
            "threshold_7d": a, "threshold_14d": b, "threshold_30d": a + b, "banana_count": c, "stale_after_days": c
        }));
        let rows = rows(&products, &held);
        let all = std::slice::from_ref(&held);
        let same = json!({
            "threshold_7d": a.to_string(), "threshold_14d": b.to_string(), "threshold_30d": (a + b).to_string(),
            "banana_count": c.to_string(), "stale_after_days": c.to_string(), "measure": "net_units"
        });
        assert_eq!(what_if(&rows, &[], all, &question(same)).unwrap().changes, []);

        let other = spec(json!({
            "threshold_7d": a, "threshold_14d": b + 1, "threshold_30d": null, "banana_count": 4, "stale_after_days": 6
        }));
        let asked = json!({
            "threshold_14d": (b + 1).to_string(), "threshold_30d": "none", "banana_count": "4", "stale_after_days": "6"
        });
        let answer = what_if(&rows, &[], all, &question(asked)).unwrap();
        let (before, after) = (classify(&products, all), classify(&products, &[other]));
        let mut expected: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before.label != after.label)
            .map(|(before, after)| (before.product_id, before.label, after.label))
            .collect();
        expected.sort_unstable();
        let found: Vec<_> = answer
            .changes
            .iter()
            .map(|change| (change.product_id.as_str(), change.before, change.after))
            .collect();
        assert_eq!(found, expected, "seed {seed}");
        let gained: usize = answer.labels.values().map(|tally| tally.gained).sum();
        assert_eq!(gained, expected.len());
        changed += expected.len();
    }
    assert!(changed > 500, "the thresholds hardly matter: {changed}");
}

#[test]
fn windows_in_another_measure_are_refused_when_the_sales_have_moved_on() {
    let held = spec(json!({ "threshold_30d": 5 }));
    let mut product = facts(1, 1);
    (product.sales_last_30_days, product.net_sales_last_30_days) = (6, 4);
    let rows = rows(&[product.clone()], &held);
    let windows = |units_30: i64, net_30: i64| {
        ["net_units", "net_sales", "gross_sales"].map(|measure| Windows {
            shop_domain: SHOP.to_owned(),
            product_id: "1".to_owned(),
            measure: measure.to_owned(),
            sales_first_7_days: product.sales_first_7_days,
            sales_first_14_days: product.sales_first_14_days,
            sales_last_30_days: if measure == "net_units" { units_30 } else { net_30 },
        })
    };
    for measure in ["net_sales", "gross_sales"] {
        let asked = question(json!({ "measure": measure }));
        let ask = |units, net| what_if(&rows, &windows(units, net), std::slice::from_ref(&held), &asked);
        // 6 units were enough, 4 minor units are not.
        assert_eq!(ask(6, 4).unwrap().labels["winner"].lost, 1);
        // Also where only the money has moved.
        for (units, net) in [(7, 4), (6, 5)] {
            let refused = ask(units, net).unwrap_err().to_string();
            assert!(
                refused.starts_with("measure: sales of product 1 have changed"),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_shop_that_has_not_sold_yet_does_not_keep_thresholds_of_the_others_apart() {
    let shop = |shop: &str, currency: Value, measure: &str| {
        let held = json!({ "shop_domain": shop, "measure": measure, "threshold_30d": 5 });
        let held = spec(held);
        let mut own = facts(1, 1);
        own.shop_domain = shop.to_owned();
        let mut row = rows(&[own], &held).remove(0);
        row.shop_domain = shop.to_owned();
        row.currency = currency.as_str().map(str::to_owned);
        (row, held)
    };
    let ask = |shops: &[(PerformanceRow, ObjectiveSpecification)]| {
        let (rows, held): (Vec<_>, Vec<_>) = shops.iter().cloned().unzip();
        what_if(&rows, &[], &held, &question(json!({ "threshold_30d": "7" })))
    };
    let sold = shop("a.myshopify.com", json!("JPY"), "net_sales");
    let unsold = shop("b.myshopify.com", Value::Null, "net_sales");
    let answer = ask(&[sold.clone(), unsold.clone()]).unwrap();
    let measured: Vec<_> = answer.altered.iter().map(|one| one.measured_in.as_str()).collect();
    assert_eq!(measured, ["net_sales in JPY", "net_sales"]);
    // Units are units without a currency too, and another currency is another amount.
    for (currency, measure) in [(Value::Null, "net_units"), (json!("EUR"), "net_sales")] {
        let other = shop("c.myshopify.com", currency, measure);
        let refused = ask(&[sold.clone(), unsold.clone(), other]).unwrap_err().to_string();
        assert!(refused.starts_with("shop: name one"), "{refused}");
    }
}

#[test]
fn a_specification_that_could_not_be_published_any_more_is_asked_about_too() {
    // One has ended since, the other was stored by a version that took such a time.
    for own in [
        json!({ "ended_at": "2026-04-01T00:00:00Z" }),
        json!({ "valid_from": "1899-12-31T23:59:59Z" }),
    ] {
        let mut told = objective(json!({ "threshold_30d": 5 }));
        told.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let held = ObjectiveSpecification::told(&told).unwrap();
        let mut product = facts(1, 1);
        (product.is_active, product.sales_last_30_days) = (Some(true), 6);
        let rows = rows(&[product], &held);
        let ask = |threshold: &str| {
            let asked = question(json!({ "threshold_30d": threshold }));
            what_if(&rows, &[], std::slice::from_ref(&held), &asked)
        };
        assert_eq!(ask("7").unwrap().labels["winner"].lost, 1, "{own}");
        let refused = ask("-1").unwrap_err().to_string();
        assert!(
            refused.starts_with("threshold_30d: must be a whole number"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn the_verb_and_the_route_tell_both_directions_and_write_nothing() {
    // 1 sold 19 units net, 3 sold 2, 2 is inactive.
    let served = refreshed(json!({ "threshold_30d": 19, "banana_count": 1 })).await;
    let url = served.server.url();
    let snapshots = served.snapshots().await;
    let answer = served.get("/v1/what-if?threshold_30d=20&banana_count=2").await;
    assert_eq!(answer["asked"], json!({ "threshold_30d": 20, "banana_count": 2 }));
    let changes: Vec<_> = answer["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["product_id"], &change["before"], &change["after"]))
        .collect();
    assert_eq!(
        changes,
        [
            (&json!("1"), &json!("winner"), &json!("banana")),
            (&json!("3"), &json!("none"), &json!("banana"))
        ]
    );
    assert_eq!(
        answer["labels"]["banana"],
        json!({ "before": 0, "after": 2, "gained": 2, "lost": 0 })
    );
    // By net sales (100 a unit), product 3 with 200 reaches 19 as well.
    let by_money = served
        .get(&format!("/v1/what-if?measure=net_sales&shop={SHOP}&day=2026-03-31"))
        .await;
    assert_eq!(by_money["changes"][0]["after"], "winner", "{by_money}");
    assert_eq!(by_money["changes"][0]["product_id"], "3");
    assert_eq!(by_money["changes"].as_array().unwrap().len(), 1);

    let table = printed(
        url,
        &[
            "what-if",
            "--threshold-30d",
            "20",
            "--banana-count",
            "2",
            "--shop",
            SHOP,
        ],
    )
    .await;
    assert!(table.starts_with("2 of 3 products change class\n"), "{table}");
    assert!(table.contains("winner: 1 -> 0 (+0 -1)"), "{table}");
    let json = printed(
        url,
        &["what-if", "--threshold-30d", "20", "--banana-count", "2", "--json"],
    )
    .await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), answer);
    assert_eq!(served.snapshots().await, snapshots);

    for (arguments, said) in [
        (vec!["what-if"], "give at least one of threshold_7d"),
        (
            vec!["what-if", "--threshold-30d", "-1"],
            "threshold_30d: must be a whole number of at least 0",
        ),
        (
            vec!["what-if", "--threshold-7d", "many"],
            "threshold_7d: \"many\" is neither a whole number nor none",
        ),
        (
            vec!["what-if", "--measure", "revenue"],
            "measure: \"revenue\" is none of",
        ),
        (
            vec!["what-if", "--banana-count", "1", "--day", "2020-01-01"],
            "no performance of that shop and day",
        ),
        (
            vec!["what-if", "--banana-count", "1", "--day", "monday"],
            "day: must be a day",
        ),
    ] {
        let output = weir(Some(url), &arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(said),
            "{arguments:?}: {error}"
        );
    }
    let misspelt = served.status("/v1/what-if?treshold_30d=1").await;
    assert_eq!(misspelt, 400);

    // A day is still governed by what has ended since.
    let ended = objective(json!({ "threshold_30d": 19, "banana_count": 1, "ended_at": "2026-04-01T00:00:00Z" }));
    served.post("/v1/objective", &ended).await;
    let again = served.get("/v1/what-if?threshold_30d=20&banana_count=2").await;
    assert_eq!(again, answer);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_question_is_about_one_specification_of_a_shop_and_says_which() {
    let served = Served::start().await;
    let shoes = json!({ "objective_spec_id": "shoes", "product_type": "Shoes", "threshold_30d": 19 });
    let mut abroad = objective(json!({ "measure": "net_sales", "threshold_30d": 100 }));
    abroad["shop_domain"] = ABROAD.into();
    let all = json!([objective(json!({ "threshold_30d": 2 })), objective(shoes), abroad]);
    served.post("/v1/objective", &all).await;
    let mut events = demo_events();
    let updated_at = "2026-03-01T00:00:00.000Z";
    events.push(product(SHOP, ZONE, "1", updated_at, json!({ "product_type": "Shoes" })));
    events.push(order(ABROAD, ZONE, "z", 1, updated_at, &[sale("9", "2026-03-20", 1)]));
    served.ingest(&events).await;
    served.refresh(NOON).await;
    let asked = |answer: &Value| {
        let list = |name: &str| answer[name].as_array().unwrap().iter();
        let altered: Vec<_> = list("altered").map(|spec| spec["objective_spec_id"].clone()).collect();
        let changed: Vec<_> = list("changes").map(|change| change["product_id"].clone()).collect();
        (altered, changed, answer["product_count"].clone())
    };
    // 1, of the shoes, sold 19 units, 3 sold 2, and 2 is inactive.
    let path = format!("/v1/what-if?shop={SHOP}&threshold_30d=20");
    let answer = served.get(&path).await;
    assert_eq!(asked(&answer), (vec![json!("default")], vec![json!("3")], json!(2)));
    assert_eq!(
        answer["altered"][0],
        json!({
            "shop_domain": SHOP, "objective_spec_id": "default", "revision": 1, "product_type": null, "measured_in": "net_units"
        })
    );
    assert_eq!(
        answer["labels"]["winner"],
        json!({ "before": 1, "after": 0, "gained": 0, "lost": 1 })
    );
    let answer = served.get(&format!("{path}&objective=shoes")).await;
    assert_eq!(asked(&answer), (vec![json!("shoes")], vec![json!("1")], json!(1)));
    assert_eq!(answer["altered"][0]["product_type"], "Shoes");
    let table = printed(
        served.server.url(),
        &[
            "what-if",
            "--shop",
            SHOP,
            "--objective",
            "shoes",
            "--threshold-30d",
            "20",
        ],
    )
    .await;
    let said = format!("1 of 1 products change class\n  under revision 1 of shoes of {SHOP}, in net_units\n");
    assert!(table.starts_with(&said), "{table}");

    let refused = |path: String| {
        let request = served.client.get(served.address(&path));
        async { served.answer(request).await }
    };
    let (status, body) = refused(format!("{path}&objective=hats")).await;
    assert_eq!(status, 404);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.ends_with("is governed by \"hats\"; those that govern are default, shoes"),
        "{message}"
    );
    // Twenty units here would be twenty yen there.
    let (status, body) = refused("/v1/what-if?threshold_30d=20".to_owned()).await;
    assert_eq!(status, 422);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("shop: name one") && message.ends_with("net_sales in JPY, net_units"),
        "{message}"
    );
    for path in [
        "banana_count=1",
        "threshold_30d=none",
        "threshold_30d=1&measure=net_units",
    ] {
        let answer = served.get(&format!("/v1/what-if?{path}")).await;
        assert_eq!(asked(&answer).0, ["default", "default"], "{path}");
    }
    served.server.stop().await.unwrap();
}
