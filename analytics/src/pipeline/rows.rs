//! From a stream's JSON to the rows of its table. The same for rows that come and for rows read back from the journal.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use weir_domain::telemetry::StreamSchema;

use super::parse::Parser;
use super::transform::{text_of, Transform};
use crate::lake::append::decode_rows;
use crate::lake::tables::stream_definition;
use crate::Result;

/// Decodes and transforms the rows of one stream.
#[derive(Debug)]
pub struct Rows {
    /// Columns of the stream.
    schema: SchemaRef,
    /// None if the stream has a field that only the careful way reads.
    parser: Option<Parser>,
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
        let parser = Parser::new(stream, schema.clone());
        Ok(Self {
            schema,
            parser,
            transform,
        })
    }

    /// How many rows a JSON array has, and these rows of the table; none unless each of them is good beyond doubt.
    #[must_use]
    pub fn accept(&self, body: &[u8]) -> Option<(usize, RecordBatch)> {
        let batch = self.parser.as_ref()?.parse(body)?;
        Some((batch.num_rows(), self.transform.apply(&batch).ok()?))
    }

    /// Rows of the table for a payload of the journal: a body that was accepted as it came, else JSON objects separated by
    /// white space.
    ///
    /// # Errors
    /// If an object does not fit the stream, or the SQL fails on it.
    pub fn decode(&self, json: &[u8]) -> Result<Vec<RecordBatch>> {
        if json.trim_ascii_start().first() == Some(&b'[') {
            if let Some((_, batch)) = self.accept(json) {
                return Ok(vec![batch]);
            }
            // Accepted by an earlier release, whose stream may have been another.
            let rows: Vec<serde_json::Value> = serde_json::from_slice(json)?;
            let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
            return self.decode_lines(lines.join("\n").as_bytes());
        }
        self.decode_lines(json)
    }

    fn decode_lines(&self, json: &[u8]) -> Result<Vec<RecordBatch>> {
        decode_rows(self.schema.clone(), json)?
            .iter()
            .map(|batch| self.transform.apply(batch))
            .collect()
    }
}
