//! Self-hosted Pipelines: from a POST to a durable journal to Iceberg.
//!
//! - [`ingest`]: has rows judged ([`judge`]), keeps the refused ones in the [`quarantine`], journals the others, then answers.
//!   [`replay`]: takes them from there again.
//! - [`rows`]: from JSON ([`parse`]) to the rows of the table, by way of the stream's SQL ([`transform`]).
//! - [`journal`]: one append-only segment at a time per stream, fsynced by group commit.
//! - [`encode`]: data files of a segment, begun with its first row.  - [`backlog`]: what may wait, on disk and in memory.
//! - [`committer`]: turns sealed segments into snapshots, each exactly once, when [`roll`] says so, and deletes them.

pub mod backlog;
pub mod committer;
mod encode;
pub mod ingest;
pub mod journal;
mod judge;
mod parse;
pub mod quarantine;
pub mod replay;
pub mod roll;
pub mod rows;
mod time;
pub mod transform;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iceberg::TableIdent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::lake::{tables, Lake};
use crate::{Error, Result};
use backlog::Backlog;
use committer::Committer;
use encode::Encoder;
use journal::segment::READ_PATIENCE;
use journal::Journal;
use judge::Judge;
use quarantine::Quarantine;
use roll::Roll;
use rows::Rows;

/// When journaled rows are committed, and how many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How old a row may become before it is committed.
    pub commit_interval: Duration,
    /// Journal bytes of a stream at which they are committed before the interval ends, see [`roll`].
    pub roll_bytes: u64,
    /// Uncommitted journal bytes of all streams above which rows are refused; an eighth of them is each stream's own.
    pub backlog_bytes: u64,
}

/// One stream: its judge, its journal and its committer.
#[derive(Debug)]
pub struct Stream {
    judge: Arc<Judge>,
    journal: Journal,
    quarantine: Quarantine,
    flushes: tokio::sync::mpsc::Sender<committer::Flush>,
}

/// Every stream of this server.
#[derive(Debug)]
pub struct Pipelines {
    streams: BTreeMap<&'static str, Arc<Stream>>,
    backlog: Arc<Backlog>,
    /// Bytes of request bodies being worked on, in KiB.
    in_flight: Arc<Semaphore>,
}

/// Request bodies in memory at a time, in KiB; more get 503. A body's rows take some four times its size while they are
/// judged.
const IN_FLIGHT_KIB: usize = 64 * 1024;

impl Pipelines {
    /// Opens the journals under `warehouse`, takes over the segments that an earlier run left, and starts a committer
    /// for each stream. The tables need not exist before the first commit. `sql` is a folder with the streams' SQL, if not
    /// the one checked in.
    ///
    /// # Errors
    /// If the folders cannot be used, or a stream's SQL does not plan.
    pub fn open(
        warehouse: &Path,
        lake: &Arc<Lake>,
        limits: Limits,
        sql: Option<&Path>,
    ) -> Result<(Self, Vec<JoinHandle<()>>)> {
        let backlog = Arc::new(Backlog::new(limits.backlog_bytes));
        let mut streams = BTreeMap::new();
        let mut committers = Vec::new();
        for schema in weir_domain::telemetry::all() {
            let name = schema.name;
            let table: TableIdent = tables::stream_table(&schema)?;
            let rows = Arc::new(Rows::plan(&schema, sql)?);
            let folder = warehouse.join("journal").join(name);
            let encoder = Encoder {
                lake: lake.clone(),
                table,
                rows: rows.clone(),
                read_patience: READ_PATIENCE,
            };
            let roll = Roll {
                interval: limits.commit_interval,
                bytes: limits.roll_bytes,
            };
            let journal = Journal::open(&folder, name, roll.bytes, backlog.share(name), encoder.follower())?;
            let quarantine = Quarantine::open(warehouse, name);
            let (flushes, requests) = tokio::sync::mpsc::channel(64);
            let committer = Committer::new(encoder, journal.clone(), roll);
            committers.push(tokio::spawn(committer.run(requests)));
            streams.insert(
                name,
                Arc::new(Stream {
                    judge: Arc::new(Judge { schema, rows }),
                    journal,
                    quarantine,
                    flushes,
                }),
            );
        }
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_KIB));
        let pipelines = Self {
            streams,
            backlog,
            in_flight,
        };
        Ok((pipelines, committers))
    }

    /// Room in memory for a request body of at most `bytes`; given back on drop.
    ///
    /// # Errors
    /// [`Error::Busy`] if the requests at work take all of it, or the server is stopping.
    pub fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).map_err(|_| Error::TooLarge(bytes))?;
        self.in_flight
            .clone()
            .try_acquire_many_owned(kib)
            .map_err(|_| Error::Busy("too many rows are being taken in at once".into()))
    }

    /// The stream of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn stream(&self, name: &str) -> Result<&Arc<Stream>> {
        self.streams
            .get(name)
            .ok_or_else(|| Error::NotFound(format!("there is no stream {name}")))
    }

    /// Commits every row acknowledged before the call. Rows committed per stream.
    ///
    /// # Errors
    /// If a commit fails; its rows stay in the journal and are tried again.
    pub async fn flush(&self) -> Result<BTreeMap<&'static str, u64>> {
        let flushes = self.streams.iter().map(|(name, stream)| async move {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let stopped = || Error::Internal(format!("the committer of {name} has stopped"));
            stream
                .flushes
                .send(committer::Flush { reply })
                .await
                .map_err(|_| stopped())?;
            let rows = answer.await.map_err(|_| stopped())?.map_err(Error::Internal)?;
            Ok::<_, Error>((*name, rows))
        });
        futures::future::join_all(flushes).await.into_iter().collect()
    }

    /// Refuses rows from now on.
    pub fn close(&self) {
        self.backlog.close();
    }

    /// Bytes journaled and not yet committed, of each stream.
    #[must_use]
    pub fn backlog_bytes(&self) -> BTreeMap<String, u64> {
        self.backlog.bytes()
    }
}
