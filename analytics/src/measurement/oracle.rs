//! Holds the SQL's labels against the domain's reference.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use weir_domain::classification::{classify, Classified, Label, ProductFacts};
use weir_domain::engagement::Interactions;
use weir_domain::objective::ObjectiveSpecification;

use crate::{Error, Result};

/// Compares value, label, matched rules and rank of every product in the rows that are to be written (those of the view
/// `performance_checked`). How many products that were; a row carried over from another refresh is none of them.
///
/// # Errors
/// [`Error::Internal`] naming the first product on which SQL and reference disagree: nothing may be written then.
pub fn check(performance: &[RecordBatch], specifications: &[ObjectiveSpecification]) -> Result<u64> {
    let batches = performance.iter().map(Columns::of).collect::<Result<Vec<_>>>()?;
    let mut facts = Vec::with_capacity(super::write::rows(performance));
    for columns in &batches {
        for (row, number) in columns.classified() {
            facts.push(columns.facts(row, number, specifications)?);
        }
    }
    let expected = classify(&facts, specifications);
    if expected.len() != facts.len() {
        return Err(Error::Internal(format!(
            "the reference classifies {} products, the SQL {}",
            expected.len(),
            facts.len()
        )));
    }
    let rows = batches
        .iter()
        .flat_map(|columns| columns.classified().map(move |(row, _)| (columns, row)));
    for (reference, (columns, row)) in expected.iter().zip(rows) {
        let sql = columns.verdict(row)?;
        if *reference != sql {
            return Err(Error::Internal(format!(
                "classification differs: reference {reference:?}, SQL {sql:?}"
            )));
        }
    }
    Ok(facts.len() as u64)
}

/// The columns of a batch that the reference looks at.
struct Columns {
    shop_domain: StringArray,
    product_id: StringArray,
    product_type: StringArray,
    is_active: BooleanArray,
    sales_first_7_days: Int64Array,
    sales_first_14_days: Int64Array,
    sales_last_30_days: Int64Array,
    net_sales_last_30_days: Int64Array,
    aggregate_measurement_value: Int64Array,
    days_without_activity: Int64Array,
    views: Int64Array,
    clicks: Int64Array,
    conversions: Int64Array,
    impressions: Int64Array,
    spec_number: Int64Array,
    nominal_classification: StringArray,
    matched_rules: ListArray,
    /// The rules of all rows one after the other.
    rules: StringArray,
    rank: Int64Array,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let text = |name| Ok::<_, Error>(cast(batch, name, &DataType::Utf8)?.as_string::<i32>().clone());
        let whole = |name| Ok::<_, Error>(cast(batch, name, &DataType::Int64)?.as_primitive::<Int64Type>().clone());
        let matched_rules = column(batch, "matched_rules")?.as_list::<i32>().clone();
        Ok(Self {
            shop_domain: text("shop_domain")?,
            product_id: text("product_id")?,
            product_type: text("product_type")?,
            is_active: cast(batch, "is_active", &DataType::Boolean)?.as_boolean().clone(),
            sales_first_7_days: whole("sales_first_7_days")?,
            sales_first_14_days: whole("sales_first_14_days")?,
            sales_last_30_days: whole("sales_last_30_days")?,
            net_sales_last_30_days: whole("net_sales_last_30_days")?,
            aggregate_measurement_value: whole("aggregate_measurement_value")?,
            days_without_activity: whole("days_without_activity")?,
            views: whole("views_last_30_days")?,
            clicks: whole("clicks_last_30_days")?,
            conversions: whole("conversions_last_30_days")?,
            impressions: whole("impressions_last_30_days")?,
            spec_number: whole("spec_number")?,
            nominal_classification: text("nominal_classification")?,
            rules: arrow_cast::cast(matched_rules.values(), &DataType::Utf8)?
                .as_string::<i32>()
                .clone(),
            matched_rules,
            rank: whole("rank")?,
        })
    }

    /// What the rules look at. The value of the product is the reference's, not the SQL's.
    fn facts(&self, row: usize, number: i64, specifications: &[ObjectiveSpecification]) -> Result<ProductFacts> {
        let facts = ProductFacts {
            shop_domain: self.shop_domain.value(row).to_owned(),
            product_id: self.product_id.value(row).to_owned(),
            product_type: (!self.product_type.is_null(row)).then(|| self.product_type.value(row).to_owned()),
            is_active: (!self.is_active.is_null(row)).then(|| self.is_active.value(row)),
            sales_first_7_days: self.sales_first_7_days.value(row),
            sales_first_14_days: self.sales_first_14_days.value(row),
            sales_last_30_days: self.sales_last_30_days.value(row),
            aggregate_measurement_value: self.aggregate_measurement_value.value(row),
            net_sales_last_30_days: self.net_sales_last_30_days.value(row),
            days_without_activity: optional(&self.days_without_activity, row),
        };
        let interactions = Interactions {
            views: self.views.value(row),
            clicks: self.clicks.value(row),
            conversions: self.conversions.value(row),
            impressions: self.impressions.value(row),
        };
        let weights = usize::try_from(number - 1)
            .ok()
            .and_then(|index| specifications.get(index))
            .and_then(|spec| spec.engagement_weights)
            .unwrap_or_default();
        let value = weights.value(facts.sales_last_30_days, interactions);
        if value != Some(facts.aggregate_measurement_value) {
            return Err(Error::Internal(format!(
                "the value of product {} differs: reference {value:?}, SQL {}",
                facts.product_id, facts.aggregate_measurement_value
            )));
        }
        Ok(facts)
    }

    fn verdict(&self, row: usize) -> Result<Classified<'_>> {
        let [from, to] = [row, row + 1].map(|at| self.matched_rules.value_offsets()[at].as_usize());
        Ok(Classified {
            shop_domain: self.shop_domain.value(row),
            product_id: self.product_id.value(row),
            label: label(self.nominal_classification.value(row))?,
            matched_rules: (from..to)
                .map(|at| label(self.rules.value(at)))
                .collect::<Result<_>>()?,
            rank: self.rank.value(row),
        })
    }

    /// The rows of this refresh, each with the number of its specification: one that is carried over has none.
    fn classified(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.spec_number
            .iter()
            .enumerate()
            .filter_map(|(row, number)| Some((row, number?)))
    }
}

