//! Engagement in a product's value: what interactions weigh beside sales.

use serde::Serialize;
use serde_json::Value;

use crate::objective::ObjectiveError;

/// Largest weight of one interaction, per mille of a unit of the measure: a million units. With it the value of 2^32
/// interactions still fits 64 bits.
pub const MAX_WEIGHT_PER_MILLE: i64 = 1_000_000_000;

/// How much one interaction of the last 30 days adds to a product's value, in thousandths of the measure's unit (a unit
/// sold, or a minor unit of money).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EngagementWeights {
    /// Of a view.
    pub views: i64,
    /// Of a click.
    pub clicks: i64,
    /// Of a conversion.
    pub conversions: i64,
    /// Of an impression.
    pub impressions: i64,
}

/// Interactions with a product, bots apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interactions {
    /// Views.
    pub views: i64,
    /// Clicks.
    pub clicks: i64,
    /// Conversions.
    pub conversions: i64,
    /// Impressions.
    pub impressions: i64,
}

const FIELD: &str = "engagement_weights";
const KINDS: [&str; 4] = ["views", "clicks", "conversions", "impressions"];

impl EngagementWeights {
    /// Reads the JSON object; absent and null kinds weigh nothing.
    ///
    /// # Errors
    /// [`ObjectiveError`] naming the kind that is unknown, no whole number, negative or too heavy.
    pub fn from_json(value: &Value) -> Result<Self, ObjectiveError> {
        let refuse = |field: String, problem: String| ObjectiveError { field, problem };
        let object = value
            .as_object()
            .ok_or_else(|| refuse(FIELD.to_owned(), format!("must be an object, not {value}")))?;
        if let Some(unknown) = object.keys().find(|key| !KINDS.contains(&key.as_str())) {
            let problem = format!("is no kind of interaction; known are {}", KINDS.join(", "));
            return Err(refuse(format!("{FIELD}.{unknown}"), problem));
        }
        let weight = |kind: &str| match object.get(kind) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value
                .as_i64()
                .filter(|weight| (0..=MAX_WEIGHT_PER_MILLE).contains(weight))
                .ok_or_else(|| {
                    let problem =
                        format!("must be a whole number of thousandths from 0 to {MAX_WEIGHT_PER_MILLE}, not {value}");
                    refuse(format!("{FIELD}.{kind}"), problem)
                }),
        };
        Ok(Self {
            views: weight("views")?,
            clicks: weight("clicks")?,
            conversions: weight("conversions")?,
            impressions: weight("impressions")?,
        })
    }

    /// The value of a product: its sales, and what its interactions weigh, rounded down once. None if 64 bits cannot
    /// hold it.
    #[must_use]
    pub fn value(&self, sales_last_30_days: i64, interactions: Interactions) -> Option<i64> {
        let weighed: i128 = [
            (interactions.views, self.views),
            (interactions.clicks, self.clicks),
            (interactions.conversions, self.conversions),
            (interactions.impressions, self.impressions),
        ]
        .into_iter()
        .map(|(count, weight)| i128::from(count) * i128::from(weight))
        .sum();
        i64::try_from(i128::from(sales_last_30_days) + weighed / 1000).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn interactions_weigh_in_thousandths_and_are_rounded_once() {
        let weights = EngagementWeights::from_json(&json!({ "views": 1, "clicks": 50, "conversions": null })).unwrap();
        let seen = Interactions {
            views: 999,
            clicks: 20,
            conversions: 7,
            impressions: 10_000,
        };
        // 999 x 1 + 20 x 50 = 1999 thousandths: 1 whole unit beside the 5 sold.
        assert_eq!(weights.value(5, seen), Some(6));
        assert_eq!(weights.value(-5, seen), Some(-4));
        assert_eq!(EngagementWeights::default().value(5, seen), Some(5));
        let heavy = EngagementWeights {
            views: 1000,
            ..EngagementWeights::default()
        };
        assert_eq!(heavy.value(i64::MAX, seen), None);
    }

    #[test]
    fn a_weight_that_is_wrong_is_refused_with_its_name() {
        for (given, field) in [
            (json!(5), "engagement_weights"),
            (json!({ "likes": 1 }), "engagement_weights.likes"),
            (json!({ "clicks": -1 }), "engagement_weights.clicks"),
            (json!({ "views": 0.5 }), "engagement_weights.views"),
            (json!({ "impressions": "1" }), "engagement_weights.impressions"),
            (
                json!({ "conversions": 1_000_000_001 }),
                "engagement_weights.conversions",
            ),
        ] {
            assert_eq!(EngagementWeights::from_json(&given).unwrap_err().field, field);
        }
    }
}
