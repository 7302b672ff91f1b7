//! Who would change class under other thresholds: the domain's rules over the stored facts of a day. Nothing is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use weir_domain::classification::{classify, Label, ProductFacts};
use weir_domain::engagement::Interactions;
use weir_domain::objective::{Measure, ObjectiveSpecification};

use super::explain::{days_without_activity, governing};
use super::reads::{PerformanceRow, Windows};
use crate::{Error, Result};

/// Other values for a specification; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The shop's myshopify.com domain; every shop if absent.
    pub shop: Option<String>,
    /// Day of computation, yyyy-mm-dd; each shop's newest if absent.
    pub day: Option<String>,
    /// The specification that would have other values; the one that is narrowed to no product type if absent.
    pub objective: Option<String>,
    /// A whole number, or `none` to switch the rule off.
    pub threshold_7d: Option<String>,
    /// As `threshold_7d`.
    pub threshold_14d: Option<String>,
    /// As `threshold_7d`.
    pub threshold_30d: Option<String>,
    /// As `threshold_7d`.
    pub banana_count: Option<String>,
    /// As `threshold_7d`.
    pub stale_after_days: Option<String>,
    /// `net_units`, `net_sales` or `gross_sales`.
    pub measure: Option<String>,
}

/// One product that would get another label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Shopify's product id as text.
    pub product_id: String,
    /// Title, if known.
    pub product_title: Option<String>,
    /// Day of computation.
    pub computed_on: String,
    /// The stored label.
    pub before: Label,
    /// The label it would have.
    pub after: Label,
}

/// How many products a label has and would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Products with the label now.
    pub before: usize,
    /// Products with it then.
    pub after: usize,
    /// Products that would get it.
    pub gained: usize,
    /// Products that would lose it.
    pub lost: usize,
}

/// A specification that would have other values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Altered {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Its id.
    pub objective_spec_id: String,
    /// The revision that governed.
    pub revision: i64,
    /// Product type it is narrowed to.
    pub product_type: Option<String>,
    /// What its thresholds would be compared with: `net_units`, or a measure and its currency.
    pub measured_in: String,
}

/// The whole answer, on the products that the altered specifications govern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The values asked about, as they went into the specifications.
    pub asked: Map<String, Value>,
    /// The specifications they went into, by shop.
    pub altered: Vec<Altered>,
    /// Products looked at.
    pub product_count: usize,
    /// By label, all five.
    pub labels: BTreeMap<&'static str, Tally>,
    /// Who changes, by shop and product.
    pub changes: Vec<Change>,
}

impl Question {
    /// The fields of a specification that it replaces.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it replaces none, or a value is neither a whole number nor `none`.
    pub fn replaced(&self) -> Result<Map<String, Value>> {
        let numbers = [
            ("threshold_7d", &self.threshold_7d),
            ("threshold_14d", &self.threshold_14d),
            ("threshold_30d", &self.threshold_30d),
            ("banana_count", &self.banana_count),
            ("stale_after_days", &self.stale_after_days),
        ];
        let mut replaced = Map::new();
        for (field, given) in numbers {
            let Some(text) = given.as_deref() else { continue };
            let value = match (text, text.parse::<i64>()) {
                ("none", _) => Value::Null,
                (_, Ok(number)) => number.into(),
                _ => {
                    return Err(Error::Invalid(format!(
                        "{field}: {text:?} is neither a whole number nor none"
                    )))
                }
            };
            replaced.insert(field.to_owned(), value);
        }
        if let Some(measure) = &self.measure {
            replaced.insert("measure".to_owned(), measure.clone().into());
        }
        if replaced.is_empty() {
            let fields: Vec<_> = numbers.iter().map(|(field, _)| *field).collect();
            return Err(Error::Invalid(format!(
                "nothing to compare with: give at least one of {}, measure",
                fields.join(", ")
            )));
        }
        Ok(replaced)
    }

    /// Whether it would give a specification other values.
    fn is_about(&self, spec: &ObjectiveSpecification) -> bool {
        match &self.objective {
            Some(id) => spec.objective_spec_id == *id,
            None => spec.product_type.is_none(),
        }
    }

