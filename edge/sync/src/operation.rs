//! A bulk operation at Shopify: its states, and which one is one's own.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::step::StepError;

/// What `bulkOperation` says. Counters come as text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// `gid://shopify/BulkOperation/...`
    pub id: String,
    /// CREATED, RUNNING, CANCELING, CANCELED, COMPLETED, FAILED, EXPIRED.
    pub status: String,
    /// Why it failed.
    #[serde(default)]
    pub error_code: Option<String>,
    /// When it was created.
    pub created_at: String,
    /// Lines of the result.
    #[serde(default, deserialize_with = "counter")]
    pub object_count: Option<u64>,
    /// Bytes of the result.
    #[serde(default, deserialize_with = "counter")]
    pub file_size: Option<u64>,
    /// Where the result is; signed, so it is a secret.
    #[serde(default)]
    pub url: Option<String>,
}

/// What is to be done about an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Wait.
    Running,
    /// Its result is whole.
    Complete,
    /// Nothing usable came of it; ask again. A window that is too much for Shopify is halved after some tries.
    Again {
        /// Class of the failure.
        error_kind: String,
        /// Whether a smaller window may help.
        halves: bool,
    },
    /// Only a person can mend it.
    Failed {
        /// Class of the failure.
        error_kind: String,
    },
}

impl Operation {
    /// Reads the `bulkOperation` of an answer.
    ///
    /// # Errors
    /// When Shopify does not know the operation or says something else than its schema.
    pub fn read(value: &Value) -> Result<Self, StepError> {
        if value.is_null() {
            return Err(StepError::lasting(
                "operation_unknown",
                "Shopify does not know this bulk operation",
            ));
        }
        serde_json::from_value(value.clone())
            .map_err(|error| StepError::passing("unreadable_answer", format!("bulkOperation: {error}")))
    }

    /// What is to be done. Only COMPLETED is complete: a CANCELED or FAILED operation can have a url too, with a part of the rows.
    #[must_use]
    pub fn state(&self) -> State {
        let again = |error_kind: &str, halves| State::Again {
            error_kind: error_kind.to_owned(),
            halves,
        };
        match (self.status.as_str(), self.error_code.as_deref()) {
            ("CREATED" | "RUNNING" | "CANCELING", _) => State::Running,
            ("COMPLETED", _) => State::Complete,
            ("CANCELED", _) => again("operation_canceled", false),
            ("EXPIRED", _) => again("operation_expired", false),
            ("FAILED", Some("ACCESS_DENIED")) => State::Failed {
                error_kind: "access_denied".to_owned(),
            },
            ("FAILED", code) => again(
                &format!("operation_failed_{}", code.unwrap_or("unknown").to_lowercase()),
                true,
            ),
            (other, _) => State::Failed {
                error_kind: format!("operation_status_{}", other.to_lowercase()),
            },
        }
    }
}

/// The operations among the `recent` ones that may be one's own, in their order: each has exactly this query text, is not
/// `excluded`, and runs or is complete. The text has the window in it; whether another run has asked for the same is not told.
#[must_use]
pub fn alike<'a>(recent: &'a Value, query: &str, excluded: &[String]) -> Vec<&'a str> {
    let edges = recent["edges"].as_array().into_iter().flatten();
    let alike = edges.map(|edge| &edge["node"]).filter_map(|node| {
        let id = node["id"].as_str()?;
        let usable = matches!(node["status"].as_str()?, "CREATED" | "RUNNING" | "COMPLETED");
        let same = node["query"].as_str()?.trim() == query.trim();
        (usable && same && !excluded.iter().any(|other| other == id)).then_some(id)
    });
    alike.collect()
}

/// Those of `own` among the `recent` operations that have not ended.
#[must_use]
pub fn running<'a>(recent: &'a Value, own: &[String]) -> Vec<&'a str> {
    let edges = recent["edges"].as_array().into_iter().flatten();
    let running = edges.map(|edge| &edge["node"]).filter_map(|node| {
        let id = node["id"].as_str()?;
        (matches!(node["status"].as_str()?, "CREATED" | "RUNNING") && own.iter().any(|one| one == id)).then_some(id)
    });
    running.collect()
}

fn counter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        Value::Number(number) => number
            .as_u64()
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("a counter is a whole number")),
        _ => Err(serde::de::Error::custom("a counter is text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(status: &str, error_code: Option<&str>) -> Operation {
        Operation::read(&json!({
            "id": "gid://shopify/BulkOperation/1", "status": status, "errorCode": error_code,
            "createdAt": "2026-11-24T10:00:00Z", "objectCount": "9007199254740993", "fileSize": "12",
            "url": "https://storage.example/result",
        }))
        .unwrap()
    }

    #[test]
    fn only_completed_is_complete_whatever_url_there_is() {
        assert_eq!(operation("COMPLETED", None).state(), State::Complete);
        assert_eq!(operation("COMPLETED", None).object_count, Some(9_007_199_254_740_993));
        for running in ["CREATED", "RUNNING", "CANCELING"] {
            assert_eq!(operation(running, None).state(), State::Running);
        }
        for (status, code, halves) in [
            ("CANCELED", None, false),
            ("EXPIRED", None, false),
            ("FAILED", Some("INTERNAL_SERVER_ERROR"), true),
            ("FAILED", Some("TIMEOUT"), true),
        ] {
            let state = operation(status, code).state();
            assert!(
                matches!(state, State::Again { halves: h, .. } if h == halves),
                "{state:?}"
            );
        }
        assert!(matches!(
            operation("FAILED", Some("ACCESS_DENIED")).state(),
            State::Failed { .. }
        ));
        assert!(matches!(operation("ARCHIVED", None).state(), State::Failed { .. }));
        assert!(Operation::read(&Value::Null).unwrap_err().retry_after_millis.is_none());
    }

    #[test]
    fn ones_own_operation_has_ones_own_text() {
        let node = |id: &str, status: &str, query: &str| json!({"node": {"id": id, "status": status, "query": query}});
        let recent = json!({"edges": [
            node("stranger", "RUNNING", "{ products { edges { node { id } } } }"),
            node("failed", "FAILED", "mine"), node("spent", "COMPLETED", "mine"), node("own", "RUNNING", "mine\n"),
        ]});
        assert_eq!(alike(&recent, "mine", &["spent".into()]), ["own"]);
        assert_eq!(alike(&recent, "mine", &[]), ["spent", "own"]);
        assert!(alike(&recent, "other", &[]).is_empty() && alike(&Value::Null, "mine", &[]).is_empty());
    }
}
