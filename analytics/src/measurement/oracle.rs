//! Holds the SQL's labels against the domain's reference.

use duckdb::Connection;
use weir_domain::classification::{classify, Classified, Label, ProductFacts};
use weir_domain::engagement::Interactions;
use weir_domain::objective::ObjectiveSpecification;

use crate::{Error, Result};

/// Compares label, matched rules and rank of every product.
///
/// # Errors
/// [`Error::Internal`] naming the first product on which SQL and reference disagree: nothing may be written then.
pub fn check(connection: &Connection, specifications: &[ObjectiveSpecification]) -> Result<()> {
    let expected = classify(&facts(connection, specifications)?, specifications);
    let computed = verdicts(connection)?;
    if expected.len() != computed.len() {
        return Err(Error::Internal(format!(
            "the reference classifies {} products, the SQL {}",
            expected.len(),
            computed.len()
        )));
    }
    match expected.iter().zip(&computed).find(|(left, right)| left != right) {
        None => Ok(()),
        Some((reference, sql)) => Err(Error::Internal(format!(
            "classification differs: reference {reference:?}, SQL {sql:?}"
        ))),
    }
}

/// What the rules look at. The value of each product is the reference's, not the SQL's.
fn facts(connection: &Connection, specifications: &[ObjectiveSpecification]) -> Result<Vec<ProductFacts>> {
    let mut statement = connection.prepare(
        "select shop_domain, product_id, product_type, is_active, sales_first_7_days, sales_first_14_days, \
         sales_last_30_days, aggregate_measurement_value, net_sales_last_30_days, days_without_activity, \
         views_last_30_days, clicks_last_30_days, conversions_last_30_days, impressions_last_30_days, spec_number \
         from performance",
    )?;
    let rows = statement.query_map([], |row| {
        let interactions = Interactions {
            views: row.get(10)?,
            clicks: row.get(11)?,
            conversions: row.get(12)?,
            impressions: row.get(13)?,
        };
        let facts = ProductFacts {
            shop_domain: row.get(0)?,
            product_id: row.get(1)?,
            product_type: row.get(2)?,
            is_active: row.get(3)?,
            sales_first_7_days: row.get(4)?,
            sales_first_14_days: row.get(5)?,
            sales_last_30_days: row.get(6)?,
            aggregate_measurement_value: row.get(7)?,
            net_sales_last_30_days: row.get(8)?,
            days_without_activity: row.get(9)?,
        };
        Ok((facts, interactions, row.get::<_, usize>(14)?))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (facts, interactions, number) = row?;
        let weights = specifications
            .get(number - 1)
            .and_then(|spec| spec.engagement_weights)
            .unwrap_or_default();
        let value = weights.value(facts.sales_last_30_days, interactions);
        if value != Some(facts.aggregate_measurement_value) {
            return Err(Error::Internal(format!(
                "the value of product {} differs: reference {value:?}, SQL {}",
                facts.product_id, facts.aggregate_measurement_value
            )));
        }
        all.push(facts);
    }
    Ok(all)
}

fn verdicts(connection: &Connection) -> Result<Vec<Classified>> {
    let mut statement = connection.prepare(
        "select shop_domain, product_id, nominal_classification, array_to_string(matched_rules, ','), rank \
         from performance order by shop_domain, product_id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
            row.get::<_, i64>(4)?,
        ))
    })?;
    let mut verdicts = Vec::new();
    for row in rows {
        let (shop_domain, product_id, name, rules, rank) = row?;
        verdicts.push(Classified {
            shop_domain,
            product_id,
            label: label(&name)?,
            matched_rules: rules
                .split(',')
                .filter(|rule| !rule.is_empty())
                .map(label)
                .collect::<Result<_>>()?,
            rank,
        });
    }
    Ok(verdicts)
}

fn label(name: &str) -> Result<Label> {
    Label::from_name(name).ok_or_else(|| Error::Internal(format!("{name:?} is no label")))
}
