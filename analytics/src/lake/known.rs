//! Whether rows are in a table already, where its history cannot tell any more: snapshots expire, and with them the names of
//! their commits.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use duckdb::Connection;
use iceberg::spec::TableMetadata;
use iceberg::TableIdent;
use tokio::task::spawn_blocking;

use super::duckdb::Spill;
use super::ranges::Files;
use super::{Lake, COMMIT_ID};
use crate::{Error, Result};

/// Clocks of servers that share a catalog agree to this, in milliseconds: Iceberg asks as much of snapshots.
const CLOCKS_AGREE_MS: i64 = 60_000;

/// What a table's history says of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// It was made.
    Has,
    /// It was not.
    Lacks,
    /// Snapshots of the time since it may have been made have expired: only the rows tell.
    Forgot,
}

impl Lake {
    /// What a table's history says of a commit that was made at `begun_ms` (since 1970) or later.
    ///
    /// # Errors
    /// If there is no such table or the catalog cannot be reached.
    pub(crate) async fn history_of(&self, table: &TableIdent, commit_id: &str, begun_ms: i64) -> Result<History> {
        let table = self.load(table).await?;
        let properties = [(COMMIT_ID.to_owned(), commit_id.to_owned())].into();
        Ok(match Self::already(table.metadata(), &properties) {
            Some(_) => History::Has,
            None if begun_ms < known_since_ms(table.metadata()) => History::Forgot,
            None => History::Lacks,
        })
    }

    /// What tells of events whether a table has them now.
    ///
    /// # Errors
    /// If another writer left row-level deletes in the table, or the catalog cannot be reached.
    pub(crate) async fn known_events(&self, table: &TableIdent) -> Result<KnownEvents> {
        let state = self.state(table).await?;
        let files = state.files(state.current_snapshot(), "event_date").await?;
        let duckdb = self.duckdb();
        let opening = move || {
            let spill = duckdb.spill("known");
            let connection = duckdb.open(&spill)?;
            connection.execute_batch("create table asked (event_id varchar)")?;
            Ok(KnownEvents {
                connection,
                files,
                days: BTreeSet::new(),
                _spill: spill,
            })
        };
        spawn_blocking(opening).await?
    }
}

/// Since when every commit is in the history, in milliseconds since 1970.
fn known_since_ms(metadata: &TableMetadata) -> i64 {
    let Some(mut oldest) = metadata.current_snapshot() else {
        return i64::MIN;
    };
    // A tag may have kept one that is older than those expired.
    while let Some(parent) = oldest.parent_snapshot_id() {
        match metadata.snapshot_by_id(parent) {
            Some(parent) => oldest = parent,
            None => return oldest.timestamp_ms().saturating_add(CLOCKS_AGREE_MS),
        }
    }
    i64::MIN
}

/// The events of a table, at one snapshot, and those asked for.
#[derive(Debug)]
pub(crate) struct KnownEvents {
    /// Dropped before what it spills into.
    connection: Connection,
    files: Files,
    /// Of the events asked for.
    days: BTreeSet<String>,
    _spill: Spill,
}

impl KnownEvents {
    /// Asks for the events of these rows; how many. Blocks.
    ///
    /// # Errors
    /// If the rows are of no stream.
    pub fn ask(&mut self, batches: &[RecordBatch]) -> Result<usize> {
        let mut appender = self.connection.appender("asked")?;
        for batch in batches {
            let ids = texts(batch, "event_id")?;
            appender.append_rows(ids.as_string::<i32>().iter().map(|id| [id]))?;
            let days = texts(batch, "event_date")?;
            self.days
                .extend(days.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        appender.flush()?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    /// Whether the table has every event asked for since the last time. Blocks.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn have_all(&mut self) -> Result<bool> {
        let days: Vec<_> = std::mem::take(&mut self.days).into_iter().collect();
        let missing = format!(
            "select (select count(distinct event_id) from asked)
                - (select count(distinct event_id) from {} as t semi join asked using (event_id))",
            self.files.relation(&self.files.paths_with_any(&days))
        );
        let missing: i64 = self.connection.query_row(&missing, [], |row| row.get(0))?;
        self.connection.execute_batch("truncate asked")?;
        Ok(missing == 0)
    }
}

/// A column that all streams have, as texts.
fn texts(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| Error::Internal(format!("rows of a stream have no {name}")))?;
    Ok(arrow_cast::cast(column, &DataType::Utf8)?)
}
