//! One change in one commit: what iceberg-rust 0.10 offers for appends only, done here for replacement too.
//!
//! A commit names itself in the snapshot summary ([`COMMIT_ID`]) and is made at most once: before every attempt, and so
//! also after an answer that was lost, the table's history is searched for it.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use iceberg::TableIdent;
use iceberg_catalog_rest::CommitTableRequest;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::changes::is_unchanged;
use super::config::{Access, CatalogConfig};
use super::snapshot::{prepare, BuiltOn, Change};
use super::{write, Lake};
use crate::failpoint;
use crate::{Error, Result};

/// Snapshot property that names a commit; a commit whose name is in the table's history is not repeated.
pub const COMMIT_ID: &str = "weir.commit-id";

/// A refresh and the committer seldom meet; this many lost races in a row mean something else is wrong.
const MAX_ATTEMPTS: u32 = 20;
/// A catalog that is down or asks for patience is tried so often, with growing pauses: about half a minute. The rows wait
/// in the journal meanwhile, and the committer comes again.
const MAX_OUTAGE_ATTEMPTS: u32 = 8;
/// The longest pause a catalog can ask for with `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A catalog that has not answered by then will not.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

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
    config: CatalogConfig,
    base: OnceCell<String>,
    /// Token of client credentials.
    token: tokio::sync::Mutex<Option<String>>,
}

impl CommitClient {
    pub(super) fn new(config: CatalogConfig, http: reqwest::Client) -> Self {
        Self {
            http,
            config,
            base: OnceCell::new(),
            token: tokio::sync::Mutex::new(None),
        }
    }

    fn uri(&self) -> &str {
        self.config.uri.trim_end_matches('/')
    }

    /// `{uri}/v1` and the prefix the catalog asks for.
    async fn base(&self) -> Result<&str> {
        let base = self
            .base
            .get_or_try_init(|| async {
                let request = self.http.get(format!("{}/v1/config", self.uri()));
                let request = request.query(&[("warehouse", &self.config.warehouse)]);
                let config: serde_json::Value = self
                    .authorised(request)
                    .await?
                    .send()
                    .await?
                    .error_for_status()?
                    .json()
                    .await?;
                let prefix = ["overrides", "defaults"]
                    .iter()
                    .find_map(|part| config[part]["prefix"].as_str());
                Ok::<_, Error>(match prefix {
                    Some(prefix) => format!("{}/v1/{prefix}", self.uri()),
                    None => format!("{}/v1", self.uri()),
                })
            })
            .await?;
        Ok(base)
    }

    async fn authorised(&self, request: reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder> {
        Ok(match &self.config.access {
            Access::Open => request,
            Access::Token(token) => request.bearer_auth(token),
            Access::ClientCredentials { id, secret } => {
                let mut held = self.token.lock().await;
                let token = match held.take() {
                    Some(token) => token,
                    None => self.exchange(id, secret).await?,
                };
                request.bearer_auth(held.insert(token))
            }
        })
    }

    /// A token for client credentials, by the catalog's own OAuth2 endpoint.
    async fn exchange(&self, id: &str, secret: &str) -> Result<String> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", "catalog"),
        ];
        let request = self.http.post(format!("{}/v1/oauth/tokens", self.uri())).form(&form);
        let answer: serde_json::Value = request.send().await?.error_for_status()?.json().await?;
        match answer["access_token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(Error::Internal("the catalog's answer has no access_token".into())),
        }
    }

    /// Sends a commit; with a new token if the old one has expired.
    pub(super) async fn post(&self, table: &TableIdent, commit: &CommitTableRequest) -> Result<reqwest::Response> {
        let url = format!(
            "{}/namespaces/{}/tables/{}",
            self.base().await?,
            table.namespace().to_url_string(),
            table.name()
        );
        let send = || async {
            let request = self.http.post(&url).json(commit);
            Ok::<_, Error>(self.authorised(request).await?.send().await?)
        };
        let response = send().await?;
        let renewable = matches!(self.config.access, Access::ClientCredentials { .. });
        if renewable && response.status() == reqwest::StatusCode::UNAUTHORIZED {
            *self.token.lock().await = None;
            return send().await;
        }
        Ok(response)
    }
}

