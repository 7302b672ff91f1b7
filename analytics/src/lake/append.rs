//! Appending rows.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use iceberg::TableIdent;

use super::commit::{CommitOutcome, COMMIT_ID};
use super::snapshot::{BuiltOn, Change, Replaced};
use super::write::{self, Written};
use super::Lake;
use crate::Result;

/// Rows per Arrow batch when JSON is decoded.
const BATCH_ROWS: usize = 8_192;

impl Lake {
    /// Appends batches in one snapshot named `commit_id`, unless the table's history already holds that name.
    ///
    /// # Errors
    /// If the batches do not fit the table, or the commit fails for another reason than a conflict.
    pub async fn append(
        &self,
        table: &TableIdent,
        batches: &[RecordBatch],
        commit_id: &str,
        mut properties: HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        properties.insert(COMMIT_ID.to_owned(), commit_id.to_owned());
        let table = self.load(table).await?;
        if let Some(done) = Self::already(table.metadata(), &properties) {
            return Ok(done);
        }
        let files = write::data_files(&table, batches).await?;
        self.add_files(&table, &files, &properties).await
    }

    /// Makes files that are written already part of the table, in one snapshot named `commit_id`, unless the table's
    /// history already holds that name.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] if the table's partitioning changed since they were written: they are of no use then.
    /// Else from the catalog: the same files may be tried again.
    pub(crate) async fn append_written(&self, written: &Written, commit_id: &str) -> Result<CommitOutcome> {
        let properties = HashMap::from([(COMMIT_ID.to_owned(), commit_id.to_owned())]);
        self.add_files(&written.table, &written.files, &properties).await
    }

    async fn add_files(
        &self,
        table: &Table,
        added: &[DataFile],
        properties: &HashMap<String, String>,
    ) -> Result<CommitOutcome> {
        if added.is_empty() {
            return Ok(CommitOutcome {
                snapshot_id: None,
                rows: 0,
                already_committed: false,
            });
        }
        let change = Change {
            added,
            replaced: Replaced::Nothing,
            properties,
            built_on: BuiltOn::Anything,
        };
        self.commit(table, change).await
    }
}

/// Decodes JSON objects, separated by white space, to batches of a table's schema. Numbers are not coerced.
///
/// # Errors
/// If a row does not fit the schema, or the text ends inside of one.
pub fn decode_rows(schema: SchemaRef, json: &[u8]) -> Result<Vec<RecordBatch>> {
    let mut decoder = arrow_json::ReaderBuilder::new(schema)
        .with_batch_size(BATCH_ROWS)
        .with_strict_mode(true)
        .build_decoder()?;
    let mut batches = Vec::new();
    let mut rest = json;
    loop {
        let taken = decoder.decode(rest)?;
        rest = &rest[taken..];
        // Less than everything means that the batch is full; flush fails on a row that is cut off.
        match decoder.flush()? {
            Some(batch) => batches.push(batch),
            None if rest.is_empty() => return Ok(batches),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};
    use arrow_array::Array;
    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
                false,
            ),
            Field::new("n", DataType::Int64, true),
        ]))
    }

    #[test]
    fn large_integers_and_times_are_exact() {
        let text = br#"{"at":"2026-11-24T10:00:00.123Z","n":9007199254740993}
            {"at":"2026-11-24T10:00:00Z"}"#;
        let batches = decode_rows(schema(), text).unwrap();
        assert_eq!(batches.len(), 1);
        let at = batches[0].column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(at.value(0), 1_795_514_400_123_000);
        let n = batches[0].column(1).as_primitive::<Int64Type>();
        assert_eq!((n.value(0), n.is_valid(1)), (9_007_199_254_740_993, false));
    }

    #[test]
    fn more_rows_than_a_batch_holds_make_more_batches() {
        let text = "{\"at\":\"2026-11-24T10:00:00Z\",\"n\":1}\n".repeat(BATCH_ROWS + 1);
        let batches = decode_rows(schema(), text.as_bytes()).unwrap();
        assert_eq!(
            batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(),
            [BATCH_ROWS, 1]
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_errors() {
        for text in [
            r#"{"at":"yesterday"}"#,
            r#"{"n":1}"#,
            r#"{"at":"2026-11-24T10:00:00Z","x":1}"#,
            r#"{"at":"2026-11-24T10:00"#,
        ] {
            assert!(decode_rows(schema(), text.as_bytes()).is_err(), "{text}");
        }
    }
}
