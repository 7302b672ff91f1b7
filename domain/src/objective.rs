//! The objective specification: what a shop wants measured, and the thresholds that give a product its label.
//!
//! A specification is refused where it is written, with the name of the field; whoever reads one may rely on it.
//! Several apply to a shop when some are narrowed to a product type: the narrowest one governs a product.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::classification::Label;
use crate::engagement::EngagementWeights;
use crate::shopify;

/// What the windows count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Units sold less units returned.
    NetUnits,
    /// Net sales, minor units of the shop's currency.
    NetSales,
    /// Gross sales, minor units of the shop's currency.
    GrossSales,
}

impl Measure {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetUnits => "net_units",
            Self::NetSales => "net_sales",
            Self::GrossSales => "gross_sales",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::NetUnits, Self::NetSales, Self::GrossSales]
            .into_iter()
            .find(|measure| measure.name() == name)
    }
}

/// Who competes for the `banana_count` places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BananaPool {
    /// Every product the specification governs; a winner may take a place and keep its own label.
    All,
    /// Only products that no rule before `banana` in the precedence matches.
    Unclassified,
}

impl BananaPool {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Unclassified => "unclassified",
        }
    }
}

/// Why a specification was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ObjectiveError {
    /// The field at fault, as on the wire.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// One revision of one specification. Reading it from JSON validates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct ObjectiveSpecification {
    /// Identity; stays the same over its revisions.
    pub objective_spec_id: String,
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Product type it is narrowed to; `None` governs the whole shop.
    pub product_type: Option<String>,
    /// Strictly increasing per specification.
    pub revision: i64,
    /// What the thresholds are compared with.
    pub measure: Measure,
    /// For `top_riser`: the least `sales_first_7_days`, in units or minor units. `None` disables the rule.
    pub threshold_7d: Option<i64>,
    /// For `top_riser`: the least `sales_first_14_days`. `None` disables the rule.
    pub threshold_14d: Option<i64>,
    /// For `winner`: the least `sales_last_30_days`. `None` disables the rule.
    pub threshold_30d: Option<i64>,
    /// Number of `banana` places. `None` disables the rule.
    pub banana_count: Option<i64>,
    /// For `archive_candidate`: days without a sale or an engagement, at least 1. `None`: only inactive products.
    pub stale_after_days: Option<i64>,
    /// Who competes for the places.
    pub banana_pool: BananaPool,
    /// What interactions add to a product's value. `None`: sales alone.
    pub engagement_weights: Option<EngagementWeights>,
    /// Order in which rules give the label; labels it leaves out follow in the default order.
    pub precedence: Option<Vec<Label>>,
    /// From when the revision holds, RFC 3339, to the millisecond.
    #[serde(serialize_with = "as_rfc3339")]
    pub valid_from: Timestamp,
    /// When its validity was ended by deleting it, to the millisecond; `None` while it may govern. It is told of a revision
    /// ([`Self::told`]), never published with it.
    #[serde(serialize_with = "as_optional_rfc3339", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// What a specification that is told of has beside its fields.
const ENDED_AT: &str = "ended_at";

const FIELDS: [&str; 14] = [
    "objective_spec_id",
    "shop_domain",
    "product_type",
    "revision",
    "measure",
    "threshold_7d",
    "threshold_14d",
    "threshold_30d",
    "banana_count",
    "stale_after_days",
    "banana_pool",
    "engagement_weights",
    "precedence",
    "valid_from",
];

impl ObjectiveSpecification {
    /// What governs a shop that has written none: nothing is thresholded, only inactive products get a label.
    #[must_use]
    pub fn unset(shop_domain: &str) -> Self {
        Self {
            objective_spec_id: "unset".to_owned(),
            shop_domain: shop_domain.to_owned(),
            product_type: None,
            revision: 0,
            measure: Measure::NetUnits,
            threshold_7d: None,
            threshold_14d: None,
            threshold_30d: None,
            banana_count: None,
            stale_after_days: None,
            banana_pool: BananaPool::All,
            engagement_weights: None,
            precedence: None,
            valid_from: Timestamp::UNIX_EPOCH,
            ended_at: None,
        }
    }

