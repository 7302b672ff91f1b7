//! From sealed segments to snapshots.
//!
//! A segment is committed under its own name and deleted afterwards. A crash in between leaves the segment; the next
//! commit finds its name in the table's history and only deletes it.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::encode::Encoder;
use super::journal::segment::Segment;
use super::journal::Journal;
use super::roll::{Roll, Waiting};
use crate::failpoint;
use crate::lake::orphans::LEAST_AGE;
use crate::lake::write::Written;
use crate::say::note;
use crate::{Error, Result};

/// A request to commit everything acknowledged so far.
#[derive(Debug)]
pub struct Flush {
    /// Rows committed, or why not.
    pub reply: oneshot::Sender<std::result::Result<u64, String>>,
}

/// Data files older than this are made anew before a commit: nobody can have taken younger ones for left behind.
const FILES_AGE: Duration = Duration::from_secs(LEAST_AGE.as_secs() / 2);

/// Commits the segments of one stream.
#[derive(Debug)]
pub struct Committer {
    encoder: Encoder,
    journal: Journal,
    roll: Roll,
    /// [`FILES_AGE`], but for tests.
    files_age: Duration,
    /// The segment under way; it stays here when its commit fails.
    current: Option<Current>,
    /// When the last commit ended, well or not.
    last: Instant,
}

/// A segment and, once they are made, its data files.
#[derive(Debug)]
struct Current {
    segment: Segment,
    since: Instant,
    written: Option<Written>,
}

impl Committer {
    pub(super) fn new(encoder: Encoder, journal: Journal, roll: Roll) -> Self {
        Self {
            encoder,
            journal,
            roll,
            files_age: FILES_AGE,
            current: None,
            last: Instant::now(),
        }
    }

