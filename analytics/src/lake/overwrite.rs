//! Replacing a table's rows, or some partitions of it, in one snapshot.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use futures::Stream;
use iceberg::spec::{DataFile, Literal, PrimitiveLiteral, Struct};
use iceberg::table::Table;
use iceberg::TableIdent;

use super::commit::{CommitOutcome, COMMIT_ID};
use super::snapshot::{BuiltOn, Change, Replaced};
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

/// An overwrite whose files are written and which no snapshot has yet.
#[derive(Debug)]
pub struct Prepared {
    commit_id: String,
    scope: Scope,
    /// Nothing is left to do where the table's history holds the commit.
    files: ControlFlow<CommitOutcome, (Table, Vec<DataFile>)>,
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
        let Some(commit_id) = properties.get(COMMIT_ID).cloned() else {
            return Err(Error::Invalid(format!("an overwrite needs the property {COMMIT_ID}")));
        };
        let prepared = self.prepare_overwrite(table, &batches, scope, commit_id).await?;
        self.complete(prepared, properties, BuiltOn::Anything).await
    }

    /// The first half of [`Self::overwrite`], for a writer that decides later whether to commit: [`Self::complete`] or
    /// [`Self::discard`] is the other half.
    ///
    /// # Errors
    /// As [`Self::overwrite`].
    pub async fn prepare_overwrite(
        &self,
        table: &TableIdent,
        batches: &[RecordBatch],
        scope: Scope,
        commit_id: String,
    ) -> Result<Prepared> {
        let mut prepared = self.begin(table, scope, commit_id).await?;
        if let ControlFlow::Continue((table, added)) = &mut prepared.files {
            *added = write::data_files(table, batches).await?;
        }
        self.within(prepared).await
    }

    /// As [`Self::prepare_overwrite`], of rows that come day by day into a table partitioned by one date, and are written as
    /// they come. They are not read if the name is already in the history.
    ///
    /// # Errors
    /// As [`Self::overwrite`], and with the first error among the rows.
    pub async fn prepare_days(
        &self,
        table: &TableIdent,
        rows: impl Stream<Item = Result<RecordBatch>> + Send,
        scope: Scope,
        commit_id: String,
    ) -> Result<Prepared> {
        let mut prepared = self.begin(table, scope, commit_id).await?;
        if let ControlFlow::Continue((table, added)) = &mut prepared.files {
            *added = days::day_files(table, rows).await?;
        }
        self.within(prepared).await
    }

    /// An overwrite without its files.
    async fn begin(&self, table: &TableIdent, scope: Scope, commit_id: String) -> Result<Prepared> {
        let table = self.load(table).await?;
        let own = HashMap::from([(COMMIT_ID.to_owned(), commit_id.clone())]);
        let files = match Self::already(table.metadata(), &own) {
            Some(done) => ControlFlow::Break(done),
            None => ControlFlow::Continue((table, Vec::new())),
        };
        Ok(Prepared {
            commit_id,
            scope,
            files,
        })
    }

    /// What was prepared, if every row of it lies within its scope.
    async fn within(&self, prepared: Prepared) -> Result<Prepared> {
        if let ControlFlow::Continue((_, added)) = &prepared.files {
            if let Err(error) = within(&prepared.scope, added) {
                self.discard(prepared).await?;
                return Err(error);
            }
        }
        Ok(prepared)
    }

    /// The snapshot that puts what was prepared in place of the rows in its scope. `properties` are those of its summary.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if the table's rows are not those it was built on, and its files are taken away; or if the commit
    /// fails.
    pub async fn complete(
        &self,
        prepared: Prepared,
        mut properties: HashMap<String, String>,
        built_on: BuiltOn,
    ) -> Result<CommitOutcome> {
        let (table, added) = match prepared.files {
            ControlFlow::Break(done) => return Ok(done),
            ControlFlow::Continue(files) => files,
        };
        properties.insert(COMMIT_ID.to_owned(), prepared.commit_id);
        failpoint::reached(&format!("after_parquet_write_before_commit:{}", table.identifier()));
        let change = Change {
            added: &added,
            replaced: Replaced::Scope(&prepared.scope),
            properties: &properties,
            built_on,
        };
        let outcome = self.commit(&table, change).await;
        if let Err(Error::Overtaken { .. }) = outcome {
            // `weir lake orphans` finds what storage does not remove now.
            let _ = remove(&table, &added).await;
        }
        failpoint::reached(&format!("after_lake_commit_before_reply:{}", table.identifier()));
        outcome
    }

    /// Takes the files of what is not to be committed away.
    ///
    /// # Errors
    /// If storage refuses; `weir lake orphans` finds them later.
    pub async fn discard(&self, prepared: Prepared) -> Result<()> {
        if let ControlFlow::Continue((table, added)) = prepared.files {
            remove(&table, &added).await?;
        }
        Ok(())
    }
}

async fn remove(table: &Table, files: &[DataFile]) -> Result<()> {
    for file in files {
        table.file_io().delete(file.file_path()).await?;
    }
    Ok(())
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
