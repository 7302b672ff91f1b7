//! From durable rows to the data files of a segment, most of it while the segment is still being written: a commit then
//! waits for the last rows only, and what waits in memory is encoded.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use iceberg::TableIdent;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::backlog::Kept;
use super::journal::frame::{json_at, Frames, ReadAt};
use super::journal::segment::{damaged, Follower, News, Segment};
use super::rows::Rows;
use crate::failpoint;
use crate::lake::known::History;
use crate::lake::write::{TableWriter, Written};
use crate::lake::Lake;
use crate::say::note;
use crate::{Error, Result};

/// Rows that Parquet takes in one stroke without loss of speed.
const STROKE_ROWS: usize = 1_024;

/// Rows of which it is asked at once whether the table has them: each time its files are read.
const ASKED_ROWS: usize = 500_000;

/// What came of a sealed segment's file.
#[derive(Debug)]
pub(super) enum Replayed {
    /// Data files with its rows.
    Files(Box<Written>),
    /// Nothing to do: the table has them.
    Known,
    /// It cannot be opened, and is given up.
    Unopened(std::io::Error),
}

/// Encodes the rows of one stream.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) lake: Arc<Lake>,
    pub(super) table: TableIdent,
    pub(super) rows: Arc<Rows>,
    /// [`READ_PATIENCE`](super::journal::segment::READ_PATIENCE), but for tests.
    pub(super) read_patience: Duration,
}

impl Encoder {
    /// Encodes what becomes durable, on threads of its own: it takes whole processors at times.
    pub(super) fn follower(&self) -> Follower {
        let (encoder, runtime) = (self.clone(), Handle::current());
        Follower::new(move |path, news| {
            let (encoder, handle) = (encoder.clone(), runtime.clone());
            runtime.spawn_blocking(move || handle.block_on(encoder.follow(path, news)))
        })
    }

    async fn follow(self, path: PathBuf, mut news: mpsc::UnboundedReceiver<News>) -> Result<Written> {
        let file = File::open(path)?;
        let mut offset = 0;
        let mut files = None;
        while let Some(told) = news.recv().await {
            let News::Frame { bytes, rows } = told else {
                return self.ended(files).await;
            };
            let files = self.begun(&mut files).await?;
            match rows {
                Some(kept) => files.add(kept).await?,
                None => {
                    for batch in self.rows.decode(&json_at(&file, offset, bytes)?)? {
                        files.add_batch(batch).await?;
                    }
                }
            }
            offset += bytes;
            failpoint::reached("after_encode_before_seal");
        }
        Err(Error::Internal("the journal has stopped".into()))
    }

    /// Encodes a sealed segment from its file: after a crash, or when following it failed.
    pub(super) async fn replay(&self, segment: &mut Segment) -> Result<Replayed> {
        let commit_id = segment.commit_id();
        let history = self
            .lake
            .history_of(&self.table, &commit_id, segment.begun_ms())
            .await?;
        if history == History::Has {
            return Ok(Replayed::Known);
        }
        let is_last_attempt = segment.failures.are_enough(Instant::now(), self.read_patience);
        let mut frames = match segment.frames() {
            Ok(frames) => frames,
            Err(error) if segment.is_given_up(is_last_attempt) => return Ok(Replayed::Unopened(error)),
            Err(error) => return Err(refused(segment, &error.to_string())),
        };
        if history == History::Forgot {
            if let Some(found) = self.known(frames).await? {
                if found.has_disk_failed && !is_last_attempt {
                    return Err(refused(segment, UNREADABLE));
                }
                note!(
                    "{}: has all events of {commit_id}, whose commit has expired",
                    self.table
                );
                self.tell(&segment.path, &found)?;
                return Ok(Replayed::Known);
            }
            frames = segment.frames()?;
        }
        let encoded = self.clone().encode(frames, is_last_attempt);
        let runtime = Handle::current();
        let encoding = tokio::task::spawn_blocking(move || runtime.block_on(encoded));
        let Some((written, found)) = encoding.await?? else {
            return Err(refused(segment, UNREADABLE));
        };
        self.tell(&segment.path, &found)?;
        Ok(Replayed::Files(Box::new(written)))
    }

    /// What was found of a segment of which the table has each event that can be read, whoever brought it: twice is never needed.
    /// None of any other; of one that was not committed the first frame says so.
    async fn known(&self, mut frames: Frames) -> Result<Option<Found>> {
        let mut known = self.lake.known_events(&self.table).await?;
        let rows = self.rows.clone();
        let asking = move || {
            let (mut asked, mut are_any_known) = (0, false);
            loop {
                let frame = frames.next_frame()?;
                let is_end = frame.is_none();
                if let Some((_, json)) = frame {
                    asked += known.ask(&rows.decode(&json)?)?;
                }
                if asked > 0 && (is_end || !are_any_known || asked >= ASKED_ROWS) {
                    if !known.have_all()? {
                        return Ok(None);
                    }
                    (asked, are_any_known) = (0, true);
                }
                if is_end {
                    return Ok(are_any_known.then(|| Found::of(&frames)));
                }
            }
        };
        tokio::task::spawn_blocking(asking).await?
    }

