//! Objective specifications: validated where they are written, revisions only added.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde_json::Value;
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::shopify::json::Json;

use crate::report;
use crate::store::{cell, run};

const NEXT: &str = include_str!("../../sql/postgres/objective_next.sql");
const PUBLISH: &str = include_str!("../../sql/postgres/objective_publish.sql");
const SNAPSHOT: &str = include_str!("../../sql/postgres/objective_snapshot.sql");
const LOCK: &str = "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('weir.objective', 0))";
const HINT: &str = "Thresholds are whole numbers of units or minor units, from 0; null disables a rule.";
const REFUSED: &str = "the objective specification is refused";

/// Validates, gives the next revision, stores, and returns the specification as stored.
pub fn publish(text: &str) -> String {
    if Json::parse(text).is_err() {
        report::invalid_argument(REFUSED, "It is not JSON that PostgreSQL can store.", HINT);
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(text) else {
        report::invalid_argument(REFUSED, "It is not a JSON object.", HINT)
    };
    let id = fields
        .entry("objective_spec_id")
        .or_insert_with(|| "default".into())
        .clone();
    let Some(id) = id.as_str() else {
        report::invalid_argument(REFUSED, "objective_spec_id: must be text", HINT)
    };
    Spi::connect_mut(|client| {
        run(client, LOCK, &[]).next();
        let (revision, now) = {
            let mut rows = run(client, NEXT, &[DatumWithOid::from(id)]);
            let Some(row) = rows.next() else {
                report::internal("no revision was computed", "objective_next.sql")
            };
            (cell::<i64>(&row, 1), cell::<String>(&row, 2))
        };
        fields.insert("revision".into(), revision.into());
        if fields.get("valid_from").is_none_or(Value::is_null) {
            fields.insert("valid_from".into(), now.into());
        }
        let specification = ObjectiveSpecification::from_json(&Value::Object(fields))
            .unwrap_or_else(|error| report::invalid_argument(REFUSED, &error.to_string(), HINT));
        let stored = serde_json::to_string(&specification)
            .unwrap_or_else(|_| report::internal("a specification cannot be written", "objective_specification"));
        let arguments = [
            DatumWithOid::from(specification.objective_spec_id.as_str()),
            DatumWithOid::from(specification.revision),
            DatumWithOid::from(specification.shop_domain.as_str()),
            DatumWithOid::from(specification.product_type.as_deref()),
            DatumWithOid::from(stored.as_str()),
        ];
        run(client, PUBLISH, &arguments);
        stored
    })
}

/// The specifications in force and to come, in one consistent read.
pub fn snapshot() -> String {
    Spi::connect_mut(|client| {
        let mut rows = run(client, SNAPSHOT, &[]);
        let Some(row) = rows.next() else {
            report::internal("no snapshot was read", "objective_snapshot.sql")
        };
        cell(&row, 1)
    })
}
