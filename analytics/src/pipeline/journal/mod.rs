//! The journal of a stream: rows are on disk before they are acknowledged.
//!
//! A [`segment`] is a file of [`frame`]s. One thread writes ([`writer`]): it takes every frame that waits, writes them, syncs
//! once, and answers all of them. While a segment is being written, a [`segment::Follower`] gets what has become durable.

pub mod frame;
pub mod segment;
mod writer;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, Notify};

use super::backlog::{Kept, Share};
use crate::{Error, Result};
use frame::Frame;
use segment::{Follower, Segment};
use writer::{Order, Waiting, Writer};

/// Handle of a stream's journal.
#[derive(Debug, Clone)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    backlog: Share,
}

#[derive(Debug)]
struct Shared {
    /// Segments that get no more rows and that nobody has taken, oldest first.
    sealed: Mutex<VecDeque<Segment>>,
    waiting: Waiting,
    changed: Notify,
}

impl Shared {
    fn sealed(&self) -> std::sync::MutexGuard<'_, VecDeque<Segment>> {
        self.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the folder of a stream's segments and starts the thread that writes. Segments found are sealed ones.
    /// [`Self::changed`] tells when the open segment gets its first row and when it reaches `roll_bytes`.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(folder: &Path, stream: &str, roll_bytes: u64, backlog: Share, follower: Follower) -> Result<Self> {
        fs::create_dir_all(folder)?;
        for parent in folder.ancestors().skip(1).take(2) {
            File::open(parent)?.sync_all()?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                // One that the disk does not even tell of is left to the committer, which gives it up at last.
                let bytes = fs::metadata(&path).map_or(0, |told| told.len());
                backlog.adopt(bytes);
                found.push(Segment::left_behind(path, bytes));
            }
        }
        // Names begin with the time of creation.
        found.sort_by(|left, right| left.path.cmp(&right.path));
        let shared = Arc::new(Shared {
            sealed: Mutex::new(found.into()),
            waiting: Waiting::default(),
            changed: Notify::new(),
        });
        let (orders, received) = mpsc::channel(1024);
        let writer = Writer::new(folder, stream, roll_bytes, shared.clone(), backlog.clone(), follower);
        std::thread::Builder::new()
            .name(format!("journal-{stream}"))
            .spawn(move || writer.run(received))?;
        Ok(Self {
            orders,
            shared,
            backlog,
        })
    }

    /// Writes a frame; returns when it is durable. `rows` are its rows, for the follower.
    ///
    /// # Errors
    /// [`Error::Busy`] if the backlog is full or the disk refuses: the rows may come again.
    pub async fn append(&self, frame: Frame, rows: Option<Kept>) -> Result<()> {
        let reserved = self.backlog.reserve(frame.bytes())?;
        let (answer, answered) = oneshot::channel();
        self.orders
            .send(Order::Append { frame, rows, answer })
            .await
            .map_err(|_| stopped())?;
        reserved.taken();
        outcome(answered).await
    }

    /// Seals the segment being written: every frame acknowledged before is in a sealed one then.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn seal(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Seal { answer }).await.map_err(|_| stopped())?;
        outcome(answered).await
    }

    /// The oldest sealed segment; it is the caller's from now on, who either [`Self::discard`]s it or leaves it to the next
    /// run.
    #[must_use]
    pub fn take_sealed(&self) -> Option<Segment> {
        self.shared.sealed().pop_front()
    }

    /// Whether there is a segment to take.
    #[must_use]
    pub fn has_sealed(&self) -> bool {
        !self.shared.sealed().is_empty()
    }

    /// Deletes a segment, or keeps it aside; its rows are elsewhere now.
    ///
    /// # Errors
    /// If the file cannot be deleted.
    pub fn discard(&self, segment: &Segment) -> std::io::Result<()> {
        let mark = segment::mark(&segment.path);
        let is_to_be_kept = mark.try_exists()?;
        let discarded = if is_to_be_kept {
            fs::rename(&segment.path, segment::damaged(&segment.path))
        } else {
            fs::remove_file(&segment.path)
        };
        match discarded {
            // Somebody has done it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
        if is_to_be_kept {
            // Without its segment it means nothing.
            let _ = fs::remove_file(mark);
        }
        self.leave(segment);
        Ok(())
    }

    /// Leaves a segment to the next start, where it is.
    pub fn leave(&self, segment: &Segment) {
        self.backlog.release(segment.bytes);
    }

    /// Gives up a segment whose file cannot be opened. It gets the name of a damaged one, which no start looks at.
    ///
    /// # Errors
    /// If it cannot get that name: the next start finds it, if it is still there ([`ErrorKind::NotFound`]).
    pub fn set_aside(&self, segment: &Segment) -> std::io::Result<PathBuf> {
        self.leave(segment);
        let aside = segment::damaged(&segment.path);
        if !segment::is_absent(&aside) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        fs::rename(&segment.path, &aside)?;
        let _ = fs::remove_file(segment::mark(&segment.path));
        Ok(aside)
    }

    /// Bytes in the open segment, and the time since its first row.
    #[must_use]
    pub fn open_segment(&self) -> Option<(u64, Duration)> {
        self.shared.waiting.get()
    }

    /// Until it is dropped what is written gets no answer.
    #[cfg(test)]
    pub(in crate::pipeline) fn hold_answers(&self) -> impl Sized + '_ {
        self.shared.waiting.hold()
    }

    /// Waits until [`Self::open_segment`] has something new to say.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

fn stopped() -> Error {
    Error::Internal("the journal has stopped".into())
}

