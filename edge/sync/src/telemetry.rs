//! SYNC_TELEMETRY: one event for each attempt at a step.

use jiff::Timestamp;
use serde_json::{json, Value};
use weir_domain::telemetry::event_id;
use weir_domain::watermark::text;

use crate::step::{Outcome, Run, StepError};

/// The event of an attempt at `run`'s step, from `started` to `ended`.
///
/// Its id says run, step and attempt: an attempt that is repeated because its result was lost has the same one.
#[must_use]
pub fn event(run: &Run, started: Timestamp, ended: Timestamp, result: Result<&Outcome, &StepError>) -> Value {
    let started_at = text(started);
    let discriminator = format!("{}/{}", run.step, run.attempt);
    let mut event = json!({
        "event_id": event_id(&run.shop_domain, &run.workflow, &run.instance_id, &discriminator),
        "event_type": run.workflow,
        "schema_version": 1,
        "occurred_at": started_at,
        "received_at": text(ended),
        "event_date": &started_at[..10],
        "event_hour": started.to_zoned(jiff::tz::TimeZone::UTC).hour(),
        "source": "workflow",
        "shop_domain": run.shop_domain,
        "workflow": run.workflow,
        "instance_id": run.instance_id,
        "step": run.step,
        "attempt": run.attempt,
        "status": if result.is_ok() { "succeeded" } else { "failed" },
        "started_at": started_at,
        "duration_ms": (ended.as_millisecond() - started.as_millisecond()).max(0),
    });
    match result {
        Ok(outcome) => add_facts(&mut event, outcome),
        Err(error) => event["error_kind"] = error.kind.as_str().into(),
    }
    event
}

fn add_facts(event: &mut Value, outcome: &Outcome) {
    let counts = &outcome.counts;
    let facts = [
        ("records_read", counts.read),
        ("records_upserted", counts.upserted),
        ("records_unchanged", counts.unchanged),
        ("records_rejected", counts.rejected),
        ("records_streamed", counts.streamed),
        ("bytes", counts.bytes),
    ];
    for (name, count) in facts {
        if let Some(count) = count {
            event[name] = count.into();
        }
    }
    let (before, after) = &outcome.watermark;
    for (name, instant) in [("watermark_before", before), ("watermark_after", after)] {
        if let Some(instant) = instant {
            event[name] = instant.as_str().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_edge_shared::stream::check;

    use super::*;
    use crate::step::Counts;

    fn run(attempt: i32) -> Run {
        Run {
            workflow: "daily_shopify_bulk_sync".into(),
            instance_id: "daily_shopify_bulk_sync-demo-2026-11-24".into(),
            shop_domain: "demo.myshopify.com".into(),
            step: "advance".into(),
            attempt,
            source: "bulk_sync".into(),
        }
    }

    #[test]
    fn both_ends_of_a_step_pass_the_stream_and_say_what_happened() {
        let (start, end) = (
            "2026-11-24T10:00:00Z".parse().unwrap(),
            "2026-11-24T10:00:01.500Z".parse().unwrap(),
        );
        let outcome = Outcome {
            counts: Counts {
                read: Some(5),
                ..Counts::default()
            },
            watermark: (None, Some("2026-11-24T10:00:00.000Z".into())),
            ..Outcome::default()
        };
        let schema = weir_domain::telemetry::sync();
        let good = event(&run(1), start, end, Ok(&outcome));
        assert!(check(&schema, &good).is_ok(), "{good}");
        assert_eq!((&good["records_read"], &good["duration_ms"]), (&json!(5), &json!(1500)));
        assert_eq!(good["watermark_after"], "2026-11-24T10:00:00.000Z");
        let error = StepError::lasting("count_mismatch", "order gid://shopify/Order/1 of Jane Doe");
        let bad = event(&run(2), start, end, Err(&error));
        assert!(check(&schema, &bad).is_ok(), "{bad}");
        assert_eq!(
            (&bad["status"], &bad["error_kind"]),
            (&json!("failed"), &json!("count_mismatch"))
        );
        assert!(!bad.to_string().contains("Jane"), "a detail may hold data");
        assert_ne!(good["event_id"], bad["event_id"]);
        assert_eq!(event(&run(1), end, end, Ok(&outcome))["event_id"], good["event_id"]);
    }
}
