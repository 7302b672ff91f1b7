//! A chunk of lines into PostgreSQL: what `weir.ingest_bulk` is told and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use weir_edge_shared::discreet::place;
use weir_edge_shared::ingest::IngestError;

use crate::registration::refused;
use crate::step::StepError;

/// Where lines come from; the last argument of `weir.ingest_bulk`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `gid://shopify/BulkOperation/...`
    pub operation_id: String,
    /// Which query they answer.
    pub kind: String,
    /// `bulk_sync`, `backfill` or `replay`.
    pub source: String,
    /// When Shopify created the operation: nothing in it is newer.
    pub started_at: String,
    /// Now.
    pub received_at: String,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Line in the chunk, from 1.
    pub line: i64,
    /// Gid, where it could be read.
    #[serde(default)]
    pub id: Option<String>,
    /// Reason class.
    pub reason: String,
    /// What exactly.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What became of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// Lines read.
    pub read: i64,
    /// Written.
    pub upserted: i64,
    /// Already so.
    pub unchanged: i64,
    /// Refused.
    pub rejected: i64,
    /// Which were refused, and why.
    #[serde(default)]
    pub rejections: Vec<Rejection>,
}

impl Answer {
    /// Reads the answer to a chunk of `lines` lines.
    ///
    /// # Errors
    /// When it does not account for each line: then nothing is known to be done, and the chunk is sent again.
    pub fn read(text: &str, lines: i64) -> Result<Self, StepError> {
        let answer: Self = serde_json::from_str(text)
            .map_err(|error| StepError::passing("unreadable_answer", format!("weir.ingest_bulk: {}", place(&error))))?;
        let accounted = answer.upserted + answer.unchanged + answer.rejected;
        let listed = i64::try_from(answer.rejections.len()).unwrap_or(i64::MAX);
        if answer.read != lines || accounted != lines || listed != answer.rejected {
            let detail = format!(
                "{lines} lines sent; the answer accounts for {accounted} of {}",
                answer.read
            );
            return Err(StepError::passing("unaccounted_lines", detail));
        }
        Ok(answer)
    }

    /// Why PostgreSQL takes nothing of the shop, where that is why it refused the chunk: for such a reason it refuses every line.
    #[must_use]
    pub fn refused_shop(&self, shop: &str) -> Option<StepError> {
        let reason = self.rejections.first()?.reason.as_str();
        matches!(reason, "redacted" | "unknown_shop").then(|| refused(reason, shop))
    }
}

/// What the quarantine keeps of the lines of one chunk of `object`, a result of `shop` in the archive, that were not taken. A
/// replay of it takes the whole result again.
#[must_use]
pub fn quarantined(
    provenance: &Provenance,
    [shop, object]: [&str; 2],
    text: &str,
    answer: &Answer,
    unsendable: &[String],
) -> Option<Value> {
    let lines: Vec<&str> = text.lines().collect();
    let refused = answer.rejections.iter().map(|rejection| {
        let index = usize::try_from(rejection.line - 1).unwrap_or(usize::MAX);
        json!({"reason": rejection.reason, "detail": rejection.detail, "id": rejection.id, "line": lines.get(index)})
    });
    let unreadable = unsendable
        .iter()
        .map(|line| json!({"reason": "invalid_text", "detail": "not UTF-8, or a NUL", "id": null, "line": line}));
    let records: Vec<Value> = refused.chain(unreadable).collect();
    (!records.is_empty())
        .then(|| json!({"shop_domain": shop, "object": object, "run": provenance, "rejections": records}))
}

