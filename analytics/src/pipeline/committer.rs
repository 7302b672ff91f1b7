//! From sealed segments to snapshots.
//!
//! A segment is committed under its own name and deleted afterwards. A crash in between leaves the segment; the next
//! commit finds its name in the table's history and only deletes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::TableIdent;
use tokio::sync::{mpsc, oneshot};

use super::journal::{Backlog, Journal, Segment};
use crate::lake::append::decode_rows;
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
    journal: Journal,
    backlog: Arc<Backlog>,
}

impl Committer {
    pub(super) fn new(lake: Arc<Lake>, table: TableIdent, journal: Journal, backlog: Arc<Backlog>) -> Self {
        Self {
            lake,
            table,
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
        let schema = self.lake.arrow_schema(&self.table).await?;
        let read = segment.clone();
        // Decoding takes a second or so for a large segment: not on the threads that serve.
        let (batches, torn) = tokio::task::spawn_blocking(move || {
            let frames = read.read()?;
            Ok::<_, crate::Error>((decode_rows(schema, &frames.json)?, frames.torn))
        })
        .await??;
        if torn > 0 {
            eprintln!(
                "{}: {torn} bytes at the end of {} were never acknowledged",
                self.table,
                segment.commit_id()
            );
        }
        let outcome = self
            .lake
            .append(&self.table, &batches, &segment.commit_id(), HashMap::new())
            .await?;
        Ok(outcome.rows)
    }
}
