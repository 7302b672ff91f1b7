//! A new snapshot on top of a table's current one: its manifests, its manifest list, and the request that commits it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use iceberg::spec::{
    DataFile, FormatVersion, ManifestContentType, ManifestFile, ManifestListWriter, ManifestWriter,
    ManifestWriterBuilder, Operation, Snapshot, SnapshotReference, SnapshotRetention, SnapshotSummaryCollector,
    Summary, TableMetadata, MAIN_BRANCH,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};
use iceberg_catalog_rest::CommitTableRequest;
use uuid::Uuid;

use super::Scope;
use crate::{Error, Result};

/// A change of a table: files that come, and present files that go.
pub(super) struct Change<'a> {
    pub added: &'a [DataFile],
    pub replaced: Replaced<'a>,
    pub properties: &'a HashMap<String, String>,
    pub built_on: BuiltOn,
}

/// What the rows of a table have to be for a change of it to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltOn {
    /// Whatever they are.
    Anything,
    /// Those of this snapshot, or none: the change was computed from them.
    Rows(Option<i64>),
}

/// Which present files go.
#[derive(Clone, Copy)]
pub(super) enum Replaced<'a> {
    /// None: an append.
    Nothing,
    /// Those in the scope, whichever they are when the commit takes effect: an overwrite.
    Scope(&'a Scope),
    /// Exactly these, whose rows come again in the added ones: a rewrite. If one is gone, its rows may have changed.
    Files {
        files: &'a HashSet<String>,
        deletes: Deletes<'a>,
    },
    /// None, but every manifest is written anew, merged: the rows stay where they are.
    Manifests,
}

/// Manifests of row-level deletes, which other writers leave, under a rewrite.
#[derive(Clone, Copy)]
pub(super) struct Deletes<'a> {
    /// Those that were there when the files to rewrite were read. A newer one may be of a row that comes again.
    pub known: &'a HashSet<String>,
    /// Whether no file that they point into is left afterwards: then they go.
    pub are_void: bool,
}

impl Replaced<'_> {
    fn covers(self, file: &DataFile) -> Result<bool> {
        match self {
            Self::Nothing | Self::Manifests => Ok(false),
            Self::Scope(scope) => scope.covers(file.partition()),
            Self::Files { files, .. } => Ok(files.contains(file.file_path())),
        }
    }

    fn operation(self) -> Operation {
        match self {
            Self::Nothing => Operation::Append,
            Self::Scope(_) => Operation::Overwrite,
            Self::Files { .. } | Self::Manifests => Operation::Replace,
        }
    }
}

/// A snapshot written and not yet committed.
pub(super) struct Prepared {
    pub request: CommitTableRequest,
    pub snapshot_id: i64,
    /// Manifests and manifest list.
    pub files: Vec<String>,
}

