//! The thread that writes a journal.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::frame::Frame;
use super::segment::{Failures, Follower, Following, News, Segment};
use super::Shared;
use crate::pipeline::backlog::{Kept, Share};
use crate::say::note;

/// Bytes written with one sync, at most.
const GROUP_BYTES: u64 = 8 * 1024 * 1024;

pub(super) type Answer = oneshot::Sender<std::result::Result<(), String>>;

#[derive(Debug)]
pub(super) enum Order {
    Append {
        frame: Frame,
        rows: Option<Kept>,
        answer: Answer,
    },
    Seal {
        answer: Answer,
    },
}

/// Bytes in the open segment and when its first row came.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Option<(u64, Instant)>>);

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(u64, Instant)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Option<(u64, Duration)> {
        self.lock().map(|(bytes, since)| (bytes, since.elapsed()))
    }

    fn set(&self, bytes: u64) {
        let mut waiting = self.lock();
        let since = waiting.map_or_else(Instant::now, |(_, since)| since);
        *waiting = Some((bytes, since));
    }

    fn clear(&self) {
        *self.lock() = None;
    }

    /// The writer gets no further than here until it is dropped.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.lock()
    }
}

/// The segment being written.
struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    following: Option<Following>,
}

pub(super) struct Writer {
    folder: PathBuf,
    stream: String,
    roll_bytes: u64,
    shared: Arc<Shared>,
    backlog: Share,
    follower: Follower,
    open: Option<Open>,
}

/// What is written with one sync.
#[derive(Default)]
struct Group {
    frames: Vec<Frame>,
    bytes: u64,
    rows: Vec<Option<Kept>>,
    answers: Vec<Answer>,
}

impl Writer {
    pub(super) fn new(
        folder: &Path,
        stream: &str,
        roll_bytes: u64,
        shared: Arc<Shared>,
        backlog: Share,
        follower: Follower,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            stream: stream.to_owned(),
            roll_bytes,
            shared,
            backlog,
            follower,
            open: None,
        }
    }

    /// Until every handle is gone.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.blocking_recv() {
            let mut group = Group::default();
            let mut seal = None;
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Append { frame, rows, answer } => {
                        group.bytes += frame.bytes();
                        group.frames.push(frame);
                        group.rows.push(rows);
                        group.answers.push(answer);
                    }
                    Order::Seal { answer } => seal = Some(answer),
                }
                // What comes after a seal belongs to the next segment.
                let is_complete = seal.is_some() || group.bytes >= GROUP_BYTES;
                next = if is_complete { None } else { orders.try_recv().ok() };
            }
            if !group.frames.is_empty() {
                self.write(group);
            }
            if let Some(answer) = seal {
                self.seal();
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn write(&mut self, group: Group) {
        let outcome = self.append(&group);
        match &outcome {
            Ok(()) => self.tell(group.frames, group.rows),
            Err(error) => {
                note!("journal {}: {error}", self.stream);
                // What is on disk of this group is unknown, and after a failed sync it stays so: write no more to this
                // file.
                self.abandon();
                self.backlog.release(group.bytes);
            }
        }
        for answer in group.answers {
            // A client that went away does not hear that its rows are kept.
            let _ = answer.send(outcome.as_ref().copied().map_err(ToString::to_string));
        }
    }

    /// Hands on what has become durable.
    fn tell(&mut self, frames: Vec<Frame>, rows: Vec<Option<Kept>>) {
        let Some(open) = &mut self.open else { return };
        let before = open.bytes;
        for (frame, rows) in frames.into_iter().zip(rows) {
            open.bytes += frame.bytes();
            if let Some(following) = &open.following {
                let bytes = frame.bytes();
                // A follower that failed no longer listens; the journal has the rows.
                let _ = following.news.send(News::Frame { bytes, rows });
            }
        }
        self.shared.waiting.set(open.bytes);
        if before == 0 || (before < self.roll_bytes && open.bytes >= self.roll_bytes) {
            self.shared.changed.notify_one();
        }
    }

    fn append(&mut self, group: &Group) -> std::io::Result<()> {
        if self.open.is_none() {
            let millis = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |elapsed| elapsed.as_millis());
            let name = format!("{millis:013}-{}-{}", self.stream, uuid::Uuid::new_v4());
            let path = self.folder.join(format!("{name}.journal"));
            let file = File::create_new(&path)?;
            self.open = Some(Open {
                following: self.follower.follow(&path),
                file,
                path,
                bytes: 0,
            });
            File::open(&self.folder)?.sync_all()?;
        }
        if let Some(open) = &self.open {
            // Small frames together, large ones as they are.
            let mut file = BufWriter::with_capacity(64 * 1024, &open.file);
            for frame in &group.frames {
                file.write_all(&frame.header)?;
                file.write_all(&frame.payload)?;
            }
            file.flush()?;
            drop(file);
            open.file.sync_data()?;
        }
        Ok(())
    }

    /// Ends a segment after a failed write, at the last acknowledged byte.
    fn abandon(&mut self) {
        if let Some(open) = &mut self.open {
            // The file decides what is committed.
            open.following = None;
            // If this fails too, rows nobody was told are kept may be committed: the client repeats them, and readers
            // tell repeated events by their id.
            let _ = open.file.set_len(open.bytes).and_then(|()| open.file.sync_all());
        }
        self.seal();
        self.shared.changed.notify_one();
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            if let Some(following) = &open.following {
                let _ = following.news.send(News::Sealed);
            }
            self.shared.sealed().push_back(Segment {
                path: open.path,
                bytes: open.bytes,
                end: open.bytes,
                following: open.following,
                failures: Failures::default(),
            });
            self.shared.waiting.clear();
        }
    }
}
