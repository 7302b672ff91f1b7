//! One change in one commit: what iceberg-rust 0.10 offers for appends only, done here for replacement too.
//!
//! A commit names itself in the snapshot summary ([`COMMIT_ID`]) and is made at most once: before every attempt, and so
//! also after an answer that was lost, the table's history is searched for it.

use std::collections::HashMap;
use std::time::Duration;

use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use iceberg::TableIdent;
use iceberg_catalog_rest::CommitTableRequest;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::snapshot::{prepare, Change};
use super::{write, Lake, WAREHOUSE};
use crate::{Error, Result};

/// Snapshot property that names a commit; a commit whose name is in the table's history is not repeated.
pub const COMMIT_ID: &str = "weir.commit-id";

/// A refresh and the committer seldom meet; this many lost races in a row mean something else is wrong.
const MAX_ATTEMPTS: u32 = 20;

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The snapshot that holds the change; none if there was nothing to change.
    pub snapshot_id: Option<i64>,
    /// Rows added by this commit; 0 if it was already there.
    pub rows: u64,
    /// Whether the table's history already held this commit id, so that nothing was done.
    pub already_committed: bool,
}

/// The commit endpoint. The library's own commit type cannot be made outside of it.
#[derive(Debug)]
pub(super) struct CommitClient {
    http: reqwest::Client,
    uri: String,
    token: Option<String>,
    base: OnceCell<String>,
}

impl CommitClient {
    pub(super) fn new(uri: &str, token: Option<String>) -> Self {
        Self {
            http: reqwest::Client::new(),
            uri: uri.trim_end_matches('/').to_owned(),
            token,
            base: OnceCell::new(),
        }
    }

    /// `{uri}/v1` and the prefix the catalog asks for.
    async fn base(&self) -> Result<&str> {
        let base = self
            .base
            .get_or_try_init(|| async {
                let request = self.http.get(format!("{}/v1/config", self.uri));
                let config: serde_json::Value = self
                    .authorised(request.query(&[("warehouse", WAREHOUSE)]))
                    .send()
                    .await?
                    .error_for_status()?
                    .json()
                    .await?;
                let prefix = ["overrides", "defaults"]
                    .iter()
                    .find_map(|part| config[part]["prefix"].as_str());
                Ok::<_, Error>(match prefix {
                    Some(prefix) => format!("{}/v1/{prefix}", self.uri),
                    None => format!("{}/v1", self.uri),
                })
            })
            .await?;
        Ok(base)
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn post(&self, table: &TableIdent, commit: &CommitTableRequest) -> Result<reqwest::Response> {
        let url = format!(
            "{}/namespaces/{}/tables/{}",
            self.base().await?,
            table.namespace().to_url_string(),
            table.name()
        );
        Ok(self.authorised(self.http.post(url).json(commit)).send().await?)
    }
}

impl Lake {
    /// The outcome for a commit whose name the table's history already holds: nothing is left to do.
    pub(super) fn already(metadata: &TableMetadata, properties: &HashMap<String, String>) -> Option<CommitOutcome> {
        Self::committed(metadata, properties).map(|snapshot_id| CommitOutcome {
            snapshot_id: Some(snapshot_id),
            rows: 0,
            already_committed: true,
        })
    }

    /// Whether the table's history holds a commit of this name; its snapshot.
    fn committed(metadata: &TableMetadata, properties: &HashMap<String, String>) -> Option<i64> {
        let id = properties.get(COMMIT_ID)?;
        metadata
            .snapshots()
            .find(|snapshot| snapshot.summary().additional_properties.get(COMMIT_ID) == Some(id))
            .map(|snapshot| snapshot.snapshot_id())
    }

    /// Commits a change, again on every conflict.
    ///
    /// # Errors
    /// [`Error::Conflict`] after too many conflicts, or if the table's partitioning changed since the files were
    /// written; [`Error::Remote`] if the catalog refuses.
    pub(super) async fn commit(&self, written_for: &Table, change: Change<'_>) -> Result<CommitOutcome> {
        let ident = written_for.identifier();
        let rows = change.added.iter().map(DataFile::record_count).sum();
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                backoff(attempt).await;
            }
            let table = self.load(ident).await?;
            let metadata = table.metadata();
            if let Some(snapshot_id) = Self::committed(metadata, change.properties) {
                return Ok(CommitOutcome {
                    snapshot_id: Some(snapshot_id),
                    rows: if attempt == 0 { 0 } else { rows },
                    already_committed: attempt == 0,
                });
            }
            if metadata.default_partition_spec_id() != written_for.metadata().default_partition_spec_id()
                || metadata.uuid() != written_for.metadata().uuid()
            {
                return Err(Error::Conflict {
                    table: ident.to_string(),
                    attempts: attempt,
                });
            }
            let prepared = prepare(&table, &change).await?;
            let mut durable = prepared.files.clone();
            durable.extend(change.added.iter().map(|file| file.file_path().to_owned()));
            write::sync_folders(metadata.location(), &durable).await?;

            let response = match self.commits.post(ident, &prepared.request).await {
                Ok(response) => response,
                // Whether it arrived is unknown: the next attempt looks.
                Err(Error::Http(error)) if attempt + 1 < MAX_ATTEMPTS && !error.is_builder() => continue,
                Err(error) => return Err(error),
            };
            let status = response.status();
            if status.is_success() {
                return Ok(CommitOutcome {
                    snapshot_id: Some(prepared.snapshot_id),
                    rows,
                    already_committed: false,
                });
            }
            if status.is_server_error() {
                continue;
            }
            // A definite no: the manifests of this attempt are garbage. Failing to remove them costs only space.
            for file in &prepared.files {
                let _ = table.file_io().delete(file).await;
            }
            if status != reqwest::StatusCode::CONFLICT {
                return Err(Error::Remote {
                    status: status.as_u16(),
                    message: response.text().await.unwrap_or_default(),
                });
            }
        }
        Err(Error::Conflict {
            table: ident.to_string(),
            attempts: MAX_ATTEMPTS,
        })
    }
}

/// Up to 10 ms after the first conflict, doubling to 640 ms; random, so that two losers do not meet again.
async fn backoff(attempt: u32) {
    let most = 10_u64 << attempt.min(6);
    let random = Uuid::new_v4().as_u64_pair().1 % most;
    tokio::time::sleep(Duration::from_millis(random + 1)).await;
}
