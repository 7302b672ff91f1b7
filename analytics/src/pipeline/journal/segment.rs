//! A segment: a file of the journal, and what is done with its rows while it is still being written.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::frame::Frames;
use crate::lake::write::Written;
use crate::pipeline::backlog::Kept;
use crate::Result;

/// What a follower is told of a segment.
#[derive(Debug)]
pub enum News {
    /// A frame of so many bytes is durable behind the ones before; its rows, if they are still in memory.
    Frame {
        /// Bytes of the frame in the file.
        bytes: u64,
        /// Its rows.
        rows: Option<Kept>,
    },
    /// There will be no more.
    Sealed,
}

/// Work that began with a segment's first row.
#[derive(Debug)]
pub struct Following {
    pub(super) news: mpsc::UnboundedSender<News>,
    /// Data files with the segment's rows, once it is sealed.
    pub files: JoinHandle<Result<Written>>,
}

/// Starts work on the file of a segment.
type Start = Box<dyn Fn(PathBuf, mpsc::UnboundedReceiver<News>) -> JoinHandle<Result<Written>> + Send>;

/// Whoever wants to know of rows as soon as they are durable.
pub struct Follower(Option<Start>);

impl Follower {
    /// `start` is called with each new segment.
    pub fn new(
        start: impl Fn(PathBuf, mpsc::UnboundedReceiver<News>) -> JoinHandle<Result<Written>> + Send + 'static,
    ) -> Self {
        Self(Some(Box::new(start)))
    }

    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    pub(super) fn follow(&self, path: &Path) -> Option<Following> {
        let start = self.0.as_ref()?;
        // Without a bound: what takes memory in it is bounded by the backlog.
        let (news, heard) = mpsc::unbounded_channel();
        Some(Following {
            news,
            files: start(path.to_owned(), heard),
        })
    }
}

/// A segment that gets no more rows.
#[derive(Debug)]
pub struct Segment {
    /// The file; its stem is the commit id.
    pub path: PathBuf,
    /// Bytes it counts for in the backlog.
    pub bytes: u64,
    /// Where what was acknowledged ends in the file; that of an earlier run may not have told its length.
    pub(super) end: u64,
    /// Work on its rows that began while it was written; none for a segment of an earlier run, or one whose end had to
    /// be cut off.
    pub following: Option<Following>,
    /// What came of a disk that fails.
    pub(in crate::pipeline) failures: Failures,
}

/// So often, and for so long, a segment of which the disk refuses something is tried again before that is given up: a
/// disk that was away may be back. Attempts alone are over at once where somebody asks for commits.
const READ_ATTEMPTS: u32 = 10;
pub(in crate::pipeline) const READ_PATIENCE: Duration = Duration::from_secs(60);

/// Attempts at a segment of which the disk refused something.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::pipeline) struct Failures {
    count: u32,
    since: Option<Instant>,
}

impl Failures {
    /// Counts one that ends now.
    pub fn another(&mut self, now: Instant) {
        self.count += 1;
        self.since.get_or_insert(now);
    }

    /// Whether what the next one fails at is given up.
    pub fn are_enough(&self, now: Instant, patience: Duration) -> bool {
        let lasted = self.since.map_or(Duration::ZERO, |since| now - since);
        self.count + 1 >= READ_ATTEMPTS && lasted >= patience
    }
}

/// The name under which a segment is kept of which something cannot be read.
pub(in crate::pipeline) fn damaged(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}

/// Whether there is nothing of this name, not even a link that leads nowhere.
pub(super) fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// An empty file that says of a segment that it is to be kept as [`damaged`] when its rows are committed.
pub(super) fn mark(path: &Path) -> PathBuf {
    path.with_extension("keep")
}

impl Segment {
    /// Of an earlier run.
    pub(super) fn left_behind(path: PathBuf, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            end: u64::MAX,
            following: None,
            failures: Failures::default(),
        }
    }

    /// Name under which the segment is committed; unique over restarts.
    #[must_use]
    pub fn commit_id(&self) -> String {
        self.path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// When it was begun, in milliseconds since 1970; none of its rows was committed before.
    pub(in crate::pipeline) fn begun_ms(&self) -> i64 {
        let name = self.commit_id();
        name.split('-').next().and_then(|begun| begun.parse().ok()).unwrap_or(0)
    }

    /// Has the file kept, as [`damaged`], when its rows are committed, whoever does that after a crash. A second name now would
    /// do as well, but not every file system has such, and a copy reads what cannot be read.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(in crate::pipeline) fn keep(path: &Path) -> std::io::Result<()> {
        if damaged(path).try_exists()? {
            // By an earlier release, which gave it that name right away.
            return Ok(());
        }
        File::create(mark(path))?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Its frames, from the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn frames(&self) -> std::io::Result<Frames> {
        Frames::open(&self.path, self.end)
    }

    /// Whether its file, which could not be opened, is given up: at once if somebody has taken it away, else at the last attempt.
    /// Where its folder cannot be opened either, it is not the file: the disk is away, or this process has too many files open.
    pub(in crate::pipeline) fn is_given_up(&self, is_last_attempt: bool) -> bool {
        let is_folder_there = self.path.parent().is_some_and(|folder| File::open(folder).is_ok());
        is_folder_there && (is_last_attempt || is_absent(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_given_a_minute_and_ten_attempts() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        // Somebody asks for a commit each second, or nobody does for long.
        for (every, enough) in [(1, 60), (6, 60), (3_600, 9 * 3_600)] {
            let mut failures = Failures::default();
            let mut now = 0;
            while !failures.are_enough(after(now), READ_PATIENCE) {
                failures.another(after(now));
                now += every;
            }
            assert_eq!(now, enough, "every {every} s");
        }
    }
}
