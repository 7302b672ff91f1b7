//! The last step of a refresh: its rows into the lake, sales first and then performance, which makes both visible.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::coalesce::BatchCoalescer;
use duckdb::Connection;
use futures::{stream, Stream};
use iceberg::TableIdent;
use jiff::civil::{date, Date};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::base::{self, is_written, properties};
use super::identity::{computation_id, sales_refresh_id};
use super::inputs::{Computed, SALES_QUERY};
use super::plan::Plan;
use super::refresh::{How, Outcome};
use super::tables;
use crate::failpoint;
use crate::lake::{Lake, Scope, COMMIT_ID};
use crate::{Error, Result};

/// Writes what was computed and counts it in `outcome`.
///
/// # Errors
/// From the lake. Sales may be committed and performance not: readers see neither, and the next refresh goes on there.
pub async fn write(
    lake: &Lake,
    plan: &Plan,
    computed: Computed,
    connection: Connection,
    outcome: &mut Outcome,
) -> Result<()> {
    let sales = write_sales(lake, plan, &computed, connection, outcome).await?;
    failpoint::reached("refresh_between_commits");
    let days = computed
        .days
        .iter()
        .map(|day| days_since_1970(*day))
        .collect::<Result<Vec<_>>>()?;
    let own = properties(&[
        (base::REFRESH_ID, Some(computed.performance_refresh_id.clone())),
        (base::MODE, Some(plan.mode.to_owned())),
        (base::COMPUTATION, Some(computation_id())),
        (base::COMMERCE, plan.inputs.commerce_snapshot.map(|id| id.to_string())),
        (
            base::PUBLICATION,
            plan.inputs.publication_snapshot.map(|id| id.to_string()),
        ),
        (base::SALES, Some(sales.to_string())),
        (base::SHOPS, Some(serde_json::to_string(&computed.shops)?)),
    ]);
    let rows = Rows::Held(computed.performance);
    commit(
        lake,
        plan,
        &tables::performance(),
        rows,
        Scope::PartitionDays(days),
        own,
        outcome,
    )
    .await?;
    Ok(())
}

/// Rows to be written.
enum Rows {
    /// In memory.
    Held(Vec<RecordBatch>),
    /// Those of sales, in the connection that computed them.
    Asked { connection: Connection, count: usize },
}

impl Rows {
    fn count(&self) -> usize {
        match self {
            Self::Held(batches) => rows(batches),
            Self::Asked { count, .. } => *count,
        }
    }
}

/// Brings `measurement.sales` to what was computed. Its snapshot.
async fn write_sales(
    lake: &Lake,
    plan: &Plan,
    computed: &Computed,
    connection: Connection,
    outcome: &mut Outcome,
) -> Result<i64> {
    let table = tables::sales();
    let newest = lake.newest_change(&table).await?;
    let scope = match &computed.changed_days {
        Some(days) if days.is_empty() => {
            return newest
                .map(|commit| commit.snapshot_id)
                .ok_or_else(|| Error::Internal("no day of sales changed, and there is none".to_owned()));
        }
        Some(days) => partition_days(days)?,
        None => Scope::WholeTable,
    };
    let own = properties(&[
        (base::REFRESH_ID, Some(sales_refresh_id(plan.inputs.commerce_snapshot))),
        (base::MODE, Some(plan.mode.to_owned())),
        (base::COMMERCE, plan.inputs.commerce_snapshot.map(|id| id.to_string())),
    ]);
    let rows = Rows::Asked {
        connection,
        count: usize::try_from(computed.changed_rows).unwrap_or(usize::MAX),
    };
    commit(lake, plan, &table, rows, scope, own, outcome).await
}

/// One commit, unless the table's newest change is this very one. The snapshot with the rows.
async fn commit(
    lake: &Lake,
    plan: &Plan,
    table: &TableIdent,
    rows: Rows,
    scope: Scope,
    mut own: HashMap<String, String>,
    outcome: &mut Outcome,
) -> Result<i64> {
    let newest = lake.newest_change(table).await?;
    let refresh_id = own[base::REFRESH_ID].clone();
    let count = rows.count();
    outcome.rows_to_write += count;
    if let Some(commit) = &newest {
        if is_written(Some(commit), &refresh_id, plan.request.how == How::Full) {
            return Ok(commit.snapshot_id);
        }
    }
    // A name for this change of this state: were the same rows written again over others, it would be another change.
    let after = newest.map(|commit| commit.snapshot_id);
    let commit_id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{refresh_id} {} {after:?}", plan.mode).as_bytes(),
    );
    own.insert(COMMIT_ID.to_owned(), commit_id.to_string());
    let schema = lake.arrow_schema(table).await?;
    let done = match rows {
        Rows::Held(batches) => {
            let batches = batches.iter().map(|batch| fit(batch, &schema)).collect::<Result<_>>()?;
            lake.overwrite(table, batches, scope, own).await?
        }
        Rows::Asked { connection, .. } => {
            let rows = sales(connection, schema);
            lake.overwrite_days(table, rows, scope, own).await?
        }
    };
    if !done.already_committed {
        outcome.committed_tables.push(table.to_string());
        outcome.rows_committed += count;
    }
    done.snapshot_id
        .ok_or_else(|| Error::Internal(format!("{table}: the commit has no snapshot")))
}

/// Rows in a batch that is encoded at once; DuckDB hands them out by 2,048.
const BATCH_ROWS: usize = 16_384;
/// Batches that wait to be encoded.
const WAITING_BATCHES: usize = 4;

/// The rows of sales as they come. The end of the stream is the end of the rows: what breaks off is an error in it.
fn sales(connection: Connection, schema: SchemaRef) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    let reading = tokio::task::spawn_blocking(move || {
        let mut statement = connection.prepare(SALES_QUERY)?;
        let mut batches = BatchCoalescer::new(schema.clone(), BATCH_ROWS);
        for batch in statement.stream_arrow([])? {
            batches.push_batch(fit(&batch, &schema)?)?;
            while let Some(batch) = batches.next_completed_batch() {
                if sender.blocking_send(batch).is_err() {
                    return Ok(()); // nobody writes any more
                }
            }
        }
        batches.finish_buffered_batch()?;
        if let Some(batch) = batches.next_completed_batch() {
            // As above.
            let _ = sender.blocking_send(batch);
        }
        Ok(())
    });
    stream::unfold((receiver, Some(reading)), |(mut receiver, mut reading)| async move {
        if let Some(batch) = receiver.recv().await {
            return Some((Ok(batch), (receiver, reading)));
        }
        let ended = reading.take()?.await;
        let error = match ended {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error,
            Err(broken_off) => broken_off.into(),
        };
        Some((Err(error), (receiver, None)))
    })
}

/// Brings DuckDB's columns into the table's order and types: Iceberg names list elements and zones differently.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| Error::Internal(format!("the computation has no column {}", field.name())))?;
            Ok(arrow_cast::cast(column, field.data_type())?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn partition_days(days: &[Date]) -> Result<Scope> {
    let days = days.iter().map(|day| days_since_1970(*day)).collect::<Result<_>>()?;
    Ok(Scope::PartitionDays(days))
}

/// Iceberg's number for a date.
pub(super) fn days_since_1970(day: Date) -> Result<i32> {
    day.since(date(1970, 1, 1))
        .map(|span| span.get_days())
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Rows in batches.
pub(super) fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
