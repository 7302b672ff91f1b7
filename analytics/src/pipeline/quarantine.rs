//! Rows that were refused, kept with the reason: a bad row is a finding, not a hole.
//!
//! A file of lines per stream. A line is named by what it holds but for the time ([`id`]), so that a request that comes again
//! leaves no second one. What is taken out becomes blanks where it stands, which takes no room on a full disk;
//! then the file is written anew without them, or else the next time. A line that begins with a blank is none.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{json, Map, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::say::note;
use crate::{Error, Result};

/// What a stream's quarantine may take on disk. Beyond it requests with a wrong row are refused whole: who does not look at
/// it loses nothing, and the journal keeps its disk.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Records, and bytes of them, that are taken out together.
const PART_RECORDS: usize = 500;
const PART_BYTES: usize = 1024 * 1024;

/// The reason of a record that a full disk has cut off.
pub(super) const UNREADABLE: &str = "unreadable_record";

const BLANK: u8 = b' ';

/// The quarantine file of a stream: `quarantine/<stream>.jsonl`, readable by its owner only (rows may name people).
#[derive(Debug, Clone)]
pub struct Quarantine {
    stream: &'static str,
    path: PathBuf,
    max_bytes: u64,
    /// Locked by whoever changes the file.
    held: Arc<Mutex<Held>>,
    /// Held by whoever takes records out: taken twice at once a row would be in the table twice. And by whoever reads, who
    /// would find a line that is half blanks.
    taking: Arc<tokio::sync::Mutex<()>>,
}

/// What the file held when it was last read or changed here.
#[derive(Debug, Default)]
struct Held {
    /// Of the records; a line of another is gone, though the disk may have refused to make blanks of it.
    ids: HashSet<Uuid>,
    /// Whether something was taken out of the file that still takes its room.
    has_blanks: bool,
    file: Option<Identity>,
}

/// Tells a file from another one, and from itself with more in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
}

impl Identity {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
        })
    }
}

/// A record, as the file has it.
#[derive(Debug)]
pub(super) struct Record {
    pub id: Uuid,
    /// Where its line begins.
    place: u64,
    line: Vec<u8>,
}

impl Record {
    pub fn bytes(&self) -> usize {
        self.line.len()
    }

    /// What was kept, with its id and without the row unless it is asked for; a line that a full disk cut off says so.
    pub fn told(&self, stream: &str, with_row: bool) -> Value {
        let mut record = serde_json::from_slice::<Value>(&self.line)
            .ok()
            .filter(Value::is_object)
            .unwrap_or_else(|| {
                json!({
                    "stream": stream, "reason": UNREADABLE, "detail": "the line is not JSON",
                    "row": String::from_utf8_lossy(&self.line),
                })
            });
        record["id"] = json!(self.id);
        if let (false, Some(members)) = (with_row, record.as_object_mut()) {
            members.remove("row");
        }
        record
    }

    /// The row that was refused; none if the line is unreadable.
    pub fn row(&self) -> Option<Value> {
        serde_json::from_slice::<Value>(&self.line)
            .ok()?
            .get_mut("row")
            .map(Value::take)
    }
}

/// The name of a record: of all it holds but the time, which is another each time that the same request comes.
fn id(line: &[u8]) -> Uuid {
    let mut members: Map<String, Value> = serde_json::from_slice(line).unwrap_or_default();
    let is_timed = members.remove("received_at").is_some();
    let named = is_timed.then(|| serde_json::to_vec(&members).ok()).flatten();
    Uuid::new_v5(&Uuid::NAMESPACE_OID, named.as_deref().unwrap_or(line))
}

