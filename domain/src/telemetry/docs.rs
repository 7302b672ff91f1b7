//! What is generated from a stream's description for people and for other validators: JSON Schema and a table of fields.

use std::fmt::Write;

use serde_json::{json, Value};

use super::schema::{Field, FieldType, StreamSchema};

impl StreamSchema {
    /// JSON Schema (draft 2020-12) of one row, for senders that validate by themselves.
    #[must_use]
    pub fn to_json_schema(&self) -> Value {
        let mut schema = object(&self.fields);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["title"] = self.name.into();
        schema["description"] = self.doc.into();
        schema
    }

    /// A Markdown table of every field, nested ones included, with type, obligation, meaning and ontological class.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# {}\n\n{}. Table `{}`.\n\n| field | type | required | meaning | class |\n|---|---|---|---|---|\n",
            self.name,
            without_class(self.doc).0,
            self.table
        );
        rows(&mut text, "", &self.fields);
        text
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: serde_json::Map<_, _> = fields
        .iter()
        .map(|field| {
            let mut schema = of(&field.field_type);
            // A null is as good as an absent field, but not for a required one.
            if !field.required {
                schema = json!({ "anyOf": [schema, { "type": "null" }] });
            }
            schema["description"] = field.doc.into();
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<_> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn of(field_type: &FieldType) -> Value {
    match field_type {
        FieldType::String => json!({ "type": "string" }),
        FieldType::Int32 => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        FieldType::Int64 => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        FieldType::Float64 => json!({ "type": "number" }),
        FieldType::Bool => json!({ "type": "boolean" }),
        FieldType::Timestamp => json!({ "type": "string", "format": "date-time", "pattern": "Z$" }),
        FieldType::Date => json!({ "type": "string", "format": "date" }),
        FieldType::Json => json!({}),
        FieldType::List(items) => json!({ "type": "array", "items": of(items) }),
        FieldType::Struct(fields) => object(fields),
    }
}

fn rows(text: &mut String, path: &str, fields: &[Field]) {
    for field in fields {
        let (doc, class) = without_class(field.doc);
        let required = if field.required { "yes" } else { "" };
        let name = format!("{path}{}", field.name);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| `{name}` | {} | {required} | {} | {class} |",
            named(&field.field_type),
            doc.replace('|', "\\|")
        );
        match &field.field_type {
            FieldType::Struct(fields) => rows(text, &format!("{name}."), fields),
            FieldType::List(items) => {
                if let FieldType::Struct(fields) = items.as_ref() {
                    rows(text, &format!("{name}[]."), fields);
                }
            }
            _ => {}
        }
    }
}

/// The meaning and the class in brackets at its end.
fn without_class(doc: &str) -> (&str, &str) {
    match doc.rsplit_once(" [") {
        Some((meaning, class)) => (meaning, class.trim_end_matches(']')),
        None => (doc, ""),
    }
}

fn named(field_type: &FieldType) -> String {
    match field_type {
        FieldType::String => "string".into(),
        FieldType::Int32 => "int32".into(),
        FieldType::Int64 => "int64".into(),
        FieldType::Float64 => "float64".into(),
        FieldType::Bool => "bool".into(),
        FieldType::Timestamp => "timestamp (UTC)".into(),
        FieldType::Date => "day".into(),
        FieldType::Json => "JSON".into(),
        FieldType::List(items) => format!("list of {}", named(items)),
        FieldType::Struct(_) => "record".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::commerce;

    #[test]
    fn required_fields_may_not_be_null_and_nested_ones_are_described() {
        let schema = commerce().to_json_schema();
        assert_eq!(schema["properties"]["event_id"]["type"], "string");
        assert_eq!(schema["properties"]["order_id"]["anyOf"][1]["type"], "null");
        let ledger = &schema["properties"]["sales"]["anyOf"][0]["items"];
        assert_eq!(ledger["properties"]["day"]["format"], "date");
        let table = commerce().to_markdown();
        assert!(table.contains("| `sales[].net_sales` | int64 | yes |"), "{table}");
    }
}
