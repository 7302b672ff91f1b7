//! What a table's history says: what was added since a snapshot, and what weir's own commits wrote of themselves.

use std::collections::HashMap;

use iceberg::spec::{Operation, TableMetadata};
use iceberg::table::Table;
use iceberg::TableIdent;

use super::scan::local;
use super::state::State;
use super::Lake;
use crate::{Error, Result};

/// Files that hold everything a table has gained since a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// These, and nothing was taken away. Empty: nothing was added.
    Files(Vec<String>),
    /// The history does not tell, for this reason.
    Unknown(String),
}

/// A commit as the table's history tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its snapshot.
    pub snapshot_id: i64,
    /// Its summary's properties.
    pub properties: HashMap<String, String>,
}

impl Lake {
    /// The newest commit that changed the table's rows, see [`State::newest_change`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn newest_change(&self, table: &TableIdent) -> Result<Option<Commit>> {
        Ok(self.state(table).await?.newest_change())
    }

    /// Whether the table's rows are still those of `snapshot`, see [`State::is_unchanged_since`].
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn is_unchanged_since(&self, table: &TableIdent, snapshot: i64) -> Result<bool> {
        Ok(self.state(table).await?.is_unchanged_since(snapshot))
    }

    /// The table's current snapshot, if it has any.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn current_snapshot(&self, table: &TableIdent) -> Result<Option<i64>> {
        Ok(self.state(table).await?.current_snapshot())
    }
}

impl State {
    /// The newest commit that changed the table's rows: rewrites of files alone, as compaction makes them, are passed
    /// over. None if there is none, or if it has expired.
    #[must_use]
    pub fn newest_change(&self) -> Option<Commit> {
        newest_change(self.table().metadata(), self.current_snapshot())
    }

    /// The commit that made a snapshot, if the table still has it and it changed rows.
    #[must_use]
    pub fn change(&self, snapshot: i64) -> Option<Commit> {
        newest_change(self.table().metadata(), Some(snapshot)).filter(|commit| commit.snapshot_id == snapshot)
    }

    /// Whether the table's rows are those of `snapshot`, which may have expired: nothing or only rewrites came after it.
    #[must_use]
    pub fn is_unchanged_since(&self, snapshot: i64) -> bool {
        is_unchanged(self.table().metadata(), Some(snapshot))
    }

    /// Files with the rows added after a snapshot. `since` none is before the first.
    ///
    /// # Errors
    /// If a manifest cannot be read.
    pub async fn added_since(&self, since: Option<i64>) -> Result<Added> {
        let table = self.table();
        let metadata = table.metadata();
        let mut files = Vec::new();
        let mut id = self.current_snapshot();
        while id != since {
            let Some(snapshot) = id.and_then(|id| metadata.snapshot_by_id(id)) else {
                return Ok(Added::Unknown(format!(
                    "snapshots of {} between the last refresh and this one have expired",
                    table.identifier()
                )));
            };
            match snapshot.summary().operation {
                Operation::Append => files.extend(appended(table, snapshot.snapshot_id()).await?),
                // The same rows in other files.
                Operation::Replace => {}
                Operation::Overwrite | Operation::Delete => {
                    return Ok(Added::Unknown(format!(
                        "rows were taken out of {} since the last refresh",
                        table.identifier()
                    )));
                }
            }
            id = snapshot.parent_snapshot_id();
        }
        files.sort_unstable();
        Ok(Added::Files(files))
    }
}

/// Whether the rows are those of a snapshot (before the first, if none is named): nothing or only rewrites came after it.
pub(super) fn is_unchanged(metadata: &TableMetadata, since: Option<i64>) -> bool {
    let mut id = metadata.current_snapshot_id();
    while id != since {
        id = match id.and_then(|id| metadata.snapshot_by_id(id)) {
            // A rewrite is of something: what came before the first one has expired.
            Some(later) if later.summary().operation == Operation::Replace && later.parent_snapshot_id().is_some() => {
                later.parent_snapshot_id()
            }
            _ => return false,
        };
    }
    true
}

pub(crate) fn newest_change(metadata: &TableMetadata, until: Option<i64>) -> Option<Commit> {
    let mut snapshot = metadata.snapshot_by_id(until?)?;
    while snapshot.summary().operation == Operation::Replace {
        snapshot = metadata.snapshot_by_id(snapshot.parent_snapshot_id()?)?;
    }
    Some(Commit {
        snapshot_id: snapshot.snapshot_id(),
        properties: snapshot.summary().additional_properties.clone(),
    })
}

/// Files that one snapshot appended.
async fn appended(table: &Table, snapshot_id: i64) -> Result<Vec<String>> {
    let snapshot = table
        .metadata()
        .snapshot_by_id(snapshot_id)
        .ok_or_else(|| Error::Internal(format!("{}: no snapshot {snapshot_id}", table.identifier())))?;
    let list = table.manifest_list_reader(snapshot).load().await?;
    let mut files = Vec::new();
    for manifest in list.entries().iter().filter(|one| one.added_snapshot_id == snapshot_id) {
        let entries = manifest.load_manifest(table.file_io()).await?.into_parts().0;
        let own = entries
            .iter()
            .filter(|entry| entry.is_alive() && entry.snapshot_id().unwrap_or(snapshot_id) == snapshot_id);
        files.extend(own.map(|entry| local(entry.file_path().to_owned())));
    }
    Ok(files)
}
