//! Upkeep: many small commits leave many small files and snapshots.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{stream, StreamExt, TryStream, TryStreamExt};
use iceberg::scan::FileScanTask;
use iceberg::spec::{DataFile, ManifestContentType, SnapshotRef, Struct};
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::TableIdent;
use serde::Serialize;

use super::commit::COMMIT_ID;
use super::snapshot::{BuiltOn, Change, Deletes, Replaced};
use super::{write, Lake};
use crate::{Error, Result};

/// Small files whose merging is committed at once: a commit for each partition would be hundreds, and catalogs take about
/// ten a minute; one for everything would be in vain if another writer replaced a single file meanwhile.
const COMMIT_BYTES: u64 = 1 << 30;

/// What is small, what is old.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// Files below this size are merged with others of their partition, up to about this size.
    pub target_file_bytes: u64,
    /// So many small files in a partition make merging worth the while; at least 2.
    pub min_files: usize,
    /// Snapshots younger than this stay: readers may be at work on them, and people may look back.
    pub keep_for: Duration,
    /// So many of the newest snapshots stay however old they are; at least 1.
    pub keep_last: usize,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            target_file_bytes: 128 << 20,
            min_files: 8,
            keep_for: Duration::from_secs(24 * 3600),
            keep_last: 10,
        }
    }
}

impl Upkeep {
    /// With these instead of the default's: hours for which snapshots stay, and how many of the newest stay all the same.
    #[must_use]
    pub fn keeping(hours: Option<u64>, last: Option<usize>) -> Self {
        let default = Self::default();
        Self {
            keep_for: hours.map_or(default.keep_for, |hours| {
                Duration::from_secs(hours.saturating_mul(3600))
            }),
            keep_last: last.unwrap_or(default.keep_last),
            ..default
        }
    }
}

/// What upkeep did to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Small files that were merged, and files that were written anew without the rows that another writer deleted.
    pub files_merged: usize,
    /// Files that hold their rows now.
    pub files_written: usize,
    /// Manifests that were merged into one.
    pub manifests_merged: usize,
    /// Snapshots that no longer exist.
    pub snapshots_expired: usize,
    /// Files deleted because only those snapshots needed them.
    pub files_deleted: usize,
}

/// The first half of [`Done`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Merged {
    /// Small files that were merged, and files that were written anew without the rows that another writer deleted.
    pub files_merged: usize,
    /// Files that hold their rows now.
    pub files_written: usize,
    /// Manifests that were merged into one.
    pub manifests_merged: usize,
}

impl Merged {
    /// With the other half: how many snapshots were expired, and how many files deleted.
    #[must_use]
    pub fn and_expired(self, (snapshots_expired, files_deleted): (usize, usize)) -> Done {
        Done {
            files_merged: self.files_merged,
            files_written: self.files_written,
            manifests_merged: self.manifests_merged,
            snapshots_expired,
            files_deleted,
        }
    }
}

impl Lake {
    /// Merges small files and many manifests, then expires old snapshots.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] if another writer replaced the files meanwhile: nothing is lost, try again later.
    pub async fn maintain(&self, table: &TableIdent, upkeep: Upkeep) -> Result<Done> {
        let merged = self.merge(table, upkeep).await?;
        Ok(merged.and_expired(self.expire(table, upkeep).await?))
    }

