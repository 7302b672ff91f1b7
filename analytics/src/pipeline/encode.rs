//! From durable rows to the data files of a segment, most of it while the segment is still being written: a commit then
//! waits for the last rows only, and what waits in memory is encoded.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use iceberg::TableIdent;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::backlog::Kept;
use super::journal::frame::{json_at, Frames};
use super::journal::segment::{damaged, Follower, News, Segment};
use super::rows::Rows;
use crate::failpoint;
use crate::lake::write::{TableWriter, Written};
use crate::lake::Lake;
use crate::say::note;
use crate::{Error, Result};

/// Rows that Parquet takes in one stroke without loss of speed.
const STROKE_ROWS: usize = 1_024;

/// So often a segment of which the disk cannot read something is tried again before that counts as lost: a minute at least,
/// in which a disk that was away may be back.
const READ_ATTEMPTS: u32 = 10;

/// Encodes the rows of one stream.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) lake: Arc<Lake>,
    pub(super) table: TableIdent,
    pub(super) rows: Arc<Rows>,
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
                    for batch in self.rows.decode(&json_at(&file, offset)?)? {
                        files.add_batch(batch).await?;
                    }
                }
            }
            offset += bytes;
            failpoint::reached("after_encode_before_seal");
        }
        Err(Error::Internal("the journal has stopped".into()))
    }

    /// Encodes a sealed segment from its file: after a crash, or when following it failed. None if its commit is in the
    /// table's history already.
    pub(super) async fn replay(&self, segment: &mut Segment) -> Result<Option<Written>> {
        if self.lake.has_commit(&self.table, &segment.commit_id()).await? {
            return Ok(None);
        }
        let (encoder, path, mut frames) = (self.clone(), segment.path.clone(), segment.frames()?);
        segment.read_attempts += 1;
        let is_last_attempt = segment.read_attempts >= READ_ATTEMPTS;
        let runtime = Handle::current();
        let replaying: JoinHandle<Result<(Written, bool)>> = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                let mut files = None;
                // Frame by frame: a segment may be larger than memory.
                while let Some((_, json)) = frames.next_frame()? {
                    let files = encoder.begun(&mut files).await?;
                    for batch in encoder.rows.decode(&json)? {
                        files.add_batch(batch).await?;
                    }
                }
                if frames.lost() > 0 && !is_last_attempt {
                    // An error of the disk, unless it has only changed what it reads.
                    std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
                }
                let is_to_be_kept = told_of(&encoder.table, &path, &frames)?;
                Ok((encoder.ended(files).await?, is_to_be_kept))
            })
        });
        let (written, is_to_be_kept) = replaying.await??;
        segment.is_to_be_kept = is_to_be_kept;
        Ok(Some(written))
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

/// Says what of a segment could not be read, after its last frame. What may have been acknowledged outlives the segment: by a
/// second name, or, where the file system has none, because the segment is to be kept.
fn told_of(table: &TableIdent, path: &Path, frames: &Frames) -> Result<bool> {
    let (damage, rest) = (frames.damage(), frames.rest());
    if damage.mended > 0 {
        let path = path.display();
        note!(
            "{table}: the disk has changed the length of {} batches in {path}; their rows are committed",
            damage.mended
        );
    }
    if rest > 0 && frames.is_cut_off() {
        let path = path.display();
        note!("{table}: the last {rest} bytes of {path} were never acknowledged, a crash cut them off");
    }
    let lost = frames.lost();
    if lost == 0 {
        return Ok(false);
    }
    let aside = damaged(path);
    let linked = std::fs::hard_link(path, &aside).map_err(|error| (error.kind(), error));
    let is_to_be_kept = match linked {
        Ok(()) | Err((ErrorKind::AlreadyExists, _)) => false,
        // EPERM and EOPNOTSUPP: exFAT, SMB.
        Err((ErrorKind::PermissionDenied | ErrorKind::Unsupported, _)) => true,
        Err((_, error)) => return Err(error.into()),
    };
    note!(
        "{table}: {lost} bytes of rows that may have been acknowledged cannot be read any more, the disk has changed or \
         lost them; the others are committed and the segment is kept as {}",
        aside.display()
    );
    Ok(is_to_be_kept)
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
