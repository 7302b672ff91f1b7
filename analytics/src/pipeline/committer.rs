//! From sealed segments to snapshots.
//!
//! A segment is committed under its own name and deleted afterwards. A crash in between leaves the segment; the next
//! commit finds its name in the table's history and only deletes it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::encode::{Encoder, Replayed};
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
        match self.written(current).await? {
            Replayed::Files(written) => {
                match self.encoder.lake.append_written(&written, &commit_id).await {
                    Ok(outcome) => rows = outcome.rows,
                    Err(error) => {
                        // After a conflict the files are of no use; else the next attempt takes them.
                        if !matches!(error, Error::Conflict { .. }) {
                            current.written = Some(*written);
                        }
                        return Err(error);
                    }
                }
                failpoint::reached("after_lake_commit_before_journal_removal");
            }
            Replayed::Known => {}
            Replayed::Unopened(why) => {
                self.give_up(&current.segment, &why);
                return Ok(0);
            }
        }
        if let Err(error) = self.journal.discard(&current.segment) {
            self.leave(&mut current.segment, error)?;
        }
        Ok(rows)
    }

    /// Gets a segment out of the way whose file cannot be opened; what was acknowledged stays.
    fn give_up(&self, segment: &Segment, why: &std::io::Error) {
        let (table, name) = (&self.encoder.table, segment.path.display());
        match self.journal.set_aside(segment) {
            Ok(aside) => note!(
                "{table}: {name} cannot be opened: {why}; its rows are not committed, it is kept as {}",
                aside.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                note!("{table}: {name} has been removed by somebody; rows of it that were not committed are lost");
            }
            Err(error) => note!(
                "{table}: {name} cannot be opened: {why}, nor renamed: {error}; its rows are not committed, the next start \
                 tries them again"
            ),
        }
    }

    /// Leaves a segment that the table has, and that cannot be removed, to the next start, which finds it committed; not
    /// before it was tried as often as a file that cannot be read.
    fn leave(&self, segment: &mut Segment, error: std::io::Error) -> Result<()> {
        let now = Instant::now();
        if !segment.failures.are_enough(now, self.encoder.read_patience) {
            segment.failures.another(now);
            return Err(error.into());
        }
        let (table, name) = (&self.encoder.table, segment.path.display());
        note!("{table}: {name} is committed and cannot be removed: {error}; the next start tries again");
        self.journal.leave(segment);
        Ok(())
    }

    /// The segment's data files: those of the last attempt, those made while it was written, or new ones.
    async fn written(&self, current: &mut Current) -> Result<Replayed> {
        if let Some(written) = current.written.take().filter(|written| self.is_young(written)) {
            return Ok(Replayed::Files(Box::new(written)));
        }
        if let Some(following) = current.segment.following.take() {
            match following.files.await.map_err(Error::from).and_then(|files| files) {
                Ok(written) if self.is_young(&written) => return Ok(Replayed::Files(Box::new(written))),
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
        assert_eq!(files(&own), [unreadable.with_extension("damaged")]);
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_that_cannot_be_opened_is_set_aside_and_one_that_is_gone_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (_server, encoder) = encoder(folder.path()).await;
        let own = folder.path().join("own/journal");
        std::fs::create_dir_all(&own).unwrap();
        let unopened = own.join("0000000000001-sync_v1-a.journal");
        std::os::unix::fs::symlink("nowhere", &unopened).unwrap();
        let gone = own.join("0000000000002-sync_v1-b.journal");
        std::fs::write(&gone, Frame::new(1, ROW.to_vec()).unwrap().to_bytes()).unwrap();
        let backlog = Arc::new(Backlog::new(1 << 20));
        let mut committer = committer(encoder, &own, &backlog).await;
        std::fs::remove_file(&gone).unwrap();
        for _ in 0..9 {
            assert!(committer.commit_all().await.is_err());
            assert!(unopened.is_symlink());
        }
        assert_eq!(committer.commit_all().await.unwrap(), 1);
        assert_eq!(files(&own), [unopened.with_extension("damaged")]);
        assert_eq!(backlog.bytes()["sync_v1"], 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_that_is_committed_and_cannot_be_removed_holds_up_no_row_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_server, encoder) = encoder(folder.path()).await;
        let own = folder.path().join("own/journal");
        std::fs::create_dir_all(&own).unwrap();
        let stuck = own.join("0000000000001-sync_v1-a.journal");
        std::fs::write(&stuck, Frame::new(1, ROW.to_vec()).unwrap().to_bytes()).unwrap();
        let backlog = Arc::new(Backlog::new(1 << 20));
        let mut first = committer(encoder.clone(), &own, &backlog).await;
        assert_eq!(first.commit_all().await.unwrap(), 2);
        drop(first);
        // A folder is not removed as a file is.
        std::fs::create_dir(&stuck).unwrap();
        let mut second = committer(encoder, &own, &backlog).await;
        for _ in 0..9 {
            assert!(second.commit_all().await.is_err());
        }
        assert_eq!(second.commit_all().await.unwrap(), 1);
        assert_eq!(files(&own), [stuck]);
        assert_eq!(backlog.bytes()["sync_v1"], 0);
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