    /// Refuses an answer about nothing where there are `others`, and one whose thresholds are units here and an amount there.
    /// What they are compared with is in `measures`.
    fn check(&self, answer: &Answer, others: &BTreeSet<String>, measures: &BTreeSet<String>) -> Result<()> {
        if answer.altered.is_empty() && !others.is_empty() {
            let others: Vec<_> = others.iter().map(String::as_str).collect();
            let asked = match &self.objective {
                Some(id) => format!("by {id:?}"),
                None => "by a specification for all product types".to_owned(),
            };
            return Err(Error::NotFound(format!(
                "objective: no product of that shop and day is governed {asked}; those that govern are {}",
                others.join(", ")
            )));
        }
        let thresholds = [&self.threshold_7d, &self.threshold_14d, &self.threshold_30d];
        let is_amount = thresholds.into_iter().flatten().any(|given| given != "none");
        if is_amount && measures.len() > 1 {
            let measures: Vec<_> = measures.iter().map(String::as_str).collect();
            return Err(Error::Invalid(format!(
                "shop: name one, for a threshold is not the same in all of them: they measure {}",
                measures.join(", ")
            )));
        }
        Ok(())
    }
}

/// Classifies again those of `rows` whose specification is asked about. `windows` are the same products' windows in every
/// measure; they are only looked at if the question names another measure than a row's own.
///
/// # Errors
/// [`Error::Invalid`] with the field that a specification refuses, if thresholds are asked about in shops that measure
/// differently, or if the sales of a day have changed since its windows were computed; [`Error::NotFound`] if the
/// specification asked about governs nothing; [`Error::Internal`] if a row's specification is not among `specifications`.
pub fn what_if(
    rows: &[PerformanceRow],
    windows: &[Windows],
    specifications: &[ObjectiveSpecification],
    question: &Question,
) -> Result<Answer> {
    let asked = question.replaced()?;
    let windows: HashMap<_, _> = windows
        .iter()
        .map(|own| {
            (
                (own.shop_domain.as_str(), own.product_id.as_str(), own.measure.as_str()),
                own,
            )
        })
        .collect();
    // Products compete with those of the same specification: the groups of the refresh.
    let mut groups: BTreeMap<_, Vec<&PerformanceRow>> = BTreeMap::new();
    for row in rows {
        let key = (
            &row.shop_domain,
            &row.computed_on,
            &row.objective_spec_id,
            row.objective_spec_revision,
        );
        groups.entry(key).or_default().push(row);
    }
    let mut answer = Answer {
        asked,
        altered: Vec::new(),
        product_count: 0,
        labels: Label::RULES
            .into_iter()
            .chain([Label::None])
            .map(|label| (label.name(), Tally::default()))
            .collect(),
        changes: Vec::new(),
    };
    let (mut others, mut measures) = (BTreeSet::new(), BTreeSet::new());
    for group in groups.into_values() {
        let held = governing(group[0], specifications).ok_or_else(|| no_specification(group[0]))?;
        if !question.is_about(&held) {
            others.insert(held.objective_spec_id);
            continue;
        }
        let other = altered(&held, &answer.asked)?;
        let measured_in = measured_in(&other, group[0]);
        // Who has not sold yet has no currency and nothing but zeros in any of them, which no threshold tells apart.
        if other.measure == Measure::NetUnits || group[0].currency.is_some() {
            measures.insert(measured_in.clone());
        }
        answer.altered.push(Altered {
            shop_domain: held.shop_domain,
            objective_spec_id: held.objective_spec_id,
            revision: held.revision,
            product_type: held.product_type,
            measured_in,
        });
        let facts = group
            .iter()
            .map(|row| facts(row, &other, &windows))
            .collect::<Result<Vec<_>>>()?;
        // It governs them all, so that each has a verdict.
        let verdicts = classify(&facts, std::slice::from_ref(&other));
        for (row, verdict) in group.into_iter().zip(verdicts) {
            answer.count(row, verdict.label)?;
        }
    }
    question.check(&answer, &others, &measures)?;
    answer
        .changes
        .sort_by(|a, b| (&a.shop_domain, &a.product_id).cmp(&(&b.shop_domain, &b.product_id)));
    Ok(answer)
}

impl Answer {
    fn count(&mut self, row: &PerformanceRow, after: Label) -> Result<()> {
        self.product_count += 1;
        let before = Label::from_name(&row.nominal_classification)
            .ok_or_else(|| Error::Internal(format!("{:?} is no label", row.nominal_classification)))?;
        let is_changed = before != after;
        let old = self.labels.entry(before.name()).or_default();
        old.before += 1;
        old.lost += usize::from(is_changed);
        let new = self.labels.entry(after.name()).or_default();
        new.after += 1;
        new.gained += usize::from(is_changed);
        if is_changed {
            self.changes.push(Change {
                shop_domain: row.shop_domain.clone(),
                product_id: row.product_id.clone(),
                product_title: row.product_title.clone(),
                computed_on: row.computed_on.clone(),
                before,
                after,
            });
        }
        Ok(())
    }
}

