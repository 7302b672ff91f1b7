//! SYNC_TELEMETRY of a refresh: one event per step, through the same ingest as everybody's.

use jiff::Timestamp;
use serde_json::{json, Value};
use weir_domain::telemetry::{event_id, sync, versions};

use super::refresh::Outcome;
use super::steps::{Progress, Step};
use crate::pipeline::Pipelines;
use crate::{Error, Result};

const WORKFLOW: &str = "measurement_refresh";
/// A refresh covers every shop of the lake, but each event names a shop.
const ALL_SHOPS: &str = "*";

/// Journals what the steps of a run did, up to the one that failed if one did.
///
/// # Errors
/// If an event is refused, or the journal is full or closed.
pub async fn report(pipelines: &Pipelines, progress: &Progress, result: &Result<Outcome>) -> Result<()> {
    let events = events(&progress.spans(Timestamp::now()), result);
    let versions = versions("sync");
    let Some(newest) = versions.last() else { return Ok(()) };
    // To every version that is served, as the Workers do; a repeated event has the same id.
    for stream in &versions {
        let rows: Vec<_> = events.iter().map(|event| stream.narrowed(event, newest)).collect();
        let body = json!(rows).to_string().into_bytes();
        let verdicts = pipelines.ingest(stream.name, body).await?;
        if verdicts.accepted != events.len() {
            let name = stream.name;
            return Err(Error::Internal(format!(
                "{name} refused the refresh's events: {verdicts:?}"
            )));
        }
    }
    Ok(())
}

fn events(spans: &[(Step, Timestamp, Timestamp)], result: &Result<Outcome>) -> Vec<Value> {
    let Some((_, run_started, _)) = spans.first() else {
        return Vec::new();
    };
    let run = format!("{run_started:.3}");
    let instance_id = match result {
        Ok(outcome) => outcome.refresh_id.clone(),
        Err(_) => run.clone(),
    };
    let last = spans.len() - 1;
    spans
        .iter()
        .enumerate()
        .map(|(index, (step, started, ended))| {
            let start = format!("{started:.3}");
            let mut event = json!({
                // A run is told apart by its start: the same refresh can be run again.
                "event_id": event_id(ALL_SHOPS, WORKFLOW, &instance_id, &format!("{run}/{}", step.name())),
                "event_type": WORKFLOW,
                "schema_version": sync().version(),
                "occurred_at": start,
                "received_at": format!("{ended:.3}"),
                "event_date": &start[..10],
                "event_hour": started.to_zoned(jiff::tz::TimeZone::UTC).hour(),
                "source": "workflow",
                "shop_domain": ALL_SHOPS,
                "workflow": WORKFLOW,
                "instance_id": instance_id,
                "step": step.name(),
                "attempt": 1,
                "status": "succeeded",
                "started_at": start,
                "duration_ms": ended.as_millisecond() - started.as_millisecond(),
            });
            match result {
                Ok(outcome) => count(&mut event, *step, outcome),
                Err(error) if index == last => {
                    event["status"] = "failed".into();
                    event["error_kind"] = error.status().as_str().into();
                }
                Err(_) => {}
            }
            event
        })
        .collect()
}

/// Rows read and written, where a step reads or writes any.
fn count(event: &mut Value, step: Step, outcome: &Outcome) {
    match step {
        Step::Query => event["records_read"] = outcome.event_count.into(),
        Step::Compute => {}
        Step::Classify => event["records_read"] = outcome.product_count.into(),
        Step::Write => {
            let rows = outcome.rows_to_write;
            event["records_read"] = rows.into();
            event["records_upserted"] = outcome.rows_committed.into();
            event["records_unchanged"] = (rows - outcome.rows_committed).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(steps: &[Step]) -> Progress {
        let progress = Progress::default();
        steps.iter().for_each(|step| progress.begin(*step));
        progress
    }

    fn told(progress: &Progress, result: &Result<Outcome>) -> Vec<Value> {
        let events = events(&progress.spans(Timestamp::now()), result);
        for event in &events {
            weir_domain::telemetry::sync().validate(event).expect("a valid event");
        }
        events
    }

    #[test]
    fn a_whole_refresh_tells_of_its_four_steps() {
        let outcome = Outcome {
            refresh_id: "r".to_owned(),
            mode: "incremental",
            reason: None,
            order_count: Some(1),
            changed_days: Some(Vec::new()),
            rows_to_write: 5,
            source_snapshot_id: Some("1".to_owned()),
            computed_on: vec!["2026-03-31".to_owned()],
            ended_on: Vec::new(),
            event_count: 5,
            product_count: 2,
            sales_rows: 3,
            performance_rows: 2,
            rows_committed: 2,
            committed_tables: vec!["measurement.performance".to_owned()],
            warnings: Vec::new(),
        };
        let all = progress(&[Step::Query, Step::Compute, Step::Classify, Step::Write]);
        let events = told(&all, &Ok(outcome));
        let steps: Vec<_> = events.iter().map(|event| event["step"].as_str().unwrap()).collect();
        assert_eq!(steps, ["query", "compute", "classify", "write"]);
        assert_eq!(
            (&events[3]["records_upserted"], &events[3]["records_unchanged"]),
            (&json!(2), &json!(3))
        );
        let ids: std::collections::HashSet<_> = events.iter().map(|event| event["event_id"].to_string()).collect();
        assert_eq!(ids.len(), 4);
        // One step ends where the next begins.
        assert_eq!(events[0]["received_at"], events[1]["started_at"]);
    }

    #[test]
    fn a_failed_refresh_tells_at_which_step() {
        let halfway = progress(&[Step::Query, Step::Compute]);
        let events = told(&halfway, &Err(Error::Internal("boom".to_owned())));
        let statuses: Vec<_> = events.iter().map(|event| event["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["succeeded", "failed"]);
        assert!(!events[1].to_string().contains("boom"), "an error's text may hold data");
    }
}
