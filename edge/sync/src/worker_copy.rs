//! A result on its way into R2, counted while it passes by. The object comes into being only when lines and bytes are what
//! Shopify said: what is shorter, longer or other is dropped and downloaded again.

use std::collections::HashMap;

use futures_util::StreamExt;
use weir_edge_shared::object_writer::ObjectWriter;
use weir_edge_shared::storage::Storage;
use worker::Response;

use crate::jsonl::Scan;
use crate::operation::Operation;
use crate::step::StepError;
use crate::worker_archive::r2;

fn incomplete(what: impl Into<String>) -> StepError {
    StepError::passing("incomplete_download", what)
}

/// Copies the body of `response` to `key`, with `provenance` beside it, and returns what was counted.
///
/// # Errors
/// When the body ends early, or is not what `operation` says; then there is no object.
pub async fn copy(
    storage: &Storage,
    key: &str,
    response: &mut Response,
    operation: &Operation,
    provenance: HashMap<String, String>,
) -> Result<Scan, StepError> {
    let mut object = ObjectWriter::new(storage, key, provenance);
    match fill(&mut object, response, operation).await {
        Ok(scan) => {
            object.finish().await.map_err(r2)?;
            Ok(scan)
        }
        Err(error) => {
            object.abort().await;
            Err(error)
        }
    }
}

async fn fill(
    object: &mut ObjectWriter<'_>,
    response: &mut Response,
    operation: &Operation,
) -> Result<Scan, StepError> {
    let expected = (
        operation.object_count.unwrap_or_default(),
        operation.file_size.unwrap_or_default(),
    );
    let mut scan = Scan::of(expected.0);
    let mut pieces = response.stream().map_err(|error| incomplete(error.to_string()))?;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| incomplete(format!("after {} bytes: {error}", scan.bytes)))?;
        scan.feed(&piece);
        if scan.bytes > expected.1 {
            let what = format!("more than the {} bytes that Shopify said", expected.1);
            return Err(incomplete(what));
        }
        object.push(&piece).await.map_err(r2)?;
    }
    scan.finish();
    if (scan.lines, scan.bytes) != expected {
        return Err(incomplete(format!(
            "{} lines and {} bytes; Shopify said {} and {}",
            scan.lines, scan.bytes, expected.0, expected.1
        )));
    }
    Ok(scan)
}
