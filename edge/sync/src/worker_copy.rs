//! A result on its way into R2, counted while it passes by. The object comes into being only when lines and bytes are what
//! Shopify said: what is shorter, longer or other is dropped and downloaded again.

use std::collections::HashMap;

use futures_util::StreamExt;
use worker::{Bucket, MultipartUpload, Response, UploadedPart};

use crate::jsonl::Scan;
use crate::operation::Operation;
use crate::step::StepError;

/// Bytes of a part. R2 wants equal parts of at least 5 MiB, at most 10,000 of them; one is in memory at a time.
const PART_BYTES: usize = 8 << 20;

fn incomplete(what: impl Into<String>) -> StepError {
    StepError::passing("incomplete_download", what)
}

fn r2(error: worker::Error) -> StepError {
    StepError::passing("r2", error.to_string())
}

/// Copies the body of `response` to `key`, with `provenance` beside it, and returns what was counted.
///
/// # Errors
/// When the body ends early, or is not what `operation` says; then there is no object.
pub async fn copy(
    bucket: &Bucket,
    key: &str,
    response: &mut Response,
    operation: &Operation,
    provenance: HashMap<String, String>,
) -> Result<Scan, StepError> {
    let mut target = Target {
        bucket,
        key,
        provenance,
        upload: None,
        parts: Vec::new(),
        buffer: Vec::new(),
    };
    match target.fill(response, operation).await {
        Ok(scan) => {
            target.finish().await?;
            Ok(scan)
        }
        Err(error) => {
            target.abort().await;
            Err(error)
        }
    }
}

struct Target<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    provenance: HashMap<String, String>,
    upload: Option<MultipartUpload>,
    parts: Vec<UploadedPart>,
    buffer: Vec<u8>,
}

impl Target<'_> {
    async fn fill(&mut self, response: &mut Response, operation: &Operation) -> Result<Scan, StepError> {
        let expected = (
            operation.object_count.unwrap_or_default(),
            operation.file_size.unwrap_or_default(),
        );
        let mut scan = Scan::default();
        let mut pieces = response.stream().map_err(|error| incomplete(error.to_string()))?;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| incomplete(format!("after {} bytes: {error}", scan.bytes)))?;
            scan.feed(&piece);
            if scan.bytes > expected.1 {
                return Err(incomplete(format!(
                    "more than the {} bytes that Shopify said",
                    expected.1
                )));
            }
            self.buffer.extend_from_slice(&piece);
            while self.buffer.len() >= PART_BYTES {
                let rest = self.buffer.split_off(PART_BYTES);
                let part = std::mem::replace(&mut self.buffer, rest);
                self.put_part(part).await?;
            }
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

    async fn put_part(&mut self, part: Vec<u8>) -> Result<(), StepError> {
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => {
                let upload = self.bucket.create_multipart_upload(self.key);
                let upload = upload.custom_metadata(std::mem::take(&mut self.provenance));
                upload.execute().await.map_err(r2)?
            }
        };
        let number = u16::try_from(self.parts.len() + 1)
            .map_err(|_| StepError::lasting("result_too_large", "more parts than R2 takes; narrow the window"))?;
        let uploaded = upload.upload_part(number, part).await.map_err(r2);
        self.upload = Some(upload);
        self.parts.push(uploaded?);
        Ok(())
    }

    async fn finish(mut self) -> Result<(), StepError> {
        let last = std::mem::take(&mut self.buffer);
        if self.upload.is_none() {
            let object = self.bucket.put(self.key, last).custom_metadata(self.provenance);
            object.execute().await.map_err(r2)?;
            return Ok(());
        }
        if !last.is_empty() {
            self.put_part(last).await?;
        }
        if let Some(upload) = self.upload.take() {
            upload.complete(self.parts).await.map_err(r2)?;
        }
        Ok(())
    }

    /// R2 drops an upload that nobody ends after a week; ending it now costs less.
    async fn abort(self) {
        if let Some(upload) = self.upload {
            if let Err(error) = upload.abort().await {
                worker::console_warn!("{}: the upload was not aborted: {error}", self.key);
            }
        }
    }
}
