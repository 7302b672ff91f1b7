//! Tables as this version of weir wants them: created when absent, given the columns they lack, refused when they differ.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{
    ListType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type, UnboundPartitionSpec,
};
use iceberg::{Catalog, ErrorKind, NamespaceIdent, TableCreation, TableIdent, TableRequirement, TableUpdate};
use iceberg_catalog_rest::CommitTableRequest;

use super::{sinks, Lake, TableDefinition};
use crate::{Error, Result};

impl Lake {
    /// Creates namespace and table unless they exist. A table that exists gets the optional columns it lacks; columns
    /// beyond the definition stay. Of a table that a sink writes nothing else is changed.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming column and reason if the table cannot be brought to the definition without touching its
    /// rows; else if the catalog refuses.
    pub async fn ensure_table(&self, definition: &TableDefinition) -> Result<()> {
        match self.load(&definition.ident).await {
            Ok(_) => self.evolve(definition).await,
            Err(Error::Iceberg(error)) if error.kind() == ErrorKind::TableNotFound => self.create(definition).await,
            Err(error) => Err(error),
        }
    }

    async fn create(&self, definition: &TableDefinition) -> Result<()> {
        self.ensure_namespace(definition.ident.namespace()).await?;
        let mut spec = UnboundPartitionSpec::builder();
        for (name, source, transform) in &definition.partition {
            let source_id = definition
                .schema
                .field_id_by_name(source)
                .ok_or_else(|| Error::Internal(format!("{}: no column {source} to partition by", definition.ident)))?;
            spec = spec.add_partition_field(source_id, name, *transform)?;
        }
        let creation = TableCreation::builder()
            .name(definition.ident.name().to_owned())
            .schema(definition.schema.clone())
            .partition_spec(spec.build())
            .properties([
                ("comment".to_owned(), definition.doc.clone()),
                ("write.parquet.compression-codec".to_owned(), "zstd".to_owned()),
                // One metadata file per commit would pile up for ever.
                (
                    "write.metadata.delete-after-commit.enabled".to_owned(),
                    "true".to_owned(),
                ),
            ])
            .build();
        match self.catalog.create_table(definition.ident.namespace(), creation).await {
            Err(error) if error.kind() == ErrorKind::TableAlreadyExists => Ok(()),
            created => Ok(created.map(drop)?),
        }
    }

    async fn ensure_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        if self.catalog.namespace_exists(namespace).await? {
            return Ok(());
        }
        match self.catalog.create_namespace(namespace, HashMap::new()).await {
            Err(error) if error.kind() == ErrorKind::NamespaceAlreadyExists => Ok(()),
            created => Ok(created.map(drop)?),
        }
    }

    /// Another server may be doing the same: a conflict means looking again.
    async fn evolve(&self, definition: &TableDefinition) -> Result<()> {
        const ATTEMPTS: u32 = 5;
        let ident = &definition.ident;
        for _ in 0..ATTEMPTS {
            let table = self.load(ident).await?;
            let metadata = table.metadata();
            let current = metadata.current_schema();
            let Some(schema) = evolved(ident, current, &definition.schema, metadata.last_column_id())? else {
                return Ok(());
            };
            let request = CommitTableRequest {
                identifier: Some(ident.clone()),
                requirements: vec![
                    TableRequirement::UuidMatch { uuid: metadata.uuid() },
                    TableRequirement::CurrentSchemaIdMatch {
                        current_schema_id: metadata.current_schema_id(),
                    },
                    TableRequirement::LastAssignedFieldIdMatch {
                        last_assigned_field_id: metadata.last_column_id(),
                    },
                ],
                updates: vec![
                    TableUpdate::AddSchema { schema },
                    // The one just added.
                    TableUpdate::SetCurrentSchema { schema_id: -1 },
                ],
            };
            let response = self.commits.post(ident, &request).await?;
            let status = response.status();
            if !status.is_success() && status != reqwest::StatusCode::CONFLICT {
                return Err(Error::Remote {
                    status: status.as_u16(),
                    message: response.text().await.unwrap_or_default(),
                });
            }
        }
        Err(Error::Conflict {
            table: ident.to_string(),
            attempts: ATTEMPTS,
        })
    }
}

/// The schema with what `wanted` has beyond `present`; none if nothing is missing.
fn evolved(table: &TableIdent, present: &Schema, wanted: &Schema, last_id: i32) -> Result<Option<Schema>> {
    let mut merge = Merge {
        table,
        last_id,
        is_foreign: sinks::is_foreign(present),
        is_utc: sinks::is_utc(table, present),
        is_changed: false,
    };
    let fields = merge.fields("", present.as_struct(), wanted.as_struct())?;
    if !merge.is_changed {
        return Ok(None);
    }
    Ok(Some(Schema::builder().with_fields(fields).build()?))
}

