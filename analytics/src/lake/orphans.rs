//! Files in a table's folder that no snapshot needs: left by a crash between writing and committing.

use std::time::Duration;

use iceberg::TableIdent;
use serde::Serialize;

use super::maintain::Reachable;
use super::{write, Lake};
use crate::{Error, Result};

/// Younger files may belong to a commit that is under way.
pub const LEAST_AGE: Duration = Duration::from_secs(3600);

/// A file nobody needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// Its location.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Lake {
    /// Files under the table's location that are older than `older_than` and belong to no snapshot and to no version of
    /// its metadata. With `delete` they are gone afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `older_than` is below [`LEAST_AGE`]; else from the lake.
    pub async fn orphans(&self, table: &TableIdent, older_than: Duration, delete: bool) -> Result<Vec<Orphan>> {
        if older_than < LEAST_AGE {
            return Err(Error::Invalid(format!(
                "orphans must be older than {} minutes at least: a younger file may belong to a commit under way",
                LEAST_AGE.as_secs() / 60
            )));
        }
        self.orphans_before(table, older_than, delete).await
    }

    /// As [`Self::orphans`], without the least age.
    pub(crate) async fn orphans_before(
        &self,
        ident: &TableIdent,
        older_than: Duration,
        delete: bool,
    ) -> Result<Vec<Orphan>> {
        // Listed first: what is committed after the listing is in the metadata loaded then.
        let location = self.load(ident).await?.metadata().location().to_owned();
        let listed = self.listing(&location, older_than).await?;
        let table = self.load(ident).await?;
        let mut needed = Reachable::of(&table, table.metadata().snapshots().cloned().collect()).await?;
        needed.files.extend(table.metadata_location().map(str::to_owned));
        let log = table.metadata().metadata_log().iter();
        needed.files.extend(log.map(|entry| entry.metadata_file.clone()));
        let needed: std::collections::HashSet<_> = needed.files.iter().map(|file| plain(file)).collect();
        let mut orphans = Vec::new();
        for orphan in listed {
            // Formats of a catalog's own bookkeeping are left alone.
            let is_ours = [".parquet", ".avro", ".metadata.json"]
                .iter()
                .any(|end| orphan.file.ends_with(end));
            if is_ours && !needed.contains(&plain(&orphan.file)) {
                orphans.push(orphan);
            }
        }
        if delete {
            for orphan in &orphans {
                table.file_io().delete(&orphan.file).await?;
            }
        }
        Ok(orphans)
    }

    /// Files under a location last written longer than `age` ago.
    async fn listing(&self, location: &str, age: Duration) -> Result<Vec<Orphan>> {
        let root = match write::local_path(location) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => location.to_owned(),
        };
        let duckdb = self.duckdb();
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        tokio::task::spawn_blocking(move || {
            let spill = duckdb.spill("orphans");
            let connection = duckdb.open(&spill)?;
            // Only names, sizes and times are asked for: no content is read.
            let mut statement = connection.prepare(
                "select filename, size from read_blob(?) \
                 where last_modified <= now() - to_seconds(?) order by filename",
            )?;
            let rows = statement.query_map(duckdb::params![format!("{root}/**"), seconds], |row| {
                Ok(Orphan {
                    file: row.get(0)?,
                    bytes: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?;
            Ok(rows.collect::<std::result::Result<Vec<_>, _>>()?)
        })
        .await?
    }
}

/// Locations of one file are written with and without the scheme.
fn plain(location: &str) -> String {
    match write::local_path(location) {
        Some(path) => path.to_string_lossy().into_owned(),
        None => location.to_owned(),
    }
}
