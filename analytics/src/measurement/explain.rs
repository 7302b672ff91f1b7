//! Why a product has its label: every rule with the value, the threshold and how far it is from turning.
//!
//! Works on stored facts alone: the performance row, its neighbours of the same day and the specification revision that
//! governed.

use std::cmp::Reverse;

use serde::Serialize;
use weir_domain::classification::Label;
use weir_domain::money::{format_minor, Currency};
use weir_domain::objective::{BananaPool, Measure, ObjectiveSpecification};

use super::reads::PerformanceRow;

/// One comparison of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Column compared.
    pub fact: &'static str,
    /// Its value; none if unknown.
    pub value: Option<i64>,
    /// Least value that meets it; none disables the rule (or nothing is needed, see the reason).
    pub threshold: Option<i64>,
    /// Whether it holds.
    pub held: bool,
    /// The smallest change of the value that turns it; none if no change of this value does.
    pub margin_to_flip: Option<i64>,
}

/// One rule on one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The label it gives.
    pub rule: Label,
    /// Whether it held.
    pub held: bool,
    /// Whether it gave the label: the first in the precedence that held.
    pub decided: bool,
    /// Its comparisons.
    pub conditions: Vec<Condition>,
    /// One line for people.
    pub reason: String,
}

/// The whole answer on one product.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The stored row.
    #[serde(flatten)]
    pub row: PerformanceRow,
    /// The label in one line.
    pub reason: String,
    /// The rules in the order in which they were tried.
    pub rules: Vec<Rule>,
    /// The specification revision that governed, as it was published.
    pub objective: ObjectiveSpecification,
}

/// One product that competes for the banana places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Competitor {
    /// Shopify's product id as text.
    pub product_id: String,
    /// Its rank.
    pub rank: i64,
    /// What it is ranked by.
    pub aggregate_measurement_value: i64,
    /// Breaks ties.
    pub net_sales_last_30_days: i64,
}

/// Who competes for the banana places among the products of one shop, day and specification, best rank first.
#[derive(Debug, Clone, Default)]
pub struct Competitors(Vec<Competitor>);

impl Competitors {
    /// From those that compete, in the order of their ranks.
    #[must_use]
    pub fn ranked(competitors: Vec<Competitor>) -> Self {
        Self(competitors)
    }

    /// The place of a row among the others, 1 is best; ranks are unique.
    fn place(&self, row: &PerformanceRow) -> usize {
        1 + self.0.partition_point(|other| other.rank < row.rank)
    }

    /// Who would hold the place `index` (0 is best) if the row did not compete.
    fn without(&self, row: &PerformanceRow, index: usize) -> Option<&Competitor> {
        let own = self.place(row) - 1;
        let competes = self.0.get(own).is_some_and(|other| other.product_id == row.product_id);
        self.0.get(index.saturating_add(usize::from(competes && own <= index)))
    }
}

/// Explains `row` among its competitors.
#[must_use]
pub fn explain(row: &PerformanceRow, competitors: &Competitors, spec: &ObjectiveSpecification) -> Explanation {
    let rules: Vec<_> = spec
        .order()
        .into_iter()
        .map(|label| rule(label, row, competitors, spec))
        .collect();
    let reason = match rules.iter().find(|rule| rule.decided) {
        Some(rule) => rule.reason.clone(),
        None => {
            let reasons: Vec<_> = rules.iter().map(|rule| rule.reason.as_str()).collect();
            format!("no rule holds: {}", reasons.join("; "))
        }
    };
    Explanation {
        row: row.clone(),
        reason,
        rules,
        // An end that is told later changes nothing of what was said.
        objective: ObjectiveSpecification {
            ended_at: None,
            ..spec.clone()
        },
    }
}

/// The specification revision a row was computed with; [`ObjectiveSpecification::unset`] for a shop that had none.
#[must_use]
pub fn governing(row: &PerformanceRow, all: &[ObjectiveSpecification]) -> Option<ObjectiveSpecification> {
    let unset = ObjectiveSpecification::unset(&row.shop_domain);
    all.iter()
        .find(|spec| {
            spec.shop_domain == row.shop_domain
                && spec.objective_spec_id == row.objective_spec_id
                && spec.revision == row.objective_spec_revision
        })
        .cloned()
        .or_else(|| (row.objective_spec_id == unset.objective_spec_id).then_some(unset))
}

fn rule(label: Label, row: &PerformanceRow, competitors: &Competitors, spec: &ObjectiveSpecification) -> Rule {
    let (conditions, reason) = match label {
        Label::TopRiser => top_riser(row, spec),
        Label::Winner => winner(row, spec),
        Label::Banana => banana(row, competitors, spec),
        Label::ArchiveCandidate => archive_candidate(row, spec),
        Label::None => (Vec::new(), String::new()),
    };
    Rule {
        rule: label,
        held: row.matched_rules.iter().any(|rule| rule == label.name()),
        decided: row.nominal_classification == label.name(),
        conditions,
        reason,
    }
}