    /// Commits by time, by size and on request, until every sender of requests is gone.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Flush>) {
        loop {
            let due = self.roll.due_in(self.waiting(), self.last.elapsed());
            let is_due = async {
                match due {
                    Some(due) => tokio::time::sleep(due).await,
                    None => std::future::pending().await,
                }
            };
            let reply = tokio::select! {
                request = requests.recv() => match request {
                    Some(Flush { reply }) => Some(reply),
                    None => return,
                },
                () = self.journal.changed() => continue,
                () = is_due => None,
            };
            let outcome = self.commit_all().await;
            self.last = Instant::now();
            if let Err(error) = &outcome {
                note!("{}: rows wait in the journal: {error}", self.encoder.table);
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone; the rows are committed all the same.
                let _ = reply.send(outcome.map_err(|error| error.to_string()));
            }
        }
    }

    /// What waits, the oldest first.
    fn waiting(&self) -> Option<Waiting> {
        if let Some(current) = &self.current {
            return Some(Waiting {
                bytes: current.segment.bytes,
                age: current.since.elapsed(),
            });
        }
        if self.journal.has_sealed() {
            // Nobody sealed it on purpose: of an earlier run, or after a failed write.
            return Some(Waiting {
                bytes: u64::MAX,
                age: Duration::ZERO,
            });
        }
        self.journal.open_segment().map(|(bytes, age)| Waiting { bytes, age })
    }

    /// Commits what is sealed and only then seals what is open: while a catalog is down, one segment grows instead of a
    /// new one beginning at each attempt, and its end does not bring a commit for each.
    async fn commit_all(&mut self) -> Result<u64> {
        let mut rows = self.commit_sealed().await?;
        self.journal.seal().await?;
        rows += self.commit_sealed().await?;
        Ok(rows)
    }

    async fn commit_sealed(&mut self) -> Result<u64> {
        let mut rows = 0;
        loop {
            let mut current = match self.current.take().or_else(|| self.next()) {
                Some(current) => current,
                None => return Ok(rows),
            };
            match self.commit(&mut current).await {
                Ok(committed) => rows += committed,
                Err(error) => {
                    self.current = Some(current);
                    return Err(error);
                }
            }
        }
    }

    fn next(&self) -> Option<Current> {
        self.journal.take_sealed().map(|segment| Current {
            segment,
            since: Instant::now(),
            written: None,
        })
    }

    async fn commit(&self, current: &mut Current) -> Result<u64> {
        let commit_id = current.segment.commit_id();
        let mut rows = 0;
        if let Some(written) = self.written(current).await? {
            match self.encoder.lake.append_written(&written, &commit_id).await {
                Ok(outcome) => rows = outcome.rows,
                Err(error) => {
                    // After a conflict the files are of no use; else the next attempt takes them.
                    if !matches!(error, Error::Conflict { .. }) {
                        current.written = Some(written);
                    }
                    return Err(error);
                }
            }
            failpoint::reached("after_lake_commit_before_journal_removal");
        }
        self.journal.discard(&current.segment)?;
        Ok(rows)
    }

    /// The segment's data files: those of the last attempt, those made while it was written, or new ones. None if its
    /// commit is in the table's history.
    async fn written(&self, current: &mut Current) -> Result<Option<Written>> {
        if let Some(written) = current.written.take().filter(|written| self.is_young(written)) {
            return Ok(Some(written));
        }
        if let Some(following) = current.segment.following.take() {
            match following.files.await.map_err(Error::from).and_then(|files| files) {
                Ok(written) if self.is_young(&written) => return Ok(Some(written)),
                Ok(_) => {}
                Err(error) => note!("{}: encoded again from the journal: {error}", self.encoder.table),
            }
        }
        self.encoder.replay(&mut current.segment).await
    }

    fn is_young(&self, written: &Written) -> bool {
        written.age() < self.files_age
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::lake::tables::{stream_definition, stream_table};
    use crate::lake::Lake;
    use crate::pipeline::backlog::Backlog;
    use crate::pipeline::journal::frame::Frame;
    use crate::pipeline::rows::Rows;
    use crate::server::{Config, Server};

    pub const ROW: &[u8] = br#"[{"event_id": "e", "event_type": "step", "schema_version": 1, "source": "workflow",
        "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z", "event_date": "2026-11-24",
        "event_hour": 10, "shop_domain": "demo.myshopify.com", "workflow": "w", "instance_id": "i", "step": "s",
        "attempt": 1, "status": "succeeded", "started_at": "2026-11-24T10:00:00.000Z", "duration_ms": 1}]"#;

    /// Parquet files in a folder and those below it.
    fn parquet_files(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let count = |path: std::path::PathBuf| match path.is_dir() {
            true => parquet_files(&path),
            false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
        };
        entries.map(count).sum()
    }

    /// A server over the folder, and an encoder of its `sync_v1`.
    pub async fn encoder(folder: &Path) -> (Server, Encoder) {
        let server = Server::start(Config {
            warehouse: folder.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            token: "t".into(),
            objective: None,
            catalog: None,
            pipelines: None,
            commit_interval: Duration::from_secs(3600),
            roll_bytes: 1 << 20,
            backlog_bytes: 1 << 20,
            as_of: Duration::ZERO,
            sql_limit: Duration::from_secs(60),
        })
        .await
        .unwrap();
        let schema = weir_domain::telemetry::sync();
        let table = stream_table(&schema).unwrap();
        let lake = Lake::new(&format!("{}/iceberg", server.url()), None).await.unwrap();
        lake.ensure_table(&stream_definition(&schema).unwrap()).await.unwrap();
        let encoder = Encoder {
            lake: Arc::new(lake),
            table,
            rows: Arc::new(Rows::plan(&schema, None).unwrap()),
            read_patience: Duration::ZERO,
        };
        (server, encoder)
    }

    async fn committer(encoder: Encoder, folder: &Path, backlog: &Arc<Backlog>) -> Committer {
        let journal = Journal::open(folder, "sync_v1", 1 << 20, backlog.share("sync_v1"), encoder.follower()).unwrap();
        let frame = Frame::new(1, ROW.to_vec()).unwrap();
        journal.append(frame, None).await.unwrap();
        let roll = Roll {
            interval: Duration::from_secs(3600),
            bytes: 1 << 20,
        };
        Committer::new(encoder, journal, roll)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_that_cannot_be_read_is_tried_again_and_then_holds_up_no_row_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_server, encoder) = encoder(folder.path()).await;
        // Nobody can read a folder as a file: what a worn disk does.
        let own = folder.path().join("own/journal");
        let unreadable = own.join("0000000000001-sync_v1-a.journal");
        std::fs::create_dir_all(&unreadable).unwrap();
        let mut committer = committer(encoder, &own, &Arc::new(Backlog::new(1 << 20))).await;
        for _ in 0..9 {
            assert!(committer.commit_all().await.is_err());
            assert!(unreadable.exists());
        }
        assert_eq!(committer.commit_all().await.unwrap(), 1);
        let left: Vec<_> = std::fs::read_dir(own)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(left, [unreadable.with_extension("damaged")]);
    }

    /// Commits a row whose files may be `files_age` old; how many files were written for it.
    async fn files_written(files_age: Duration) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let (server, encoder) = encoder(folder.path()).await;
        let table = encoder.table.clone();
        let backlog = Arc::new(Backlog::new(1 << 20));
        let own = folder.path().join("own/journal");
        let mut committer = committer(encoder, &own, &backlog).await;
        committer.files_age = files_age;
        assert_eq!(committer.commit_all().await.unwrap(), 1);
        assert_eq!(server.app().lake.summary(&table).await.unwrap().records, 1);
        assert_eq!(
            (backlog.bytes()["sync_v1"], std::fs::read_dir(own).unwrap().count()),
            (0, 0)
        );
        parquet_files(&folder.path().join("lake/sync/telemetry/data"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_too_old_to_be_safe_are_made_anew_and_each_row_is_committed_once() {
        assert_eq!(files_written(FILES_AGE).await, 1);
        assert_eq!(files_written(Duration::ZERO).await, 2);
    }
}