    /// Merges small files and many manifests.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn merge(&self, table: &TableIdent, upkeep: Upkeep) -> Result<Merged> {
        let (files_merged, files_written) = self.compact(table, upkeep).await?;
        let manifests_merged = self.merge_manifests(table, upkeep).await?;
        Ok(Merged {
            files_merged,
            files_written,
            manifests_merged,
        })
    }

    /// Merges small files of each partition, and writes those anew that have row-level deletes; how many, and into how many.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn compact(&self, ident: &TableIdent, upkeep: Upkeep) -> Result<(usize, usize)> {
        let table = self.load(ident).await?;
        let deletes = delete_manifests(&table).await?;
        let (mut merged, mut written) = (0, 0);
        let mut rewritten = Rewritten::default();
        let mut groups = groups(&table, upkeep).await?;
        if groups.is_empty() && !deletes.is_empty() {
            // The files they pointed into have been replaced since: without them is all there is to do.
            groups.push(Vec::new());
        }
        let mut groups = groups.into_iter().peekable();
        while let Some(group) = groups.next() {
            rewritten.add(&table, group).await?;
            if rewritten.bytes >= COMMIT_BYTES || groups.peek().is_none() {
                let Rewritten { replaced, added, .. } = std::mem::take(&mut rewritten);
                let id = format!("compaction-{}", uuid::Uuid::new_v4());
                let change = Change {
                    added: &added,
                    replaced: Replaced::Files {
                        files: &replaced,
                        deletes: Deletes {
                            known: &deletes,
                            are_void: !groups.peek().is_some_and(|group| has_deletes(group)),
                        },
                    },
                    properties: &HashMap::from([(COMMIT_ID.to_owned(), id)]),
                    built_on: BuiltOn::Anything,
                };
                self.commit(&table, change).await?;
                merged += replaced.len();
                written += added.len();
            }
        }
        Ok((merged, written))
    }

    /// Merges the manifests of the current snapshot into one per partition spec when there are `upkeep.min_files` or
    /// more: every reader opens every manifest. Returns how many were merged.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn merge_manifests(&self, ident: &TableIdent, upkeep: Upkeep) -> Result<usize> {
        let table = self.load(ident).await?;
        let Some(current) = table.metadata().current_snapshot() else {
            return Ok(0);
        };
        let list = table.manifest_list_reader(current).load().await?;
        let is_data = |manifest: &&iceberg::spec::ManifestFile| manifest.content == ManifestContentType::Data;
        let count = list.entries().iter().filter(is_data).count();
        if count < upkeep.min_files.max(2) {
            return Ok(0);
        }
        let change = Change {
            added: &[],
            replaced: Replaced::Manifests,
            properties: &HashMap::from([(COMMIT_ID.to_owned(), format!("manifests-{}", uuid::Uuid::new_v4()))]),
            built_on: BuiltOn::Anything,
        };
        self.commit(&table, change).await?;
        Ok(count)
    }

    /// Expires old snapshots and deletes what only they needed; how many snapshots, and how many files.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn expire(&self, ident: &TableIdent, upkeep: Upkeep) -> Result<(usize, usize)> {
        self.expire_snapshots(ident, upkeep).await?.delete_files().await
    }

    /// The first half of [`Self::expire`], which is one commit: nobody finds those snapshots any more.
    /// [`Expired::delete_files`] is the other.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn expire_snapshots(&self, ident: &TableIdent, upkeep: Upkeep) -> Result<Expired> {
        let before = self.load(ident).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let cutoff = i64::try_from(now.saturating_sub(upkeep.keep_for).as_millis()).unwrap_or(0);
        let transaction = Transaction::new(&before);
        let after = transaction
            .expire_snapshots()
            .expire_older_than_ms(cutoff)
            .retain_last(upkeep.keep_last.max(1))
            .apply(transaction)?
            .commit(&self.catalog)
            .await?;
        Ok(Expired { before, after })
    }
}

/// A table of which snapshots are gone, with the files that only they needed still there.
#[derive(Debug)]
pub struct Expired {
    before: Table,
    after: Table,
}

impl Expired {
    fn snapshots(&self) -> Vec<SnapshotRef> {
        let is_gone = |snapshot: &&SnapshotRef| self.after.metadata().snapshot_by_id(snapshot.snapshot_id()).is_none();
        self.before.metadata().snapshots().filter(is_gone).cloned().collect()
    }

    /// Deletes what only those snapshots needed; how many snapshots, and how many files.
    ///
    /// # Errors
    /// If a manifest cannot be read or storage refuses.
    pub async fn delete_files(self) -> Result<(usize, usize)> {
        let expired = self.snapshots();
        if expired.is_empty() {
            return Ok((0, 0));
        }
        let count = expired.len();
        // What a newer commit added is in neither set; what it kept is in the second.
        let unneeded = Reachable::of(&self.before, expired).await?;
        let needed = Reachable::of(&self.after, self.after.metadata().snapshots().cloned().collect()).await?;
        let mut deleted = 0;
        for file in unneeded.files.difference(&needed.files) {
            self.after.file_io().delete(file).await?;
            deleted += 1;
        }
        Ok((count, deleted))
    }
}

/// Small files and the files that hold their rows now.
#[derive(Default)]
struct Rewritten {
    replaced: HashSet<String>,
    /// Size of what is replaced.
    bytes: u64,
    added: Vec<DataFile>,
}

impl Rewritten {
    /// Writes the rows of `group` anew.
    async fn add(&mut self, table: &Table, group: Vec<FileScanTask>) -> Result<()> {
        self.bytes += group.iter().map(|task| task.file_size_in_bytes).sum::<u64>();
        self.replaced
            .extend(group.iter().map(|task| task.data_file_path.clone()));
        let tasks = stream::iter(group.into_iter().map(Ok)).boxed();
        // One file at a time: of two that wait for one file of deletes, iceberg 0.10 may wake neither (it looks whether the
        // deletes are being loaded, and waits for word of it only afterwards). Equality deletes are loaded beside the one
        // file, which may miss the word as well.
        let reader = table.reader_builder().with_data_file_concurrency_limit(1).build();
        let mut rows = reader.read(tasks)?.stream();
        // Batch by batch: what takes the target size in files takes a multiple of it in memory.
        let mut writer = write::TableWriter::new(table.clone())?;
        while let Some(batch) = next(&mut rows, BATCH_PATIENCE).await? {
            writer.write(&batch).await?;
        }
        self.added.extend(writer.close().await?.files);
        Ok(())
    }
}

