//! What is right and what is wrong in a request: a verdict for each row.
//!
//! A request whose rows are all good, as nearly every one is, is read once by [`super::parse`] and kept as it came. Any
//! other is read here, value by value.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::{json, Value};
use weir_domain::telemetry::{Field, FieldType, StreamSchema, MAX_ROW_BYTES};

use super::ingest::Rejection;
use super::rows::Rows;
use crate::{Error, Result};

/// Judges the rows of one stream.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) schema: StreamSchema,
    /// From JSON to the rows of the table; checked before a row is journaled.
    pub(super) rows: Arc<Rows>,
}

/// A request's rows, judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Accepted rows as the journal keeps them: the body itself, or a line of JSON for each.
    pub(super) payload: Vec<u8>,
    /// The same rows as the table has them.
    pub(super) batches: Vec<RecordBatch>,
    pub(super) accepted: usize,
    pub(super) rejected: Vec<Rejection>,
    /// What the quarantine keeps of the rejected.
    pub(super) records: Vec<Value>,
}

#[derive(Debug)]
struct Fault {
    reason: &'static str,
    field: String,
    detail: String,
}

/// Wrong rows of a request that are kept and answered one by one. More are no findings but a wrong sender, and each costs
/// many times its size: a request of 5 MB may have 1.7 million of them.
pub(super) const MAX_WRONG_ROWS: usize = 1_000;

/// The rows of a request while it is read, each as it came and as the journal keeps it.
struct Encoding<'a> {
    judge: &'a Judge,
    rows: Vec<Value>,
    lines: Vec<std::result::Result<Vec<u8>, Fault>>,
    wrong: usize,
}

impl Encoding<'_> {
    /// Refuses a request with too many wrong rows; the first one tells what is wrong.
    fn bounded(&self) -> Result<()> {
        if self.wrong <= MAX_WRONG_ROWS {
            return Ok(());
        }
        let mut wrong = self.lines.iter().enumerate();
        let first = wrong.find_map(|(index, line)| line.as_ref().err().map(|fault| (index, fault)));
        let first = first.map_or_else(String::new, |(index, fault)| {
            let Fault { reason, field, detail } = fault;
            let place = [field.as_str(), detail].into_iter().filter(|text| !text.is_empty());
            format!(
                ", the first of them row {index}: {reason}: {}",
                place.collect::<Vec<_>>().join(": ")
            )
        });
        Err(Error::Invalid(format!(
            "more than {MAX_WRONG_ROWS} rows are wrong, and nothing of the request is kept{first}"
        )))
    }
}

impl<'de> Visitor<'de> for &mut Encoding<'_> {
    type Value = ();

    fn expecting(&self, expected: &mut fmt::Formatter<'_>) -> fmt::Result {
        expected.write_str("a JSON array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Value>()? {
            let line = self.judge.encode(&row);
            self.wrong += usize::from(line.is_err());
            self.rows.push(row);
            self.lines.push(line);
            if self.wrong > MAX_WRONG_ROWS {
                return Err(A::Error::custom("too many wrong rows"));
            }
        }
        Ok(())
    }
}

impl Judge {
    /// # Errors
    /// [`Error::Invalid`] if the body is no JSON array, or more than [`MAX_WRONG_ROWS`] of its rows are wrong.
    pub(super) fn judge(&self, body: Vec<u8>) -> Result<Judged> {
        match self.rows.accept(&body) {
            Some((accepted, batch)) => Ok(Judged {
                payload: body,
                batches: vec![batch],
                accepted,
                ..Judged::default()
            }),
            None => self.row_by_row(&body),
        }
    }

