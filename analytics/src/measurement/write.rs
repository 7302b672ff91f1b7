//! The rows of a refresh into the lake: files as rows get ready, and once all is computed two commits, of sales first and
//! then of performance, which makes both visible.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::coalesce::BatchCoalescer;
use duckdb::Connection;
use futures::{stream, Stream};
use iceberg::TableIdent;
use jiff::civil::{date, Date};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use uuid::Uuid;

use super::base::{self, is_written, properties};
use super::identity::{computation_id, sales_refresh_id};
use super::inputs::{Computed, Ready, SALES_QUERY};
use super::plan::Plan;
use super::refresh::{How, Outcome};
use super::tables;
use crate::failpoint;
use crate::lake::{self, BuiltOn, Lake, Scope};
use crate::{Error, Result};

/// The rows of a refresh in files, of which a table knows nothing before [`Self::commit`].
#[derive(Debug, Default)]
pub struct Prepared {
    sales: Option<Pending>,
    performance: Option<Pending>,
}

/// The rows of one table.
#[derive(Debug)]
struct Pending {
    table: TableIdent,
    refresh_id: String,
    /// Rows to be written, whether or not an earlier run has committed them.
    count: usize,
    files: Files,
}

#[derive(Debug)]
enum Files {
    /// The table's newest change is this very one, or nothing of it changes: a snapshot with the rows.
    Held(i64),
    /// To be committed.
    Written(Box<lake::Prepared>),
}

impl Prepared {
    /// Writes rows as they get ready, until whoever computes has ended.
    ///
    /// # Errors
    /// From the lake. What was written before stays here, to be discarded.
    pub async fn take_all(&mut self, lake: &Lake, plan: &Plan, mut ready: UnboundedReceiver<Ready>) -> Result<()> {
        while let Some(ready) = ready.recv().await {
            self.take(lake, plan, ready).await?;
        }
        Ok(())
    }

    /// Writes the rows of one table.
    ///
    /// # Errors
    /// As [`Self::take_all`].
    pub async fn take(&mut self, lake: &Lake, plan: &Plan, ready: Ready) -> Result<()> {
        // Without an event there is nothing to be written.
        if plan.inputs.commerce_snapshot.is_none() {
            return Ok(());
        }
        match ready {
            Ready::Sales {
                connection,
                changed_days,
                count,
            } => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let rows = Rows::Asked { connection, count };
                self.sales = Some(prepare_sales(lake, plan, rows, changed_days.as_deref()).await?);
            }
            Ready::Performance { refresh_id, days, rows } => {
                let scope = partition_days(&days)?;
                let rows = Rows::Held(rows);
                self.performance = Some(prepare(lake, plan, tables::performance(), refresh_id, rows, scope).await?);
            }
        }
        Ok(())
    }

    /// Commits sales and then performance, which makes both visible, and counts the rows in `outcome`.
    ///
    /// # Errors
    /// From the lake. Sales may be committed and performance not: readers see neither, and the next refresh goes on there.
    pub async fn commit(self, lake: &Lake, plan: &Plan, computed: Computed, outcome: &mut Outcome) -> Result<()> {
        let (Some(sales), Some(performance)) = (self.sales, self.performance) else {
            return Err(Error::Internal("rows to be committed were never ready".to_owned()));
        };
        let own = properties(&[
            (base::REFRESH_ID, Some(sales.refresh_id.clone())),
            (base::MODE, Some(mode(plan))),
            (base::COMMERCE, plan.inputs.commerce_snapshot.map(|id| id.to_string())),
        ]);
        let sales = match sales
            .commit(lake, own, BuiltOn::Rows(plan.written_sales()), outcome)
            .await
        {
            Ok(snapshot) => snapshot,
            Err(error) => {
                performance.discard(lake).await;
                return Err(error);
            }
        };
        failpoint::reached("refresh_between_commits");
        let own = [
            (base::REFRESH_ID, Some(performance.refresh_id.clone())),
            (base::MODE, Some(mode(plan))),
            (base::COMPUTATION, Some(computation_id())),
            (base::COMMERCE, plan.inputs.commerce_snapshot.map(|id| id.to_string())),
            (
                base::PUBLICATION,
                plan.inputs.publication_snapshot.map(|id| id.to_string()),
            ),
            (base::SALES, Some(sales.to_string())),
            (base::SHOPS, Some(serde_json::to_string(&computed.shops)?)),
        ];
        let own = properties(&[own.as_slice(), &plan.about_ended_days()?].concat());
        let built_on = BuiltOn::Rows(plan.written_performance());
        performance.commit(lake, own, built_on, outcome).await?;
        Ok(())
    }

    /// Takes the files away again.
    pub async fn discard(self, lake: &Lake) {
        for pending in [self.sales, self.performance].into_iter().flatten() {
            pending.discard(lake).await;
        }
    }
}

