//! Tables and snapshots as people list them.

use iceberg::{Catalog, TableIdent};
use jiff::Timestamp;
use serde::Serialize;

use super::{Lake, COMMIT_ID};
use crate::Result;

/// A table in a listing. Counts are of the current snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSummary {
    /// Namespace and name.
    pub table: String,
    /// Rows.
    pub records: u64,
    /// Data files.
    pub data_files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Snapshots kept.
    pub snapshots: usize,
    /// The current snapshot, as text: JSON numbers cannot hold it.
    pub current_snapshot: Option<String>,
    /// When it was committed.
    pub committed_at: Option<Timestamp>,
    /// Where the table lies.
    pub location: String,
}

/// A snapshot in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    /// Its id, as text.
    pub snapshot: String,
    /// Its parent.
    pub parent: Option<String>,
    /// When it was committed.
    pub committed_at: Option<Timestamp>,
    /// `append`, `overwrite`, `replace` or `delete`.
    pub operation: String,
    /// Rows added.
    pub added_records: u64,
    /// Rows removed.
    pub deleted_records: u64,
    /// Rows then in the table.
    pub total_records: u64,
    /// Name of the commit, if weir made it.
    pub commit_id: Option<String>,
}

impl Lake {
    /// Every table of every namespace, by name.
    ///
    /// # Errors
    /// If the catalog cannot be reached.
    pub async fn tables(&self) -> Result<Vec<TableIdent>> {
        let mut tables = Vec::new();
        for namespace in self.catalog.list_namespaces(None).await? {
            tables.extend(self.catalog.list_tables(&namespace).await?);
        }
        tables.sort_by_key(TableIdent::to_string);
        Ok(tables)
    }

    /// What a listing says about a table.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn summary(&self, table: &TableIdent) -> Result<TableSummary> {
        let table = self.load(table).await?;
        let metadata = table.metadata();
        let current = metadata.current_snapshot();
        let total = |name: &str| current.map_or(0, |snapshot| number(&snapshot.summary().additional_properties, name));
        Ok(TableSummary {
            table: table.identifier().to_string(),
            records: total("total-records"),
            data_files: total("total-data-files"),
            bytes: total("total-files-size"),
            snapshots: metadata.snapshots().count(),
            current_snapshot: current.map(|snapshot| snapshot.snapshot_id().to_string()),
            committed_at: current.and_then(|snapshot| Timestamp::from_millisecond(snapshot.timestamp_ms()).ok()),
            location: metadata.location().to_owned(),
        })
    }

    /// The snapshots of a table, newest first.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn snapshots(&self, table: &TableIdent) -> Result<Vec<SnapshotSummary>> {
        let table = self.load(table).await?;
        let mut snapshots: Vec<_> = table.metadata().snapshots().collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
        let rows = snapshots.into_iter().map(|snapshot| {
            let properties = &snapshot.summary().additional_properties;
            SnapshotSummary {
                snapshot: snapshot.snapshot_id().to_string(),
                parent: snapshot.parent_snapshot_id().map(|id| id.to_string()),
                committed_at: Timestamp::from_millisecond(snapshot.timestamp_ms()).ok(),
                operation: snapshot.summary().operation.as_str().to_owned(),
                added_records: number(properties, "added-records"),
                deleted_records: number(properties, "deleted-records"),
                total_records: number(properties, "total-records"),
                commit_id: properties.get(COMMIT_ID).cloned(),
            }
        });
        Ok(rows.collect())
    }
}

fn number(properties: &std::collections::HashMap<String, String>, name: &str) -> u64 {
    properties.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}
