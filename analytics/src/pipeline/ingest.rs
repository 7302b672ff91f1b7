//! `POST /v1/streams/{stream}`: every row gets a verdict before the request gets its answer.

use arrow_array::RecordBatch;
use serde::Serialize;
use serde_json::{json, Value};
use weir_domain::telemetry::{Field, FieldType, MAX_ROW_BYTES};

use super::journal::frame;
use super::{Pipelines, Stream};
use crate::failpoint;
use crate::{Error, Result};

/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

/// What became of the rows of one request.
#[derive(Debug, Serialize)]
pub struct Verdicts {
    /// Rows that are durable in the journal.
    pub accepted: usize,
    /// Rows that are durable in the quarantine.
    pub rejected: Vec<Rejection>,
}

/// Why a row was refused. Carries no value of the row but its id.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// Position in the request.
    pub index: usize,
    /// The row's `event_id`, if it is text.
    pub event_id: Option<String>,
    /// `missing_field`, `null_value`, `type_mismatch`, `parse_failure` or `row_too_large`.
    pub reason: String,
    /// Path of the field; empty for the row itself.
    pub field: String,
    /// What was expected and what was found.
    pub detail: String,
}

struct Fault {
    reason: &'static str,
    field: String,
    detail: String,
}

/// A request's rows, judged.
#[derive(Default)]
struct Judged {
    /// Accepted rows, each a line of JSON.
    payload: Vec<u8>,
    /// The same rows as the table has them.
    batches: Vec<RecordBatch>,
    accepted: usize,
    rejected: Vec<Rejection>,
    /// What the quarantine keeps of the rejected.
    records: Vec<Value>,
}

impl Pipelines {
    /// Validates the JSON array in `body`, keeps what is wrong in the quarantine and the rest in the journal.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown stream, [`Error::Invalid`] if the body is no JSON array, [`Error::Busy`] if
    /// the journal cannot take more now. Nothing of the request counts as accepted then.
    pub async fn ingest(&self, stream: &str, body: &[u8]) -> Result<Verdicts> {
        let stream = self.stream(stream)?;
        let (judge, body) = (stream.clone(), body.to_vec());
        // Some 10 ms per megabyte: not on the threads that serve.
        let judged = tokio::task::spawn_blocking(move || judge.judge(&body)).await??;
        // First what is wrong: if the rest cannot be kept the whole request comes again, and a finding noted twice does
        // no harm, while a row would be there twice.
        if !judged.records.is_empty() {
            stream.quarantine.keep(&judged.records).await?;
        }
        if judged.accepted > 0 {
            let rows = u32::try_from(judged.accepted).map_err(|_| Error::TooLarge(MAX_BODY_BYTES))?;
            stream
                .journal
                .append(frame(rows, &judged.payload)?, judged.batches)
                .await?;
            failpoint::reached("after_journal_before_reply");
        }
        Ok(Verdicts {
            accepted: judged.accepted,
            rejected: judged.rejected,
        })
    }
}

