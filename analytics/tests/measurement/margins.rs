//! The margin an explanation names is the smallest change that turns the rule: checked against the reference.

use serde_json::json;
use weir_analytics::measurement::explain::{barring, explain, Competitor, Competitors};
use weir_analytics::measurement::reads::PerformanceRow;
use weir_domain::classification::{classify, Classified, Label, ProductFacts};
use weir_domain::objective::ObjectiveSpecification;

use crate::world::objective;

fn facts(id: usize, value: i64, net_sales: i64, inactive: bool) -> ProductFacts {
    ProductFacts {
        shop_domain: crate::world::SHOP.to_owned(),
        product_id: id.to_string(),
        product_type: None,
        is_active: Some(!inactive),
        sales_first_7_days: 0,
        sales_first_14_days: 0,
        sales_last_30_days: 0,
        aggregate_measurement_value: value,
        net_sales_last_30_days: net_sales,
        days_without_activity: Some(0),
    }
}

fn row(facts: &ProductFacts, verdict: &Classified) -> PerformanceRow {
    serde_json::from_value(json!({
        "shop_domain": facts.shop_domain, "product_id": facts.product_id, "product_title": null,
        "computed_on": "2026-03-31", "nominal_classification": verdict.label.name(),
        "matched_rules": verdict.matched_rules.iter().map(|rule| rule.name()).collect::<Vec<_>>(),
        "measure": "net_units", "currency": null, "is_active": facts.is_active, "last_activity_on": "2026-03-31",
        "sales_first_7_days": 0, "sales_first_14_days": 0, "sales_last_30_days": 0,
        "net_sales_last_30_days": facts.net_sales_last_30_days,
        "aggregate_measurement_value": facts.aggregate_measurement_value, "rank": verdict.rank,
        "objective_spec_id": "default", "objective_spec_revision": 1
    }))
    .unwrap()
}

/// Who competes, as read_competitors.sql selects them.
fn competitors(rows: &[PerformanceRow], spec: &ObjectiveSpecification) -> Competitors {
    let barring = barring(spec);
    let is_out = |row: &PerformanceRow| {
        barring
            .iter()
            .any(|label| row.matched_rules.iter().any(|rule| rule == label.name()))
    };
    let mut competing: Vec<_> = rows
        .iter()
        .filter(|row| row.aggregate_measurement_value > 0 && !is_out(row))
        .map(|row| Competitor {
            product_id: row.product_id.clone(),
            rank: row.rank,
            aggregate_measurement_value: row.aggregate_measurement_value,
            net_sales_last_30_days: row.net_sales_last_30_days,
        })
        .collect();
    competing.sort_by_key(|competitor| competitor.rank);
    Competitors::ranked(competing)
}

fn is_banana(products: &[ProductFacts], index: usize, spec: &ObjectiveSpecification) -> bool {
    let verdicts = classify(products, std::slice::from_ref(spec));
    verdicts[index].matched_rules.contains(&Label::Banana)
}

#[test]
fn the_margin_of_a_banana_place_is_exact() {
    // Values and net sales with many ties; ids of one digit, so that text order is number order.
    let mut turned = 0;
    for round in 0..400_usize {
        let products: Vec<_> = (0..8_usize)
            .map(|id| {
                let mixed = round * 31 + id * 17 + round * id * 7;
                let (value, net_sales) = (mixed % 5, mixed / 5 % 3);
                facts(id, value as i64 - 1, net_sales as i64, mixed % 11 == 0)
            })
            .collect();
        let spec = ObjectiveSpecification::from_json(&objective(json!({
            "banana_count": round % 6,
            "banana_pool": if round % 2 == 0 { "all" } else { "unclassified" },
            "precedence": ["archive_candidate"],
        })))
        .unwrap();
        let verdicts = classify(&products, std::slice::from_ref(&spec));
        let rows: Vec<_> = products
            .iter()
            .zip(&verdicts)
            .map(|(facts, verdict)| row(facts, verdict))
            .collect();
        for (index, own) in rows.iter().enumerate() {
            let explained = explain(own, &competitors(&rows, &spec), &spec);
            let rule = explained.rules.iter().find(|rule| rule.rule == Label::Banana).unwrap();
            let before = is_banana(&products, index, &spec);
            assert_eq!(rule.held, before);
            let after = |change: i64| {
                let mut changed = products.clone();
                changed[index].aggregate_measurement_value += change;
                is_banana(&changed, index, &spec)
            };
            match rule.conditions[0].margin_to_flip {
                None => assert!(!after(100) && !before, "round {round}: {own:?}"),
                Some(margin) => {
                    assert_eq!(rule.conditions[0].held, before);
                    assert_ne!(after(margin), before, "round {round}, {margin}: {own:?}");
                    assert_eq!(
                        after(margin - margin.signum()),
                        before,
                        "round {round}, {margin}: {own:?}"
                    );
                    turned += 1;
                }
            }
        }
    }
    assert!(turned > 1000, "{turned}");
}
