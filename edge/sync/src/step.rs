//! What a step is given, gives back, and how it fails.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of a step's result. Cloudflare keeps at most 1 MiB of each; locally nothing enforces it, so it is checked here.
/// Steps pass keys and counts on, never data.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

/// Longest wait that a step asks for before it is tried again, in milliseconds.
pub const MAX_RETRY_AFTER_MILLIS: u64 = 60_000;

/// Which step of which run this is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Run {
    /// Workflow name, for example `daily_shopify_bulk_sync`.
    pub workflow: String,
    /// Instance of the workflow.
    pub instance_id: String,
    /// The shop, or `*` for work that is every shop's.
    pub shop_domain: String,
    /// Step name, unique within the run.
    pub step: String,
    /// 1 for the first.
    pub attempt: i32,
    /// `source` of the events that come of it: `bulk_sync`, `backfill` or `replay`.
    #[serde(default)]
    pub source: String,
}

/// What a step counted, for telemetry and for the check before the watermark moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Counts {
    /// Source rows read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<i64>,
    /// Rows written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upserted: Option<i64>,
    /// Rows that were already so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<i64>,
    /// Rows, or events, in the quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<i64>,
    /// Events that a stream confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streamed: Option<i64>,
    /// Bytes moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What the next steps need.
    pub output: Value,
    /// What it counted.
    pub counts: Counts,
    /// Watermark at the start and at the end, RFC 3339, where the step read or moved one.
    pub watermark: (Option<String>, Option<String>),
}

impl Outcome {
    /// An outcome without counts.
    #[must_use]
    pub fn of(output: Value) -> Self {
        Self {
            output,
            ..Self::default()
        }
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    /// Class of the failure; no payload, for telemetry.
    pub kind: String,
    /// What, where, what to do; for the log and the operator.
    pub detail: String,
    /// `Some` milliseconds to wait before it is tried again; `None` when trying again would not help.
    pub retry_after_millis: Option<u64>,
}

impl StepError {
    /// A failure that another attempt may not have.
    #[must_use]
    pub fn passing(kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            detail: detail.into(),
            retry_after_millis: Some(0),
        }
    }

    /// A failure that every attempt will have.
    #[must_use]
    pub fn lasting(kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            detail: detail.into(),
            retry_after_millis: None,
        }
    }

    /// The same, tried again no sooner than after `millis`.
    #[must_use]
    pub fn after(mut self, millis: u64) -> Self {
        self.retry_after_millis = Some(millis.min(MAX_RETRY_AFTER_MILLIS));
        self
    }
}

/// The text of an outcome that the Workflows runtime keeps.
///
/// # Errors
/// When it is too large to be kept, which is a fault of the step and not of the data.
pub fn kept(output: &Value) -> Result<String, StepError> {
    let text = output.to_string();
    if text.len() > MAX_RESULT_BYTES {
        let detail = format!("{} bytes, at most {MAX_RESULT_BYTES} are kept", text.len());
        return Err(StepError::lasting("step_result_too_large", detail));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_beyond_a_mebibyte_is_refused_here_as_at_cloudflare() {
        let of = |length: usize| kept(&Value::from("x".repeat(length)));
        assert!(of(MAX_RESULT_BYTES - 2).is_ok());
        assert_eq!(of(MAX_RESULT_BYTES - 1).unwrap_err().kind, "step_result_too_large");
    }

    #[test]
    fn a_wait_has_a_limit() {
        let error = StepError::passing("throttled", "").after(10_000_000);
        assert_eq!(error.retry_after_millis, Some(MAX_RETRY_AFTER_MILLIS));
    }
}
