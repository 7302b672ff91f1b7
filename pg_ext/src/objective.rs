//! Objective specifications: validated where they are written, revisions only added, every change logged.
//!
//! Turns, revisions and the log are kept by triggers of the table (migration 004), so that whatever writes it obeys them;
//! the rules of a specification are in [`prepare`], which the trigger calls.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde_json::{Map, Value};
use weir_domain::events::wire_time;
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::shopify::json::Json;

use crate::report;
use crate::store::{cell, run};

const PUBLISH: &str = include_str!("../../sql/postgres/objective_publish.sql");
const SNAPSHOT: &str = include_str!("../../sql/postgres/objective_snapshot.sql");
const CHANGES: &str = include_str!("../../sql/postgres/objective_changes.sql");
const NOW: &str = "select (extract(epoch from pg_catalog.now()) * 1000000)::bigint";
const HINT: &str = "Thresholds are whole numbers of units or minor units, from 0; null disables a rule.";
const REFUSED: &str = "the objective specification is refused";

/// Validates, gives the next revision, stores, and returns the specification as stored.
pub fn publish(text: &str) -> String {
    let fields = fields(text);
    let id = match fields.get("objective_spec_id") {
        None => "default",
        Some(Value::String(id)) => id,
        Some(_) => report::invalid_argument(REFUSED, "objective_spec_id: must be text", HINT),
    };
    one(PUBLISH, &[DatumWithOid::from(id), DatumWithOid::from(text)])
}

/// The specification as it is stored: with its revision and the beginning of its validity, now if it names none.
pub fn prepare(artifact_id: &str, revision: i64, text: &str) -> String {
    let mut fields = fields(text);
    let id = fields
        .entry("objective_spec_id")
        .or_insert_with(|| artifact_id.into())
        .clone();
    if id != artifact_id {
        report::invalid_argument(REFUSED, "objective_spec_id: differs from the artifact_id", HINT);
    }
    fields.insert("revision".into(), revision.into());
    if fields.get("valid_from").is_none_or(Value::is_null) {
        let now: i64 = Spi::connect_mut(|client| {
            let mut rows = run(client, NOW, &[]);
            rows.next().map_or(0, |row| cell(&row, 1))
        });
        fields.insert("valid_from".into(), wire_time(now).into());
    }
    let specification = ObjectiveSpecification::from_json(&Value::Object(fields))
        .unwrap_or_else(|error| report::invalid_argument(REFUSED, &error.to_string(), HINT));
    serde_json::to_string(&specification)
        .unwrap_or_else(|_| report::internal("a specification cannot be written", "objective_specification"))
}

/// The specifications in force and to come, in one consistent read.
pub fn snapshot() -> String {
    one(SNAPSHOT, &[])
}

/// The changes after number `after`, oldest first.
pub fn changes(after: i64) -> String {
    one(CHANGES, &[DatumWithOid::from(after)])
}

fn fields(text: &str) -> Map<String, Value> {
    if Json::parse(text).is_err() {
        report::invalid_argument(REFUSED, "It is not JSON that PostgreSQL can store.", HINT);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => fields,
        _ => report::invalid_argument(REFUSED, "It is not a JSON object.", HINT),
    }
}

/// The text of a statement that returns one row.
fn one(sql: &str, arguments: &[DatumWithOid<'_>]) -> String {
    Spi::connect_mut(|client| {
        let mut rows = run(client, sql, arguments);
        let Some(row) = rows.next() else {
            report::internal("a statement returned no row", "objective specifications")
        };
        cell(&row, 1)
    })
}
