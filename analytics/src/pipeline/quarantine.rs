//! Rows that were refused, kept with the reason: a bad row is a finding, not a hole.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::{Error, Result};

/// The quarantine file of a stream: `quarantine/<stream>.jsonl`, readable by its owner only (rows may name people).
#[derive(Debug, Clone)]
pub struct Quarantine {
    file: Arc<Mutex<File>>,
}

impl Quarantine {
    /// Opens the file for appending.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(warehouse: &Path, stream: &str) -> std::io::Result<Self> {
        let folder = warehouse.join("quarantine");
        std::fs::create_dir_all(&folder)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(folder.join(format!("{stream}.jsonl")))?;
        File::open(&folder)?.sync_all()?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// Appends records, each a line; returns when they are durable.
    ///
    /// # Errors
    /// [`Error::Busy`] if the disk refuses: the rows may come again.
    pub async fn keep(&self, records: &[serde_json::Value]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = file.metadata()?.len();
            let written = file.write_all(&lines).and_then(|()| file.sync_data());
            if written.is_err() {
                // Half a line would spoil the next one. If this fails too, a reader finds one line it cannot parse.
                let _ = file.set_len(before);
            }
            written
        })
        .await?
        .map_err(|error| Error::Busy(format!("the quarantine: {error}")))
    }
}
