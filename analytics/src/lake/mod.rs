//! The lake: Iceberg tables behind a REST catalog.
//!
//! - [`config`]: which catalog, which object storage.  - [`tables`]: definitions of the streams' tables.
//! - [`evolve`]: tables are created when absent and get the columns they lack; [`sinks`]: tables that a platform made.
//! - [`append`] and [`overwrite`]: the two ways weir changes a table, both through [`commit`].
//! - [`scan`]: live data files of a snapshot, as DuckDB reads them; [`ranges`]: which of them may hold a value; [`duckdb`]
//!   opens the connections.
//! - [`known`]: whether rows are there already.  - [`changes`]: what was added since a snapshot.  - [`state`]: a table as it was when it was loaded.
//! - [`maintain`]: compaction of small files and of manifests, expiry of old snapshots; [`orphans`]: files nobody needs.
//! - [`inspect`]: tables and snapshots as people list them.  - [`query`]: `select` for people.  - [`routes`]: over HTTP.
//! - [`catalog_server`]: the embedded REST catalog over the local file system, stored by [`catalog_store`];
//!   [`catalog_error`]: why it refuses.

pub mod append;
pub mod catalog_error;
pub mod catalog_server;
pub mod catalog_store;
pub mod changes;
pub mod commit;
pub mod config;
mod days;
pub mod duckdb;
pub mod evolve;
pub mod inspect;
pub(crate) mod known;
pub mod maintain;
pub mod orphans;
pub mod overwrite;
mod partitions;
pub mod query;
pub mod ranges;
pub mod routes;
pub mod scan;
mod sinks;
mod snapshot;
pub mod state;
pub mod tables;
pub(crate) mod write;

use std::sync::Arc;
use std::time::Duration;

use iceberg::io::{LocalFsStorageFactory, StorageFactory};
use iceberg::table::Table;
use iceberg::{Catalog, CatalogBuilder, ErrorKind, TableIdent};
use iceberg_catalog_rest::{RestCatalog, RestCatalogBuilder};
use iceberg_storage_opendal::OpenDalStorageFactory;

pub use commit::{unless_overtaken, CommitOutcome, COMMIT_ID};
pub use config::{CatalogConfig, WAREHOUSE};
pub use overwrite::{Prepared, Scope};
pub use snapshot::BuiltOn;
pub use tables::TableDefinition;

use crate::{http_client, Result};

/// A catalog that does not answer is asked so often before the caller hears of it.
const LOAD_ATTEMPTS: u32 = 4;

/// Client of the lake. Tables are found through an Iceberg REST catalog, the embedded one or another.
#[derive(Debug)]
pub struct Lake {
    config: CatalogConfig,
    catalog: RestCatalog,
    commits: commit::CommitClient,
    duckdb: duckdb::DuckDb,
    queries: query::Turns,
}

impl Lake {
    /// A client of the embedded catalog at `uri` (without the trailing `/v1`). Nothing is called before the first use.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub async fn new(uri: &str, token: Option<String>) -> Result<Self> {
        // Wherever it listens, it is this server.
        Self::by(http_client::direct(), CatalogConfig::embedded(uri, token)).await
    }

    /// A client of any catalog. Nothing is called before the first use.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub async fn connect(config: CatalogConfig) -> Result<Self> {
        Self::by(http_client::of(&config.uri), config).await
    }

    async fn by(http: reqwest::ClientBuilder, config: CatalogConfig) -> Result<Self> {
        let storage: Arc<dyn StorageFactory> = match &config.s3 {
            None => Arc::new(LocalFsStorageFactory),
            Some(_) => Arc::new(OpenDalStorageFactory::S3 {
                customized_credential_load: None,
            }),
        };
        let http = http.timeout(commit::TIMEOUT).build()?;
        let catalog = RestCatalogBuilder::default()
            .with_client(http.clone())
            .with_storage_factory(storage)
            .load(WAREHOUSE, config.properties())
            .await?;
        let commits = commit::CommitClient::new(config.clone(), http);
        Ok(Self {
            duckdb: duckdb::DuckDb::new(config.s3.clone()),
            config,
            catalog,
            commits,
            queries: query::Turns::default(),
        })
    }

    /// Lets its databases spill below a folder, instead of the one for temporary files.
    #[must_use]
    pub fn spilling_below(mut self, folder: std::path::PathBuf) -> Self {
        self.duckdb.spilling_below(folder);
        self
    }

    /// Loads a table's current metadata; asks again, a few times, when the catalog does not answer.
    ///
    /// # Errors
    /// If there is no such table or the catalog cannot be reached.
    pub async fn load(&self, table: &TableIdent) -> Result<Table> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.catalog.load_table(table).await {
                Err(error) if error.kind() != ErrorKind::TableNotFound && attempt < LOAD_ATTEMPTS => {
                    // A token of client credentials may have expired; without such credentials this does nothing.
                    if matches!(self.config.access, config::Access::ClientCredentials { .. }) {
                        let _ = self.catalog.regenerate_token().await;
                    }
                    tokio::time::sleep(Duration::from_millis(50 << (2 * attempt))).await;
                }
                loaded => return Ok(loaded?),
            }
        }
    }

    /// Arrow schema of a table's rows, with Iceberg field ids; what appended and overwritten batches are brought to.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn arrow_schema(&self, table: &TableIdent) -> Result<arrow_schema::SchemaRef> {
        write::arrow_schema(&self.load(table).await?)
    }
}
