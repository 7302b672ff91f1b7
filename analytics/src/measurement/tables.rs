//! Iceberg tables of the measurement.

use std::sync::Arc;

use iceberg::spec::{ListType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Transform, Type};
use iceberg::TableIdent;

use crate::lake::TableDefinition;
use crate::Result;

/// `measurement.sales`.
#[must_use]
pub fn sales() -> TableIdent {
    ident("measurement", "sales")
}

/// `measurement.performance`.
#[must_use]
pub fn performance() -> TableIdent {
    ident("measurement", "performance")
}

/// `configuration.objective_spec`.
#[must_use]
pub fn objective_spec() -> TableIdent {
    ident("configuration", "objective_spec")
}

fn ident(namespace: &str, name: &str) -> TableIdent {
    TableIdent::from_strs([namespace, name]).expect("two parts")
}

/// Tables created at start when absent.
///
/// # Errors
/// If a schema is not valid.
pub fn definitions() -> Result<Vec<TableDefinition>> {
    Ok(vec![
        TableDefinition {
            ident: sales(),
            schema: schema(sales_columns())?,
            partition: vec![("day".to_owned(), "day".to_owned(), Transform::Identity)],
            doc: "What a product sold on one day in one currency [IAO: measurement datum]".to_owned(),
        },
        TableDefinition {
            ident: performance(),
            schema: schema(performance_columns())?,
            partition: vec![("computed_on".to_owned(), "computed_on".to_owned(), Transform::Identity)],
            doc: "A product's windows and label as computed on one day [IAO: measurement datum]".to_owned(),
        },
        TableDefinition {
            ident: objective_spec(),
            schema: schema(objective_columns())?,
            partition: Vec::new(),
            doc: "Every revision of every objective specification [IAO: objective specification]".to_owned(),
        },
    ])
}

/// One column: name, type, required, meaning with its ontological class.
type Column = (&'static str, Kind, bool, &'static str);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Whole,
    Rate,
    Truth,
    Date,
    Instant,
    Instants,
    Weights,
}

use Kind::{Date, Instant, Instants, Rate, Text, Texts, Truth, Weights, Whole};

fn schema(columns: Vec<Column>) -> Result<Schema> {
    let mut next_id = 0;
    let mut id = || {
        next_id += 1;
        next_id
    };
    let fields: Vec<NestedFieldRef> = columns
        .into_iter()
        .map(|(name, kind, required, doc)| {
            let field_id = id();
            let field_type = match kind {
                Text => Type::Primitive(PrimitiveType::String),
                Whole => Type::Primitive(PrimitiveType::Long),
                Rate => Type::Primitive(PrimitiveType::Double),
                Truth => Type::Primitive(PrimitiveType::Boolean),
                Date => Type::Primitive(PrimitiveType::Date),
                Instant => Type::Primitive(PrimitiveType::Timestamptz),
                Instants => Type::List(ListType::new(Arc::new(NestedField::list_element(
                    id(),
                    Type::Primitive(PrimitiveType::Timestamptz),
                    true,
                )))),
                Weights => Type::Struct(StructType::new(
                    ["views", "clicks", "conversions", "impressions"]
                        .into_iter()
                        .map(|kind| {
                            let weight = NestedField::required(id(), kind, Type::Primitive(PrimitiveType::Long));
                            Arc::new(weight.with_doc("Thousandths of the measure's unit for each [IAO: data item]"))
                        })
                        .collect(),
                )),
                Texts => Type::List(ListType::new(Arc::new(NestedField::list_element(
                    id(),
                    Type::Primitive(PrimitiveType::String),
                    true,
                )))),
            };
            Arc::new(NestedField::new(field_id, name, field_type, required).with_doc(doc))
        })
        .collect();
    Ok(Schema::builder().with_fields(fields).build()?)
}

