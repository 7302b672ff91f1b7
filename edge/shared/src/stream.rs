//! Events on their way to a stream: checked, batched, sent.

use std::future::Future;

use serde_json::Value;
use weir_domain::telemetry::{StreamSchema, MAX_ROW_BYTES};

/// Most bytes of JSON in one `send`. Cloudflare takes 5 MB a request; 4 MB leaves room for its own framing.
pub const MAX_BATCH_BYTES: usize = 4_000_000;

/// Largest integer that a JavaScript number holds exactly (2^53 - 1). Events cross JavaScript on their way.
const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// A `send` that the stream did not take. Nothing of its batch may be regarded as sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream: {0}")]
pub struct StreamError(pub String);

/// Where events go: the Pipelines binding in the Worker, a fault-injecting fake in tests.
pub trait StreamSender {
    /// Sends one batch, a JSON array of at most [`MAX_BATCH_BYTES`].
    ///
    /// # Errors
    /// [`StreamError`] when the stream did not confirm the batch. Sending it again is safe: event ids are deterministic.
    fn send(&self, batch: &str) -> impl Future<Output = Result<(), StreamError>>;
}

/// Why an event must not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventViolation {
    /// Reason class, as in verdicts.
    pub reason: &'static str,
    /// Field and what was expected; no value of the event.
    pub detail: String,
}

/// Checks one event and returns its JSON text.
///
/// # Errors
/// [`EventViolation`] when the stream would drop the event without a word.
pub fn check(schema: &StreamSchema, event: &Value) -> Result<String, EventViolation> {
    schema.validate(event).map_err(|violation| EventViolation {
        reason: violation.reason.as_str(),
        detail: format!("{}: {}", violation.field, violation.detail),
    })?;
    if let Some(field) = unsafe_integer(event, "") {
        return Err(EventViolation {
            reason: "type_mismatch",
            detail: format!("{field}: integer beyond 2^53 - 1"),
        });
    }
    let text = event.to_string();
    if text.len() > MAX_ROW_BYTES {
        let detail = format!("row of {} bytes, at most {MAX_ROW_BYTES} are sent", text.len());
        return Err(EventViolation {
            reason: "type_mismatch",
            detail,
        });
    }
    Ok(text)
}

fn unsafe_integer(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            magnitude
                .is_some_and(|magnitude| magnitude > MAX_SAFE_INTEGER)
                .then(|| path.to_owned())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| unsafe_integer(item, &format!("{path}[{index}]"))),
        Value::Object(fields) => fields.iter().find_map(|(name, item)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            unsafe_integer(item, &path)
        }),
        _ => None,
    }
}

/// Joins rows to JSON arrays of at most `max_bytes` each, in order. A row longer than that gets an array of its own.
#[must_use]
pub fn batches(rows: &[String], max_bytes: usize) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    for row in rows {
        match batches.last_mut() {
            // The comma and the closing bracket.
            Some(batch) if batch.len() + row.len() + 2 <= max_bytes => {
                batch.push(',');
                batch.push_str(row);
            }
            _ => batches.push(format!("[{row}")),
        }
    }
    for batch in &mut batches {
        batch.push(']');
    }
    batches
}

/// Sends `rows`, checked JSON texts, in as many batches as it takes.
///
/// # Errors
/// Of the first batch that the stream did not take; those before it are sent.
pub async fn send_all(rows: &[String], stream: &impl StreamSender) -> Result<(), StreamError> {
    for batch in batches(rows, MAX_BATCH_BYTES) {
        stream.send(&batch).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "event_id": "0b0c7b0e-0000-5000-8000-000000000000", "event_type": "order_created", "schema_version": 1,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
        })
    }

    #[test]
    fn a_valid_event_passes_and_its_faults_are_named() {
        let schema = weir_domain::telemetry::commerce();
        assert!(check(&schema, &event()).is_ok());
        let mut broken = event();
        broken["event_type"] = Value::Null;
        assert_eq!(check(&schema, &broken).unwrap_err().reason, "null_value");
        broken["event_type"] = json!(5);
        let violation = check(&schema, &broken).unwrap_err();
        assert_eq!(violation.reason, "type_mismatch");
        assert!(violation.detail.contains("event_type"), "{}", violation.detail);
    }

    #[test]
    fn an_integer_that_javascript_would_round_is_refused() {
        let schema = weir_domain::telemetry::commerce();
        let mut row = event();
        row["order_revision"] = json!(MAX_SAFE_INTEGER);
        assert!(check(&schema, &row).is_ok());
        row["order_revision"] = json!(MAX_SAFE_INTEGER + 1);
        assert_eq!(
            check(&schema, &row).unwrap_err().detail,
            "order_revision: integer beyond 2^53 - 1"
        );
    }

    #[test]
    fn a_row_too_large_for_the_stream_is_refused() {
        let mut row = event();
        row["order_name"] = json!("x".repeat(MAX_ROW_BYTES));
        assert!(check(&weir_domain::telemetry::commerce(), &row)
            .unwrap_err()
            .detail
            .contains("bytes"));
    }

    proptest! {
        #[test]
        fn batches_hold_the_limit_and_lose_nothing(lengths in prop::collection::vec(1usize..60, 0..50)) {
            let rows: Vec<String> = lengths.iter().map(|length| format!("\"{}\"", "x".repeat(*length))).collect();
            let batches = batches(&rows, 100);
            prop_assert!(batches.iter().all(|batch| batch.len() <= 100));
            let back: Vec<String> = batches
                .iter()
                .flat_map(|batch| serde_json::from_str::<Vec<Value>>(batch).unwrap())
                .map(|row| row.to_string())
                .collect();
            prop_assert_eq!(back, rows);
        }
    }
}
