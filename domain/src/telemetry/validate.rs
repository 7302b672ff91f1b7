//! Validation of a row against its stream, before it is sent.
//!
//! Cloudflare Pipelines accept an invalid event with 200 and drop it silently; weir checks with the same schema first, so
//! that a bad row becomes a verdict and a quarantined delivery instead of a hole.

use serde_json::Value;

use super::schema::{Field, FieldType, StreamSchema};

/// The largest row weir sends, in bytes of JSON. Cloudflare fails a whole batch for one row over 1 MB.
pub const MAX_ROW_BYTES: usize = 1_000_000;

/// Why a row was refused; the names are Cloudflare's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationReason {
    /// A required field is absent.
    MissingField,
    /// A required field is null.
    NullValue,
    /// A value is of another type, or does not fit.
    TypeMismatch,
    /// The row is not a JSON object.
    ParseFailure,
}

impl ViolationReason {
    /// The name used in verdicts and quarantine records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "missing_field",
            Self::NullValue => "null_value",
            Self::TypeMismatch => "type_mismatch",
            Self::ParseFailure => "parse_failure",
        }
    }
}

/// What is wrong with a row, and where. Carries no value of the row: it may go to a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {detail}", reason.as_str())]
pub struct Violation {
    /// Path of the field, such as `sales[2].day`; empty for the row itself.
    pub field: String,
    /// Class of the violation.
    pub reason: ViolationReason,
    /// What was expected and what was found.
    pub detail: String,
}

impl StreamSchema {
    /// Checks one row. Unknown fields are refused too: the stream would drop them without a word.
    ///
    /// # Errors
    /// The first [`Violation`] found, in the order of the schema.
    pub fn validate(&self, row: &Value) -> Result<(), Violation> {
        check_struct(&self.fields, row, "")
    }
}

fn violation(path: &str, reason: ViolationReason, detail: impl Into<String>) -> Violation {
    Violation {
        field: path.to_owned(),
        reason,
        detail: detail.into(),
    }
}

fn check_struct(fields: &[Field], value: &Value, path: &str) -> Result<(), Violation> {
    let Value::Object(object) = value else {
        let reason = if path.is_empty() {
            ViolationReason::ParseFailure
        } else {
            ViolationReason::TypeMismatch
        };
        return Err(violation(
            path,
            reason,
            format!("expected an object, found {}", kind_of(value)),
        ));
    };
    let child = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for field in fields {
        match object.get(field.name) {
            None if field.required => {
                return Err(violation(
                    &child(field.name),
                    ViolationReason::MissingField,
                    "required by the stream",
                ))
            }
            Some(Value::Null) if field.required => {
                return Err(violation(
                    &child(field.name),
                    ViolationReason::NullValue,
                    "required by the stream",
                ))
            }
            None | Some(Value::Null) => {}
            Some(present) => check_value(&field.field_type, present, &child(field.name))?,
        }
    }
    if let Some(unknown) = object
        .keys()
        .find(|key| !fields.iter().any(|field| field.name == key.as_str()))
    {
        return Err(violation(
            &child(unknown),
            ViolationReason::TypeMismatch,
            "not a field of the stream",
        ));
    }
    Ok(())
}

fn check_value(field_type: &FieldType, value: &Value, path: &str) -> Result<(), Violation> {
    let fits = match field_type {
        FieldType::String => value.as_str().is_some_and(|text| !text.contains('\0')),
        FieldType::Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        FieldType::Int64 => value.is_i64(),
        FieldType::Float64 => value.is_number(),
        FieldType::Bool => value.is_boolean(),
        FieldType::Timestamp => value.as_str().is_some_and(is_timestamp),
        FieldType::Date => value.as_str().is_some_and(is_date),
        FieldType::Json => true,
        FieldType::List(items) => {
            let Value::Array(values) = value else {
                return Err(violation(path, ViolationReason::TypeMismatch, "expected a list"));
            };
            for (index, item) in values.iter().enumerate() {
                check_value(items, item, &format!("{path}[{index}]"))?;
            }
            true
        }
        FieldType::Struct(fields) => return check_struct(fields, value, path),
    };
    if fits {
        return Ok(());
    }
    let detail = format!("expected {}, found {}", name_of(field_type), kind_of(value));
    Err(violation(path, ViolationReason::TypeMismatch, detail))
}

