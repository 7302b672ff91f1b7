//! A segment: a file of the journal, and what is done with its rows while it is still being written.

use std::path::{Path, PathBuf};

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
    /// Work on its rows that began while it was written; none for a segment of an earlier run, or one whose end had to
    /// be cut off.
    pub following: Option<Following>,
    /// How often its frames were read.
    pub read_attempts: u32,
    /// Whether the file is kept, as [`damaged`], when its rows are committed.
    pub is_to_be_kept: bool,
}

/// The name under which a segment is kept of which something cannot be read.
pub(in crate::pipeline) fn damaged(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}

impl Segment {
    /// Of an earlier run.
    pub(super) fn left_behind(path: PathBuf, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            following: None,
            read_attempts: 0,
            is_to_be_kept: false,
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

    /// Its frames, from the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn frames(&self) -> std::io::Result<Frames> {
        Frames::open(&self.path, self.bytes)
    }
}
