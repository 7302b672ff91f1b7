//! Self-hosted Pipelines: from a POST to a durable journal to Iceberg.
//!
//! - [`ingest`]: validates rows, keeps the refused ones in the [`quarantine`], journals the others, then answers.
//! - [`journal`]: one append-only segment at a time per stream, fsynced by group commit.
//! - [`committer`]: turns sealed segments into snapshots, each exactly once, and deletes them.

pub mod committer;
pub mod ingest;
pub mod journal;
pub mod quarantine;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::TableIdent;
use tokio::task::JoinHandle;
use weir_domain::telemetry::StreamSchema;

use crate::lake::{tables, Lake};
use crate::{Error, Result};
use committer::Committer;
use journal::{Backlog, Journal};
use quarantine::Quarantine;

/// When journaled rows are committed, and how many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time between commits.
    pub commit_interval: Duration,
    /// Bytes at which a segment is sealed and committed before the interval ends.
    pub roll_bytes: u64,
    /// Uncommitted bytes of all streams above which rows are refused.
    pub backlog_bytes: u64,
}

/// One stream: its schema, its journal and its committer.
#[derive(Debug)]
pub struct Stream {
    schema: StreamSchema,
    /// What the committer will decode rows to; checked before a row is journaled.
    arrow: SchemaRef,
    journal: Journal,
    quarantine: Quarantine,
    flushes: tokio::sync::mpsc::Sender<committer::Flush>,
}

/// Every stream of this server.
#[derive(Debug)]
pub struct Pipelines {
    streams: BTreeMap<&'static str, Arc<Stream>>,
    backlog: Arc<Backlog>,
}

impl Pipelines {
    /// Opens the journals under `warehouse`, takes over the segments that an earlier run left, and starts a committer
    /// for each stream. The tables need not exist before the first commit.
    ///
    /// # Errors
    /// If the folders cannot be used.
    pub fn open(warehouse: &Path, lake: &Arc<Lake>, limits: Limits) -> Result<(Self, Vec<JoinHandle<()>>)> {
        let backlog = Arc::new(Backlog::new(limits.backlog_bytes));
        let mut streams = BTreeMap::new();
        let mut committers = Vec::new();
        for schema in weir_domain::telemetry::all() {
            let name = schema.name;
            let table: TableIdent = tables::stream_table(&schema)?;
            let arrow = Arc::new(schema_to_arrow_schema(&tables::stream_definition(&schema)?.schema)?);
            let folder = warehouse.join("journal").join(name);
            let journal = Journal::open(&folder, name, limits.roll_bytes, backlog.clone())?;
            let quarantine = Quarantine::open(warehouse, name)?;
            let (flushes, requests) = tokio::sync::mpsc::channel(64);
            let committer = Committer::new(lake.clone(), table, journal.clone(), backlog.clone());
            committers.push(tokio::spawn(committer.run(requests, limits.commit_interval)));
            streams.insert(
                name,
                Arc::new(Stream {
                    schema,
                    arrow,
                    journal,
                    quarantine,
                    flushes,
                }),
            );
        }
        Ok((Self { streams, backlog }, committers))
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

    /// Bytes journaled and not yet committed.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog.bytes()
    }
}