#[rustfmt::skip]
fn sales_columns() -> Vec<Column> {
    vec![
        ("shop_domain", Text, true, "The shop's myshopify.com domain [CCO: commercial organization]"),
        ("product_id", Text, true, "Product, or unknown for amounts without one [IAO: identifier]"),
        ("day", Date, true, "Date in the shop's time zone [BFO: temporal interval]"),
        ("currency", Text, true, "ISO 4217 code of the amounts [CCO: currency]"),
        ("units_sold", Whole, true, "Units sold [IAO: measurement datum]"),
        ("units_returned", Whole, true, "Units reversed on this day [IAO: measurement datum]"),
        ("gross_sales", Whole, true, "Minor units of currency [IAO: measurement datum]"),
        ("discounts", Whole, true, "Minor units, positive [IAO: measurement datum]"),
        ("returns", Whole, true, "Minor units, positive [IAO: measurement datum]"),
        ("net_sales", Whole, true, "gross_sales - discounts - returns [IAO: measurement datum]"),
        ("order_count", Whole, true, "Orders with a sale of the product on this day [IAO: measurement datum]"),
        ("first_event_at", Instant, true, "When the earliest of the row's orders was placed [BFO: temporal instant]"),
        ("last_event_at", Instant, true, "When the latest of the row's orders was placed [BFO: temporal instant]"),
        ("order_times", Instants, true, "When the order of each ledger entry was placed, ascending [IAO: data set]"),
        ("refresh_id", Text, true, "Names the content of the row's day [IAO: identifier]"),
    ]
}

#[rustfmt::skip]
fn performance_columns() -> Vec<Column> {
    vec![
        ("shop_domain", Text, true, "The shop's myshopify.com domain [CCO: commercial organization]"),
        ("product_id", Text, true, "Shopify's product id [IAO: identifier]"),
        ("computed_on", Date, true, "Day of computation in the shop's time zone; once it is over, the row is as of its end [BFO: temporal interval]"),
        ("product_title", Text, false, "Product title [CCO: designative name]"),
        ("product_type", Text, false, "The shop's product type [IAO: data item]"),
        ("is_active", Truth, false, "Whether the product is active, null when unknown [IAO: data item]"),
        ("launched_on", Date, false, "Date of publication, else of the first sale [BFO: temporal interval]"),
        ("last_activity_on", Date, false, "Latest of last sale, last engagement, launch by computed_on [BFO: temporal interval]"),
        ("last_engagement_on", Date, false, "Date of the last interaction, no bots [BFO: temporal interval]"),
        ("measure", Text, true, "What sales_* columns count: net_units, net_sales or gross_sales [IAO: data item]"),
        ("currency", Text, false, "ISO 4217 code of money columns [CCO: currency]"),
        ("sales_first_7_days", Whole, true, "Measure over days 1 to 7 from the launch [IAO: measurement datum]"),
        ("sales_first_14_days", Whole, true, "Measure over days 1 to 14 from the launch [IAO: measurement datum]"),
        ("sales_last_7_days", Whole, true, "Measure over 7 days ending with computed_on [IAO: measurement datum]"),
        ("sales_last_14_days", Whole, true, "Measure over 14 days ending with computed_on [IAO: measurement datum]"),
        ("sales_last_30_days", Whole, true, "Measure over 30 days ending with computed_on [IAO: measurement datum]"),
        ("net_sales_last_30_days", Whole, true, "Minor units of currency; breaks ties [IAO: measurement datum]"),
        ("aggregate_measurement_value", Whole, true, "What products are ranked by [IAO: measurement datum]"),
        ("rank", Whole, true, "1 is best among products of the same specification [IAO: measurement datum]"),
        ("impressions_last_7_days", Whole, true, "Impressions, no bots [IAO: measurement datum]"),
        ("clicks_last_7_days", Whole, true, "Clicks, no bots [IAO: measurement datum]"),
        ("views_last_7_days", Whole, true, "Views, no bots [IAO: measurement datum]"),
        ("conversions_last_7_days", Whole, true, "Conversions, no bots [IAO: measurement datum]"),
        ("impressions_last_30_days", Whole, true, "Impressions, no bots [IAO: measurement datum]"),
        ("clicks_last_30_days", Whole, true, "Clicks, no bots [IAO: measurement datum]"),
        ("views_last_30_days", Whole, true, "Views, no bots [IAO: measurement datum]"),
        ("conversions_last_30_days", Whole, true, "Conversions, no bots [IAO: measurement datum]"),
        ("click_through_rate_last_7_days", Rate, false, "clicks / impressions [IAO: measurement datum]"),
        ("click_through_rate_last_30_days", Rate, false, "clicks / impressions [IAO: measurement datum]"),
        ("conversion_rate_last_7_days", Rate, false, "conversions / clicks [IAO: measurement datum]"),
        ("conversion_rate_last_30_days", Rate, false, "conversions / clicks [IAO: measurement datum]"),
        ("nominal_classification", Text, true, "The label [IAO: data item]"),
        ("matched_rules", Texts, true, "Every rule that holds, default precedence [IAO: data set]"),
        ("objective_spec_id", Text, true, "Specification that governs; unset if the shop has none [IAO: identifier]"),
        ("objective_spec_revision", Whole, true, "Its revision [IAO: version number]"),
        ("source_snapshot_id", Whole, false, "Snapshot of commerce.telemetry it is computed from [IAO: identifier]"),
        ("refresh_id", Text, true, "UUIDv5 of the refresh's inputs [IAO: identifier]"),
        ("product_published_at", Instant, false, "When the product was published [BFO: temporal instant]"),
        ("first_sale_on", Date, false, "Date of the first sale by computed_on [BFO: temporal interval]"),
        ("last_sale_on", Date, false, "Date of the last sale by computed_on [BFO: temporal interval]"),
        ("product_state_key", Text, false, "Orders what is told of the product; the greatest holds [IAO: data item]"),
    ]
}