/// What `attempt` comes to, which begins anew where another writer has changed what it built on, and is made at most so many
/// times.
///
/// # Errors
/// Of `attempt`; [`Error::Overtaken`] if others came in between each time.
pub async fn unless_overtaken<T, F: Future<Output = Result<T>>>(attempts: usize, attempt: impl Fn() -> F) -> Result<T> {
    for _ in 1..attempts {
        match attempt().await {
            Err(Error::Overtaken { .. }) => {}
            ended => return ended,
        }
    }
    attempt().await
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
    /// [`Error::Overtaken`] if the rows are not those the change is built on; [`Error::Conflict`] after too many conflicts, or if the table's partitioning changed since the files were
    /// written; [`Error::Remote`] if the catalog refuses.
    pub(super) async fn commit(&self, written_for: &Table, change: Change<'_>) -> Result<CommitOutcome> {
        let ident = written_for.identifier();
        let rows = change.added.iter().map(DataFile::record_count).sum();
        let mut outages = 0;
        for attempt in 0..MAX_ATTEMPTS {
            let table = self.load(ident).await?;
            let metadata = table.metadata();
            if let Some(snapshot_id) = Self::committed(metadata, change.properties) {
                return Ok(CommitOutcome {
                    snapshot_id: Some(snapshot_id),
                    rows: if attempt == 0 { 0 } else { rows },
                    already_committed: attempt == 0,
                });
            }
            if let BuiltOn::Rows(snapshot) = change.built_on {
                if !is_unchanged(metadata, snapshot) {
                    return Err(Error::Overtaken {
                        table: ident.to_string(),
                    });
                }
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
            failpoint::reached("after_parquet_write_before_commit");

            let refusal = match self.commits.post(ident, &prepared.request).await {
                Ok(response) if response.status().is_success() => {
                    failpoint::reached("after_lake_commit_before_reply");
                    return Ok(CommitOutcome {
                        snapshot_id: Some(prepared.snapshot_id),
                        rows,
                        already_committed: false,
                    });
                }
                Ok(response) => Refusal::read(response).await,
                // Whether it arrived is unknown: the next attempt looks.
                Err(Error::Http(error)) if !error.is_builder() => Refusal {
                    status: 0,
                    retry_after: None,
                    message: error.to_string(),
                },
                Err(error) => return Err(error),
            };
            if refusal.is_definite() {
                // The manifests of this attempt are garbage. Failing to remove them costs only space.
                for file in &prepared.files {
                    let _ = table.file_io().delete(file).await;
                }
            }
            if refusal.is_conflict() {
                backoff(10, attempt + 1).await;
                continue;
            }
            outages += 1;
            if !refusal.is_passing() || outages >= MAX_OUTAGE_ATTEMPTS {
                return Err(refusal.into());
            }
            match refusal.retry_after {
                Some(pause) => tokio::time::sleep(pause.min(MAX_PAUSE)).await,
                None => backoff(100, outages).await,
            }
        }
        Err(Error::Conflict {
            table: ident.to_string(),
            attempts: MAX_ATTEMPTS,
        })
    }
}

/// Why a commit was not confirmed.
struct Refusal {
    /// HTTP status; 0 if there was no answer.
    status: u16,
    retry_after: Option<Duration>,
    message: String,
}

impl Refusal {
    async fn read(response: reqwest::Response) -> Self {
        let header = response.headers().get(reqwest::header::RETRY_AFTER);
        let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            status: response.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            message: response.text().await.unwrap_or_default(),
        }
    }

    /// Whether the commit certainly did not happen; after a server error or no answer it may have.
    fn is_definite(&self) -> bool {
        (400..500).contains(&self.status)
    }

    fn is_conflict(&self) -> bool {
        self.status == 409
    }

    /// Whether trying again can help.
    fn is_passing(&self) -> bool {
        self.status == 0 || self.status == 408 || self.status == 429 || self.status >= 500
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            0 => Self::Busy(format!("the catalog does not answer: {}", refusal.message)),
            status => Self::Remote {
                status,
                message: refusal.message,
            },
        }
    }
}

/// Up to `first_ms` at first, doubling six times at most; random, so that two losers do not meet again.
async fn backoff(first_ms: u64, attempt: u32) {
    let most = first_ms << attempt.min(6);
    let random = Uuid::new_v4().as_u64_pair().1 % most;
    tokio::time::sleep(Duration::from_millis(random + 1)).await;
}
