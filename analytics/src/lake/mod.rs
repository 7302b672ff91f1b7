//! The lake: Iceberg tables behind a REST catalog.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use iceberg::spec::{Schema, Transform};
use iceberg::table::Table;
use iceberg::TableIdent;

use crate::Result;

/// A table as it is created when absent.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Namespace and name.
    pub ident: TableIdent,
    /// Columns with field ids and docs.
    pub schema: Schema,
    /// Partition fields: name, source column, transform. Empty: unpartitioned.
    pub partition: Vec<(String, String, Transform)>,
    /// What one row is.
    pub doc: String,
}

/// What an overwrite replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every row of the table.
    WholeTable,
    /// Partitions of a table partitioned by one date: days since 1970-01-01. Days without new rows become empty.
    PartitionDays(Vec<i32>),
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The snapshot that holds the change; none if the table was empty and stays so.
    pub snapshot_id: Option<i64>,
    /// Rows added by this commit; 0 if it was already there.
    pub rows: u64,
    /// Whether the table's history already held this commit id, so that nothing was done.
    pub already_committed: bool,
}

/// Client of the lake.
#[derive(Debug)]
pub struct Lake {}

/// Snapshot property that names a commit; a commit with a known id is not repeated.
pub const COMMIT_ID: &str = "weir.commit-id";

impl Lake {
    /// Loads a table's current metadata.
    pub async fn load(&self, _table: &TableIdent) -> Result<Table> {
        Err(crate::Error::Internal("not yet".into()))
    }
    /// Schema for building batches of a table: Arrow, with Iceberg field ids.
    pub async fn arrow_schema(&self, _table: &TableIdent) -> Result<arrow_schema::SchemaRef> {
        Err(crate::Error::Internal("not yet".into()))
    }
    /// Replaces the rows in `scope` by `batches` in one snapshot. `properties` must hold [`COMMIT_ID`].
    pub async fn overwrite(
        &self,
        _table: &TableIdent,
        _batches: Vec<RecordBatch>,
        _scope: Scope,
        _properties: HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        Err(crate::Error::Internal("not yet".into()))
    }
    /// Paths of the live data files of a snapshot (the current one by default).
    pub async fn data_files(&self, _table: &TableIdent, _snapshot: Option<i64>) -> Result<Vec<String>> {
        Err(crate::Error::Internal("not yet".into()))
    }
    /// SQL text DuckDB can select from: the rows of a snapshot (the current one by default), with the table's columns
    /// even if it has no rows.
    pub async fn duckdb_relation(&self, _table: &TableIdent, _snapshot: Option<i64>) -> Result<String> {
        Err(crate::Error::Internal("not yet".into()))
    }
}