/// Writes manifests and manifest list of the new snapshot on top of the table's current one.
pub(super) async fn prepare(table: &Table, change: &Change<'_>) -> Result<Prepared> {
    let metadata = table.metadata();
    if metadata.format_version() != FormatVersion::V2 {
        return Err(Error::Invalid(format!(
            "{}: weir writes Iceberg format version 2 only",
            table.identifier()
        )));
    }
    let mut draft = Draft {
        table,
        snapshot_id: new_snapshot_id(metadata),
        commit_uuid: Uuid::new_v4(),
        files: Vec::new(),
        summary: SnapshotSummaryCollector::default(),
    };
    let mut manifests = draft.kept(change.replaced).await?;
    if !change.added.is_empty() {
        let mut writer = draft.manifest_writer(metadata.default_partition_spec_id())?;
        for file in change.added {
            draft.summary.add_file(
                file,
                metadata.current_schema().clone(),
                metadata.default_partition_spec().clone(),
            );
            // -1: the sequence number is inherited from the snapshot, so that it is right whatever commits before.
            writer.add_file(file.clone(), -1)?;
        }
        manifests.push(writer.write_manifest_file().await?);
    }

    let list = format!(
        "{}/metadata/snap-{}-0-{}.avro",
        metadata.location(),
        draft.snapshot_id,
        draft.commit_uuid
    );
    let mut writer = ManifestListWriter::v2(
        table.file_io().new_output(&list)?.writer().await?,
        draft.snapshot_id,
        metadata.current_snapshot_id(),
        metadata.next_sequence_number(),
    );
    writer.add_manifests(manifests.into_iter())?;
    writer.close().await?;
    draft.files.push(list.clone());

    let snapshot = Snapshot::builder()
        .with_manifest_list(list)
        .with_snapshot_id(draft.snapshot_id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(metadata.next_sequence_number())
        .with_summary(summary(metadata, change, &draft.summary))
        .with_schema_id(metadata.current_schema_id())
        .with_timestamp_ms(now_ms().max(metadata.last_updated_ms()))
        .build();
    let request = CommitTableRequest {
        identifier: Some(table.identifier().clone()),
        requirements: vec![
            TableRequirement::UuidMatch { uuid: metadata.uuid() },
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.to_owned(),
                snapshot_id: metadata.current_snapshot_id(),
            },
        ],
        updates: vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_owned(),
                reference: SnapshotReference::new(
                    draft.snapshot_id,
                    SnapshotRetention::Branch {
                        min_snapshots_to_keep: None,
                        max_snapshot_age_ms: None,
                        max_ref_age_ms: None,
                    },
                ),
            },
        ],
    };
    Ok(Prepared {
        request,
        snapshot_id: draft.snapshot_id,
        files: draft.files,
    })
}

struct Draft<'a> {
    table: &'a Table,
    snapshot_id: i64,
    commit_uuid: Uuid,
    files: Vec<String>,
    summary: SnapshotSummaryCollector,
}

