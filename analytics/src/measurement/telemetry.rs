//! SYNC_TELEMETRY of a refresh: one event per run, through the same ingest as everybody's.

use jiff::Timestamp;
use serde_json::{json, Value};
use weir_domain::telemetry::event_id;

use super::refresh::Outcome;
use crate::pipeline::Pipelines;
use crate::{Error, Result};

const WORKFLOW: &str = "measurement_refresh";
/// A refresh covers every shop of the lake, but each event names a shop.
const ALL_SHOPS: &str = "*";

/// Journals what a run did, or that it failed.
///
/// # Errors
/// If the event is refused, or the journal is full or closed.
pub async fn report(pipelines: &Pipelines, started: Timestamp, result: &Result<Outcome>) -> Result<()> {
    let event = event(started, Timestamp::now(), result);
    let verdicts = pipelines
        .ingest("sync_v1", json!([event]).to_string().as_bytes())
        .await?;
    match verdicts.accepted {
        1 => Ok(()),
        _ => Err(Error::Internal(format!(
            "sync_v1 refused the refresh's event: {verdicts:?}"
        ))),
    }
}

fn event(started: Timestamp, ended: Timestamp, result: &Result<Outcome>) -> Value {
    let start = format!("{started:.3}");
    let instance_id = match result {
        Ok(outcome) => outcome.refresh_id.clone(),
        Err(_) => start.clone(),
    };
    let mut event = json!({
        "event_id": event_id(ALL_SHOPS, WORKFLOW, &instance_id, &start),
        "event_type": WORKFLOW,
        "schema_version": 1,
        "occurred_at": start,
        "received_at": format!("{ended:.3}"),
        "event_date": &start[..10],
        "event_hour": started.to_zoned(jiff::tz::TimeZone::UTC).hour(),
        "source": "workflow",
        "shop_domain": ALL_SHOPS,
        "workflow": WORKFLOW,
        "instance_id": instance_id,
        "step": "write",
        "attempt": 1,
        "started_at": start,
        "duration_ms": ended.as_millisecond() - started.as_millisecond(),
    });
    match result {
        Ok(outcome) => {
            let rows = outcome.sales_rows + outcome.performance_rows;
            let (upserted, unchanged) = if outcome.committed_tables.is_empty() {
                (0, rows)
            } else {
                (rows, 0)
            };
            event["status"] = "succeeded".into();
            event["records_read"] = outcome.event_count.into();
            event["records_upserted"] = upserted.into();
            event["records_unchanged"] = unchanged.into();
        }
        Err(error) => {
            event["status"] = "failed".into();
            event["error_kind"] = error.status().as_str().into();
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_refresh_fit_the_stream() {
        let outcome = Outcome {
            refresh_id: "r".to_owned(),
            source_snapshot_id: Some("1".to_owned()),
            computed_on: vec!["2026-03-31".to_owned()],
            event_count: 5,
            product_count: 2,
            sales_rows: 3,
            performance_rows: 2,
            committed_tables: Vec::new(),
        };
        let (started, ended) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        for result in [Ok(outcome), Err(Error::Internal("boom".to_owned()))] {
            let event = event(started, ended, &result);
            weir_domain::telemetry::sync().validate(&event).expect("a valid event");
        }
    }
}
