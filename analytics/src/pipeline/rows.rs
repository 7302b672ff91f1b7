//! From a stream's JSON to the rows of its table. The same for rows that come and for rows read back from the journal.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use weir_domain::telemetry::StreamSchema;

use super::transform::{text_of, Transform};
use crate::lake::append::decode_rows;
use crate::lake::tables::stream_definition;
use crate::Result;

/// Decodes and transforms the rows of one stream.
#[derive(Debug)]
pub struct Rows {
    /// Columns of the stream.
    schema: SchemaRef,
    transform: Transform,
}

impl Rows {
    /// Plans the stream's SQL, from the folder `sql` if one is given.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] with file, line and reason if it does not plan.
    pub fn plan(stream: &StreamSchema, sql: Option<&Path>) -> Result<Self> {
        // A table has a column for each field of its stream: sink and source have one schema.
        let schema = Arc::new(schema_to_arrow_schema(&stream_definition(stream)?.schema)?);
        let (file, text) = text_of(stream.name, sql)?;
        let transform = Transform::plan(&file, &text, stream.name, &schema, &schema)?;
        Ok(Self { schema, transform })
    }

    /// Rows of the table for JSON objects separated by white space.
    ///
    /// # Errors
    /// If an object does not fit the stream, or the SQL fails on it.
    pub fn decode(&self, json: &[u8]) -> Result<Vec<RecordBatch>> {
        decode_rows(self.schema.clone(), json)?
            .iter()
            .map(|batch| self.transform.apply(batch))
            .collect()
    }
}
