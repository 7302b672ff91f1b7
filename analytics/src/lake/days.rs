//! Parquet files of rows that come day by day.

use arrow_array::RecordBatch;
use futures::{Stream, TryStreamExt};
use iceberg::spec::{DataFile, Literal, PartitionKey, PrimitiveLiteral};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::partitioning::clustered_writer::ClusteredWriter;
use iceberg::writer::partitioning::PartitioningWriter;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::partitions::Partitions;
use super::write::{arrow_schema, conform, rolling, DataFiles};
use crate::Result;

/// Days that are encoded at the same time; encoding takes one core each.
const DAY_WRITERS: usize = 2;
/// Parts of days that wait for a writer; together with the writers' own, what a stream holds in memory.
const WAITING_PARTS: usize = 4;

/// As [`super::write::data_files`], of rows that come day by day into a table partitioned by one date: no more is held than
/// the days being written.
pub(super) async fn day_files(
    table: &Table,
    rows: impl Stream<Item = Result<RecordBatch>> + Send,
) -> Result<Vec<DataFile>> {
    let schema = arrow_schema(table)?;
    let partitions = Partitions::of(table)?;
    let mut writers = JoinSet::new();
    let mut queues = Vec::with_capacity(DAY_WRITERS);
    for _ in 0..DAY_WRITERS {
        let (queue, parts) = mpsc::channel(WAITING_PARTS);
        writers.spawn(write_parts(DataFileWriterBuilder::new(rolling(table)?), parts));
        queues.push(queue);
    }
    let mut rows = std::pin::pin!(rows);
    let (mut day, mut turn) = (None, 0);
    'rows: while let Some(batch) = rows.try_next().await? {
        let mut parts = partitions.split(conform(&batch, &schema)?)?;
        parts.sort_by_key(|(partition, _)| day_of(partition));
        for part in parts {
            let own = day_of(&part.0);
            if day != Some(own) {
                (day, turn) = (Some(own), (turn + 1) % DAY_WRITERS);
            }
            if queues[turn].send(part).await.is_err() {
                // The writer has failed and tells why when it is joined.
                break 'rows;
            }
        }
    }
    drop(queues);
    let mut files = Vec::new();
    while let Some(written) = writers.join_next().await {
        files.extend(written??);
    }
    Ok(files)
}

async fn write_parts(
    files: DataFiles,
    mut parts: mpsc::Receiver<(PartitionKey, RecordBatch)>,
) -> Result<Vec<DataFile>> {
    let mut writer = ClusteredWriter::new(files);
    while let Some((partition, part)) = parts.recv().await {
        writer.write(partition, part).await?;
    }
    Ok(writer.close().await?)
}

/// The day of a partition; none where the row has none, which comes first as it does in Iceberg.
fn day_of(partition: &PartitionKey) -> Option<i32> {
    match partition.data().fields() {
        [Some(Literal::Primitive(PrimitiveLiteral::Int(day)))] => Some(*day),
        _ => None,
    }
}