/// How a failed call of PostgreSQL goes on.
#[must_use]
pub fn database(error: &IngestError) -> StepError {
    let kind = match error.sqlstate.as_deref() {
        Some(code) => format!("postgres_{code}"),
        None => "postgres_connection".to_owned(),
    };
    // While the SQL-only install is made anew, a call under way finds functions (42883) and types (42704) of it gone. Between a
    // newer extension, or newer functions, and `weir db migrate` they miss tables (42P01) and columns (42703) that are to come.
    let lacks_for_good = |code: &str| code.starts_with("42") && !matches!(code, "42883" | "42704" | "42703" | "42P01");
    if error.is_about_the_data() || error.sqlstate.as_deref().is_some_and(lacks_for_good) {
        return StepError::lasting(&kind, error.to_string());
    }
    StepError::passing(&kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provenance() -> Provenance {
        Provenance {
            operation_id: "gid://shopify/BulkOperation/1".into(),
            kind: "orders_core".into(),
            source: "bulk_sync".into(),
            started_at: "2026-11-24T10:00:00Z".into(),
            received_at: "2026-11-24T10:05:00.000Z".into(),
        }
    }

    #[test]
    fn an_answer_accounts_for_every_line_or_is_none() {
        let text = |read, rejected, list| {
            json!({"read": read, "upserted": 1, "unchanged": 1, "rejected": rejected, "roots": 1, "rejections": list})
                .to_string()
        };
        let list = json!([{"line": 2, "id": "gid://shopify/Order/1", "reason": "type_mismatch", "detail": "test"}]);
        assert!(Answer::read(&text(3, 1, list.clone()), 3).is_ok());
        for (read, rejected, list, lines) in [
            (3, 1, json!([]), 3),
            (3, 1, list.clone(), 4),
            (2, 1, list, 3),
            (2, 0, json!([]), 3),
        ] {
            let error = Answer::read(&text(read, rejected, list), lines).unwrap_err();
            assert_eq!(error.kind, "unaccounted_lines");
        }
        assert!(Answer::read("{}", 0).is_err());
    }

    #[test]
    fn a_chunk_of_a_forgotten_shop_is_a_failure_and_not_rejected_lines() {
        let refused_for = |reason: &str| {
            let list = json!([{"line": 1, "id": null, "reason": reason, "detail": "test"}]);
            let text = json!({"read": 1, "upserted": 0, "unchanged": 0, "rejected": 1, "rejections": list}).to_string();
            let refused = Answer::read(&text, 1).unwrap().refused_shop("d");
            refused.map(|error| (error.kind, error.retry_after_millis))
        };
        assert_eq!(refused_for("redacted"), Some(("shop_forgotten".into(), None)));
        assert_eq!(refused_for("unknown_shop"), Some(("unknown_shop".into(), None)));
        assert_eq!(refused_for("type_mismatch"), None);
    }

    #[test]
    fn a_rejected_line_is_kept_with_its_text() {
        let answer = Answer {
            read: 2,
            upserted: 1,
            unchanged: 0,
            rejected: 1,
            rejections: vec![Rejection {
                line: 2,
                id: None,
                reason: "parse_failure".into(),
                detail: None,
            }],
        };
        let kept = quarantined(
            &provenance(),
            ["d", "archive/d/1.jsonl"],
            "{}\n{broken\n",
            &answer,
            &["x".into()],
        )
        .unwrap();
        assert_eq!(kept["rejections"][0]["line"], "{broken");
        assert_eq!(kept["rejections"][1]["reason"], "invalid_text");
        assert_eq!(kept["run"]["kind"], "orders_core");
        assert_eq!(kept["object"], "archive/d/1.jsonl");
        let none = Answer {
            rejected: 0,
            rejections: vec![],
            ..answer
        };
        assert_eq!(quarantined(&provenance(), ["d", "o"], "{}\n", &none, &[]), None);
    }

    #[test]
    fn an_outage_passes_and_a_missing_right_does_not() {
        let error = |code: Option<&str>| IngestError {
            sqlstate: code.map(Into::into),
            message: String::new(),
        };
        assert!(database(&error(None)).retry_after_millis.is_some());
        assert!(database(&error(Some("40001"))).retry_after_millis.is_some());
        // The install is being made anew, or waits for its migrations.
        for absent in ["42883", "42704", "42703", "42P01"] {
            assert!(database(&error(Some(absent))).retry_after_millis.is_some(), "{absent}");
        }
        assert!(database(&error(Some("42501"))).retry_after_millis.is_none());
    }
}
