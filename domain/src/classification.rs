//! The reference classification: which label a product gets, and which rules it met.
//!
//! This is the meaning; `sql/duckdb/60_classification.sql` computes the same at scale and every refresh compares them.
//! Products compete for the `banana` places with the other products governed by the same specification, because values
//! in different measures cannot be ranked against each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::objective::{narrowest, BananaPool, ObjectiveSpecification};

/// The nominal classification of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Met both thresholds in its first 7 and first 14 days.
    TopRiser,
    /// Met the threshold over the last 30 days.
    Winner,
    /// Among the best `banana_count` by aggregate value.
    Banana,
    /// Inactive, or neither sold nor looked at for long.
    ArchiveCandidate,
    /// No rule holds.
    None,
}

impl Label {
    /// The labels that have a rule, in the default precedence.
    pub const RULES: [Self; 4] = [Self::TopRiser, Self::Winner, Self::Banana, Self::ArchiveCandidate];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TopRiser => "top_riser",
            Self::Winner => "winner",
            Self::Banana => "banana",
            Self::ArchiveCandidate => "archive_candidate",
            Self::None => "none",
        }
    }

    /// The label called `name`, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::RULES
            .into_iter()
            .chain([Self::None])
            .find(|label| label.name() == name)
    }
}

/// What the rules look at. Values are in the measure of the specification that governs the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFacts {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Shopify's product id as text.
    pub product_id: String,
    /// The shop's product type.
    pub product_type: Option<String>,
    /// Whether the product is active; `None` is unknown and is not inactive.
    pub is_active: Option<bool>,
    /// Measure over the first 7 days from the launch.
    pub sales_first_7_days: i64,
    /// Measure over the first 14 days from the launch.
    pub sales_first_14_days: i64,
    /// Measure over the 30 days ending with the day of computation.
    pub sales_last_30_days: i64,
    /// What products are ranked by.
    pub aggregate_measurement_value: i64,
    /// Net sales over the last 30 days, minor units: breaks ties.
    pub net_sales_last_30_days: i64,
    /// Days from the last sale, engagement or launch to the day of computation; `None` if there was none.
    pub days_without_activity: Option<i64>,
}

/// The verdict on one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified<'a> {
    /// The shop's myshopify.com domain.
    pub shop_domain: &'a str,
    /// Shopify's product id as text.
    pub product_id: &'a str,
    /// The label.
    pub label: Label,
    /// Every rule that holds, in the default precedence.
    pub matched_rules: Vec<Label>,
    /// Place among the products of the same specification by value, net sales, product id; 1 is best.
    pub rank: i64,
}

/// Labels every product that a specification governs, in the order of `products`. `specifications` holds at most one
/// for each (shop, product type), see [`crate::objective::in_force`].
#[must_use]
pub fn classify<'a>(products: &'a [ProductFacts], specifications: &[ObjectiveSpecification]) -> Vec<Classified<'a>> {
    let mut governed: BTreeMap<_, (&ObjectiveSpecification, Vec<usize>)> = BTreeMap::new();
    for (place, product) in products.iter().enumerate() {
        let own_type = product.product_type.as_deref();
        if let Some(spec) = narrowest(specifications, &product.shop_domain, own_type) {
            let key = (spec.shop_domain.as_str(), spec.product_type.as_deref());
            governed.entry(key).or_insert((spec, Vec::new())).1.push(place);
        }
    }
    let mut verdicts: Vec<Option<Classified>> = vec![None; products.len()];
    for (spec, group) in governed.into_values() {
        classify_group(products, group, spec, &mut verdicts);
    }
    verdicts.into_iter().flatten().collect()
}

/// Fills in the verdicts on the products at the places of `group`, all governed by `spec`.
fn classify_group<'a>(
    products: &'a [ProductFacts],
    mut group: Vec<usize>,
    spec: &ObjectiveSpecification,
    verdicts: &mut [Option<Classified<'a>>],
) {
    group.sort_by(|a, b| {
        let (a, b) = (&products[*a], &products[*b]);
        let key = |p: &ProductFacts| (p.aggregate_measurement_value, p.net_sales_last_30_days);
        key(b).cmp(&key(a)).then_with(|| a.product_id.cmp(&b.product_id))
    });
    let order = spec.order();
    let before_banana: Vec<_> = order.iter().take_while(|label| **label != Label::Banana).collect();
    let mut places_left = spec.banana_count.unwrap_or(0);
    for (rank, place) in (1..).zip(group) {
        let product = &products[place];
        let holds_by_itself = |label: Label| match label {
            Label::TopRiser => is_top_riser(product, spec),
            Label::Winner => is_winner(product, spec),
            Label::ArchiveCandidate => is_archive_candidate(product, spec),
            Label::Banana | Label::None => false,
        };
        let competes = product.aggregate_measurement_value > 0
            && match spec.banana_pool {
                BananaPool::All => true,
                BananaPool::Unclassified => !before_banana.iter().any(|label| holds_by_itself(**label)),
            };
        let is_banana = competes && places_left > 0;
        places_left -= i64::from(is_banana);
        let holds = |label: &Label| holds_by_itself(*label) || (*label == Label::Banana && is_banana);
        verdicts[place] = Some(Classified {
            shop_domain: &product.shop_domain,
            product_id: &product.product_id,
            label: order.iter().copied().find(holds).unwrap_or(Label::None),
            matched_rules: Label::RULES.into_iter().filter(holds).collect(),
            rank,
        });
    }
}

