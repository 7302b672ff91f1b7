//! A batch of deliveries: PostgreSQL, then the stream, then one decision per delivery.
//!
//! The rule behind every branch: a delivery is acknowledged only when its rows are committed **and** its events are
//! confirmed by the stream (by each version that is bound), or when it is durably in the quarantine. Everything else is retried, which is safe: the
//! extension recognises a repeated delivery and gives the same events with the same ids.

use std::collections::HashSet;

use serde_json::Value;
use weir_domain::webhook::{batch_text, Delivery};
use weir_edge_shared::decision::Decision;
use weir_edge_shared::ingest::{IngestError, IngestResult, IngestTransport, Verdict};
use weir_edge_shared::stream::{EventViolation, StreamSender};
use weir_edge_shared::versions::{Rows, StreamVersions};

/// Processes `deliveries` and decides each, in the order given.
pub async fn consume(
    deliveries: &[Delivery],
    transport: &impl IngestTransport,
    streams: &StreamVersions<impl StreamSender>,
) -> Vec<Decision> {
    match ingest(deliveries, transport).await {
        // One poisonous delivery fails the whole statement. Alone, it is found; its neighbours are not held up.
        Err(error) if error.may_be_of_one() && deliveries.len() > 1 => one_by_one(deliveries, transport, streams).await,
        answer => settle(process(answer, deliveries, streams).await, deliveries.len()),
    }
}

/// Decides each delivery by a call of its own, until PostgreSQL or the stream does not answer any more: a hundred that are waited
/// for until their time is over would outlast the invocation. The others are retried.
async fn one_by_one(
    deliveries: &[Delivery],
    transport: &impl IngestTransport,
    streams: &StreamVersions<impl StreamSender>,
) -> Vec<Decision> {
    let mut decisions = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let alone = std::slice::from_ref(delivery);
        let answer = ingest(alone, transport).await;
        let mut is_over = answer.as_ref().is_err_and(|error| error.sqlstate.is_none());
        let outcome = process(answer, alone, streams).await;
        // Of an answer as it should be only the stream's failure is to be retried.
        is_over |= matches!(outcome.as_deref(), Ok([Decision::Retry { .. }]));
        decisions.extend(settle(outcome, 1));
        if let (true, Some(last)) = (is_over, decisions.last().cloned()) {
            decisions.resize(deliveries.len(), last);
            break;
        }
    }
    decisions
}

fn settle(outcome: Result<Vec<Decision>, IngestError>, delivery_count: usize) -> Vec<Decision> {
    let decision = match outcome {
        Ok(decisions) => return decisions,
        Err(error) if error.is_about_the_data() => Decision::quarantine("database_refused", error.to_string()),
        Err(error) => Decision::Retry {
            cause: error.to_string(),
        },
    };
    vec![decision; delivery_count]
}

/// Sends the events of `answer`, which PostgreSQL gave to `deliveries`, and decides each of these.
async fn process(
    answer: Result<String, IngestError>,
    deliveries: &[Delivery],
    streams: &StreamVersions<impl StreamSender>,
) -> Result<Vec<Decision>, IngestError> {
    let result = IngestResult::parse(&answer?, deliveries.len())?;
    let checked = CheckedEvents::check(streams, &result)?;
    let sent = streams.send(&checked.rows).await.map_err(|error| error.to_string());
    Ok(decide(&result, &checked.violations, &sent))
}

/// What `weir.ingest` takes as something else than deliveries (invalid_parameter_value).
const NO_DELIVERIES: &str = "22023";

/// One call, with the bodies as they came. Quoted, as a JSON list, are those that hold U+0000, which no literal can, and a batch
/// for an extension that knows no other form.
async fn ingest(deliveries: &[Delivery], transport: &impl IngestTransport) -> Result<String, IngestError> {
    let unwritable = |error: serde_json::Error| IngestError::connection(error.to_string());
    if deliveries.iter().all(|delivery| !delivery.body.contains('\0')) {
        let parts: Vec<_> = deliveries.iter().map(|one| (one.headers(), &*one.body)).collect();
        let text = batch_text(&parts).map_err(unwritable)?;
        match transport.ingest(&text).await {
            Err(error) if error.sqlstate.as_deref() == Some(NO_DELIVERIES) => {}
            answer => return answer,
        }
    }
    let list = serde_json::to_string(deliveries).map_err(unwritable)?;
    transport.ingest(&list).await
}

/// The events of a batch, each once, parted into those to send and those the stream would drop.
struct CheckedEvents {
    rows: Rows,
    violations: Vec<(String, EventViolation)>,
}

impl CheckedEvents {
    fn check(streams: &StreamVersions<impl StreamSender>, result: &IngestResult) -> Result<Self, IngestError> {
        let claimed: HashSet<&str> = result
            .deliveries
            .iter()
            .flat_map(|verdict| verdict.event_ids.iter().map(String::as_str))
            .collect();
        let (mut rows, mut violations, mut seen) = (streams.rows(), Vec::new(), HashSet::new());
        for event in &result.events {
            let event_id = event.get("event_id").and_then(Value::as_str).unwrap_or_default();
            if !seen.insert(event_id) {
                continue;
            }
            match streams.add(&mut rows, event) {
                Ok(()) => {}
                // With no delivery to blame it on, acknowledging would lose it silently.
                Err(violation) if !claimed.contains(event_id) => {
                    let message = format!("invalid event of no delivery: {}", violation.detail);
                    return Err(IngestError::connection(message));
                }
                Err(violation) => violations.push((event_id.to_owned(), violation)),
            }
        }
        if let Some(absent) = claimed.iter().find(|event_id| !seen.contains(*event_id)) {
            return Err(IngestError::connection(format!(
                "event {absent} is named by a delivery and absent"
            )));
        }
        Ok(Self { rows, violations })
    }
}

/// One decision per delivery from the verdicts, the events found invalid and the outcome of sending the others.
///
/// A rejected delivery has nothing to send, so it is quarantined even while the stream is down.
fn decide(result: &IngestResult, violations: &[(String, EventViolation)], sent: &Result<(), String>) -> Vec<Decision> {
    let decide_one = |verdict: &weir_edge_shared::ingest::DeliveryVerdict| {
        if verdict.verdict == Verdict::Rejected {
            let reason = verdict.reason.as_deref().unwrap_or("rejected");
            return Decision::quarantine(reason, verdict.detail.clone().unwrap_or_default());
        }
        // Admitted here and read by no version of the extension so far: kept, so that it can be replayed by one that does.
        if verdict.verdict == Verdict::Ignored && verdict.reason.as_deref() == Some("unsupported_topic") {
            return Decision::quarantine("unsupported_topic", "not read by this version of the extension");
        }
        if let Err(cause) = sent {
            return Decision::Retry { cause: cause.clone() };
        }
        match violations
            .iter()
            .find(|(event_id, _)| verdict.event_ids.contains(event_id))
        {
            Some((event_id, violation)) => {
                Decision::quarantine(violation.reason, format!("event {event_id}: {}", violation.detail))
            }
            None => Decision::Acknowledge,
        }
    };
    result.deliveries.iter().map(decide_one).collect()
}

#[cfg(test)]
mod tests;
