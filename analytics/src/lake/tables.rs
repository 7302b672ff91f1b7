//! Definitions of the streams' tables, generated from the one description of each stream in `weir_domain::telemetry`.

use std::sync::Arc;

use iceberg::spec::{ListType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Transform, Type};
use iceberg::TableIdent;
use weir_domain::telemetry::{Field, FieldType, StreamSchema};

use crate::Result;

/// A table as it is created when absent. The catalog assigns field ids anew, in the order of the columns.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Namespace and name.
    pub ident: TableIdent,
    /// Columns with docs.
    pub schema: Schema,
    /// Partition fields: name, source column, transform. Empty: unpartitioned.
    pub partition: Vec<(String, String, Transform)>,
    /// What one row is.
    pub doc: String,
}

/// Namespace and name of a stream's table.
///
/// # Errors
/// If the stream's `table` has no namespace.
pub fn stream_table(stream: &StreamSchema) -> Result<TableIdent> {
    Ok(TableIdent::from_strs(stream.table.split('.'))?)
}

/// The table a stream lands in: publication by the hour of `occurred_at` (the seed's layout), the others by its day.
///
/// # Errors
/// If the stream describes no valid schema.
pub fn stream_definition(stream: &StreamSchema) -> Result<TableDefinition> {
    let ident = stream_table(stream)?;
    let (name, transform) = if ident.namespace().to_url_string() == "publication" {
        ("occurred_at_hour", Transform::Hour)
    } else {
        ("occurred_at_day", Transform::Day)
    };
    let schema = Schema::builder()
        .with_fields(struct_fields(&stream.fields, &mut 0))
        .build()?;
    Ok(TableDefinition {
        ident,
        schema,
        partition: vec![(name.to_owned(), "occurred_at".to_owned(), transform)],
        doc: stream.doc.to_owned(),
    })
}

fn struct_fields(fields: &[Field], last_id: &mut i32) -> Vec<NestedFieldRef> {
    fields
        .iter()
        .map(|field| {
            let id = next(last_id);
            let field_type = iceberg_type(&field.field_type, last_id);
            Arc::new(NestedField::new(id, field.name, field_type, field.required).with_doc(field.doc))
        })
        .collect()
}

fn iceberg_type(field_type: &FieldType, last_id: &mut i32) -> Type {
    let primitive = match field_type {
        FieldType::String | FieldType::Date | FieldType::Json => PrimitiveType::String,
        FieldType::Int32 => PrimitiveType::Int,
        FieldType::Int64 => PrimitiveType::Long,
        FieldType::Float64 => PrimitiveType::Double,
        FieldType::Bool => PrimitiveType::Boolean,
        FieldType::Timestamp => PrimitiveType::Timestamptz,
        FieldType::List(items) => {
            let id = next(last_id);
            let element = NestedField::list_element(id, iceberg_type(items, last_id), true);
            return Type::List(ListType::new(Arc::new(element)));
        }
        FieldType::Struct(fields) => return Type::Struct(StructType::new(struct_fields(fields, last_id))),
    };
    Type::Primitive(primitive)
}

fn next(last_id: &mut i32) -> i32 {
    *last_id += 1;
    *last_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_a_table_that_says_what_it_holds() {
        for stream in weir_domain::telemetry::all() {
            let definition = stream_definition(&stream).unwrap();
            assert_eq!(definition.schema.as_struct().fields().len(), stream.fields.len());
            for (column, field) in definition.schema.as_struct().fields().iter().zip(&stream.fields) {
                assert_eq!(column.doc.as_deref(), Some(field.doc));
                assert_eq!(column.required, field.required);
            }
            assert_eq!(definition.partition[0].1, "occurred_at");
        }
    }

    /// `WEIR_BLESS=1` writes them anew.
    #[test]
    fn checked_in_iceberg_schemas_have_not_drifted() {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
        for stream in weir_domain::telemetry::all() {
            let name = format!("../docs/streams/{}.iceberg.json", stream.name);
            let path = std::path::Path::new(&package).join(name);
            let schema = stream_definition(&stream).unwrap().schema;
            let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if std::env::var_os("WEIR_BLESS").is_some() {
                std::fs::write(&path, &expected).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == expected, "{}: run with WEIR_BLESS=1", path.display());
        }
    }

    #[test]
    fn times_carry_their_zone() {
        let definition = stream_definition(&weir_domain::telemetry::commerce()).unwrap();
        let occurred_at = definition.schema.field_by_name("occurred_at").unwrap();
        assert_eq!(*occurred_at.field_type, Type::Primitive(PrimitiveType::Timestamptz));
    }
}