/// A batch of rows that has not been read by then will not: a refresh waits for its turn meanwhile.
const BATCH_PATIENCE: Duration = Duration::from_secs(300);

/// The next of a file's batches.
async fn next<T>(
    rows: &mut (impl TryStream<Ok = T, Error = iceberg::Error> + Unpin),
    patience: Duration,
) -> Result<Option<T>> {
    let next = tokio::time::timeout(patience, rows.try_next()).await;
    let next = next.map_err(|_| {
        Error::Busy(format!(
            "files are not merged, for their rows have not come within {} s; the next upkeep tries again",
            patience.as_secs()
        ))
    })?;
    Ok(next?)
}

/// Groups of files to write anew, each of one partition and of about the target size together: first those with row-level
/// deletes, then small ones.
async fn groups(table: &Table, upkeep: Upkeep) -> Result<Vec<Vec<FileScanTask>>> {
    let tasks: Vec<_> = table.scan().build()?.plan_files().await?.try_collect().await?;
    let (deleted_from, whole): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| !task.deletes.is_empty());
    let small = whole
        .into_iter()
        .filter(|task| task.file_size_in_bytes < upkeep.target_file_bytes);
    let mut groups = grouped(deleted_from, upkeep.target_file_bytes);
    let mut merged = grouped(small, upkeep.target_file_bytes);
    merged.retain(|group| group.len() >= upkeep.min_files.max(2));
    groups.extend(merged);
    Ok(groups)
}

fn grouped(tasks: impl IntoIterator<Item = FileScanTask>, target_bytes: u64) -> Vec<Vec<FileScanTask>> {
    let mut partitions: HashMap<Option<Struct>, Vec<FileScanTask>> = HashMap::new();
    for task in tasks {
        partitions.entry(task.partition.clone()).or_default().push(task);
    }
    let mut groups = Vec::new();
    for files in partitions.into_values() {
        let mut group = Vec::new();
        let mut bytes = 0;
        for file in files {
            bytes += file.file_size_in_bytes;
            group.push(file);
            if bytes >= target_bytes {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
        }
        groups.push(group);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn has_deletes(group: &[FileScanTask]) -> bool {
    group.iter().any(|task| !task.deletes.is_empty())
}

/// Manifests of row-level deletes in the current snapshot.
async fn delete_manifests(table: &Table) -> Result<HashSet<String>> {
    let Some(current) = table.metadata().current_snapshot() else {
        return Ok(HashSet::new());
    };
    let list = table.manifest_list_reader(current).load().await?;
    let of_deletes = list.entries().iter().filter(|manifest| {
        manifest.content == ManifestContentType::Deletes
            && (manifest.has_added_files() || manifest.has_existing_files())
    });
    Ok(of_deletes.map(|manifest| manifest.manifest_path.clone()).collect())
}

/// Manifest lists and manifests that are read at the same time: each is a wait for the object storage.
const READ_AT_ONCE: usize = 8;

/// Every file that snapshots consist of: manifest lists, manifests, and the files these name as alive.
#[derive(Default)]
pub(super) struct Reachable {
    pub files: HashSet<String>,
}

impl Reachable {
    pub async fn of(table: &Table, snapshots: Vec<SnapshotRef>) -> Result<Self> {
        let mut files = HashSet::new();
        let mut manifests = Vec::new();
        let lists = stream::iter(snapshots).map(|snapshot| async move {
            let list = table.manifest_list_reader(&snapshot).load().await?;
            Ok::<_, iceberg::Error>((snapshot, list))
        });
        let mut lists = lists.buffer_unordered(READ_AT_ONCE);
        while let Some((snapshot, list)) = lists.try_next().await? {
            files.insert(snapshot.manifest_list().to_owned());
            let new = list
                .entries()
                .iter()
                .filter(|manifest| files.insert(manifest.manifest_path.clone()));
            manifests.extend(new.cloned());
        }
        let contents =
            stream::iter(manifests).map(|manifest| async move { manifest.load_manifest(table.file_io()).await });
        let mut contents = contents.buffer_unordered(READ_AT_ONCE);
        while let Some(content) = contents.try_next().await? {
            let entries = content.into_parts().0;
            let alive = entries.iter().filter(|entry| entry.is_alive());
            files.extend(alive.map(|entry| entry.file_path().to_owned()));
        }
        Ok(Self { files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_that_never_come_are_not_waited_for_for_ever() {
        let patience = Duration::from_millis(10);
        let mut never = stream::pending::<std::result::Result<u32, iceberg::Error>>();
        assert!(matches!(next(&mut never, patience).await, Err(Error::Busy(_))));
        let mut some = stream::iter([Ok(1)]);
        assert_eq!(next(&mut some, patience).await.unwrap(), Some(1));
        assert_eq!(next(&mut some, patience).await.unwrap(), None);
    }
}