impl Quarantine {
    /// Finds what is kept. A file that cannot be used is told, and tried again when it is needed: rows that are right do not
    /// need it.
    #[must_use]
    pub fn open(warehouse: &Path, stream: &'static str) -> Self {
        let quarantine = Self {
            stream,
            path: warehouse.join("quarantine").join(format!("{stream}.jsonl")),
            max_bytes: MAX_BYTES,
            held: Arc::default(),
            taking: Arc::default(),
        };
        // A crash may have left it, with rows.
        let _ = fs::remove_file(quarantine.fresh());
        let opened = quarantine.opened(&mut quarantine.lock());
        match opened {
            Ok((_, bytes)) if bytes > quarantine.max_bytes => note!(
                "the quarantine of {stream} holds {bytes} bytes, {} are allowed: until something is taken out, requests with \
                 a wrong row get 507",
                quarantine.max_bytes
            ),
            Ok(_) => {}
            Err(error) => note!("{error}; until it can be used, requests with a wrong row get 503"),
        }
        quarantine
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn has(&self, record: &Record) -> bool {
        self.lock().ids.contains(&record.id)
    }

    /// The file, which somebody may have deleted or changed since, and its length; `held` says then what is in it.
    ///
    /// # Errors
    /// [`Error::Busy`] with its name: what is wrong with it can be mended.
    fn opened(&self, held: &mut Held) -> Result<(File, u64)> {
        self.found(held).map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Busy(format!("the quarantine {}: {error}", self.path.display()))
    }

    fn found(&self, held: &mut Held) -> Result<(File, u64)> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        let found = Identity::of(&file)?;
        if held.file != Some(found) {
            self.sync_folder()?;
            let (mut ids, mut repeated, mut of_records) = (HashSet::new(), Vec::new(), 0);
            each_line(&file, 0, found.bytes, |record| {
                of_records += record.bytes() as u64 + 1;
                if !ids.insert(record.id) {
                    repeated.push((record.place, record.bytes()));
                }
                Ok(true)
            })?;
            // An earlier release kept a row once for each time that it came.
            let has_blanks = of_records < found.bytes || !repeated.is_empty();
            blank(&file, repeated)?;
            *held = Held {
                ids,
                has_blanks,
                file: Some(found),
            };
        }
        Ok((file, found.bytes))
    }

    /// Where the file is written anew.
    fn fresh(&self) -> PathBuf {
        self.path.with_extension("tmp")
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        self.path
            .parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Appends those records that are not there yet, each a line; returns when they are durable.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no room for them, [`Error::Busy`] if the disk refuses: the rows may come again.
    pub async fn keep(&self, records: &[Value]) -> Result<()> {
        let lines = records.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>()?;
        let quarantine = self.clone();
        spawn_blocking(move || quarantine.append(&lines)).await?
    }

    fn append(&self, lines: &[Vec<u8>]) -> Result<()> {
        let mut held = self.lock();
        let (mut file, mut before) = self.opened(&mut held)?;
        let (mut ids, mut text) = (HashSet::new(), Vec::new());
        for line in lines {
            let id = id(line);
            if !held.ids.contains(&id) && ids.insert(id) {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        let has_room = |before| before + text.len() as u64 <= self.max_bytes;
        if !has_room(before) && held.has_blanks {
            // Who takes records out has places of the file in hand, and gives the room back at the end.
            if let Ok(_alone) = self.taking.try_lock() {
                self.give_back(&mut held);
                (file, before) = self.opened(&mut held)?;
            }
        }
        if !has_room(before) {
            return Err(Error::Full(format!(
                "the quarantine of {} has no room for the rows that are wrong ({} bytes are allowed): `weir lake \
                 quarantine` shows, replays and drops what is there",
                self.stream, self.max_bytes
            )));
        }
        let mut append = || {
            // A crash may have cut off the last line: what comes next is not to be a part of it.
            if before > 0 && byte_at(&file, before - 1)? != b'\n' {
                text.insert(0, b'\n');
            }
            file.write_all_at(&text, before)?;
            file.sync_data()?;
            Identity::of(&file)
        };
        match append() {
            Ok(identity) => {
                held.ids.extend(ids);
                held.file = Some(identity);
                Ok(())
            }
            Err(error) => {
                // If this fails too, the file is not as it was left, and is read anew.
                let _ = file.set_len(before);
                Err(self.refused(&error))
            }
        }
    }

    /// Which of these are kept. Blocks on the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn those_kept(&self, ids: &HashSet<Uuid>) -> Result<HashSet<Uuid>> {
        let mut held = self.lock();
        self.opened(&mut held)?;
        Ok(held.ids.intersection(ids).copied().collect())
    }

    fn forget<'r>(&self, records: impl IntoIterator<Item = &'r Record>) {
        let mut held = self.lock();
        for record in records {
            held.has_blanks = true;
            held.ids.remove(&record.id);
        }
    }

    /// Waits until nobody takes records out.
    pub(super) async fn alone(&self) -> OwnedMutexGuard<()> {
        self.taking.clone().lock_owned().await
    }

    /// Its records, the oldest first, as long as `each` asks for more. Blocks on the file.
    ///
    /// # Errors
    /// Of `each`; if the file cannot be read.
    pub(super) fn read(
        &self,
        _alone: &OwnedMutexGuard<()>,
        mut each: impl FnMut(Record) -> Result<bool>,
    ) -> Result<()> {
        let (file, bytes) = self.opened(&mut self.lock())?;
        each_line(&file, 0, bytes, |record| Ok(!self.has(&record) || each(record)?)).map(drop)
    }

    /// Begins to take out records: those of these ids, or all that are there now.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) async fn take(&self, wanted: Option<HashSet<Uuid>>) -> Result<Taking> {
        let alone = self.alone().await;
        let quarantine = self.clone();
        let opened = spawn_blocking(move || quarantine.opened(&mut quarantine.lock()));
        let (file, end) = opened.await??;
        Ok(Taking {
            quarantine: self.clone(),
            // Whatever becomes of the path: places are of this file.
            file: Arc::new(file),
            wanted: wanted.map(Arc::new),
            next: 0,
            end,
            _alone: alone,
        })
    }