#[rustfmt::skip]
fn objective_columns() -> Vec<Column> {
    vec![
        ("objective_spec_id", Text, true, "Identity over all revisions [IAO: identifier]"),
        ("shop_domain", Text, true, "The shop's myshopify.com domain [CCO: commercial organization]"),
        ("product_type", Text, false, "Product type it is narrowed to, null for the whole shop [IAO: data item]"),
        ("revision", Whole, true, "Strictly increasing per specification [IAO: version number]"),
        ("measure", Text, true, "net_units, net_sales or gross_sales [IAO: data item]"),
        ("threshold_7d", Whole, false, "Least sales_first_7_days of a top_riser [IAO: objective specification]"),
        ("threshold_14d", Whole, false, "Least sales_first_14_days of a top_riser [IAO: objective specification]"),
        ("threshold_30d", Whole, false, "Least sales_last_30_days of a winner [IAO: objective specification]"),
        ("banana_count", Whole, false, "Number of banana places [IAO: objective specification]"),
        ("stale_after_days", Whole, false, "Days without activity of an archive_candidate [IAO: objective specification]"),
        ("banana_pool", Text, true, "all or unclassified: who competes for the places [IAO: data item]"),
        ("engagement_weights", Weights, false, "What interactions add to the value, null for nothing [IAO: data set]"),
        ("precedence", Texts, false, "Order of the labels, null for the default [IAO: data set]"),
        ("valid_from", Instant, true, "From when the revision holds [BFO: temporal instant]"),
        ("ended_at", Instant, false, "When its validity was ended, null while it may govern [BFO: temporal instant]"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_says_what_it_is() {
        for definition in definitions().unwrap() {
            for field in definition.schema.as_struct().fields() {
                let doc = field.doc.as_deref().unwrap_or_default();
                assert!(doc.contains('[') && doc.ends_with(']'), "{}: {doc:?}", field.name);
            }
        }
    }
}
