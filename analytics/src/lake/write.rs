//! Parquet files of a table, before a commit makes them visible.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{new_null_array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, SchemaRef};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataFile, DataFileFormat, Struct};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::partitioning::fanout_writer::FanoutWriter;
use iceberg::writer::partitioning::unpartitioned_writer::UnpartitionedWriter;
use iceberg::writer::partitioning::PartitioningWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::partitions::Partitions;
use super::sinks;
use crate::Result;

/// Arrow schema of a table's rows, with Iceberg field ids.
pub(super) fn arrow_schema(table: &Table) -> Result<SchemaRef> {
    Ok(Arc::new(schema_to_arrow_schema(table.metadata().current_schema())?))
}

/// Columns in which no value comes twice: a dictionary of them is made in vain.
const UNIQUE_COLUMNS: [&str; 1] = ["event_id"];
/// Rows of a row group: what a writer holds in memory, encoded, until it goes to the file. DuckDB reads one per thread.
const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Partitions with an open file at a time; each takes some 300 KiB for its columns.
const MAX_OPEN_PARTITIONS: usize = 256;

pub(super) type Rolling =
    RollingFileWriterBuilder<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;
pub(super) type DataFiles =
    DataFileWriterBuilder<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;

/// What writes a table's files.
pub(super) fn rolling(table: &Table) -> Result<Rolling> {
    let metadata = table.metadata();
    // Level 1: higher ones take a multiple of the time for a few percent less.
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for column in UNIQUE_COLUMNS {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    Ok(RollingFileWriterBuilder::new_with_default_file_size(
        ParquetWriterBuilder::new(properties.build(), metadata.current_schema().clone()),
        table.file_io().clone(),
        DefaultLocationGenerator::new(metadata)?,
        DefaultFileNameGenerator::new(uuid::Uuid::new_v4().to_string(), None, DataFileFormat::Parquet),
    ))
}

/// Data files of a table that are still being written.
pub(crate) struct TableWriter {
    table: Table,
    schema: SchemaRef,
    rolling: Rolling,
    began: Instant,
    files: Vec<DataFile>,
    open: Open,
}

enum Open {
    Unpartitioned(Box<UnpartitionedWriter<DataFiles>>),
    Partitioned {
        partitions: Box<Partitions>,
        writer: Box<FanoutWriter<DataFiles>>,
        keys: HashSet<Struct>,
    },
}

/// Data files that are whole and that no snapshot has yet.
#[derive(Debug)]
pub struct Written {
    /// The table as it was when writing began.
    pub(crate) table: Table,
    pub(crate) files: Vec<DataFile>,
    began: Instant,
}

impl Written {
    /// Time since the first file may have been begun. Files older than [`super::orphans::LEAST_AGE`] may be gone.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }
}

impl TableWriter {
    /// No file is made before the first row.
    pub(crate) fn new(table: Table) -> Result<Self> {
        let rolling = rolling(&table)?;
        let builder = DataFileWriterBuilder::new(rolling.clone());
        let open = if table.metadata().default_partition_spec().is_unpartitioned() {
            Open::Unpartitioned(Box::new(UnpartitionedWriter::new(builder)))
        } else {
            Open::Partitioned {
                partitions: Box::new(Partitions::of(&table)?),
                writer: Box::new(FanoutWriter::new(builder)),
                keys: HashSet::new(),
            }
        };
        Ok(Self {
            schema: arrow_schema(&table)?,
            table,
            rolling,
            began: Instant::now(),
            files: Vec::new(),
            open,
        })
    }

    /// Encodes rows, a file per partition; a file goes to storage as it grows. Batches of a thousand rows or more are
    /// encoded fastest.
    ///
    /// # Errors
    /// If the rows do not fit the table, or storage refuses; what was written is of no use then.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform(batch, &self.schema)?;
        match &mut self.open {
            Open::Unpartitioned(writer) => writer.write(batch).await?,
            Open::Partitioned {
                partitions,
                writer,
                keys,
            } => {
                for (partition, part) in partitions.split(batch)? {
                    if keys.len() >= MAX_OPEN_PARTITIONS && !keys.contains(partition.data()) {
                        let builder = DataFileWriterBuilder::new(self.rolling.clone());
                        let full = std::mem::replace(writer, Box::new(FanoutWriter::new(builder)));
                        self.files.extend(full.close().await?);
                        keys.clear();
                    }
                    keys.insert(partition.data().clone());
                    writer.write(partition, part).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends the files.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn close(mut self) -> Result<Written> {
        self.files.extend(match self.open {
            Open::Unpartitioned(writer) => writer.close().await?,
            Open::Partitioned { writer, .. } => writer.close().await?,
        });
        Ok(Written {
            table: self.table,
            files: self.files,
            began: self.began,
        })
    }
}

/// Writes batches as zstd Parquet, one file per partition touched. Empty batches write nothing.
pub(super) async fn data_files(table: &Table, batches: &[RecordBatch]) -> Result<Vec<DataFile>> {
    let mut writer = TableWriter::new(table.clone())?;
    for batch in batches {
        writer.write(batch).await?;
    }
    Ok(writer.close().await?.files)
}

/// Brings a batch to the table's schema: columns by name in the table's order, cast where the type differs, null where
/// the batch lacks an optional one; the moment where it lacks that of the ingest.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    if let Some(unknown) = batch
        .schema_ref()
        .fields()
        .iter()
        .find(|field| schema.index_of(field.name()).is_err())
    {
        return Err(ArrowError::SchemaError(format!("the table has no column {}", unknown.name())).into());
    }
    let options = arrow_cast::CastOptions {
        safe: false,
        ..arrow_cast::CastOptions::default()
    };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => arrow_cast::cast_with_options(column, field.data_type(), &options),
            None if sinks::is_ingest_time(field.name()) => {
                let now = TimestampMicrosecondArray::from_value(now_micros(), batch.num_rows());
                arrow_cast::cast_with_options(&now, field.data_type(), &options)
            }
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// Path on this machine of a local location; none for object storage.
pub(super) fn local_path(location: &str) -> Option<PathBuf> {
    match location.strip_prefix("file://") {
        Some(path) => Some(PathBuf::from(path)),
        None if location.starts_with('/') => Some(PathBuf::from(location)),
        None => None,
    }
}

/// Makes the names of files durable that are durable themselves: fsync of their folders up to the table's.
///
/// The journal segment behind a commit is deleted right after it, so that a lost folder entry would be lost rows.
pub(super) async fn sync_folders(table_location: &str, locations: &[String]) -> Result<()> {
    let Some(root) = local_path(table_location) else {
        return Ok(());
    };
    let mut folders = BTreeSet::new();
    for path in locations.iter().filter_map(|location| local_path(location)) {
        folders.extend(
            path.ancestors()
                .skip(1)
                .take_while(|folder| folder.starts_with(&root))
                .map(Path::to_path_buf),
        );
    }
    tokio::task::spawn_blocking(move || {
        folders
            .iter()
            .try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
    })
    .await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::Utf8, true),
        ]))
    }

    #[test]
    fn columns_are_matched_by_name_and_cast_exactly() {
        let given = RecordBatch::try_from_iter([
            ("b", Arc::new(StringArray::from(vec!["x"])) as _),
            ("a", Arc::new(Int32Array::from(vec![7])) as _),
        ])
        .unwrap();
        let batch = conform(&given, &schema()).unwrap();
        assert_eq!(batch.column(0).as_ref(), &Int64Array::from(vec![7]));
        assert_eq!(batch.column(1).as_ref(), &StringArray::from(vec!["x"]));
    }

    #[test]
    fn an_unknown_column_and_a_missing_required_one_are_errors() {
        let unknown = RecordBatch::try_from_iter([("c", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
        assert!(conform(&unknown, &schema())
            .unwrap_err()
            .to_string()
            .contains("no column c"));
        let missing = RecordBatch::try_from_iter([("b", Arc::new(StringArray::from(vec!["x"])) as _)]).unwrap();
        assert!(conform(&missing, &schema()).is_err());
    }

    #[test]
    fn only_local_locations_have_a_path() {
        assert_eq!(local_path("file:///x/y"), Some(PathBuf::from("/x/y")));
        assert_eq!(local_path("/x/y"), Some(PathBuf::from("/x/y")));
        assert_eq!(local_path("s3://bucket/y"), None);
    }
}
