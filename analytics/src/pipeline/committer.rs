//! From sealed segments to snapshots.
//!
//! A segment is committed under its own name and deleted afterwards. A crash in between leaves the segment; the next
//! commit finds its name in the table's history and only deletes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use iceberg::TableIdent;
use tokio::sync::{mpsc, oneshot};

use super::journal::{Backlog, Journal, Segment};
use super::rows::Rows;
use crate::failpoint;
use crate::lake::Lake;
use crate::Result;

/// A request to commit everything acknowledged so far.
#[derive(Debug)]
pub struct Flush {
    /// Rows committed, or why not.
    pub reply: oneshot::Sender<std::result::Result<u64, String>>,
}

/// Commits the segments of one stream.
#[derive(Debug)]
pub struct Committer {
    lake: Arc<Lake>,
    table: TableIdent,
    rows: Arc<Rows>,
    journal: Journal,
    backlog: Arc<Backlog>,
}

impl Committer {
    pub(super) fn new(
        lake: Arc<Lake>,
        table: TableIdent,
        rows: Arc<Rows>,
        journal: Journal,
        backlog: Arc<Backlog>,
    ) -> Self {
        Self {
            lake,
            table,
            rows,
            journal,
            backlog,
        }
    }

    /// Commits by time, by size and on request, until every sender of requests is gone.
    pub(super) async fn run(self, mut requests: mpsc::Receiver<Flush>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is immediate, and the table may not exist yet.
        ticks.reset();
        loop {
            let reply = tokio::select! {
                request = requests.recv() => match request {
                    Some(Flush { reply }) => Some(reply),
                    None => return,
                },
                _ = ticks.tick() => None,
                () = self.journal.sealed_by_size() => None,
            };
            let outcome = self.commit_all().await;
            if let Err(error) = &outcome {
                eprintln!("{}: {} bytes wait: {error}", self.table, self.backlog.bytes());
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone; the rows are committed all the same.
                let _ = reply.send(outcome.map_err(|error| error.to_string()));
            }
        }
    }

    async fn commit_all(&self) -> Result<u64> {
        self.journal.seal().await?;
        let mut rows = 0;
        while let Some(segment) = self.journal.first_sealed() {
            rows += self.commit(&segment).await?;
            self.journal.remove_first_sealed()?;
        }
        Ok(rows)
    }

    async fn commit(&self, segment: &Segment) -> Result<u64> {
        let batches = match segment.batches.clone() {
            Some(batches) => joined(batches).await?,
            None => self.read(segment).await?,
        };
        let outcome = self
            .lake
            .append(&self.table, &batches, &segment.commit_id(), HashMap::new())
            .await?;
        failpoint::reached("after_lake_commit_before_journal_removal");
        Ok(outcome.rows)
    }

    /// The segment's rows from disk: after a crash, or when memory for them ran out.
    async fn read(&self, segment: &Segment) -> Result<Arc<Vec<RecordBatch>>> {
        let (segment, rows, table) = (segment.clone(), self.rows.clone(), self.table.clone());
        // Decoding takes a second or so for a large segment: not on the threads that serve.
        tokio::task::spawn_blocking(move || {
            let frames = segment.read()?;
            if frames.torn > 0 {
                let name = segment.commit_id();
                eprintln!(
                    "{table}: {} bytes at the end of {name} were never acknowledged",
                    frames.torn
                );
            }
            Ok(Arc::new(rows.decode(&frames.json)?))
        })
        .await?
    }
}

/// Requests may be as small as one row; Parquet is written in large strokes.
async fn joined(batches: Arc<Vec<RecordBatch>>) -> Result<Arc<Vec<RecordBatch>>> {
    let Some(first) = batches.first() else {
        return Ok(batches);
    };
    if batches.len() == 1 {
        return Ok(batches);
    }
    let schema = first.schema();
    tokio::task::spawn_blocking(move || {
        Ok(Arc::new(vec![arrow_select::concat::concat_batches(
            &schema,
            batches.iter(),
        )?]))
    })
    .await?
}
