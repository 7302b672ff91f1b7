//! Replacing a table's rows, or some partitions of it, in one snapshot.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use futures::Stream;
use iceberg::spec::{DataFile, Literal, PrimitiveLiteral, Struct};
use iceberg::table::Table;
use iceberg::TableIdent;

use super::commit::{CommitOutcome, COMMIT_ID};
use super::snapshot::{Change, Replaced};
use super::{days, write, Lake};
use crate::failpoint;
use crate::{Error, Result};

/// What an overwrite replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every row of the table.
    WholeTable,
    /// Partitions of a table partitioned by one date: days since 1970-01-01. Days without new rows become empty.
    PartitionDays(Vec<i32>),
}

impl Scope {
    /// Whether files of a partition are within the scope.
    pub(super) fn covers(&self, partition: &Struct) -> Result<bool> {
        let Self::PartitionDays(days) = self else {
            return Ok(true);
        };
        match partition.fields() {
            [Some(Literal::Primitive(PrimitiveLiteral::Int(day)))] => Ok(days.contains(day)),
            // A row without a date belongs to no day.
            [None] => Ok(false),
            _ => Err(Error::Invalid(
                "replacing days needs a table partitioned by one date".into(),
            )),
        }
    }
}

impl Lake {
    /// Replaces the rows in `scope` by `batches` in one snapshot, so that a reader sees the old or the new rows, never
    /// both. `properties` must name the commit ([`COMMIT_ID`]): a name already in the table's history changes nothing.
    ///
    /// The catalog may be shared: a commit in between makes this one start again from the newer snapshot.
    ///
    /// # Errors
    /// If a batch does not fit the table or has a row outside of `scope`, or if the commit fails.
    pub async fn overwrite(
        &self,
        table: &TableIdent,
        batches: Vec<RecordBatch>,
        scope: Scope,
        properties: HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        let table = match self.begin(table, &properties).await? {
            ControlFlow::Continue(table) => table,
            ControlFlow::Break(done) => return Ok(done),
        };
        let added = write::data_files(&table, &batches).await?;
        self.replace(&table, added, &scope, &properties).await
    }

    /// As [`Self::overwrite`], of rows that come day by day into a table partitioned by one date, and are written as they
    /// come. They are not read if the name is already in the history.
    ///
    /// # Errors
    /// As [`Self::overwrite`], and with the first error among the rows: nothing is committed then.
    pub async fn overwrite_days(
        &self,
        table: &TableIdent,
        rows: impl Stream<Item = Result<RecordBatch>> + Send,
        scope: Scope,
        properties: HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        let table = match self.begin(table, &properties).await? {
            ControlFlow::Continue(table) => table,
            ControlFlow::Break(done) => return Ok(done),
        };
        let added = days::day_files(&table, rows).await?;
        self.replace(&table, added, &scope, &properties).await
    }

    /// The table before an overwrite, and the outcome if there is nothing left to do.
    async fn begin(
        &self,
        table: &TableIdent,
        properties: &HashMap<String, String>,
    ) -> Result<ControlFlow<CommitOutcome, Table>> {
        if !properties.contains_key(COMMIT_ID) {
            return Err(Error::Invalid(format!("an overwrite needs the property {COMMIT_ID}")));
        }
        let table = self.load(table).await?;
        Ok(match Self::already(table.metadata(), properties) {
            Some(done) => ControlFlow::Break(done),
            None => ControlFlow::Continue(table),
        })
    }

    async fn replace(
        &self,
        table: &Table,
        added: Vec<DataFile>,
        scope: &Scope,
        properties: &HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        if let Err(error) = within(scope, &added) {
            for file in &added {
                table.file_io().delete(file.file_path()).await?;
            }
            return Err(error);
        }
        failpoint::reached(&format!("after_parquet_write_before_commit:{}", table.identifier()));
        let change = Change {
            added: &added,
            replaced: Replaced::Scope(scope),
            properties,
        };
        let outcome = self.commit(table, change).await;
        failpoint::reached(&format!("after_lake_commit_before_reply:{}", table.identifier()));
        outcome
    }
}

fn within(scope: &Scope, added: &[DataFile]) -> Result<()> {
    for file in added {
        if !scope.covers(file.partition())? {
            return Err(Error::Invalid(format!(
                "a row lies outside of the days replaced: {:?}",
                file.partition()
            )));
        }
    }
    Ok(())
}
