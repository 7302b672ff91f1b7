//! A refresh: query, compute, classify, write.
//!
//! Idempotent: the same snapshot, specifications and days give the same rows and the same commit ids, so a crashed refresh
//! is simply run again, and a repeated one commits nothing. This slice recomputes `measurement.sales` from the whole
//! history each time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use iceberg::TableIdent;
use jiff::civil::{date, Date};
use jiff::Timestamp;
use serde::Serialize;
use weir_domain::telemetry;

use super::engine::{self, Computed, Inputs};
use super::steps::{Progress, Step};
use super::{objective_store, tables};
use crate::lake::{CommitOutcome, Lake, Scope, COMMIT_ID};
use crate::{Error, Result};

/// What a refresh did.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Identity of the content of the performance days; equal inputs give the same one.
    pub refresh_id: String,
    /// Snapshot of `commerce.telemetry` it is computed from; none if there is no event yet. Text: a JavaScript number
    /// cannot hold it.
    pub source_snapshot_id: Option<String>,
    /// The shops' dates at the moment of the refresh.
    pub computed_on: Vec<String>,
    /// Rows of commerce telemetry read, repeated deliveries included.
    pub event_count: u64,
    /// Products classified.
    pub product_count: u64,
    /// Rows `measurement.sales` now has.
    pub sales_rows: usize,
    /// Rows the replaced days of `measurement.performance` now have.
    pub performance_rows: usize,
    /// How many of those rows are new with this run's commits; 0 when the same refresh had been run before.
    #[serde(skip)]
    pub rows_committed: usize,
    /// Tables in which a new snapshot was committed; none when the same refresh had been run before.
    pub committed_tables: Vec<String>,
}

/// Runs one refresh as of `now`, and tells `progress` of each step that begins.
///
/// # Errors
/// From the lake or DuckDB; nothing is written if the computation fails. If writing performance fails after sales, the
/// next refresh completes it.
pub async fn run(lake: &Lake, now: Timestamp, progress: &Arc<Progress>) -> Result<Outcome> {
    progress.begin(Step::Query);
    let inputs = query(lake, now).await?;
    let source_snapshot_id = inputs.commerce_snapshot;
    let computing = Arc::clone(progress);
    let duckdb = lake.duckdb();
    let computed = tokio::task::spawn_blocking(move || {
        let spill = std::env::temp_dir().join(format!("weir-refresh-{}", std::process::id()));
        let connection = duckdb.open(&spill)?;
        engine::compute(&connection, &inputs, &computing)
    })
    .await??;
    progress.begin(Step::Write);
    let mut outcome = Outcome {
        refresh_id: computed.performance_refresh_id.clone(),
        source_snapshot_id: source_snapshot_id.map(|id| id.to_string()),
        computed_on: computed.days.iter().map(Date::to_string).collect(),
        event_count: computed.event_count,
        product_count: computed.product_count,
        sales_rows: computed.sales.iter().map(RecordBatch::num_rows).sum(),
        performance_rows: computed.performance.iter().map(RecordBatch::num_rows).sum(),
        rows_committed: 0,
        committed_tables: Vec::new(),
    };
    if source_snapshot_id.is_some() {
        write(lake, computed, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Pins the snapshots first, so that everything is computed from one state of each table.
async fn query(lake: &Lake, now: Timestamp) -> Result<Inputs> {
    let commerce = stream_table(&telemetry::commerce())?;
    let publication = stream_table(&telemetry::publication())?;
    let commerce_snapshot = current_snapshot(lake, &commerce).await?;
    let publication_snapshot = current_snapshot(lake, &publication).await?;
    Ok(Inputs {
        commerce: lake.duckdb_relation(&commerce, commerce_snapshot).await?,
        publication: lake.duckdb_relation(&publication, publication_snapshot).await?,
        performance: lake.duckdb_relation(&tables::performance(), None).await?,
        commerce_snapshot,
        publication_snapshot,
        specifications: objective_store::load(lake).await?,
        now,
    })
}

async fn write(lake: &Lake, computed: Computed, outcome: &mut Outcome) -> Result<()> {
    let epoch = date(1970, 1, 1);
    let days = computed
        .days
        .iter()
        .map(|day| day.since(epoch).map(|span| span.get_days()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Internal(error.to_string()))?;
    let writes = [
        (
            tables::sales(),
            computed.sales,
            Scope::WholeTable,
            computed.sales_refresh_id,
        ),
        (
            tables::performance(),
            computed.performance,
            Scope::PartitionDays(days),
            computed.performance_refresh_id,
        ),
    ];
    for (table, batches, scope, refresh_id) in writes {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let commit = overwrite(lake, &table, batches, scope, refresh_id).await?;
        if !commit.already_committed {
            outcome.committed_tables.push(table.to_string());
            outcome.rows_committed += rows;
        }
    }
    Ok(())
}

async fn overwrite(
    lake: &Lake,
    table: &TableIdent,
    batches: Vec<RecordBatch>,
    scope: Scope,
    refresh_id: String,
) -> Result<CommitOutcome> {
    let schema = lake.arrow_schema(table).await?;
    let batches = batches
        .iter()
        .map(|batch| fit(batch, &schema))
        .collect::<Result<Vec<_>>>()?;
    let properties = HashMap::from([(COMMIT_ID.to_owned(), refresh_id)]);
    lake.overwrite(table, batches, scope, properties).await
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

async fn current_snapshot(lake: &Lake, table: &TableIdent) -> Result<Option<i64>> {
    Ok(lake.load(table).await?.metadata().current_snapshot_id())
}

fn stream_table(stream: &telemetry::StreamSchema) -> Result<TableIdent> {
    crate::lake::tables::stream_table(stream)
}
