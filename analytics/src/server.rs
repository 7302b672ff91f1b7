//! The HTTP surface of `weir serve`: state, routing, start and stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{header, HeaderMap};

use crate::lake::Lake;
use crate::{Error, Result};

/// How to run the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the lake, the journal, the quarantine and the catalog.
    pub warehouse: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bearer token of everything under /v1.
    pub token: String,
    /// Objective specification to publish at start.
    pub objective: Option<PathBuf>,
    /// Another Iceberg REST catalog; the embedded one if absent.
    pub catalog_uri: Option<String>,
    /// Time between commits of journaled rows.
    pub commit_interval: Duration,
    /// Journal bytes at which a commit happens early.
    pub roll_bytes: u64,
    /// Uncommitted journal bytes above which new rows are refused.
    pub backlog_bytes: u64,
}

/// What every handler sees.
#[derive(Debug)]
pub struct App {
    /// The tables.
    pub lake: Arc<Lake>,
    /// The bearer token.
    token: String,
    /// Held for the length of a refresh: refreshes of one lake run one after another.
    pub refresh: tokio::sync::Mutex<()>,
}

impl App {
    /// Checks `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the token is absent or another.
    pub fn authorise(&self, headers: &HeaderMap) -> Result<()> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(given) if same(given.as_bytes(), self.token.as_bytes()) => Ok(()),
            _ => Err(Error::Unauthorized),
        }
    }
}

/// Compares without a shortcut at the first different byte: the time must not tell how much of a guess was right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// A running server.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Binds, creates absent tables, replays journal segments left by a crash, and serves.
    pub async fn start(_config: Config) -> Result<Self> {
        Err(Error::Internal("not yet".into()))
    }
    /// `http://host:port` it listens on.
    pub fn url(&self) -> String {
        String::new()
    }
    /// State, for tests that look behind the HTTP surface.
    pub fn app(&self) -> Arc<App> {
        unimplemented!()
    }
    /// Stops accepting, commits what is journaled, and ends.
    pub async fn stop(self) -> Result<()> {
        Ok(())
    }
}