fn at_least(fact: &'static str, value: Option<i64>, threshold: Option<i64>) -> Condition {
    let compared = value.zip(threshold);
    Condition {
        fact,
        value,
        threshold,
        held: compared.is_some_and(|(value, threshold)| value >= threshold),
        // One below the threshold turns a condition that holds. A threshold may be anything, also one that is never reached.
        margin_to_flip: compared.map(|(value, threshold)| {
            let turned = if value >= threshold {
                threshold.saturating_sub(1)
            } else {
                threshold
            };
            turned.saturating_sub(value)
        }),
    }
}

fn top_riser(row: &PerformanceRow, spec: &ObjectiveSpecification) -> (Vec<Condition>, String) {
    let conditions = vec![
        at_least("sales_first_7_days", Some(row.sales_first_7_days), spec.threshold_7d),
        at_least("sales_first_14_days", Some(row.sales_first_14_days), spec.threshold_14d),
    ];
    let reason = match (spec.threshold_7d, spec.threshold_14d) {
        (Some(week), Some(fortnight)) => format!(
            "{} in its first 7 days ({} needed) and {} in its first 14 ({} needed)",
            amount(row, row.sales_first_7_days),
            amount(row, week),
            amount(row, row.sales_first_14_days),
            amount(row, fortnight)
        ),
        _ => "top_riser is off: a threshold is missing".to_owned(),
    };
    (conditions, reason)
}

fn winner(row: &PerformanceRow, spec: &ObjectiveSpecification) -> (Vec<Condition>, String) {
    let condition = at_least("sales_last_30_days", Some(row.sales_last_30_days), spec.threshold_30d);
    let reason = match spec.threshold_30d {
        Some(threshold) => format!(
            "{} in the last 30 days ({} needed)",
            amount(row, row.sales_last_30_days),
            amount(row, threshold)
        ),
        None => "winner is off: threshold_30d is missing".to_owned(),
    };
    (vec![condition], reason)
}

fn banana(row: &PerformanceRow, competitors: &Competitors, spec: &ObjectiveSpecification) -> (Vec<Condition>, String) {
    let value = row.aggregate_measurement_value;
    let mut condition = at_least("aggregate_measurement_value", Some(value), None);
    let Some(places) = spec.banana_count.filter(|places| *places > 0) else {
        return (
            vec![condition],
            "banana is off: banana_count is missing or 0".to_owned(),
        );
    };
    if let Some(earlier) = barred_by(row, spec) {
        let reason = format!("out of the banana pool: {} comes first", earlier.name());
        return (vec![condition], reason);
    }
    // What it takes: more than nothing, and to beat the competitor who would hold the last place without it.
    let last_place = usize::try_from(places - 1).unwrap_or(usize::MAX);
    let needed = match competitors.without(row, last_place) {
        None => 1,
        Some(rival) => {
            let own = (Reverse(row.net_sales_last_30_days), &row.product_id);
            let rivals = (Reverse(rival.net_sales_last_30_days), &rival.product_id);
            rival
                .aggregate_measurement_value
                .saturating_add(i64::from(own > rivals))
        }
    };
    condition = at_least("aggregate_measurement_value", Some(value), Some(needed));
    let place = competitors.place(row);
    let reason = format!(
        "place {place} by {} with {} (banana places: {places}, {} needed)",
        match spec.engagement_weights {
            None => "the last 30 days",
            Some(_) => "sales and engagement of the last 30 days",
        },
        amount(row, value),
        amount(row, needed)
    );
    (vec![condition], reason)
}

/// Rules that keep a product out of the competition for the banana places.
#[must_use]
pub fn barring(spec: &ObjectiveSpecification) -> Vec<Label> {
    match spec.banana_pool {
        BananaPool::All => Vec::new(),
        BananaPool::Unclassified => spec
            .order()
            .into_iter()
            .take_while(|label| *label != Label::Banana)
            .collect(),
    }
}

/// In the unclassified pool: the rule before `banana` that keeps the product out.
fn barred_by(row: &PerformanceRow, spec: &ObjectiveSpecification) -> Option<Label> {
    barring(spec)
        .into_iter()
        .find(|label| row.matched_rules.iter().any(|rule| rule == label.name()))
}

fn archive_candidate(row: &PerformanceRow, spec: &ObjectiveSpecification) -> (Vec<Condition>, String) {
    let days = days_without_activity(row);
    let conditions = vec![
        Condition {
            fact: "is_inactive",
            value: row.is_active.map(|active| i64::from(!active)),
            threshold: Some(1),
            held: row.is_active == Some(false),
            margin_to_flip: row.is_active.map(|active| if active { 1 } else { -1 }),
        },
        at_least("days_without_activity", days, spec.stale_after_days),
    ];
    let activity = match (days, spec.stale_after_days) {
        (Some(days), Some(limit)) => {
            format!("{days} days since its last sale, engagement or launch (stale after {limit})")
        }
        (None, Some(_)) => "never sold, looked at or launched".to_owned(),
        (_, None) => "staleness is off: stale_after_days is missing".to_owned(),
    };
    let reason = match row.is_active {
        Some(false) => "the product is not active".to_owned(),
        Some(true) => format!("active; {activity}"),
        None => format!("activity status unknown; {activity}"),
    };
    (conditions, reason)
}

