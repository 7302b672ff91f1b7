//! Which rows belong to which partition.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use iceberg::arrow::RecordBatchPartitionSplitter;
use iceberg::spec::PartitionKey;
use iceberg::table::Table;

use crate::Result;

/// Splits rows by a table's partition spec.
pub(super) struct Partitions {
    splitter: RecordBatchPartitionSplitter,
    /// The one column that decides, if its order is the order of the partitions.
    ordered_by: Option<String>,
}

impl Partitions {
    pub(super) fn of(table: &Table) -> Result<Self> {
        let metadata = table.metadata();
        let (schema, spec) = (metadata.current_schema(), metadata.default_partition_spec());
        let ordered_by = match spec.fields() {
            [field] if field.transform.preserves_order() => schema.name_by_field_id(field.source_id),
            _ => None,
        };
        Ok(Self {
            splitter: RecordBatchPartitionSplitter::try_new_with_computed_values(schema.clone(), spec.clone())?,
            ordered_by: ordered_by.map(str::to_owned),
        })
    }

    /// The rows of each partition. Rows of one partition, as most batches of a stream are, pass without a copy; the library's
    /// splitter copies, and makes a value for each row.
    pub(super) fn split(&self, batch: RecordBatch) -> Result<Vec<(PartitionKey, RecordBatch)>> {
        if let Some((least, greatest)) = self.extremes(&batch) {
            let mut ends = self.splitter.split(&batch.slice(least, 1))?;
            ends.extend(self.splitter.split(&batch.slice(greatest, 1))?);
            if let [(first, _), (last, _)] = ends.as_slice() {
                if first.data() == last.data() {
                    return Ok(vec![(first.clone(), batch)]);
                }
            }
        }
        Ok(self.splitter.split(&batch)?)
    }

    /// Rows with the least and the greatest value of the column that decides.
    fn extremes(&self, batch: &RecordBatch) -> Option<(usize, usize)> {
        let column = batch.column_by_name(self.ordered_by.as_ref()?)?;
        if column.null_count() > 0 {
            return None;
        }
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                extremes(column.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Date32 => extremes(column.as_primitive::<Date32Type>().values()),
            _ => None,
        }
    }
}

fn extremes<T: PartialOrd>(values: &[T]) -> Option<(usize, usize)> {
    let first = values.first()?;
    let (mut least, mut greatest) = ((0, first), (0, first));
    for (index, value) in values.iter().enumerate() {
        if value < least.1 {
            least = (index, value);
        }
        if value > greatest.1 {
            greatest = (index, value);
        }
    }
    Some((least.0, greatest.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_values_are_found() {
        assert_eq!(extremes::<i64>(&[]), None);
        assert_eq!(extremes(&[5]), Some((0, 0)));
        assert_eq!(extremes(&[5, 9, 1, 9, 1]), Some((2, 1)));
    }
}