    /// The rows of all frames that can be read; none if the disk refused something that it may read the next time.
    async fn encode<F: ReadAt>(self, mut frames: Frames<F>, is_last_attempt: bool) -> Result<Option<(Written, Found)>> {
        let mut files = None;
        // Frame by frame: a segment may be larger than memory.
        while let Some((_, json)) = frames.next_frame()? {
            let files = self.begun(&mut files).await?;
            for batch in self.rows.decode(&json)? {
                files.add_batch(batch).await?;
            }
        }
        let found = Found::of(&frames);
        if found.has_disk_failed && !is_last_attempt {
            return Ok(None);
        }
        Ok(Some((self.ended(files).await?, found)))
    }

    /// Says what of a segment could not be read. What may have been acknowledged outlives the segment.
    fn tell(&self, path: &Path, found: &Found) -> Result<()> {
        let (table, name) = (&self.table, path.display());
        let Found {
            mended, lost, cut_off, ..
        } = found;
        if *mended > 0 {
            note!("{table}: the disk has changed the length of {mended} batches in {name}; their rows are committed");
        }
        if *cut_off > 0 {
            note!("{table}: the last {cut_off} bytes of {name} were never acknowledged, a crash cut them off");
        }
        if *lost > 0 {
            Segment::keep(path)?;
            note!(
                "{table}: {lost} bytes of rows that may have been acknowledged cannot be read any more, the disk has changed \
                 or lost them; the others are committed and the segment is kept as {}",
                damaged(path).display()
            );
        }
        Ok(())
    }

    async fn begun<'f>(&self, files: &'f mut Option<Files>) -> Result<&'f mut Files> {
        if files.is_none() {
            *files = Some(self.begin().await?);
        }
        files.as_mut().ok_or_else(|| Error::Internal("no files".into()))
    }

    async fn begin(&self) -> Result<Files> {
        Ok(Files {
            writer: TableWriter::new(self.lake.load(&self.table).await?)?,
            waiting: Vec::new(),
            kept: Vec::new(),
            rows: 0,
        })
    }

    async fn ended(&self, files: Option<Files>) -> Result<Written> {
        let mut files = match files {
            Some(files) => files,
            None => self.begin().await?,
        };
        files.stroke().await?;
        files.writer.close().await
    }
}

/// What was found of a segment besides its rows.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Frames whose length the disk has changed.
    mended: usize,
    /// Bytes of rows that may have been acknowledged and cannot be read.
    lost: u64,
    /// Bytes at its end that a crash cut off.
    cut_off: u64,
    /// Whether the disk refused to read any of it.
    has_disk_failed: bool,
}

impl Found {
    /// Of frames that were read to their end.
    fn of<F: ReadAt>(frames: &Frames<F>) -> Self {
        Self {
            mended: frames.damage().mended,
            lost: frames.lost(),
            cut_off: if frames.is_cut_off() { frames.rest() } else { 0 },
            has_disk_failed: frames.has_disk_failed(),
        }
    }
}

const UNREADABLE: &str = "something of it cannot be read";

/// Of a segment that is tried again later.
fn refused(segment: &mut Segment, why: &str) -> Error {
    segment.failures.another(Instant::now());
    Error::Busy(format!("the disk refuses {}: {why}", segment.path.display()))
}

/// Data files, and rows that do not make a stroke yet: requests may be as small as one row.
struct Files {
    writer: TableWriter,
    waiting: Vec<RecordBatch>,
    /// Gives the room of `waiting` back.
    kept: Vec<Kept>,
    rows: usize,
}

impl Files {
    async fn add(&mut self, mut kept: Kept) -> Result<()> {
        let batches = std::mem::take(&mut kept.batches);
        self.kept.push(kept);
        for batch in batches {
            self.add_batch(batch).await?;
        }
        Ok(())
    }

    async fn add_batch(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        self.waiting.push(batch);
        if self.rows >= STROKE_ROWS {
            self.stroke().await?;
        }
        Ok(())
    }

    async fn stroke(&mut self) -> Result<()> {
        match self.waiting.as_slice() {
            [] => {}
            [one] => self.writer.write(one).await?,
            [first, ..] => {
                let joined = arrow_select::concat::concat_batches(&first.schema(), &self.waiting)?;
                self.writer.write(&joined).await?;
            }
        }
        self.waiting.clear();
        self.kept.clear();
        self.rows = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::pipeline::committer::tests::{encoder, ROW};
    use crate::pipeline::journal::frame::Frame;

    /// A segment, and whether the disk is away.
    struct Away(Vec<u8>, AtomicBool);

    impl ReadAt for &Away {
        fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
            if self.1.load(Ordering::Relaxed) {
                return Err(std::io::Error::from_raw_os_error(5));
            }
            let from = offset as usize;
            bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_disk_refuses_is_read_again_and_given_up_only_at_last() {
        let folder = tempfile::tempdir().unwrap();
        let (_server, encoder) = encoder(folder.path()).await;
        let disk = Away(Frame::new(1, ROW.to_vec()).unwrap().to_bytes(), AtomicBool::new(true));
        let frames = || Frames::of(&disk, disk.0.len() as u64);
        assert!(encoder.clone().encode(frames(), false).await.unwrap().is_none());
        let (_, found) = encoder.clone().encode(frames(), true).await.unwrap().unwrap();
        assert_eq!(found.lost, disk.0.len() as u64);
        disk.1.store(false, Ordering::Relaxed);
        let (written, found) = encoder.encode(frames(), false).await.unwrap().unwrap();
        assert_eq!((written.files[0].record_count(), found.lost), (1, 0));
    }
}