    /// Reads what is told of a revision: its JSON form, and `ended_at` if it has ended.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn told(value: &Value) -> Result<Self, ObjectiveError> {
        let Some(object) = value.as_object().filter(|object| object.contains_key(ENDED_AT)) else {
            return Self::read(value);
        };
        let mut published = object.clone();
        published.remove(ENDED_AT);
        Ok(Self {
            ended_at: text(object, ENDED_AT)?
                .map(|text| instant(ENDED_AT, &text))
                .transpose()?,
            ..Self::read(&Value::Object(published))?
        })
    }

    /// Reads and validates the JSON form.
    ///
    /// # Errors
    /// [`ObjectiveError`] naming the first field that is missing, unknown, of another type, negative or not a whole
    /// number. A misspelt threshold would silently disable its rule, so unknown fields are refused too.
    pub fn from_json(value: &Value) -> Result<Self, ObjectiveError> {
        let specification = Self::read(value)?;
        // A time of business, as every other that is told to weir; earlier versions have taken and stored others.
        match value["valid_from"].as_str().map(shopify::json::instant) {
            Some(None) => Err(no_instant("valid_from", &value["valid_from"])),
            _ => Ok(specification),
        }
    }

    fn read(value: &Value) -> Result<Self, ObjectiveError> {
        let object = value
            .as_object()
            .ok_or_else(|| refuse("objective_spec", "must be a JSON object"))?;
        if let Some(unknown) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(refuse(
                unknown,
                format!("is not a field; known are {}", FIELDS.join(", ")),
            ));
        }
        Ok(Self {
            objective_spec_id: required_text(object, "objective_spec_id")?,
            shop_domain: required_text(object, "shop_domain")?,
            product_type: text(object, "product_type")?,
            revision: count(object, "revision", 0)?.ok_or_else(|| refuse("revision", "is missing"))?,
            measure: measure(object)?,
            threshold_7d: count(object, "threshold_7d", 0)?,
            threshold_14d: count(object, "threshold_14d", 0)?,
            threshold_30d: count(object, "threshold_30d", 0)?,
            banana_count: count(object, "banana_count", 0)?,
            stale_after_days: count(object, "stale_after_days", 1)?,
            banana_pool: banana_pool(object)?,
            engagement_weights: present(object, "engagement_weights")
                .map(EngagementWeights::from_json)
                .transpose()?,
            precedence: precedence(object)?,
            valid_from: instant("valid_from", &required_text(object, "valid_from")?)?,
            ended_at: None,
        })
    }

    /// All four labels in the order in which they are tried.
    #[must_use]
    pub fn order(&self) -> Vec<Label> {
        let mut order = self.precedence.clone().unwrap_or_default();
        for label in Label::RULES {
            if !order.contains(&label) {
                order.push(label);
            }
        }
        order
    }

    /// Whether it is the specification that governs a product of this type, provided no narrower one does.
    #[must_use]
    pub fn governs(&self, shop_domain: &str, product_type: Option<&str>) -> bool {
        self.shop_domain == shop_domain
            && match &self.product_type {
                None => true,
                Some(own) => product_type == Some(own.as_str()),
            }
    }
}

impl TryFrom<Value> for ObjectiveSpecification {
    type Error = ObjectiveError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Self::told(&value)
    }
}

/// The specification in force at `now` for each (shop, product type). Of a specification that is its newest revision that is
/// valid and has not ended, whatever it is narrowed to: an earlier one of another product type has been replaced too. Of two
/// specifications for the same products the one with the later `valid_from` holds, then the greater id, so that the answer
/// does not depend on order; revisions of different ones say nothing of each other.
#[must_use]
pub fn in_force(specifications: &[ObjectiveSpecification], now: Timestamp) -> Vec<&ObjectiveSpecification> {
    let may_govern =
        |spec: &&ObjectiveSpecification| spec.valid_from <= now && spec.ended_at.is_none_or(|end| end > now);
    let revisions = greatest(
        specifications.iter().filter(may_govern),
        |spec| (spec.shop_domain.as_str(), spec.objective_spec_id.as_str()),
        |spec| spec.revision,
    );
    greatest(
        revisions.into_iter(),
        |spec| (spec.shop_domain.as_str(), spec.product_type.as_deref()),
        |spec| (spec.valid_from, spec.objective_spec_id.as_str()),
    )
}

/// Of each key the specification that ranks highest, by key.
fn greatest<'a, K: Ord, R: Ord>(
    specifications: impl Iterator<Item = &'a ObjectiveSpecification>,
    key: impl Fn(&'a ObjectiveSpecification) -> K,
    rank: impl Fn(&'a ObjectiveSpecification) -> R,
) -> Vec<&'a ObjectiveSpecification> {
    let mut kept: BTreeMap<K, &ObjectiveSpecification> = BTreeMap::new();
    for spec in specifications {
        let slot = kept.entry(key(spec)).or_insert(spec);
        if rank(spec) > rank(slot) {
            *slot = spec;
        }
    }
    kept.into_values().collect()
}

/// The narrowest specification that governs a product: one for its product type, else the shop's.
#[must_use]
pub fn narrowest<'a>(
    specifications: &'a [ObjectiveSpecification],
    shop_domain: &str,
    product_type: Option<&str>,
) -> Option<&'a ObjectiveSpecification> {
    specifications
        .iter()
        .filter(|spec| spec.governs(shop_domain, product_type))
        .max_by_key(|spec| spec.product_type.is_some())
}