fn is_top_riser(product: &ProductFacts, spec: &ObjectiveSpecification) -> bool {
    match (spec.threshold_7d, spec.threshold_14d) {
        (Some(week), Some(fortnight)) => product.sales_first_7_days >= week && product.sales_first_14_days >= fortnight,
        _ => false,
    }
}

fn is_winner(product: &ProductFacts, spec: &ObjectiveSpecification) -> bool {
    spec.threshold_30d
        .is_some_and(|threshold| product.sales_last_30_days >= threshold)
}

fn is_archive_candidate(product: &ProductFacts, spec: &ObjectiveSpecification) -> bool {
    let stale = match (product.days_without_activity, spec.stale_after_days) {
        (Some(days), Some(limit)) => days >= limit,
        _ => false,
    };
    product.is_active == Some(false) || stale
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn product(id: &str, value: i64) -> ProductFacts {
        ProductFacts {
            shop_domain: "s".to_owned(),
            product_id: id.to_owned(),
            product_type: None,
            is_active: Some(true),
            sales_first_7_days: 0,
            sales_first_14_days: 0,
            sales_last_30_days: value,
            aggregate_measurement_value: value,
            net_sales_last_30_days: value * 100,
            days_without_activity: Some(0),
        }
    }

    fn spec(change: serde_json::Value) -> ObjectiveSpecification {
        let mut json = json!({
            "objective_spec_id": "d", "shop_domain": "s", "revision": 1, "threshold_7d": 5, "threshold_14d": 8,
            "threshold_30d": 20, "banana_count": 2, "stale_after_days": 90, "valid_from": "2026-01-01T00:00:00Z"
        });
        for (field, value) in change.as_object().unwrap() {
            json[field] = value.clone();
        }
        ObjectiveSpecification::from_json(&json).unwrap()
    }

    fn labels(products: &[ProductFacts], spec: ObjectiveSpecification) -> Vec<(String, &'static str)> {
        classify(products, &[spec])
            .into_iter()
            .map(|verdict| (verdict.product_id.to_owned(), verdict.label.name()))
            .collect()
    }

    fn named(pairs: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
    }

    #[test]
    fn a_threshold_is_met_by_its_own_value_and_both_are_needed() {
        let mut riser = product("1", 0);
        (riser.sales_first_7_days, riser.sales_first_14_days) = (5, 8);
        let mut almost = product("2", 0);
        (almost.sales_first_7_days, almost.sales_first_14_days) = (5, 7);
        let products = [riser, almost, product("3", 20), product("4", 0)];
        let expected = named(&[("1", "top_riser"), ("2", "none"), ("3", "winner"), ("4", "none")]);
        assert_eq!(labels(&products, spec(json!({}))), expected);
        // A missing threshold disables its rule; product 3 still takes a banana place.
        let off = spec(json!({ "threshold_14d": null, "threshold_30d": null }));
        let expected = named(&[("1", "none"), ("2", "none"), ("3", "banana"), ("4", "none")]);
        assert_eq!(labels(&products, off), expected);
    }

    #[test]
    fn ties_go_by_value_then_net_sales_then_product_id() {
        let mut richer = product("9", 3);
        richer.net_sales_last_30_days += 1;
        let products = [product("7", 3), product("8", 3), richer, product("1", 0)];
        let expected = named(&[("7", "banana"), ("8", "none"), ("9", "banana"), ("1", "none")]);
        assert_eq!(labels(&products, spec(json!({}))), expected);
        let ranks: Vec<_> = classify(&products, &[spec(json!({}))])
            .iter()
            .map(|verdict| verdict.rank)
            .collect();
        assert_eq!(ranks, [2, 3, 1, 4]);
    }

    #[test]
    fn a_winner_takes_a_banana_place_unless_the_pool_is_unclassified() {
        let products = [product("1", 30), product("2", 3), product("3", 2)];
        let all = named(&[("1", "winner"), ("2", "banana"), ("3", "none")]);
        assert_eq!(labels(&products, spec(json!({}))), all);
        let rest = named(&[("1", "winner"), ("2", "banana"), ("3", "banana")]);
        assert_eq!(labels(&products, spec(json!({ "banana_pool": "unclassified" }))), rest);
    }

    #[test]
    fn unknown_activity_is_not_inactive_and_never_sold_without_launch_is_not_stale() {
        let mut inactive = product("1", 0);
        inactive.is_active = Some(false);
        let mut unknown = product("2", 0);
        (unknown.is_active, unknown.days_without_activity) = (None, None);
        let mut stale = product("3", 0);
        stale.days_without_activity = Some(90);
        let mut recent = product("4", 0);
        recent.days_without_activity = Some(89);
        let expected = named(&[
            ("1", "archive_candidate"),
            ("2", "none"),
            ("3", "archive_candidate"),
            ("4", "none"),
        ]);
        assert_eq!(labels(&[inactive, unknown, stale, recent], spec(json!({}))), expected);
    }

    #[test]
    fn precedence_decides_among_matched_rules() {
        let mut both = product("1", 25);
        both.is_active = Some(false);
        let products = [both];
        let verdicts = classify(&products, &[spec(json!({ "precedence": ["archive_candidate"] }))]);
        assert_eq!(verdicts[0].label, Label::ArchiveCandidate);
        assert_eq!(
            verdicts[0].matched_rules,
            [Label::Winner, Label::Banana, Label::ArchiveCandidate]
        );
    }
}
