//! How a stream is described: fields, types, docs and the ontological class of each.

/// Types that Cloudflare documents for Pipelines streams, less those weir does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// UTF-8 text. Ids are strings: a JavaScript number cannot hold a Shopify id.
    String,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer; money is minor units of the row's `currency`.
    Int64,
    /// 64-bit float; never for money or ids.
    Float64,
    /// `true` or `false`.
    Bool,
    /// An instant, RFC 3339 UTC with milliseconds on the wire.
    Timestamp,
    /// A calendar day, `yyyy-mm-dd`; text at Cloudflare and in Iceberg, for streams have no date type. Checked before it
    /// is sent: one day that is none would stop every later refresh.
    Date,
    /// Any JSON value, kept as text.
    Json,
    /// A list of values of one type.
    List(Box<FieldType>),
    /// A record.
    Struct(Vec<Field>),
}

/// One field of a stream or of a struct in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name on the wire and in the Iceberg table.
    pub name: &'static str,
    /// Its type.
    pub field_type: FieldType,
    /// Whether a row without it (or with null) is rejected.
    pub required: bool,
    /// Meaning and unit, ending with the ontological class in brackets.
    pub doc: &'static str,
}

/// A stream: one Cloudflare Pipelines stream and the Iceberg table it lands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSchema {
    /// Versioned stream name (`commerce_v1`): a stream's schema cannot be changed at Cloudflare once created.
    pub name: &'static str,
    /// Iceberg table as `namespace.table`.
    pub table: &'static str,
    /// What one row is, with its ontological class.
    pub doc: &'static str,
    /// Top-level fields in order.
    pub fields: Vec<Field>,
}

impl StreamSchema {
    /// The field called `name`, if there is one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The schema as `wrangler pipelines streams create --schema-file` reads it.
    #[must_use]
    pub fn to_cloudflare_json(&self) -> serde_json::Value {
        serde_json::json!({ "fields": self.fields.iter().map(cloudflare_field).collect::<Vec<_>>() })
    }
}

fn cloudflare_field(field: &Field) -> serde_json::Value {
    let mut value = cloudflare_type(&field.field_type);
    value["name"] = field.name.into();
    value["required"] = field.required.into();
    value
}

fn cloudflare_type(field_type: &FieldType) -> serde_json::Value {
    use serde_json::json;
    match field_type {
        FieldType::String | FieldType::Date => json!({"type": "string"}),
        FieldType::Int32 => json!({"type": "int32"}),
        FieldType::Int64 => json!({"type": "int64"}),
        FieldType::Float64 => json!({"type": "float64"}),
        FieldType::Bool => json!({"type": "bool"}),
        FieldType::Timestamp => json!({"type": "timestamp", "unit": "millisecond"}),
        FieldType::Json => json!({"type": "json"}),
        FieldType::List(items) => json!({"type": "list", "items": cloudflare_type(items)}),
        FieldType::Struct(fields) => {
            json!({"type": "struct", "fields": fields.iter().map(cloudflare_field).collect::<Vec<_>>()})
        }
    }
}
