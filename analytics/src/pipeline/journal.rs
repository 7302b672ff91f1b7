//! The journal of a stream: rows are on disk before they are acknowledged.
//!
//! A segment is a file of frames; a frame is one request's rows:
//!
//! ```text
//! payload length (u32 LE) | row count (u32 LE) | CRC-32 of the payload (u32 LE) | payload: one JSON object per line
//! ```
//!
//! One thread writes: it takes every frame that waits, writes them with one call, syncs once, and answers all of them.
//! A frame cut off by a crash was never acknowledged; reading stops before it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use tokio::sync::{mpsc, oneshot, Notify};

use crate::{Error, Result};

const HEADER: usize = 12;
/// Bytes written with one sync, at most.
const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of decoded rows kept for the committer, over all streams; beyond it rows are decoded again from the journal.
const MAX_KEPT_BYTES: u64 = 128 * 1024 * 1024;

/// Bytes journaled and not yet committed, over all streams.
#[derive(Debug)]
pub struct Backlog {
    bytes: AtomicU64,
    limit: u64,
    closed: AtomicBool,
    /// Bytes of decoded rows in memory.
    kept: AtomicU64,
}

impl Backlog {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            limit,
            closed: AtomicBool::new(false),
            kept: AtomicU64::new(0),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Makes room for new rows, or refuses.
    pub(super) fn reserve(&self, bytes: u64) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Busy("the server is stopping".into()));
        }
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |present| {
                present.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .map(drop)
            .map_err(|present| {
                Error::Busy(format!(
                    "{present} bytes wait to be committed, {} are allowed",
                    self.limit
                ))
            })
    }

    fn adopt(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Whether there is memory for so many bytes more of decoded rows; they count from then on.
    fn keep(&self, bytes: u64) -> bool {
        let more = |present: u64| present.checked_add(bytes).filter(|sum| *sum <= MAX_KEPT_BYTES);
        self.kept
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    fn forget(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// A segment that gets no more rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The file; its stem is the commit id.
    pub path: PathBuf,
    /// Bytes it counts for in the backlog.
    pub bytes: u64,
    /// Its rows, if they are still in memory.
    pub batches: Option<Arc<Vec<RecordBatch>>>,
    /// Bytes these take.
    kept: u64,
}

impl Segment {
    /// Name under which the segment is committed; unique over restarts.
    #[must_use]
    pub fn commit_id(&self) -> String {
        self.path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The whole frames of the segment.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self) -> std::io::Result<Frames> {
        Ok(Frames::parse(&fs::read(&self.path)?))
    }
}

/// Rows read from a segment.
#[derive(Debug, PartialEq, Eq)]
pub struct Frames {
    /// JSON objects, one per line.
    pub json: Vec<u8>,
    /// How many.
    pub rows: u64,
    /// Bytes at the end that are no whole frame: written by a crash, never acknowledged.
    pub torn: usize,
}

impl Frames {
    fn parse(mut bytes: &[u8]) -> Self {
        let mut frames = Self {
            json: Vec::with_capacity(bytes.len()),
            rows: 0,
            torn: 0,
        };
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
            let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let Some(payload) = rest.get(..number(0) as usize) else {
                break;
            };
            if crc32fast::hash(payload) != number(8) || payload.is_empty() {
                break;
            }
            frames.json.extend_from_slice(payload);
            frames.rows += u64::from(number(4));
            bytes = &rest[payload.len()..];
        }
        frames.torn = bytes.len();
        frames
    }
}

/// A frame of rows, each a JSON object followed by a line feed.
///
/// # Errors
/// [`Error::TooLarge`] above 4 GiB, which no request reaches.
pub fn frame(rows: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(|_| Error::TooLarge(u32::MAX as usize))?;
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&rows.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}

type Answer = oneshot::Sender<std::result::Result<(), String>>;

enum Order {
    Append {
        frame: Vec<u8>,
        batches: Vec<RecordBatch>,
        answer: Answer,
    },
    Seal {
        answer: Answer,
    },
}

#[derive(Debug)]
struct Shared {
    sealed: Mutex<VecDeque<Segment>>,
    ready: Notify,
}

/// Handle of a stream's journal.
#[derive(Debug, Clone)]
pub struct Journal {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    backlog: Arc<Backlog>,
}

impl Journal {
    /// Opens the folder of a stream's segments and starts the thread that writes. Segments found are sealed ones.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(folder: &Path, stream: &str, roll_bytes: u64, backlog: Arc<Backlog>) -> Result<Self> {
        fs::create_dir_all(folder)?;
        for parent in folder.ancestors().skip(1).take(2) {
            File::open(parent)?.sync_all()?;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                let bytes = fs::metadata(&path)?.len();
                backlog.adopt(bytes);
                found.push(Segment {
                    path,
                    bytes,
                    batches: None,
                    kept: 0,
                });
            }
        }
        // Names begin with the time of creation.
        found.sort_by(|left, right| left.path.cmp(&right.path));
        let shared = Arc::new(Shared {
            sealed: Mutex::new(found.into()),
            ready: Notify::new(),
        });
        let (orders, received) = mpsc::channel(1024);
        let writer = Writer {
            folder: folder.to_owned(),
            stream: stream.to_owned(),
            roll_bytes,
            shared: shared.clone(),
            backlog: backlog.clone(),
            open: None,
        };
        std::thread::Builder::new()
            .name(format!("journal-{stream}"))
            .spawn(move || writer.run(received))?;
        Ok(Self {
            orders,
            shared,
            backlog,
        })
    }

    /// Writes a frame; returns when it is durable. `batches` are its rows, for the committer.
    ///
    /// # Errors
    /// [`Error::Busy`] if the backlog is full or the disk refuses: the rows may come again.
    pub async fn append(&self, frame: Vec<u8>, batches: Vec<RecordBatch>) -> Result<()> {
        self.backlog.reserve(frame.len() as u64)?;
        let (answer, answered) = oneshot::channel();
        let order = Order::Append { frame, batches, answer };
        self.order(order, answered).await
    }

    /// Seals the segment being written: every frame acknowledged before is in [`Self::first_sealed`] then.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn seal(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Seal { answer }, answered).await
    }

    async fn order(&self, order: Order, answered: oneshot::Receiver<std::result::Result<(), String>>) -> Result<()> {
        let stopped = || Error::Internal("the journal has stopped".into());
        self.orders.send(order).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?.map_err(Error::Busy)
    }

    /// The oldest sealed segment.
    #[must_use]
    pub fn first_sealed(&self) -> Option<Segment> {
        self.shared.sealed().front().cloned()
    }

    /// Forgets and deletes the oldest sealed segment; its rows are elsewhere now.
    ///
    /// # Errors
    /// If the file cannot be deleted.
    pub fn remove_first_sealed(&self) -> std::io::Result<()> {
        let mut sealed = self.shared.sealed();
        if let Some(segment) = sealed.front() {
            fs::remove_file(&segment.path)?;
            self.backlog.release(segment.bytes);
            self.backlog.forget(segment.kept);
            sealed.pop_front();
        }
        Ok(())
    }

    /// Waits until a segment is sealed by its size.
    pub async fn sealed_by_size(&self) {
        self.shared.ready.notified().await;
    }
}

