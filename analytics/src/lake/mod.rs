//! The lake: Iceberg tables behind a REST catalog.
//!
//! - [`tables`]: definitions of the streams' tables.
//! - [`append`] and [`overwrite`]: the two ways weir changes a table, both through [`commit`].
//! - [`scan`]: live data files of a snapshot, as DuckDB reads them.
//! - [`changes`]: what was added since a snapshot.
//! - [`maintain`]: compaction of small files, expiry of old snapshots.
//! - [`catalog_server`]: the embedded REST catalog over the local file system, stored by [`catalog_store`].

pub mod append;
pub mod catalog_server;
pub mod catalog_store;
pub mod changes;
pub mod commit;
pub mod maintain;
pub mod overwrite;
pub mod scan;
mod snapshot;
pub mod tables;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::LocalFsStorageFactory;
use iceberg::spec::UnboundPartitionSpec;
use iceberg::table::Table;
use iceberg::{Catalog, CatalogBuilder, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use iceberg_catalog_rest::{RestCatalog, RestCatalogBuilder};

pub use commit::{CommitOutcome, COMMIT_ID};
pub use overwrite::Scope;
pub use tables::TableDefinition;

use crate::Result;

/// Name under which clients attach the lake.
pub const WAREHOUSE: &str = "weir";

/// Client of the lake. Tables are found through an Iceberg REST catalog, the embedded one or another.
#[derive(Debug)]
pub struct Lake {
    catalog: RestCatalog,
    commits: commit::CommitClient,
}

impl Lake {
    /// A client of the catalog at `uri` (without the trailing `/v1`). Nothing is called before the first use.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub async fn new(uri: &str, token: Option<String>) -> Result<Self> {
        let mut properties = HashMap::from([
            ("uri".to_owned(), uri.to_owned()),
            ("warehouse".to_owned(), WAREHOUSE.to_owned()),
        ]);
        if let Some(token) = &token {
            properties.insert("token".to_owned(), token.clone());
        }
        let catalog = RestCatalogBuilder::default()
            .with_storage_factory(Arc::new(LocalFsStorageFactory))
            .load(WAREHOUSE, properties)
            .await?;
        let commits = commit::CommitClient::new(uri, token);
        Ok(Self { catalog, commits })
    }

    /// Loads a table's current metadata.
    ///
    /// # Errors
    /// If there is no such table or the catalog cannot be reached.
    pub async fn load(&self, table: &TableIdent) -> Result<Table> {
        Ok(self.catalog.load_table(table).await?)
    }

    /// Arrow schema of a table's rows, with Iceberg field ids; what appended and overwritten batches are brought to.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn arrow_schema(&self, table: &TableIdent) -> Result<arrow_schema::SchemaRef> {
        write::arrow_schema(&self.load(table).await?)
    }

    /// Creates namespace and table unless they exist. A table that exists is left as it is.
    ///
    /// # Errors
    /// If the catalog refuses.
    pub async fn ensure_table(&self, definition: &TableDefinition) -> Result<()> {
        if self.catalog.table_exists(&definition.ident).await? {
            return Ok(());
        }
        self.ensure_namespace(definition.ident.namespace()).await?;
        let mut spec = UnboundPartitionSpec::builder();
        for (name, source, transform) in &definition.partition {
            let source_id = definition.schema.field_id_by_name(source).ok_or_else(|| {
                crate::Error::Internal(format!("{}: no column {source} to partition by", definition.ident))
            })?;
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
}
