//! `POST /v1/streams/{stream}`: every row gets a verdict before the request gets its answer.

use serde::Serialize;

use super::journal::frame::Frame;
use super::judge::Judged;
use super::{Pipelines, Stream};
use crate::failpoint;
use crate::{Error, Result};

/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

/// What became of the rows of one request.
#[derive(Debug, Serialize)]
pub struct Verdicts {
    /// Rows that are durable in the journal.
    pub accepted: usize,
    /// Rows that are durable in the quarantine.
    pub rejected: Vec<Rejection>,
}

/// Why a row was refused. Carries no value of the row but its id.
#[derive(Debug, Clone, Serialize)]
pub struct Rejection {
    /// Position in the request.
    pub index: usize,
    /// The row's `event_id`, if it is text.
    pub event_id: Option<String>,
    /// `missing_field`, `null_value`, `type_mismatch`, `parse_failure` or `row_too_large`.
    pub reason: String,
    /// Path of the field; empty for the row itself.
    pub field: String,
    /// What was expected and what was found.
    pub detail: String,
}

impl Pipelines {
    /// Validates the JSON array in `body`, keeps what is wrong in the quarantine and the rest in the journal.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown stream, [`Error::Invalid`] if the body is no JSON array or nearly all of it is
    /// wrong, [`Error::Busy`] if the journal cannot take more now, [`Error::Full`] if the quarantine cannot. Nothing of the
    /// request counts as accepted then.
    pub async fn ingest(&self, stream: &str, body: Vec<u8>) -> Result<Verdicts> {
        let stream = self.stream(stream)?;
        let mut judged = self.judged(stream, body).await?;
        // First what is wrong: if the rest cannot be kept the whole request comes again, and a finding is known again, while
        // a row would be there twice.
        if !judged.0.records.is_empty() {
            stream.quarantine.keep(&judged.0.records).await?;
        }
        let verdicts = Verdicts {
            accepted: judged.0.accepted,
            rejected: std::mem::take(&mut judged.0.rejected),
        };
        self.journal(stream, judged).await?;
        Ok(verdicts)
    }

    /// The verdicts, and what of the rows is to be journaled.
    pub(super) async fn judged(&self, stream: &Stream, body: Vec<u8>) -> Result<(Judged, Frame)> {
        let judge = stream.judge.clone();
        // Milliseconds per megabyte: not on the threads that serve.
        tokio::task::spawn_blocking(move || {
            let mut judged = judge.judge(body)?;
            let rows = u32::try_from(judged.accepted).map_err(|_| Error::TooLarge(MAX_BODY_BYTES))?;
            let frame = Frame::new(rows, std::mem::take(&mut judged.payload))?;
            Ok::<_, Error>((judged, frame))
        })
        .await?
    }

    /// Keeps what was accepted.
    pub(super) async fn journal(&self, stream: &Stream, (judged, frame): (Judged, Frame)) -> Result<()> {
        if judged.accepted > 0 {
            let rows = self.backlog.keep(judged.batches).await;
            stream.journal.append(frame, rows).await?;
            failpoint::reached("after_journal_before_reply");
        }
        Ok(())
    }
}