impl Draft<'_> {
    fn manifest_writer(&mut self, spec_id: i32) -> Result<ManifestWriter> {
        let metadata = self.table.metadata();
        let spec = metadata
            .partition_spec_by_id(spec_id)
            .ok_or_else(|| Error::Internal(format!("{}: no partition spec {spec_id}", self.table.identifier())))?;
        let path = format!(
            "{}/metadata/{}-m{}.avro",
            metadata.location(),
            self.commit_uuid,
            self.files.len()
        );
        self.files.push(path.clone());
        let output = self.table.file_io().new_output(path)?;
        let schema = metadata.current_schema().clone();
        Ok(ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec.as_ref().clone()).build_v2_data())
    }

    /// The current snapshot's manifests less the files replaced: untouched ones as they are, the others merged into one
    /// per partition spec with the survivors as existing and the rest as deleted entries.
    async fn kept(&mut self, replaced: Replaced<'_>) -> Result<Vec<ManifestFile>> {
        let Some(current) = self.table.metadata().current_snapshot() else {
            return Ok(Vec::new());
        };
        let list = self.table.manifest_list_reader(current).load().await?;
        let mut kept = Vec::new();
        let mut merged: BTreeMap<i32, ManifestWriter> = BTreeMap::new();
        let mut removed = 0;
        for manifest in list.consume_entries().into_iter().collect::<Vec<_>>() {
            // A manifest with only deleted entries tells what its own snapshot removed; later ones need not carry it.
            if !manifest.has_added_files() && !manifest.has_existing_files() {
                continue;
            }
            match (replaced, manifest.content) {
                (Replaced::Nothing, _) => {
                    kept.push(manifest);
                    continue;
                }
                // Deletes of other writers: without the files they point into they are void.
                (Replaced::Scope(Scope::WholeTable), ManifestContentType::Deletes) => {
                    self.without(&manifest).await?;
                    continue;
                }
                (Replaced::Files { deletes, .. }, ManifestContentType::Deletes) => {
                    if !deletes.known.contains(&manifest.manifest_path) {
                        return Err(self.conflict());
                    }
                    if deletes.are_void {
                        self.without(&manifest).await?;
                    } else {
                        kept.push(manifest);
                    }
                    continue;
                }
                (_, ManifestContentType::Deletes) => {
                    kept.push(manifest);
                    continue;
                }
                (_, ManifestContentType::Data) => {}
            }
            let entries = manifest.load_manifest(self.table.file_io()).await?.into_parts().0;
            let mut alive = Vec::with_capacity(entries.len());
            for entry in entries.iter().filter(|entry| entry.is_alive()) {
                alive.push((entry, replaced.covers(entry.data_file())?));
            }
            let gone = alive.iter().filter(|(_, gone)| *gone).count();
            if gone == 0 && !matches!(replaced, Replaced::Manifests) {
                kept.push(manifest);
                continue;
            }
            removed += gone;
            let spec_id = manifest.partition_spec_id;
            let writer = match merged.entry(spec_id) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.manifest_writer(spec_id)?),
            };
            for (entry, gone) in alive {
                let sequence = entry.sequence_number().unwrap_or(manifest.sequence_number);
                let file_sequence = entry.file_sequence_number.or(Some(manifest.sequence_number));
                let file = entry.data_file().clone();
                if gone {
                    self.summary.remove_file(
                        &file,
                        self.table.metadata().current_schema().clone(),
                        self.table.metadata().default_partition_spec().clone(),
                    );
                    writer.add_delete_file(file, sequence, file_sequence)?;
                } else {
                    let added_by = entry.snapshot_id().unwrap_or(manifest.added_snapshot_id);
                    writer.add_existing_file(file, added_by, sequence, file_sequence)?;
                }
            }
        }
        if let Replaced::Files { files, .. } = replaced {
            if removed != files.len() {
                return Err(self.conflict());
            }
        }
        for writer in merged.into_values() {
            kept.push(writer.write_manifest_file().await?);
        }
        Ok(kept)
    }

    /// Counts the files of a manifest as removed.
    async fn without(&mut self, manifest: &ManifestFile) -> Result<()> {
        let metadata = self.table.metadata();
        let spec_id = manifest.partition_spec_id;
        let spec = metadata
            .partition_spec_by_id(spec_id)
            .ok_or_else(|| Error::Internal(format!("{}: no partition spec {spec_id}", self.table.identifier())))?;
        let entries = manifest.load_manifest(self.table.file_io()).await?.into_parts().0;
        for entry in entries.iter().filter(|entry| entry.is_alive()) {
            self.summary
                .remove_file(entry.data_file(), metadata.current_schema().clone(), spec.clone());
        }
        Ok(())
    }

    fn conflict(&self) -> Error {
        Error::Conflict {
            table: self.table.identifier().to_string(),
            attempts: 1,
        }
    }
}

/// The summary Iceberg readers expect: the caller's properties, this commit's counts, and the totals carried forward.
fn summary(metadata: &TableMetadata, change: &Change<'_>, collected: &SnapshotSummaryCollector) -> Summary {
    let mut properties = change.properties.clone();
    properties.extend(collected.build());
    let previous = metadata.current_snapshot().map(|snapshot| snapshot.summary());
    for (total, added, removed) in [
        ("total-data-files", "added-data-files", "deleted-data-files"),
        ("total-delete-files", "added-delete-files", "removed-delete-files"),
        ("total-records", "added-records", "deleted-records"),
        ("total-files-size", "added-files-size", "removed-files-size"),
        (
            "total-position-deletes",
            "added-position-deletes",
            "removed-position-deletes",
        ),
        (
            "total-equality-deletes",
            "added-equality-deletes",
            "removed-equality-deletes",
        ),
    ] {
        let number = |text: Option<&String>| text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let before = number(previous.and_then(|summary| summary.additional_properties.get(total)));
        let after = (before + number(properties.get(added))).saturating_sub(number(properties.get(removed)));
        properties.insert(total.to_owned(), after.to_string());
    }
    Summary {
        operation: change.replaced.operation(),
        additional_properties: properties,
    }
}

fn new_snapshot_id(metadata: &TableMetadata) -> i64 {
    loop {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        // 63 bits: snapshot ids are positive.
        let id = i64::from_ne_bytes(((high ^ low) >> 1).to_ne_bytes());
        if metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}
