//! Replacing a table's rows, or some partitions of it, in one snapshot.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use iceberg::spec::{DataFile, Literal, PrimitiveLiteral, Struct};
use iceberg::TableIdent;

use super::commit::{CommitOutcome, COMMIT_ID};
use super::snapshot::{Change, Replaced};
use super::{write, Lake};
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
        if !properties.contains_key(COMMIT_ID) {
            return Err(Error::Invalid(format!("an overwrite needs the property {COMMIT_ID}")));
        }
        let table = self.load(table).await?;
        if let Some(done) = Self::already(table.metadata(), &properties) {
            return Ok(done);
        }
        let added = write::data_files(&table, &batches).await?;
        if let Err(error) = within(&scope, &added) {
            for file in &added {
                table.file_io().delete(file.file_path()).await?;
            }
            return Err(error);
        }
        failpoint::reached(&format!("after_parquet_write_before_commit:{}", table.identifier()));
        let change = Change {
            added: &added,
            replaced: Replaced::Scope(&scope),
            properties: &properties,
        };
        let outcome = self.commit(&table, change).await;
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
