//! `weir.ingest` as the edge sees it: text in, verdicts and events out.

use std::future::Future;

use serde::Deserialize;
use serde_json::Value;

use crate::discreet::place;

/// A call to PostgreSQL that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PostgreSQL: {message}{}", sqlstate.as_deref().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default())]
pub struct IngestError {
    /// SQLSTATE when the server answered with an error; `None` when the connection failed.
    pub sqlstate: Option<String>,
    /// For the log and the quarantine, without any value; never for the sender of a webhook.
    pub message: String,
}

impl IngestError {
    /// An error of the connection or of the answer's form.
    #[must_use]
    pub fn connection(message: impl Into<String>) -> Self {
        Self {
            sqlstate: None,
            message: message.into(),
        }
    }

    /// The answer of `function` is not what the contract says.
    #[must_use]
    pub fn unreadable(function: &str, error: &serde_json::Error) -> Self {
        Self::connection(format!("the answer of {function} is {}", place(error)))
    }

    /// Whether the error is about the data sent, so that the same delivery would fail again while its neighbours would not:
    /// SQLSTATE classes 21 (cardinality), 22 (data exception), 23 (integrity constraint) and 54 (program limit, such as an
    /// index row too large or JSON nested too deep).
    #[must_use]
    pub fn is_about_the_data(&self) -> bool {
        self.has_class(&["21", "22", "23", "54"])
    }

    /// Whether a single delivery may be what fails, so that its neighbours should be tried without it: the data, or class XX
    /// (internal error), which a panic of the extension gives and so does a server that is broken for all. Nothing is blamed
    /// for the latter.
    #[must_use]
    pub fn may_be_of_one(&self) -> bool {
        self.is_about_the_data() || self.has_class(&["XX"])
    }

    fn has_class(&self, classes: &[&str]) -> bool {
        let class = self.sqlstate.as_deref().and_then(|code| code.get(..2));
        class.is_some_and(|class| classes.contains(&class))
    }
}

/// How the edge reaches `weir.ingest`: Hyperdrive in the Worker, a fault-injecting fake in tests.
pub trait IngestTransport {
    /// Calls `weir.ingest` once with `deliveries`, a JSON array or the text of [`weir_domain::webhook::batch_text`], and returns
    /// its JSON result.
    ///
    /// # Errors
    /// [`IngestError`] when the call failed; then it is unknown whether it was committed, and repeating it is safe.
    fn ingest(&self, deliveries: &str) -> impl Future<Output = Result<String, IngestError>>;
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Applied.
    Accepted,
    /// Seen before; its events are returned again, since they may never have been sent.
    Duplicate,
    /// Older than what is known.
    Stale,
    /// Understood, and nothing to do.
    Ignored,
    /// Refused; belongs in the quarantine.
    Rejected,
}

/// Verdict on one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeliveryVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// Reason class of a rejection.
    #[serde(default)]
    pub reason: Option<String>,
    /// What exactly and where.
    #[serde(default)]
    pub detail: Option<String>,
    /// Ids of the events that stem from this delivery.
    #[serde(default)]
    pub event_ids: Vec<String>,
}

/// Result of one call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IngestResult {
    /// One verdict per delivery, in the order given.
    pub deliveries: Vec<DeliveryVerdict>,
    /// All events of the batch.
    pub events: Vec<Value>,
}

impl IngestResult {
    /// Reads the answer to a call with `delivery_count` deliveries.
    ///
    /// # Errors
    /// [`IngestError`] without SQLSTATE when the answer is not what the contract says.
    pub fn parse(text: &str, delivery_count: usize) -> Result<Self, IngestError> {
        let result: Self =
            serde_json::from_str(text).map_err(|error| IngestError::unreadable("weir.ingest", &error))?;
        if result.deliveries.len() != delivery_count {
            let got = result.deliveries.len();
            return Err(IngestError::connection(format!(
                "{got} verdicts for {delivery_count} deliveries"
            )));
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_contract() {
        let text = r#"{"deliveries":[
            {"webhook_id":"a","topic":"orders/create","shop_domain":"d","verdict":"accepted","reason":null,"detail":null,"event_ids":["e1"]},
            {"webhook_id":"b","topic":"orders/create","shop_domain":"d","verdict":"rejected","reason":"missing_field","detail":"id","event_ids":[]}],
            "events":[{"event_id":"e1"}]}"#;
        let result = IngestResult::parse(text, 2).unwrap();
        assert_eq!(result.deliveries[0].verdict, Verdict::Accepted);
        assert_eq!(result.deliveries[1].reason.as_deref(), Some("missing_field"));
        assert!(IngestResult::parse(text, 3).is_err());
        assert!(IngestResult::parse("", 0).is_err());
    }

    #[test]
    fn only_data_errors_are_about_the_data() {
        let with = |code: &str| IngestError {
            sqlstate: Some(code.into()),
            message: String::new(),
        };
        for of_data in ["21000", "22P02", "23505", "54000", "54001"] {
            assert!(
                with(of_data).is_about_the_data() && with(of_data).may_be_of_one(),
                "{of_data}"
            );
        }
        for transient in ["08006", "40001", "53300", "57P01", "42883", "28P01", "5", ""] {
            assert!(
                !with(transient).is_about_the_data() && !with(transient).may_be_of_one(),
                "{transient}"
            );
        }
        assert!(!with("XX000").is_about_the_data() && with("XX000").may_be_of_one());
        assert!(!IngestError::connection("refused").is_about_the_data());
    }
}