impl Stream {
    fn judge(&self, body: &[u8]) -> Result<Judged> {
        let Value::Array(rows) =
            serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("not JSON: {error}")))?
        else {
            return Err(Error::Invalid("expected a JSON array of events".into()));
        };
        let mut lines: Vec<_> = rows.iter().map(|row| self.encode(row)).collect();
        // Decoded here as the committer does after a crash: a row that fails there would block every row behind it. Only
        // the stream's own types reach this; what fails is a time that is RFC 3339 in a way Arrow cannot read, or a
        // value the stream's SQL cannot take.
        let all: Vec<u8> = lines.iter().flatten().flatten().copied().collect();
        let batches = match self.rows.decode(&all) {
            Ok(batches) => batches,
            Err(_) => {
                let mut fitting = Vec::new();
                for line in &mut lines {
                    if let Ok(text) = line {
                        match self.rows.decode(text) {
                            Ok(batches) => fitting.extend(batches),
                            Err(_) => {
                                *line = Err(fault("type_mismatch", "a value does not fit the type of its column"));
                            }
                        }
                    }
                }
                fitting
            }
        };
        let received_at = jiff::Timestamp::now().to_string();
        let mut judged = Judged {
            batches,
            ..Judged::default()
        };
        for (index, (row, line)) in rows.iter().zip(lines).enumerate() {
            match line {
                Ok(line) => {
                    judged.payload.extend_from_slice(&line);
                    judged.accepted += 1;
                }
                Err(fault) => {
                    let rejection = Rejection {
                        index,
                        event_id: row.get("event_id").and_then(Value::as_str).map(str::to_owned),
                        reason: fault.reason.to_owned(),
                        field: fault.field,
                        detail: fault.detail,
                    };
                    judged.records.push(json!({
                        "received_at": received_at, "stream": self.schema.name, "event_id": rejection.event_id,
                        "reason": rejection.reason, "field": rejection.field, "detail": rejection.detail, "row": row,
                    }));
                    judged.rejected.push(rejection);
                }
            }
        }
        Ok(judged)
    }

    /// The row as the journal keeps it, a line of JSON.
    fn encode(&self, row: &Value) -> std::result::Result<Vec<u8>, Fault> {
        self.schema.validate(row).map_err(|violation| Fault {
            reason: violation.reason.as_str(),
            field: violation.field,
            detail: violation.detail,
        })?;
        let unreadable = |error: serde_json::Error| fault("parse_failure", error.to_string());
        let mut line = if self.schema.fields.iter().any(has_json) {
            let mut row = row.clone();
            json_to_text(&self.schema.fields, &mut row);
            serde_json::to_vec(&row).map_err(unreadable)?
        } else {
            serde_json::to_vec(row).map_err(unreadable)?
        };
        if line.len() > MAX_ROW_BYTES {
            let detail = format!("{} bytes, {MAX_ROW_BYTES} are allowed", line.len());
            return Err(fault("row_too_large", detail));
        }
        line.push(b'\n');
        Ok(line)
    }
}

fn fault(reason: &'static str, detail: impl Into<String>) -> Fault {
    Fault {
        reason,
        field: String::new(),
        detail: detail.into(),
    }
}

fn has_json(field: &Field) -> bool {
    fn within(field_type: &FieldType) -> bool {
        match field_type {
            FieldType::Json => true,
            FieldType::List(items) => within(items),
            FieldType::Struct(fields) => fields.iter().any(has_json),
            _ => false,
        }
    }
    within(&field.field_type)
}

/// JSON columns are text in the table.
fn json_to_text(fields: &[Field], row: &mut Value) {
    fn convert(field_type: &FieldType, value: &mut Value) {
        match (field_type, value) {
            (_, Value::Null) => {}
            (FieldType::Json, value) => *value = Value::String(value.to_string()),
            (FieldType::List(items), Value::Array(values)) => {
                for value in values {
                    convert(items, value);
                }
            }
            (FieldType::Struct(fields), value) => json_to_text(fields, value),
            _ => {}
        }
    }
    for field in fields {
        if let Some(value) = row.get_mut(field.name) {
            convert(&field.field_type, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_text_wherever_it_is() {
        let fields = vec![
            Field {
                name: "a",
                field_type: FieldType::Json,
                required: false,
                doc: "[text]",
            },
            Field {
                name: "b",
                field_type: FieldType::List(Box::new(FieldType::Json)),
                required: false,
                doc: "[text]",
            },
        ];
        let mut row = json!({ "a": { "x": [1, "é"] }, "b": ["t", null] });
        json_to_text(&fields, &mut row);
        assert_eq!(row, json!({ "a": "{\"x\":[1,\"é\"]}", "b": ["\"t\"", null] }));
        assert!(fields.iter().all(has_json));
    }
}