fn optional(numbers: &Int64Array, row: usize) -> Option<i64> {
    (!numbers.is_null(row)).then(|| numbers.value(row))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let column = batch.column_by_name(name);
    column.ok_or_else(|| Error::Internal(format!("the computation has no column {name}")))
}

fn cast(batch: &RecordBatch, name: &str, to: &DataType) -> Result<ArrayRef> {
    Ok(arrow_cast::cast(column(batch, name)?, to)?)
}

fn label(name: &str) -> Result<Label> {
    Label::from_name(name).ok_or_else(|| Error::Internal(format!("{name:?} is no label")))
}

#[cfg(test)]
mod tests {
    use duckdb::Connection;

    use super::*;

    /// A product that sold 12 and ranks first, a winner from 10 on, beside a row of a shop that another refresh classified.
    fn checked(value: i64, label: &str, rules: &str, rank: i64) -> Result<u64> {
        let objective = serde_json::json!({"objective_spec_id": "o", "shop_domain": "a", "revision": 1,
            "measure": "net_units", "threshold_30d": 10, "valid_from": "2026-01-01T00:00:00Z"});
        let specification = ObjectiveSpecification::from_json(&objective).unwrap();
        let query = format!(
            "select 'a' as shop_domain, '1' as product_id, null::varchar as product_type, true as is_active,
                0::bigint as sales_first_7_days, 0::bigint as sales_first_14_days, 12::bigint as sales_last_30_days,
                5::bigint as net_sales_last_30_days, {value}::bigint as aggregate_measurement_value,
                3::bigint as days_without_activity, 0::bigint as views_last_30_days, 0::bigint as clicks_last_30_days,
                0::bigint as conversions_last_30_days, 0::bigint as impressions_last_30_days, spec_number,
                '{label}' as nominal_classification, {rules}::varchar[] as matched_rules, {rank}::bigint as rank
             from (values (1), (null)) as rows(spec_number)"
        );
        let connection = Connection::open_in_memory().unwrap();
        let batches: Vec<_> = connection.prepare(&query).unwrap().query_arrow([]).unwrap().collect();
        check(&batches, &[specification])
    }

    #[test]
    fn only_what_the_reference_says_passes() {
        assert_eq!(checked(12, "winner", "['winner']", 1).unwrap(), 1);
        for (value, label, rules, rank) in [
            (13, "winner", "['winner']", 1),
            (12, "none", "['winner']", 1),
            (12, "winner", "[]", 1),
            (12, "winner", "['winner']", 2),
            (12, "first", "['winner']", 1),
        ] {
            let error = checked(value, label, rules, rank).unwrap_err();
            assert!(matches!(error, Error::Internal(_)), "{error}");
        }
    }
}
