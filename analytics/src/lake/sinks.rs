//! What is different in a table that Cloudflare's sink has made and goes on writing.
//!
//! A sink takes over no table, so its shape is the sink's own: one column more, the time of the ingest, by whose day the table
//! is partitioned; and times without a zone, which are UTC. Such a table is read as if weir had made it, and what weir
//! appends to it has the sink's shape.

use iceberg::spec::{PrimitiveType, Schema, Type};
use iceberg::TableIdent;
use weir_domain::telemetry;

/// When the sink got a row; required.
const INGESTED_AT: &str = "__ingest_ts";

/// Whether a column is the platform's and none of the stream's.
pub(super) fn is_platforms(column: &str) -> bool {
    column.starts_with("__")
}

/// Whether a column is filled with the present moment where weir itself appends rows.
pub(super) fn is_ingest_time(column: &str) -> bool {
    column == INGESTED_AT
}

/// Whether somebody else writes the table, so that its columns are left as they are wherever that is possible.
pub(super) fn is_foreign(schema: &Schema) -> bool {
    schema
        .as_struct()
        .fields()
        .iter()
        .any(|field| is_platforms(&field.name))
}

/// Whether times without a zone are UTC: in tables of streams and of sinks. In other tables they may be anybody's.
pub(super) fn is_utc(table: &TableIdent, schema: &Schema) -> bool {
    let name = table.to_string();
    is_foreign(schema) || telemetry::all().iter().any(|stream| stream.table == name)
}

/// The columns of times without a zone that are UTC all the same.
pub(super) fn zoneless_instants(table: &TableIdent, schema: &Schema) -> Vec<String> {
    let fields = schema.as_struct().fields().iter();
    let zoneless = fields.filter(|field| *field.field_type == Type::Primitive(PrimitiveType::Timestamp));
    let zoneless: Vec<_> = zoneless.map(|field| field.name.clone()).collect();
    match zoneless.is_empty() || is_utc(table, schema) {
        true => zoneless,
        false => Vec::new(),
    }
}