    fn row_by_row(&self, body: &[u8]) -> Result<Judged> {
        let mut encoding = Encoding {
            judge: self,
            rows: Vec::new(),
            lines: Vec::new(),
            wrong: 0,
        };
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = json.deserialize_any(&mut encoding).and_then(|()| json.end());
        encoding.bounded()?;
        read.map_err(|error| Error::Invalid(format!("not a JSON array of events: {error}")))?;
        let batches = self.decode(&mut encoding.lines);
        encoding.wrong = encoding.lines.iter().filter(|line| line.is_err()).count();
        encoding.bounded()?;

        let mut judged = Judged {
            batches,
            ..Judged::default()
        };
        let received_at = jiff::Timestamp::now().to_string();
        for (index, (row, line)) in encoding.rows.iter().zip(encoding.lines).enumerate() {
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

    /// Decoded here as the committer does after a crash: a row that fails there would block every row behind it. Only the
    /// stream's own types reach this; what fails is a time that is RFC 3339 in a way Arrow cannot read, or a value the
    /// stream's SQL cannot take.
    fn decode(&self, lines: &mut [std::result::Result<Vec<u8>, Fault>]) -> Vec<RecordBatch> {
        let all: Vec<u8> = lines.iter().flatten().flatten().copied().collect();
        if let Ok(batches) = self.rows.decode(&all) {
            return batches;
        }
        let mut fitting = Vec::new();
        for line in lines {
            if let Ok(text) = line {
                match self.rows.decode(text) {
                    Ok(batches) => fitting.extend(batches),
                    Err(_) => *line = Err(fault("type_mismatch", "a value does not fit the type of its column")),
                }
            }
        }
        fitting
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

    /// SplitMix64: a run follows from one number.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % bound
        }

        fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
            texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
        }

        /// A good value of a type, as text of JSON.
        fn value(&mut self, field_type: &FieldType) -> String {
            match field_type {
                FieldType::String => self.one_of(&[r#""""#, r#""a""#, r#""\u00e9\n\/\"""#, r#""\ud83d\ude00 é""#]),
                FieldType::Date => self.one_of(&[r#""2026-11-24""#, r#""2024-02-29""#, r#""0001-01-31""#]),
                FieldType::Timestamp => self.one_of(&[
                    r#""2026-11-24T10:00:00.123Z""#,
                    r#""2024-02-29T23:59:59Z""#,
                    r#""1900-01-01T00:00:00.123456789Z""#,
                    r#""2999-12-31T00:00:00.000Z""#,
                ]),
                FieldType::Int32 => self.one_of(&["0", "-1", "2147483647", "-2147483648"]),
                FieldType::Int64 => {
                    self.one_of(&["0", "9007199254740993", "-9223372036854775808", "9223372036854775807"])
                }
                FieldType::Float64 => self.one_of(&[
                    "0",
                    "-0",
                    "0.1",
                    "1e15",
                    "2.5E-7",
                    "12345678901234567890",
                    "7.038531e-26",
                ]),
                FieldType::Bool => self.one_of(&["true", "false"]),
                FieldType::Json => r#"{"a":[1]}"#,
                FieldType::List(items) => {
                    let items: Vec<_> = (0..self.below(3)).map(|_| self.value(items)).collect();
                    return format!("[{}]", items.join(", "));
                }
                FieldType::Struct(fields) => return self.object(fields),
            }
            .to_owned()
        }

        /// Members in any order, optional ones absent or null now and then.
        fn object(&mut self, fields: &[Field]) -> String {
            let mut members = Vec::new();
            for field in fields {
                let value = match self.below(4) {
                    0 if !field.required => continue,
                    1 if !field.required => "null".to_owned(),
                    _ => self.value(&field.field_type),
                };
                let at = usize::try_from(self.below(members.len() as u64 + 1)).unwrap();
                members.insert(at, format!("\"{}\" : {value}", field.name));
            }
            format!("{{{}}}", members.join(","))
        }

        fn body(&mut self, fields: &[Field]) -> String {
            let rows: Vec<_> = (0..self.below(4)).map(|_| self.object(fields)).collect();
            format!("[{}]", rows.join(" ,\n"))
        }

        /// A value replaced, a piece left out or doubled, or a byte changed.
        fn mutated(&mut self, body: &str) -> Vec<u8> {
            let mut bytes = body.as_bytes().to_vec();
            let mut place = || usize::try_from(self.below(bytes.len() as u64)).unwrap();
            let (from, to) = (place(), place());
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
            match self.below(4) {
                0 => drop(bytes.drain(from..to)),
                1 => {
                    let piece = bytes[from..to].to_vec();
                    drop(bytes.splice(to..to, piece));
                }
                2 => {
                    bytes[from] = self
                        .one_of(&["\"", "\\", "{", "]", ",", ":", "1", "-", " ", "\0"])
                        .as_bytes()[0]
                }
                _ => {
                    // After some colon, up to the next comma.
                    let start = bytes[from..]
                        .iter()
                        .position(|byte| *byte == b':')
                        .map_or(0, |at| from + at + 1);
                    let end = bytes[start..]
                        .iter()
                        .position(|byte| *byte == b',')
                        .map_or(start, |at| start + at);
                    let value = self.one_of(&[
                        "null",
                        "1.0",
                        "1e2",
                        "-0",
                        "9223372036854775808",
                        "1e400",
                        "true",
                        "[]",
                        "[null]",
                        "{}",
                        r#""""#,
                        r#""\u0000""#,
                        r#""\ud800""#,
                        r#""2026-11-24T10Z""#,
                        r#""2026-11-24T10:00:00+00:00""#,
                        r#""2026-02-29""#,
                        r#""2026-11-24T10:00:60Z""#,
                        r#""2026-11-24 10:00:00Z""#,
                        "\"\u{e9}\"",
                    ]);
                    drop(bytes.splice(start..end, value.bytes()));
                }
            }
            bytes
        }
    }

    fn joined(batches: &[RecordBatch]) -> Option<RecordBatch> {
        let schema = batches.first()?.schema();
        Some(arrow_select::concat::concat_batches(&schema, batches).unwrap())
    }

    #[test]
    fn the_fast_way_accepts_only_what_the_careful_way_does_and_reads_the_same() {
        let mut random = Random(20_261_124);
        for schema in weir_domain::telemetry::all() {
            let rows = Arc::new(Rows::plan(&schema, None).unwrap());
            let judge = Judge { schema, rows };
            let (mut fast, mut careful) = (0, 0);
            for round in 0..1_500 {
                let good = random.body(&judge.schema.fields);
                let body = if round % 3 == 0 {
                    good.clone().into_bytes()
                } else {
                    random.mutated(&good)
                };
                let text = String::from_utf8_lossy(&body).into_owned();
                let Some((accepted, batch)) = judge.rows.accept(&body) else {
                    assert_ne!(body, good.as_bytes(), "a good request takes the fast way");
                    careful += 1;
                    continue;
                };
                fast += 1;
                let expected = judge.row_by_row(&body).expect(&text);
                assert!(expected.rejected.is_empty(), "{:?} {text}", expected.rejected);
                assert_eq!(accepted, expected.accepted, "{text}");
                if accepted > 0 {
                    assert_eq!(Some(&batch), joined(&expected.batches).as_ref(), "{text}");
                    // What a restart reads from the journal.
                    assert_eq!(Some(batch), joined(&judge.rows.decode(&body).unwrap()), "{text}");
                }
            }
            assert!(fast > 500 && careful > 200, "{fast} fast, {careful} careful");
        }
    }

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