    /// Gives the room of what was taken out back to the disk, if that has room for the file once more. Only while nobody else
    /// takes records out.
    fn give_back(&self, held: &mut Held) {
        if let Err(error) = self.rewrite(held) {
            let _ = fs::remove_file(self.fresh());
            note!(
                "the quarantine of {}: what was taken out is blank, and takes its room until the next time: {error}",
                self.stream
            );
        }
    }

    /// Writes the file without blanks.
    fn rewrite(&self, held: &mut Held) -> Result<()> {
        let (file, bytes) = self.opened(held)?;
        let fresh = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.fresh())?;
        let mut left = BufWriter::new(fresh);
        each_line(&file, 0, bytes, |record| {
            if held.ids.contains(&record.id) {
                left.write_all(&record.line)?;
                left.write_all(b"\n")?;
            }
            Ok(true)
        })?;
        let left = left.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        left.sync_all()?;
        fs::rename(self.fresh(), &self.path)?;
        held.file = Some(Identity::of(&left)?);
        held.has_blanks = false;
        Ok(self.sync_folder()?)
    }
}

/// Records on their way out of the quarantine, part by part.
#[derive(Debug)]
pub(super) struct Taking {
    quarantine: Quarantine,
    file: Arc<File>,
    wanted: Option<Arc<HashSet<Uuid>>>,
    /// What was read and what is to be read: no record twice, so that those that stay hold up none behind them.
    next: u64,
    end: u64,
    _alone: OwnedMutexGuard<()>,
}

impl Taking {
    /// The next records that are wanted; none once there are no more.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn part(&mut self) -> Result<Vec<Record>> {
        let (quarantine, file, wanted) = (self.quarantine.clone(), self.file.clone(), self.wanted.clone());
        let (from, to) = (self.next, self.end);
        let read = move || {
            let (mut part, mut bytes) = (Vec::new(), 0);
            let next = each_line(&file, from, to, |record| {
                let is_wanted = wanted.as_ref().is_none_or(|wanted| wanted.contains(&record.id));
                if is_wanted && quarantine.has(&record) {
                    bytes += record.bytes();
                    part.push(record);
                }
                Ok(part.len() < PART_RECORDS && bytes < PART_BYTES)
            })?;
            Ok::<_, Error>((part, next))
        };
        let (part, next) = spawn_blocking(read).await??;
        self.next = next;
        Ok(part)
    }

    /// Takes records out whose rows are elsewhere now: they are gone whatever the disk says to it.
    ///
    /// # Errors
    /// If the disk refuses; a restart brings them back then.
    pub async fn out_for_good(&mut self, records: Vec<Record>) -> Result<()> {
        self.quarantine.forget(&records);
        self.out(records).await
    }

    /// Takes records out, durably.
    ///
    /// # Errors
    /// If the disk refuses, as a full one only may if its file system writes nothing in place.
    pub async fn out(&mut self, records: Vec<Record>) -> Result<()> {
        let (quarantine, file) = (self.quarantine.clone(), self.file.clone());
        let out = move || {
            let blanked = blank(&file, records.iter().map(|record| (record.place, record.bytes())));
            // Where the disk refuses in between, those before are gone all the same, and may come again.
            let is_blank = |record: &&Record| byte_at(&file, record.place).is_ok_and(|first| first == BLANK);
            quarantine.forget(records.iter().filter(|record| blanked.is_ok() || is_blank(record)));
            Ok(blanked?)
        };
        spawn_blocking(out).await?
    }

    /// Gives the room of what was taken out, now or before, back to the disk, if that has room for the file once more.
    pub async fn end(self) -> Result<()> {
        let end = move || {
            // Nothing is appended meanwhile.
            let mut held = self.quarantine.lock();
            if held.has_blanks {
                self.quarantine.give_back(&mut held);
            }
        };
        Ok(spawn_blocking(end).await?)
    }
}