/// Days from the last activity to the day of computation; none without activity.
pub(super) fn days_without_activity(row: &PerformanceRow) -> Option<i64> {
    let computed: jiff::civil::Date = row.computed_on.parse().ok()?;
    let last: jiff::civil::Date = row.last_activity_on.as_deref()?.parse().ok()?;
    computed.since(last).ok().map(|span| i64::from(span.get_days()))
}

/// An amount in the row's measure: `12 units` or `12.30 EUR`.
fn amount(row: &PerformanceRow, value: i64) -> String {
    if row.measure == Measure::NetUnits.name() {
        return format!("{value} {}", if value == 1 { "unit" } else { "units" });
    }
    match row.currency.as_deref().map(Currency::from_code) {
        Some(Ok(currency)) => format!("{} {currency}", format_minor(value, currency.exponent())),
        _ => format!("{value} minor units"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(id: &str, rank: i64, value: i64, label: &str) -> PerformanceRow {
        let matched: &[&str] = if label == "none" { &[] } else { &[label] };
        serde_json::from_value(json!({
            "shop_domain": "s", "product_id": id, "product_title": null, "computed_on": "2026-03-31",
            "nominal_classification": label, "matched_rules": matched, "measure": "net_sales", "currency": "EUR",
            "is_active": true, "last_activity_on": "2026-03-01", "sales_first_7_days": 0, "sales_first_14_days": 0,
            "sales_last_30_days": value, "net_sales_last_30_days": value, "aggregate_measurement_value": value,
            "rank": rank, "objective_spec_id": "d", "objective_spec_revision": 1
        }))
        .unwrap()
    }

    fn competing(rows: &[&PerformanceRow]) -> Competitors {
        let competitors = rows.iter().map(|row| Competitor {
            product_id: row.product_id.clone(),
            rank: row.rank,
            aggregate_measurement_value: row.aggregate_measurement_value,
            net_sales_last_30_days: row.net_sales_last_30_days,
        });
        Competitors::ranked(competitors.collect())
    }

    fn spec() -> ObjectiveSpecification {
        ObjectiveSpecification::from_json(&json!({
            "objective_spec_id": "d", "shop_domain": "s", "revision": 1, "measure": "net_sales", "threshold_30d": 1000,
            "banana_count": 1, "stale_after_days": 90, "valid_from": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn a_winner_tells_its_amount_and_how_far_it_is_from_losing_the_label() {
        let winner = row("1", 1, 1234, "winner");
        let explained = explain(&winner, &competing(&[&winner]), &spec());
        assert_eq!(explained.reason, "12.34 EUR in the last 30 days (10.00 EUR needed)");
        let rule = explained.rules.iter().find(|rule| rule.decided).unwrap();
        // 1234 - 235 = 999 is the first value below 1000.
        assert_eq!(rule.conditions[0].margin_to_flip, Some(-235));
    }

    #[test]
    fn a_threshold_that_is_never_reached_is_far_away_and_no_error() {
        let spec = ObjectiveSpecification {
            threshold_30d: Some(i64::MAX),
            ..spec()
        };
        // More came back than was sold.
        let explained = explain(&row("1", 1, -3, "none"), &Competitors::default(), &spec);
        let winner = explained.rules.iter().find(|rule| rule.rule == Label::Winner).unwrap();
        let condition = &winner.conditions[0];
        assert_eq!((condition.held, condition.margin_to_flip), (false, Some(i64::MAX)));
        let exact = |value, threshold| at_least("", Some(value), Some(threshold)).margin_to_flip;
        assert_eq!(exact(0, i64::MAX), Some(i64::MAX));
        assert_eq!(exact(i64::MAX, 0), Some(i64::MIN));
    }

    #[test]
    fn a_product_without_label_tells_what_it_lacks() {
        let (first, second) = (row("1", 1, 500, "banana"), row("2", 2, 400, "none"));
        let explained = explain(&second, &competing(&[&first, &second]), &spec());
        assert!(
            explained.reason.starts_with("no rule holds: top_riser is off"),
            "{}",
            explained.reason
        );
        let lacks: Vec<_> = explained
            .rules
            .iter()
            .map(|rule| (rule.rule.name(), rule.conditions.last().unwrap().margin_to_flip))
            .collect();
        // Winner: 1000 - 400. Banana: beat 500 with a lower net sales, so 501 - 400. Stale: 90 - 30 days.
        assert_eq!(
            lacks,
            [
                ("top_riser", None),
                ("winner", Some(600)),
                ("banana", Some(101)),
                ("archive_candidate", Some(60))
            ]
        );
    }
}