async fn outcome(answered: oneshot::Receiver<std::result::Result<(), String>>) -> Result<()> {
    answered.await.map_err(|_| stopped())?.map_err(Error::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::backlog::Backlog;

    fn journal(folder: &Path, roll_bytes: u64, backlog: &Arc<Backlog>) -> Journal {
        Journal::open(
            &folder.join("a/b"),
            "s",
            roll_bytes,
            backlog.share("s"),
            Follower::none(),
        )
        .unwrap()
    }

    fn bytes(backlog: &Backlog) -> u64 {
        backlog.bytes()["s"]
    }

    fn frame(text: &str) -> Frame {
        Frame::new(1, text.as_bytes().to_vec()).unwrap()
    }

    fn json_of(segment: &Segment) -> Vec<String> {
        let mut frames = segment.frames().unwrap();
        std::iter::from_fn(|| frames.next_frame().unwrap())
            .map(|(_, json)| String::from_utf8(json).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn acknowledged_frames_are_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(1_000_000));
        let journal = journal(folder.path(), 1 << 20, &backlog);
        let text = |n: usize| format!("{{\"n\":{n}}}\n");
        let appends = (0..50).map(|n| journal.append(frame(&text(n)), None));
        for outcome in futures::future::join_all(appends).await {
            outcome.unwrap();
        }
        assert!(journal.open_segment().is_some());
        journal.seal().await.unwrap();
        assert_eq!(journal.open_segment(), None);
        let segment = journal.take_sealed().unwrap();
        assert_eq!(json_of(&segment), (0..50).map(text).collect::<Vec<_>>());

        journal.seal().await.unwrap();
        journal.discard(&segment).unwrap();
        assert!(journal.take_sealed().is_none());
        assert_eq!(bytes(&backlog), 0);
    }

    #[tokio::test]
    async fn one_that_somebody_has_removed_needs_no_removal_and_one_set_aside_takes_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(1_000_000));
        let journal = journal(folder.path(), 1 << 20, &backlog);
        for _ in 0..3 {
            journal.append(frame("{}\n"), None).await.unwrap();
            journal.seal().await.unwrap();
        }
        let [removed, free, taken] = [(); 3].map(|()| journal.take_sealed().unwrap());
        fs::remove_file(&removed.path).unwrap();
        journal.discard(&removed).unwrap();
        let aside = journal.set_aside(&free).unwrap();
        assert_eq!(aside, free.path.with_extension("damaged"));
        let other = taken.path.with_extension("damaged");
        fs::write(&other, "other").unwrap();
        assert!(journal.set_aside(&taken).is_err());
        assert_eq!(fs::read(other).unwrap(), b"other");
        assert!(!free.path.exists() && taken.path.exists());
        assert_eq!(bytes(&backlog), 0);
    }

    #[tokio::test]
    async fn a_restart_finds_what_was_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(1_000_000));
        let first = journal(folder.path(), 1 << 20, &backlog);
        first.append(frame("{}\n"), None).await.unwrap();
        let backlog = Arc::new(Backlog::new(1));
        let second = journal(folder.path(), 1 << 20, &backlog);
        let segment = second.take_sealed().unwrap();
        assert_eq!(json_of(&segment), ["{}\n"]);
        assert_eq!(bytes(&backlog), segment.bytes);
    }

    #[tokio::test]
    async fn a_segment_that_is_to_be_kept_is_out_of_the_way_of_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(1_000_000));
        let first = journal(folder.path(), 1 << 20, &backlog);
        first.append(frame("{}\n"), None).await.unwrap();
        first.seal().await.unwrap();
        let segment = first.take_sealed().unwrap();
        let written = fs::read(&segment.path).unwrap();
        Segment::keep(&segment.path).unwrap();
        // A crash before it is discarded: the next start finds it committed.
        let backlog = Arc::new(Backlog::new(1_000_000));
        let second = journal(folder.path(), 1 << 20, &backlog);
        let segment = second.take_sealed().unwrap();
        second.discard(&segment).unwrap();
        assert_eq!(fs::read(segment.path.with_extension("damaged")).unwrap(), written);
        assert_eq!(fs::read_dir(segment.path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(bytes(&backlog), 0);
        assert!(!journal(folder.path(), 1 << 20, &backlog).has_sealed());
    }

    #[tokio::test]
    async fn the_first_row_and_the_size_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(1_000));
        let journal = journal(folder.path(), 20, &backlog);
        assert_eq!(journal.open_segment(), None);
        for bytes in [15, 30] {
            journal.append(frame("{}\n"), None).await.unwrap();
            journal.changed().await;
            assert_eq!(journal.open_segment().unwrap().0, bytes);
        }
    }

    #[tokio::test]
    async fn a_full_backlog_refuses_until_a_segment_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(20));
        let journal = journal(folder.path(), 1 << 20, &backlog);
        journal.append(frame("{}\n"), None).await.unwrap();
        let refused = journal.append(frame("{}\n"), None).await;
        assert!(matches!(refused, Err(Error::Busy(_))));
        journal.seal().await.unwrap();
        journal.discard(&journal.take_sealed().unwrap()).unwrap();
        journal.append(frame("{}\n"), None).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_goes_away_before_there_is_a_turn_leaves_nothing_in_the_backlog() {
        let backlog = Arc::new(Backlog::new(1_000));
        // Nobody takes orders out: the disk hangs.
        let (orders, _received) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            sealed: Mutex::default(),
            waiting: Waiting::default(),
            changed: Notify::new(),
        });
        let journal = Journal {
            orders,
            shared,
            backlog: backlog.share("s"),
        };
        let mut first = Box::pin(journal.append(frame("{}\n"), None));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(journal.append(frame("{}\n"), None));
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(bytes(&backlog), 30);
        drop(second);
        assert_eq!(bytes(&backlog), 15);
        // The writer may write these yet.
        drop(first);
        assert_eq!(bytes(&backlog), 15);
    }
}