/// The records between two places of a file, as long as `each` asks for more; where the next one would begin.
fn each_line(file: &File, from: u64, to: u64, mut each: impl FnMut(Record) -> Result<bool>) -> Result<u64> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(from))?;
    let mut lines = reader.take(to.saturating_sub(from));
    let mut next = from;
    loop {
        let mut line = Vec::new();
        let read = lines.read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(next);
        }
        let place = next;
        next += read as u64;
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.first().is_none_or(|first| *first == BLANK) {
            continue;
        }
        let id = id(&line);
        if !each(Record { id, place, line })? {
            return Ok(next);
        }
    }
}

/// Makes blanks of lines that begin at these places and have so many bytes, durably. A crash leaves no beginning of one.
fn blank(file: &File, lines: impl IntoIterator<Item = (u64, usize)>) -> std::io::Result<()> {
    for (place, bytes) in lines {
        file.write_all_at(&vec![BLANK; bytes], place)?;
    }
    file.sync_data()
}

fn byte_at(file: &File, place: u64) -> std::io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, place)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(folder: &tempfile::TempDir) -> Quarantine {
        Quarantine::open(folder.path(), "sync_v1")
    }

    fn wrong(n: u32) -> Value {
        json!({ "received_at": jiff::Timestamp::now().to_string(), "row": { "n": n } })
    }

    /// The numbers of the rows that are kept; of unreadable lines none.
    async fn kept(quarantine: &Quarantine) -> Vec<Option<u64>> {
        let mut rows = Vec::new();
        let alone = quarantine.alone().await;
        let each = |record: Record| {
            rows.push(record.row().map(|row| row["n"].as_u64().unwrap()));
            Ok(true)
        };
        quarantine.read(&alone, each).unwrap();
        rows
    }

    /// Takes out the records of these rows; how many there were.
    async fn take_out(quarantine: &Quarantine, rows: &[u32]) -> usize {
        let is_wanted = |record: &Record| rows.iter().any(|n| record.row() == Some(json!({ "n": n })));
        let mut taking = quarantine.take(None).await.unwrap();
        let part = taking.part().await.unwrap().into_iter().filter(is_wanted);
        let part: Vec<_> = part.collect();
        let count = part.len();
        taking.out(part).await.unwrap();
        taking.end().await.unwrap();
        count
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_until_something_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut quarantine = opened(&folder);
        let bytes = wrong(1).to_string().len() as u64 + 1;
        // The time may have more or fewer digits.
        quarantine.max_bytes = 2 * bytes + bytes / 2;
        quarantine.keep(&[wrong(1), wrong(2)]).await.unwrap();
        let refused = quarantine.keep(&[wrong(3)]).await;
        assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
        quarantine.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(take_out(&quarantine, &[1]).await, 1);
        assert_eq!(take_out(&quarantine, &[1]).await, 0);
        quarantine.keep(&[wrong(3)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(2), Some(3)]);
    }

    #[tokio::test]
    async fn half_a_line_that_a_crash_leaves_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = opened(&folder);
        quarantine.keep(&[wrong(1)]).await.unwrap();
        let mut text = fs::read(&quarantine.path).unwrap();
        text.extend(b"{\"row\":");
        fs::write(&quarantine.path, text).unwrap();
        let again = opened(&folder);
        again.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(kept(&again).await, [Some(1), None, Some(2)]);
    }

    #[tokio::test]
    async fn a_row_that_comes_again_is_one_record_also_where_an_earlier_release_kept_it() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = opened(&folder);
        for _ in 0..3 {
            quarantine.keep(&[wrong(1), wrong(2), wrong(1)]).await.unwrap();
        }
        assert_eq!(kept(&quarantine).await, [Some(1), Some(2)]);
        let text = fs::read_to_string(&quarantine.path).unwrap();
        fs::write(&quarantine.path, text.repeat(3)).unwrap();
        let again = opened(&folder);
        assert_eq!(kept(&again).await, [Some(1), Some(2)]);
        again.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(take_out(&again, &[2]).await, 1);
        assert_eq!(kept(&again).await, [Some(1)]);
        again.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(kept(&again).await, [Some(1), Some(2)]);
    }

    #[tokio::test]
    async fn a_file_that_somebody_deletes_or_cuts_is_no_longer_believed_full() {
        let folder = tempfile::tempdir().unwrap();
        let mut quarantine = opened(&folder);
        quarantine.max_bytes = 100;
        quarantine.keep(&[wrong(1)]).await.unwrap();
        assert!(quarantine.keep(&[wrong(2)]).await.is_err());
        fs::remove_file(&quarantine.path).unwrap();
        assert!(kept(&quarantine).await.is_empty());
        quarantine.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(2)]);
        fs::write(&quarantine.path, "").unwrap();
        quarantine.keep(&[wrong(2)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(2)]);
        fs::remove_dir_all(folder.path().join("quarantine")).unwrap();
        quarantine.keep(&[wrong(3)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(3)]);
    }

    #[tokio::test]
    async fn what_is_taken_out_is_gone_also_where_the_file_cannot_be_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = opened(&folder);
        quarantine.keep(&[wrong(1), wrong(2), wrong(3)]).await.unwrap();
        let whole = fs::metadata(&quarantine.path).unwrap().len();
        fs::create_dir(quarantine.fresh()).unwrap();
        assert_eq!(take_out(&quarantine, &[1]).await, 1);
        assert_eq!(kept(&quarantine).await, [Some(2), Some(3)]);
        assert_eq!(fs::metadata(&quarantine.path).unwrap().len(), whole);
        assert_eq!(kept(&opened(&folder)).await, [Some(2), Some(3)]);
        fs::remove_dir(quarantine.fresh()).unwrap();
        assert_eq!(take_out(&quarantine, &[2]).await, 1);
        assert_eq!(kept(&quarantine).await, [Some(3)]);
        assert!(fs::metadata(&quarantine.path).unwrap().len() < whole / 2);
        quarantine.keep(&[wrong(1)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(3), Some(1)]);
    }

    #[tokio::test]
    async fn blanks_are_given_back_also_where_the_file_could_not_be_written_anew_at_first() {
        let folder = tempfile::tempdir().unwrap();
        for is_started_anew in [false, true] {
            let mut quarantine = opened(&folder);
            let bytes = || {
                fs::metadata(folder.path().join("quarantine/sync_v1.jsonl"))
                    .unwrap()
                    .len()
            };
            let emptied = async |quarantine: &Quarantine| {
                quarantine.keep(&[wrong(1), wrong(2)]).await.unwrap();
                fs::create_dir(quarantine.fresh()).unwrap();
                assert_eq!(take_out(quarantine, &[1, 2]).await, 2);
                fs::remove_dir(quarantine.fresh()).unwrap();
                assert!(bytes() > 50);
            };
            emptied(&quarantine).await;
            if is_started_anew {
                quarantine = opened(&folder);
            }
            assert_eq!(take_out(&quarantine, &[]).await, 0);
            assert_eq!(bytes(), 0);
            // As soon as the room is needed.
            emptied(&quarantine).await;
            if is_started_anew {
                quarantine = opened(&folder);
            }
            // The time may have more digits.
            quarantine.max_bytes = bytes() + 20;
            let taking = quarantine.take(None).await.unwrap();
            assert!(matches!(quarantine.keep(&[wrong(3)]).await, Err(Error::Full(_))));
            taking.end().await.unwrap();
            emptied(&quarantine).await;
            quarantine.keep(&[wrong(3)]).await.unwrap();
            assert_eq!(kept(&quarantine).await, [Some(3)]);
            assert_eq!(take_out(&quarantine, &[3]).await, 1);
        }
    }

    #[tokio::test]
    async fn what_was_blank_when_the_disk_refused_is_gone_and_may_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = opened(&folder);
        quarantine.keep(&[wrong(1), wrong(2), wrong(3)]).await.unwrap();
        let mut taking = quarantine.take(None).await.unwrap();
        let mut records = taking.part().await.unwrap();
        // No file reaches so far.
        records[1].place = 1 << 62;
        assert!(taking.out(records).await.is_err());
        taking.end().await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(2), Some(3)]);
        quarantine.keep(&[wrong(1)]).await.unwrap();
        assert_eq!(kept(&quarantine).await, [Some(2), Some(3), Some(1)]);
    }
}