// serde fixes this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn as_rfc3339<S: serde::Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{instant:.3}"))
}

// As above.
#[allow(clippy::ref_option)]
fn as_optional_rfc3339<S: serde::Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => as_rfc3339(instant, serializer),
        None => serializer.serialize_none(),
    }
}

fn refuse(field: &str, problem: impl Into<String>) -> ObjectiveError {
    ObjectiveError {
        field: field.to_owned(),
        problem: problem.into(),
    }
}

/// Null and absent are the same.
fn present<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn text(object: &Map<String, Value>, field: &str) -> Result<Option<String>, ObjectiveError> {
    match present(object, field) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(other) => Err(refuse(field, format!("must be a non-empty text, not {other}"))),
    }
}

fn required_text(object: &Map<String, Value>, field: &str) -> Result<String, ObjectiveError> {
    text(object, field)?.ok_or_else(|| refuse(field, "is missing"))
}

fn count(object: &Map<String, Value>, field: &str, least: i64) -> Result<Option<i64>, ObjectiveError> {
    match present(object, field) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) if number >= least => Ok(Some(number)),
            _ => Err(refuse(
                field,
                format!("must be a whole number of at least {least}, not {value}"),
            )),
        },
    }
}

fn measure(object: &Map<String, Value>) -> Result<Measure, ObjectiveError> {
    match text(object, "measure")? {
        None => Ok(Measure::NetUnits),
        Some(name) => Measure::from_name(&name).ok_or_else(|| {
            refuse(
                "measure",
                format!("{name:?} is none of net_units, net_sales, gross_sales"),
            )
        }),
    }
}

fn banana_pool(object: &Map<String, Value>) -> Result<BananaPool, ObjectiveError> {
    match text(object, "banana_pool")?.as_deref() {
        None | Some("all") => Ok(BananaPool::All),
        Some("unclassified") => Ok(BananaPool::Unclassified),
        Some(other) => Err(refuse("banana_pool", format!("{other:?} is none of all, unclassified"))),
    }
}

fn precedence(object: &Map<String, Value>) -> Result<Option<Vec<Label>>, ObjectiveError> {
    let names = match present(object, "precedence") {
        None => return Ok(None),
        Some(Value::Array(names)) => names,
        Some(other) => return Err(refuse("precedence", format!("must be a list of labels, not {other}"))),
    };
    let mut order = Vec::with_capacity(names.len());
    for name in names {
        let label = name
            .as_str()
            .and_then(Label::from_name)
            .filter(|label| *label != Label::None);
        match label {
            Some(label) if order.contains(&label) => {
                return Err(refuse("precedence", format!("names {name} twice")));
            }
            Some(label) => order.push(label),
            None => return Err(refuse("precedence", format!("{name} is not a label with a rule"))),
        }
    }
    Ok(Some(order))
}

/// An instant to the millisecond, as the lake keeps it.
fn instant(field: &str, text: &str) -> Result<Timestamp, ObjectiveError> {
    let instant: Option<Timestamp> = text.parse().ok();
    instant
        .and_then(|instant| Timestamp::from_millisecond(instant.as_microsecond().div_euclid(1000)).ok())
        .ok_or_else(|| no_instant(field, &Value::from(text)))
}