impl Pending {
    async fn discard(self, lake: &Lake) {
        if let Files::Written(files) = self.files {
            // `weir lake orphans` finds what storage does not remove now.
            let _ = lake.discard(*files).await;
        }
    }

    /// The snapshot with the rows.
    async fn commit(
        self,
        lake: &Lake,
        own: HashMap<String, String>,
        built_on: BuiltOn,
        outcome: &mut Outcome,
    ) -> Result<i64> {
        outcome.rows_to_write += self.count;
        let files = match self.files {
            Files::Held(snapshot) => return Ok(snapshot),
            Files::Written(files) => files,
        };
        let done = lake.complete(*files, own, built_on).await?;
        if !done.already_committed {
            outcome.committed_tables.push(self.table.to_string());
            outcome.rows_committed += self.count;
        }
        done.snapshot_id
            .ok_or_else(|| Error::Internal(format!("{}: the commit has no snapshot", self.table)))
    }
}

/// How it is told in the summary: of one since a day, the day too.
fn mode(plan: &Plan) -> String {
    match plan.request.how {
        How::Since(day) => format!("{} {day}", plan.mode),
        How::EndedDays => base::ENDED_DAYS.to_owned(),
        _ => plan.mode.to_owned(),
    }
}

/// Rows to be written.
enum Rows {
    /// In memory.
    Held(Vec<RecordBatch>),
    /// Those of sales, in the database that computed them.
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

/// What brings `measurement.sales` to what was computed; all of it if no days are named.
async fn prepare_sales(lake: &Lake, plan: &Plan, rows: Rows, changed_days: Option<&[Date]>) -> Result<Pending> {
    let table = tables::sales();
    let refresh_id = sales_refresh_id(plan.inputs.commerce_snapshot);
    let scope = match changed_days {
        Some([]) => {
            let held = plan.written_sales();
            let held = held.ok_or_else(|| Error::Internal("no day of sales changed, and there is none".to_owned()))?;
            // No commit of sales will find this out: those of another server's refresh in between may hold orders that this
            // one has not read, and the next refresh would add them again.
            if !lake.is_unchanged_since(&table, held).await? {
                return Err(Error::Overtaken {
                    table: table.to_string(),
                });
            }
            return Ok(Pending {
                table,
                refresh_id,
                count: 0,
                files: Files::Held(held),
            });
        }
        Some(days) => partition_days(days)?,
        None => Scope::WholeTable,
    };
    prepare(lake, plan, table, refresh_id, rows, scope).await
}

/// The files of one commit, unless the table's newest change is this very one.
async fn prepare(
    lake: &Lake,
    plan: &Plan,
    table: TableIdent,
    refresh_id: String,
    rows: Rows,
    scope: Scope,
) -> Result<Pending> {
    let newest = lake.newest_change(&table).await?;
    let count = rows.count();
    let held = newest.as_ref().map(|commit| commit.snapshot_id);
    let mode = mode(plan);
    let asked = matches!(plan.request.how, How::Full | How::Since(_)).then_some(mode.as_str());
    let has_readers = match &newest {
        Some(newest) => plan.request.how == How::EndedDays || base::visible_before(newest)?.is_none(),
        None => false,
    };
    let is_written = has_readers && is_written(newest.as_ref(), &refresh_id, asked) || plan.is_repeated(&refresh_id);
    let files = match held {
        Some(snapshot) if is_written => Files::Held(snapshot),
        _ => {
            // A name for this change of this state: were the same rows written again over others, it would be another
            // change.
            let name = format!("{refresh_id} {mode} {held:?}");
            let commit_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
            let schema = lake.arrow_schema(&table).await?;
            let files = match rows {
                Rows::Held(batches) => {
                    let batches: Vec<_> = batches.iter().map(|batch| fit(batch, &schema)).collect::<Result<_>>()?;
                    lake.prepare_overwrite(&table, &batches, scope, commit_id).await?
                }
                Rows::Asked { connection, .. } => {
                    lake.prepare_days(&table, sales(connection, schema), scope, commit_id)
                        .await?
                }
            };
            Files::Written(Box::new(files))
        }
    };
    Ok(Pending {
        table,
        refresh_id,
        count,
        files,
    })
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
