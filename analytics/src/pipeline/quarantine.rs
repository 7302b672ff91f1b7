//! Rows that were refused, kept with the reason: a bad row is a finding, not a hole.
//!
//! A file of lines per stream. A line is named by what it holds ([`id`]): two that are alike are one record.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{json, Value};
use uuid::Uuid;

use crate::{Error, Result};

/// What a stream's quarantine may take on disk. Beyond it requests with a wrong row are refused whole: who does not look at
/// it loses nothing, and the journal keeps its disk.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The reason of a record that a full disk has cut off.
pub(super) const UNREADABLE: &str = "unreadable_record";

/// The quarantine file of a stream: `quarantine/<stream>.jsonl`, readable by its owner only (rows may name people).
#[derive(Debug, Clone)]
pub struct Quarantine {
    stream: &'static str,
    path: PathBuf,
    max_bytes: u64,
    /// Open for appending.
    file: Arc<Mutex<File>>,
    /// Held by whoever takes records out: taken twice at once a row would be in the table twice.
    pub(super) taking: Arc<tokio::sync::Mutex<()>>,
}

/// A record, as the file has it.
#[derive(Debug)]
pub(super) struct Record {
    pub id: Uuid,
    line: Vec<u8>,
}

/// The name of a record.
fn id(line: &[u8]) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, line)
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

impl Quarantine {
    /// Opens the file for appending.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(warehouse: &Path, stream: &'static str) -> std::io::Result<Self> {
        let folder = warehouse.join("quarantine");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{stream}.jsonl"));
        let file = appending(&path)?;
        File::open(&folder)?.sync_all()?;
        Ok(Self {
            stream,
            path,
            max_bytes: MAX_BYTES,
            file: Arc::new(Mutex::new(file)),
            taking: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Appends records, each a line; returns when they are durable.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no room for them, [`Error::Busy`] if the disk refuses: the rows may come again.
    pub async fn keep(&self, records: &[Value]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let quarantine = self.clone();
        let written = move || {
            let mut file = quarantine.lock();
            let before = file.metadata()?.len();
            if before + lines.len() as u64 > quarantine.max_bytes {
                return Ok(false);
            }
            let written = file.write_all(&lines).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half a line would spoil the next one. If this fails too, a reader finds one line it cannot parse.
                let _ = file.set_len(before);
            }
            written.map(|()| true)
        };
        let written: std::io::Result<bool> = tokio::task::spawn_blocking(written).await?;
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Full(format!(
                "the quarantine of {} has no room for the rows that are wrong ({} bytes are allowed): `weir lake \
                 quarantine` shows, replays and drops what is there",
                self.stream, self.max_bytes
            ))),
            Err(error) => Err(Error::Busy(format!("the quarantine: {error}"))),
        }
    }

    /// Its records, the oldest first, as long as `each` asks for more. Blocks on the file.
    ///
    /// # Errors
    /// Of `each`; if the file cannot be read.
    pub(super) fn read(&self, mut each: impl FnMut(Record) -> Result<bool>) -> Result<()> {
        let mut lines = BufReader::new(File::open(&self.path)?);
        loop {
            let mut line = Vec::new();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if line.ends_with(b"\n") {
                line.pop();
            }
            let record = Record { id: id(&line), line };
            if !each(record)? {
                return Ok(());
            }
        }
    }

    /// Takes records out; how many there were. Blocks on the file.
    ///
    /// # Errors
    /// If the disk refuses: all are still there then.
    pub(super) fn remove(&self, ids: &HashSet<Uuid>) -> Result<usize> {
        // Nothing is appended meanwhile.
        let mut file = self.lock();
        let fresh = self.path.with_extension("tmp");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut left = BufWriter::new(appending(&fresh)?);
        let mut removed = 0;
        self.read(|record| {
            if ids.contains(&record.id) {
                removed += 1;
            } else {
                left.write_all(&record.line)?;
                left.write_all(b"\n")?;
            }
            Ok(true)
        })?;
        let left = left.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        left.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        *file = left;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(removed)
    }
}

fn appending(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(quarantine: &Quarantine) -> Vec<Uuid> {
        let mut ids = Vec::new();
        let each = |record: Record| {
            ids.push(record.id);
            Ok(true)
        };
        quarantine.read(each).unwrap();
        ids
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_until_something_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::open(folder.path(), "sync_v1").unwrap();
        quarantine.max_bytes = 40;
        let wrong = |n: u32| json!({ "row": { "n": n } });
        quarantine.keep(&[wrong(1), wrong(2)]).await.unwrap();
        let refused = quarantine.keep(&[wrong(3)]).await;
        assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
        let before = ids(&quarantine);
        assert_eq!(before.len(), 2);
        let first = HashSet::from([before[0]]);
        assert_eq!(quarantine.remove(&first).unwrap(), 1);
        assert_eq!(quarantine.remove(&first).unwrap(), 0);
        quarantine.keep(&[wrong(3)]).await.unwrap();
        // Also after a restart, and with half a line at the end.
        quarantine.lock().write_all(b"{\"row\":").unwrap();
        let again = Quarantine::open(folder.path(), "sync_v1").unwrap();
        let mut found = Vec::new();
        let each = |record: Record| {
            found.push((record.row(), record.told("sync_v1", false)["reason"].clone()));
            Ok(true)
        };
        again.read(each).unwrap();
        let row = |n: u32| Some(json!({ "n": n }));
        let expected = [(row(2), Value::Null), (row(3), Value::Null), (None, json!(UNREADABLE))];
        assert_eq!(found, expected);
    }
}