fn no_instant(field: &str, text: &Value) -> ObjectiveError {
    refuse(field, format!("{text} is not an RFC 3339 instant"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn specification() -> Value {
        json!({
            "objective_spec_id": "default", "shop_domain": "demo.myshopify.com", "product_type": null, "revision": 1,
            "measure": "net_units", "threshold_7d": 5, "threshold_14d": 9, "threshold_30d": 20, "banana_count": 3,
            "stale_after_days": 90, "banana_pool": "all", "precedence": null, "valid_from": "2026-01-01T00:00:00Z"
        })
    }

    fn with(field: &str, value: Value) -> Result<ObjectiveSpecification, ObjectiveError> {
        let mut json = specification();
        json[field] = value;
        ObjectiveSpecification::from_json(&json)
    }

    #[test]
    fn a_specification_survives_json() {
        let spec = ObjectiveSpecification::from_json(&specification()).unwrap();
        let again: ObjectiveSpecification = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_name_of_its_field() {
        let cases = [
            ("threshold_7d", json!(-1)),
            ("threshold_14d", json!(1.5)),
            ("threshold_30d", json!("20")),
            ("banana_count", json!(9.5e18)),
            ("stale_after_days", json!(0)),
            ("measure", json!("revenue")),
            ("banana_pool", json!("some")),
            ("engagement_weights", json!([1])),
            ("precedence", json!(["winner", "champion"])),
            ("precedence", json!(["winner", "winner"])),
            ("precedence", json!(["none"])),
            ("revision", json!(null)),
            ("shop_domain", json!("")),
            ("valid_from", json!("yesterday")),
            ("treshold_30d", json!(5)),
        ];
        for (field, value) in cases {
            let refused = with(field, value.clone()).expect_err(field);
            assert_eq!(refused.field, field, "{value}");
            assert!(refused.to_string().starts_with(field));
        }
    }

    #[test]
    fn labels_left_out_of_the_precedence_follow_in_the_default_order() {
        let spec = with("precedence", json!(["archive_candidate"])).unwrap();
        let names: Vec<_> = spec.order().iter().map(|label| label.name()).collect();
        assert_eq!(names, ["archive_candidate", "top_riser", "winner", "banana"]);
    }

    #[test]
    fn the_newest_valid_revision_is_in_force_and_the_narrowest_governs() {
        let first = with("revision", json!(1)).unwrap();
        let second = with("revision", json!(2)).unwrap();
        let mut future = with("revision", json!(3)).unwrap();
        future.valid_from = "2027-01-01T00:00:00Z".parse().unwrap();
        let mut shoes = with("product_type", json!("Shoes")).unwrap();
        shoes.objective_spec_id = "shoes".to_owned();
        let all = [first, shoes, future, second];
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        let current: Vec<_> = in_force(&all, now).into_iter().cloned().collect();
        let governing = |product_type| {
            narrowest(&current, "demo.myshopify.com", product_type)
                .map(|spec| (spec.objective_spec_id.as_str(), spec.revision))
        };
        assert_eq!(governing(Some("Shoes")), Some(("shoes", 1)));
        assert_eq!(governing(Some("Hats")), Some(("default", 2)));
        assert_eq!(governing(None), Some(("default", 2)));
        assert_eq!(narrowest(&current, "other.myshopify.com", None), None);
    }

    #[test]
    fn a_revision_replaces_the_ones_before_it_whatever_they_were_narrowed_to() {
        let in_force = |all: &[ObjectiveSpecification], now: &str| -> Vec<(Option<String>, String, i64)> {
            let now = now.parse().unwrap();
            let governing = super::in_force(all, now).into_iter();
            governing
                .map(|spec| (spec.product_type.clone(), spec.objective_spec_id.clone(), spec.revision))
                .collect()
        };
        let shoes = with("product_type", json!("Shoes")).unwrap();
        let mut boots = with("product_type", json!("Boots")).unwrap();
        boots.revision = 2;
        let own =
            |spec: &ObjectiveSpecification| (spec.product_type.clone(), spec.objective_spec_id.clone(), spec.revision);
        let noon = "2026-06-01T12:00:00Z";
        assert_eq!(in_force(&[shoes.clone(), boots.clone()], noon), [own(&boots)]);
        // Revisions of different specifications are not compared.
        let mut later = with("product_type", json!("Shoes")).unwrap();
        (later.objective_spec_id, later.revision) = ("a".to_owned(), 0);
        later.valid_from = "2026-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(in_force(&[shoes.clone(), later.clone()], noon), [own(&later)]);
        // One that has ended leaves its place to the one before.
        let ended = json!("2026-06-01T12:00:00.0009Z");
        let mut told = serde_json::to_value(&boots).unwrap();
        told["ended_at"] = ended;
        let ended = ObjectiveSpecification::told(&told).unwrap();
        assert!(ObjectiveSpecification::from_json(&told).is_err());
        let all = [shoes.clone(), ended.clone()];
        assert_eq!(in_force(&all, "2026-06-01T11:59:59.999Z"), [own(&ended)]);
        assert_eq!(in_force(&all, noon), [own(&shoes)]);
        let told_again = serde_json::to_value(&ended).unwrap();
        assert_eq!(ObjectiveSpecification::told(&told_again), Ok(ended));
    }

    #[test]
    fn times_are_kept_to_the_millisecond() {
        let fine = with("valid_from", json!("2026-01-01T00:00:00.123456+00:00")).unwrap();
        assert_eq!(fine, with("valid_from", json!("2026-01-01T00:00:00.123Z")).unwrap());
        let early = with("valid_from", json!("1969-12-31T23:59:59.0005Z")).unwrap();
        assert_eq!(early, with("valid_from", json!("1969-12-31T23:59:59.000Z")).unwrap());
    }

    #[test]
    fn times_are_those_of_business_and_stored_ones_are_read() {
        for strange in [
            "0001-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
        ] {
            assert_eq!(with("valid_from", json!(strange)).unwrap_err().field, "valid_from");
            let mut stored = specification();
            stored["valid_from"] = strange.into();
            assert!(ObjectiveSpecification::told(&stored).is_ok(), "{strange}");
        }
    }
}