/// `yyyy-mm-dd` and nothing shorter or longer, a day that exists.
#[must_use]
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// RFC 3339 in UTC: what every SQL engine downstream reads the same way.
#[must_use]
pub fn is_timestamp(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

fn name_of(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::String => "text without NUL",
        FieldType::Int32 => "a 32-bit integer",
        FieldType::Int64 => "a 64-bit integer",
        FieldType::Float64 => "a number",
        FieldType::Bool => "a boolean",
        FieldType::Timestamp => "an RFC 3339 time in UTC",
        FieldType::Date => "a day as yyyy-mm-dd",
        FieldType::Json => "JSON",
        FieldType::List(_) => "a list",
        FieldType::Struct(_) => "an object",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_i64() => "an integer",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{all, commerce};
    use serde_json::json;

    fn row() -> Value {
        json!({
            "event_id": "e", "event_type": "order_created", "schema_version": 1,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
            "sales": [{"product_id": "1", "day": "2026-11-24", "kind": "sale", "units_sold": 1, "units_returned": 0,
                "gross_sales": 9_007_199_254_740_993_i64, "discounts": 0, "returns": 0,
                "net_sales": 9_007_199_254_740_993_i64}]
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> (String, ViolationReason) {
        let mut row = row();
        change(&mut row);
        let violation = commerce().validate(&row).unwrap_err();
        (violation.field, violation.reason)
    }

    #[test]
    fn a_whole_row_passes_and_null_is_absence() {
        assert_eq!(commerce().validate(&row()), Ok(()));
        let mut with_null = row();
        with_null["order_id"] = Value::Null;
        assert_eq!(commerce().validate(&with_null), Ok(()));
    }

    #[test]
    fn each_violation_names_its_field() {
        use ViolationReason::{MissingField, NullValue, TypeMismatch};
        assert_eq!(
            refused(|r| drop(r.as_object_mut().unwrap().remove("event_id"))),
            ("event_id".into(), MissingField)
        );
        assert_eq!(refused(|r| r["source"] = Value::Null), ("source".into(), NullValue));
        assert_eq!(refused(|r| r["order_id"] = json!(1)), ("order_id".into(), TypeMismatch));
        assert_eq!(
            refused(|r| r["schema_version"] = json!(3_000_000_000_i64)),
            ("schema_version".into(), TypeMismatch)
        );
        assert_eq!(
            refused(|r| r["total_price"] = json!(1.5)),
            ("total_price".into(), TypeMismatch)
        );
        assert_eq!(
            refused(|r| r["occurred_at"] = json!("yesterday")),
            ("occurred_at".into(), TypeMismatch)
        );
        assert_eq!(
            refused(|r| r["sales"][0]["day"] = json!(3)),
            ("sales[0].day".into(), TypeMismatch)
        );
        for day in ["2026-02-30", "20260228", "2026-2-3", "tomorrow"] {
            assert_eq!(
                refused(|r| r["sales"][0]["day"] = json!(day)),
                ("sales[0].day".into(), TypeMismatch)
            );
        }
        assert_eq!(refused(|r| r["surprise"] = json!(1)), ("surprise".into(), TypeMismatch));
        assert_eq!(
            refused(|r| r["order_name"] = json!("a\u{0}b")),
            ("order_name".into(), TypeMismatch)
        );
        assert_eq!(
            commerce().validate(&json!([])).unwrap_err().reason,
            ViolationReason::ParseFailure
        );
    }

    #[test]
    fn every_field_says_what_it_is() {
        for stream in all() {
            for field in &stream.fields {
                assert!(
                    field.doc.ends_with(']') && field.doc.contains('['),
                    "{}.{}",
                    stream.name,
                    field.name
                );
            }
        }
    }
}