struct Merge<'a> {
    table: &'a TableIdent,
    last_id: i32,
    is_foreign: bool,
    is_utc: bool,
    is_changed: bool,
}

impl Merge<'_> {
    fn refuse<T>(&self, column: &str, why: &str) -> Result<T> {
        Err(Error::Invalid(format!(
            "{}: column {column} {why}; give the changed stream a new version and a new table",
            self.table
        )))
    }

    fn fields(&mut self, path: &str, present: &StructType, wanted: &StructType) -> Result<Vec<NestedFieldRef>> {
        let mut fields = Vec::with_capacity(wanted.fields().len());
        for field in present.fields() {
            let name = format!("{path}{}", field.name);
            let Some(target) = wanted.field_by_name(&field.name) else {
                if field.required && !sinks::is_platforms(&name) {
                    return self.refuse(&name, "is required in the table and no longer written");
                }
                fields.push(field.clone());
                continue;
            };
            let mut merged = field.as_ref().clone();
            merged.field_type = Box::new(self.types(&name, &field.field_type, &target.field_type)?);
            if field.required && !target.required && !self.is_foreign {
                merged.required = false;
                self.is_changed = true;
            }
            fields.push(Arc::new(merged));
        }
        for target in wanted.fields() {
            if present.field_by_name(&target.name).is_some() {
                continue;
            }
            let name = format!("{path}{}", target.name);
            if target.required {
                return self.refuse(&name, "is required and the rows already there lack it");
            }
            self.is_changed = true;
            let id = self.next();
            let mut added = NestedField::new(id, &target.name, self.renumbered(&target.field_type), false);
            added.doc.clone_from(&target.doc);
            fields.push(Arc::new(added));
        }
        Ok(fields)
    }

    fn types(&mut self, name: &str, present: &Type, wanted: &Type) -> Result<Type> {
        match (present, wanted) {
            (Type::Struct(present), Type::Struct(wanted)) => Ok(Type::Struct(StructType::new(self.fields(
                &format!("{name}."),
                present,
                wanted,
            )?))),
            (Type::List(present), Type::List(wanted)) => {
                let element = &present.element_field;
                let items = self.types(
                    &format!("{name}[]"),
                    &element.field_type,
                    &wanted.element_field.field_type,
                )?;
                Ok(Type::List(ListType::new(Arc::new(NestedField::list_element(
                    element.id,
                    items,
                    element.required,
                )))))
            }
            // Iceberg's type promotion: files with the narrower type stay readable.
            (Type::Primitive(PrimitiveType::Int), Type::Primitive(PrimitiveType::Long)) => {
                if self.is_foreign {
                    return Ok(present.clone());
                }
                self.is_changed = true;
                Ok(wanted.clone())
            }
            // The same microseconds.
            (Type::Primitive(PrimitiveType::Timestamp), Type::Primitive(PrimitiveType::Timestamptz))
            | (Type::Primitive(PrimitiveType::Timestamptz), Type::Primitive(PrimitiveType::Timestamp))
                if self.is_utc =>
            {
                Ok(present.clone())
            }
            (Type::Primitive(present), Type::Primitive(wanted)) if present == wanted => {
                Ok(Type::Primitive(present.clone()))
            }
            _ => self.refuse(name, &format!("is {present} in the table and {wanted} is wanted")),
        }
    }

    fn next(&mut self) -> i32 {
        self.last_id += 1;
        self.last_id
    }

    /// A new column's type under ids that the table never used.
    fn renumbered(&mut self, wanted: &Type) -> Type {
        match wanted {
            Type::Struct(fields) => {
                let fields = fields.fields().iter().map(|field| {
                    let id = self.next();
                    let mut copy = field.as_ref().clone();
                    copy.id = id;
                    copy.field_type = Box::new(self.renumbered(&field.field_type));
                    Arc::new(copy)
                });
                Type::Struct(StructType::new(fields.collect()))
            }
            Type::List(list) => {
                let id = self.next();
                let items = self.renumbered(&list.element_field.field_type);
                let element = NestedField::list_element(id, items, list.element_field.required);
                Type::List(ListType::new(Arc::new(element)))
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::tables::stream_definition;
    use weir_domain::telemetry::{sync, Field, FieldType};

    fn with(change: impl FnOnce(&mut Vec<Field>)) -> Schema {
        let mut stream = sync();
        change(&mut stream.fields);
        stream_definition(&stream).unwrap().schema
    }

    fn optional(name: &'static str, field_type: FieldType) -> Field {
        Field {
            name,
            field_type,
            required: false,
            doc: "New [IAO: data item]",
        }
    }

    fn evolve(present: &Schema, wanted: &Schema) -> Result<Option<Schema>> {
        let table = TableIdent::from_strs(["sync", "telemetry"]).unwrap();
        evolved(&table, present, wanted, present.highest_field_id())
    }

    #[test]
    fn what_is_missing_is_added_under_new_ids() {
        let old = with(|_| {});
        assert!(evolve(&old, &old).unwrap().is_none());
        let new = with(|fields| {
            let items = FieldType::Struct(vec![optional("a", FieldType::Int64)]);
            fields.insert(3, optional("extra", FieldType::List(Box::new(items))));
        });
        let merged = evolve(&old, &new).unwrap().unwrap();
        let first = old.highest_field_id() + 1;
        assert_eq!(merged.field_id_by_name("extra"), Some(first));
        assert_eq!(merged.field_id_by_name("extra.element.a"), Some(first + 2));
        for field in old.as_struct().fields() {
            assert_eq!(merged.field_by_id(field.id).unwrap(), field);
        }
        // The older weir finds a column more and leaves it.
        assert!(evolve(&merged, &old).unwrap().is_none());
    }

    #[test]
    fn what_would_falsify_rows_is_refused() {
        let old = with(|_| {});
        let retyped = with(|fields| {
            let field = fields.iter_mut().find(|field| field.name == "bytes").unwrap();
            field.field_type = FieldType::String;
        });
        let error = evolve(&old, &retyped).unwrap_err().to_string();
        assert!(
            error.contains("sync.telemetry: column bytes is long in the table and string is wanted"),
            "{error}"
        );
        let demanding = with(|fields| {
            let mut field = optional("extra", FieldType::String);
            field.required = true;
            fields.push(field);
        });
        assert!(evolve(&old, &demanding)
            .unwrap_err()
            .to_string()
            .contains("extra is required"));
        let without = with(|fields| fields.retain(|field| field.name != "workflow"));
        assert!(evolve(&old, &without)
            .unwrap_err()
            .to_string()
            .contains("workflow is required in the table"));
    }

    #[test]
    fn a_table_that_a_sink_made_is_taken_as_it_is() {
        let wanted = with(|_| {});
        let of_sink = |change: &dyn Fn(&mut NestedField)| {
            let ingested = NestedField::required(1_000, "__ingest_ts", Type::Primitive(PrimitiveType::Timestamp));
            let own = wanted.as_struct().fields().iter().map(|field| {
                let mut field = field.as_ref().clone();
                if *field.field_type == Type::Primitive(PrimitiveType::Timestamptz) {
                    *field.field_type = Type::Primitive(PrimitiveType::Timestamp);
                }
                change(&mut field);
                Arc::new(field)
            });
            let fields = [Arc::new(ingested)].into_iter().chain(own);
            Schema::builder().with_fields(fields).build().unwrap()
        };
        assert!(evolve(&of_sink(&|_| ()), &wanted).unwrap().is_none());
        // What weir would loosen or widen in a table of its own stays.
        let stricter = of_sink(&|field| field.required = true);
        assert!(evolve(&stricter, &wanted).unwrap().is_none());
        let narrower = of_sink(&|field| {
            if field.name == "bytes" {
                *field.field_type = Type::Primitive(PrimitiveType::Int);
            }
        });
        assert!(evolve(&narrower, &wanted).unwrap().is_none());
        // What is missing comes, and nothing else.
        let more = with(|fields| fields.push(optional("extra", FieldType::String)));
        let merged = evolve(&stricter, &more).unwrap().unwrap();
        assert!(merged.field_by_name("error_kind").unwrap().required);
        assert!(!merged.field_by_name("extra").unwrap().required);
    }

    #[test]
    fn a_wider_integer_is_a_promotion() {
        let old = with(|_| {});
        let wider = with(|fields| {
            let field = fields.iter_mut().find(|field| field.name == "attempt").unwrap();
            field.field_type = FieldType::Int64;
        });
        let merged = evolve(&old, &wider).unwrap().unwrap();
        let attempt = merged.field_by_name("attempt").unwrap();
        assert_eq!(*attempt.field_type, Type::Primitive(PrimitiveType::Long));
        assert!(attempt.required);
    }
}