impl Shared {
    fn sealed(&self) -> std::sync::MutexGuard<'_, VecDeque<Segment>> {
        self.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// Rows of every frame written; none once there was no memory for one.
    batches: Option<Vec<RecordBatch>>,
    kept: u64,
}

struct Writer {
    folder: PathBuf,
    stream: String,
    roll_bytes: u64,
    shared: Arc<Shared>,
    backlog: Arc<Backlog>,
    open: Option<Open>,
}

impl Writer {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.blocking_recv() {
            let mut group = Vec::new();
            let mut waiting = Vec::new();
            let mut rows = Vec::new();
            let mut seals = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Append { frame, batches, answer } => {
                        group.extend_from_slice(&frame);
                        rows.extend(batches);
                        waiting.push((frame.len() as u64, answer));
                    }
                    Order::Seal { answer } => seals.push(answer),
                }
                // What comes after a seal belongs to the next segment.
                next = if seals.is_empty() && group.len() < GROUP_BYTES {
                    orders.try_recv().ok()
                } else {
                    None
                };
            }
            self.write(&group, rows, waiting);
            if !seals.is_empty() {
                self.seal();
                for answer in seals {
                    let _ = answer.send(Ok(()));
                }
            } else if self.open.as_ref().is_some_and(|open| open.bytes >= self.roll_bytes) {
                self.seal();
                self.shared.ready.notify_one();
            }
        }
    }

    fn write(&mut self, group: &[u8], rows: Vec<RecordBatch>, waiting: Vec<(u64, Answer)>) {
        if waiting.is_empty() {
            return;
        }
        let outcome = self.append(group);
        if let Err(error) = &outcome {
            eprintln!("journal {}: {error}", self.stream);
            // What is on disk of this group is unknown, and after a failed sync it stays so: write no more to this file.
            self.abandon();
            self.backlog.release(waiting.iter().map(|(bytes, _)| bytes).sum());
        } else {
            self.keep(rows);
        }
        for (_, answer) in waiting {
            // A client that went away does not hear that its rows are kept.
            let _ = answer.send(outcome.as_ref().copied().map_err(ToString::to_string));
        }
    }

    /// Keeps a group's rows for the committer while there is memory; the journal has them anyway.
    fn keep(&mut self, rows: Vec<RecordBatch>) {
        let Some(open) = &mut self.open else { return };
        let Some(kept) = &mut open.batches else { return };
        let bytes = rows.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
        if self.backlog.keep(bytes) {
            open.kept += bytes;
            kept.extend(rows);
        } else {
            open.batches = None;
            self.backlog.forget(std::mem::take(&mut open.kept));
        }
    }

    fn append(&mut self, group: &[u8]) -> std::io::Result<()> {
        if self.open.is_none() {
            let millis = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |elapsed| elapsed.as_millis());
            let name = format!("{millis:013}-{}-{}", self.stream, uuid::Uuid::new_v4());
            let path = self.folder.join(format!("{name}.journal"));
            let file = File::create_new(&path)?;
            self.open = Some(Open {
                file,
                path,
                bytes: 0,
                batches: Some(Vec::new()),
                kept: 0,
            });
            File::open(&self.folder)?.sync_all()?;
        }
        if let Some(open) = &mut self.open {
            open.file.write_all(group)?;
            open.file.sync_data()?;
            open.bytes += group.len() as u64;
        }
        Ok(())
    }

    /// Ends a segment after a failed write, at the last acknowledged byte.
    fn abandon(&mut self) {
        if let Some(open) = &mut self.open {
            // The file decides what is committed.
            open.batches = None;
            self.backlog.forget(std::mem::take(&mut open.kept));
            // If this fails too, rows nobody was told are kept may be committed: the client repeats them, and readers
            // tell repeated events by their id.
            let _ = open.file.set_len(open.bytes).and_then(|()| open.file.sync_all());
        }
        self.seal();
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.shared.sealed().push_back(Segment {
                path: open.path,
                bytes: open.bytes,
                batches: open.batches.map(Arc::new),
                kept: open.kept,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog() -> Arc<Backlog> {
        Arc::new(Backlog::new(1_000_000))
    }

    #[tokio::test]
    async fn acknowledged_frames_are_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("a/b"), "s", 1 << 20, backlog()).unwrap();
        let appends =
            (0..50).map(|n| journal.append(frame(1, format!("{{\"n\":{n}}}\n").as_bytes()).unwrap(), Vec::new()));
        for outcome in futures::future::join_all(appends).await {
            outcome.unwrap();
        }
        journal.seal().await.unwrap();
        let frames = journal.first_sealed().unwrap().read().unwrap();
        let expected: String = (0..50).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert_eq!((frames.rows, frames.torn), (50, 0));
        assert_eq!(String::from_utf8(frames.json).unwrap(), expected);

        journal.seal().await.unwrap();
        journal.remove_first_sealed().unwrap();
        assert_eq!(journal.first_sealed(), None);
        assert_eq!(journal.backlog.bytes(), 0);
    }

    #[tokio::test]
    async fn a_restart_finds_what_was_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = Journal::open(&path, "s", 1 << 20, backlog()).unwrap();
        first.append(frame(1, b"{}\n").unwrap(), Vec::new()).await.unwrap();
        let second = Journal::open(&path, "s", 1 << 20, backlog()).unwrap();
        let segment = second.first_sealed().unwrap();
        assert_eq!(segment.read().unwrap().rows, 1);
        assert_eq!(second.backlog.bytes(), segment.bytes);
    }

    #[test]
    fn a_torn_or_damaged_tail_ends_the_segment() {
        let mut bytes = frame(2, b"{}\n{}\n").unwrap();
        let whole = bytes.len();
        bytes.extend(frame(1, b"{\"a\":1}\n").unwrap());
        for end in whole..bytes.len() {
            let frames = Frames::parse(&bytes[..end]);
            assert_eq!((frames.rows, frames.torn), (2, end - whole));
        }
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        assert_eq!(Frames::parse(&bytes).rows, 2);
        // A file grown by the file system but not written reads as zeros.
        assert_eq!(Frames::parse(&[0; 64]).rows, 0);
    }

    #[tokio::test]
    async fn size_seals_and_the_backlog_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let backlog = Arc::new(Backlog::new(40));
        let journal = Journal::open(&folder.path().join("a/b"), "s", 1, backlog.clone()).unwrap();
        journal.append(frame(1, b"{}\n").unwrap(), Vec::new()).await.unwrap();
        journal.sealed_by_size().await;
        assert!(journal.first_sealed().is_some());
        journal.append(frame(1, b"{}\n").unwrap(), Vec::new()).await.unwrap();
        let refused = journal.append(frame(1, b"{}\n").unwrap(), Vec::new()).await;
        assert!(matches!(refused, Err(Error::Busy(_))));
        journal.remove_first_sealed().unwrap();
        journal.append(frame(1, b"{}\n").unwrap(), Vec::new()).await.unwrap();
        backlog.close();
        assert!(matches!(
            journal.append(Vec::new(), Vec::new()).await,
            Err(Error::Busy(_))
        ));
    }
}