/// The specification with the replaced fields, validated like one that the lake tells of: it may have ended since, or be older
/// than a rule that what is published now has to meet. It governs a group that is already chosen, so it is not narrowed.
fn altered(spec: &ObjectiveSpecification, replaced: &Map<String, Value>) -> Result<ObjectiveSpecification> {
    let mut json = serde_json::to_value(spec)?;
    for (field, value) in replaced {
        json[field] = value.clone();
    }
    json["product_type"] = Value::Null;
    ObjectiveSpecification::told(&json).map_err(|error| Error::Invalid(error.to_string()))
}

/// What the thresholds of the group of `row` are compared with.
fn measured_in(spec: &ObjectiveSpecification, row: &PerformanceRow) -> String {
    match (spec.measure, &row.currency) {
        (Measure::NetUnits, _) | (_, None) => spec.measure.name().to_owned(),
        (measure, Some(currency)) => format!("{} in {currency}", measure.name()),
    }
}

type ByMeasure<'a> = HashMap<(&'a str, &'a str, &'a str), &'a Windows>;

fn facts(row: &PerformanceRow, spec: &ObjectiveSpecification, windows: &ByMeasure) -> Result<ProductFacts> {
    let mut facts = ProductFacts {
        shop_domain: row.shop_domain.clone(),
        product_id: row.product_id.clone(),
        product_type: None,
        is_active: row.is_active,
        sales_first_7_days: row.sales_first_7_days,
        sales_first_14_days: row.sales_first_14_days,
        sales_last_30_days: row.sales_last_30_days,
        aggregate_measurement_value: row.aggregate_measurement_value,
        net_sales_last_30_days: row.net_sales_last_30_days,
        days_without_activity: days_without_activity(row),
    };
    if spec.measure.name() == row.measure {
        return Ok(facts);
    }
    let of = |measure: &str| {
        let key = (row.shop_domain.as_str(), row.product_id.as_str(), measure);
        windows.get(&key).copied().ok_or_else(|| changed_since(row))
    };
    let stored = of(&row.measure)?;
    let is_same = (
        stored.sales_first_7_days,
        stored.sales_first_14_days,
        stored.sales_last_30_days,
    ) == (row.sales_first_7_days, row.sales_first_14_days, row.sales_last_30_days);
    // Another measure is made of the same days: money may move where units do not, as by an edit of a price.
    if !is_same || of(Measure::NetSales.name())?.sales_last_30_days != row.net_sales_last_30_days {
        return Err(changed_since(row));
    }
    let other = of(spec.measure.name())?;
    facts.sales_first_7_days = other.sales_first_7_days;
    facts.sales_first_14_days = other.sales_first_14_days;
    facts.sales_last_30_days = other.sales_last_30_days;
    let weights = spec.engagement_weights.unwrap_or_default();
    facts.aggregate_measurement_value =
        weights
            .value(other.sales_last_30_days, interactions(row))
            .ok_or_else(|| {
                Error::Invalid(format!(
                    "measure: the value of product {} exceeds 64 bits",
                    row.product_id
                ))
            })?;
    Ok(facts)
}

/// Interactions of the last 30 days.
fn interactions(row: &PerformanceRow) -> Interactions {
    let count = |column: &str| row.others.get(column).and_then(Value::as_i64).unwrap_or(0);
    Interactions {
        views: count("views_last_30_days"),
        clicks: count("clicks_last_30_days"),
        conversions: count("conversions_last_30_days"),
        impressions: count("impressions_last_30_days"),
    }
}

fn changed_since(row: &PerformanceRow) -> Error {
    Error::Invalid(format!(
        "measure: sales of product {} have changed since {} was computed, so that its windows in another measure are not \
         known; run a refresh and ask about the newest day",
        row.product_id, row.computed_on
    ))
}

/// A row names a revision that the lake does not hold.
pub(super) fn no_specification(row: &PerformanceRow) -> Error {
    Error::Internal(format!(
        "revision {} of objective {:?} for {} is not in configuration.objective_spec",
        row.objective_spec_revision, row.objective_spec_id, row.shop_domain
    ))
}
