//! `weir serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::IgnoredAny;

use crate::server::{Config, Server};
use crate::{Error, Result};

/// Arguments of `weir serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the lake, the journal, the quarantine and the catalog.
    #[arg(long)]
    pub warehouse: PathBuf,
    /// Address to listen on. The catalog under /iceberg needs no token on loopback, and the token elsewhere.
    #[arg(long, default_value = "127.0.0.1:8788", value_parser = address)]
    pub listen: SocketAddr,
    /// Bearer token of everything under /v1.
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Objective specification (JSON) to publish at start.
    #[arg(long)]
    pub objective: Option<PathBuf>,
    #[command(flatten)]
    pub catalog: super::catalog::Args,
    /// Folder with the streams' SQL (`<stream>.sql`); the one weir was built with if absent.
    #[arg(long)]
    pub pipelines: Option<PathBuf>,
    /// Milliseconds after which a row is committed to Iceberg at the latest.
    #[arg(long, default_value_t = 10_000)]
    pub commit_interval_ms: u64,
    /// Bytes of journal (JSON, compressed) at which a commit happens before the interval ends, but not within six seconds
    /// of the last one.
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    pub roll_bytes: u64,
    /// Bytes of uncommitted journal, on disk, above which new rows get 503. An eighth is each stream's own: one whose table
    /// takes no commits fills what is left and holds up no other.
    #[arg(long, default_value_t = 1024 * 1024 * 1024)]
    pub backlog_bytes: u64,
    /// Minutes between rounds of upkeep: merging small files, expiring snapshots older than a day (but see --as-of-days).
    #[arg(long, default_value_t = 60)]
    pub maintain_interval_minutes: u64,
    /// Days for which `weir explain --as-of` can look back: upkeep keeps the snapshots of measurement.performance so long.
    #[arg(long, default_value_t = 30)]
    pub as_of_days: u64,
    /// Seconds after which a select of `weir lake sql` is ended.
    #[arg(long, default_value_t = 60)]
    pub sql_seconds: u64,
}

/// Serves until SIGTERM or SIGINT, then commits what is journaled and ends; at once if told again.
///
/// # Errors
/// If the warehouse, the catalog or the address cannot be used.
pub async fn run(args: Args) -> Result<()> {
    if let Some(path) = &args.objective {
        readable(path)?;
    }
    let mut server = Server::start(Config {
        warehouse: args.warehouse,
        listen: args.listen,
        token: args.token,
        objective: args.objective,
        catalog: args.catalog.config()?,
        pipelines: args.pipelines,
        commit_interval: Duration::from_millis(args.commit_interval_ms),
        roll_bytes: args.roll_bytes,
        backlog_bytes: args.backlog_bytes,
        as_of: Duration::from_secs(args.as_of_days.saturating_mul(24 * 3600)),
        sql_limit: Duration::from_secs(args.sql_seconds),
    })
    .await?;
    server.maintain_every(Duration::from_secs(args.maintain_interval_minutes.saturating_mul(60)));
    let listening = serde_json::json!({ "listening": server.url() });
    // Whoever started it may not care where it listens.
    let _ = writeln!(std::io::stdout(), "{listening}");
    shutdown_signal().await?;
    tokio::select! {
        stopped = server.stop() => stopped,
        // Tokio goes on taking the signals: nobody else would.
        again = shutdown_signal() => {
            again?;
            Err(Error::Busy("a second signal: what is not committed stays in the journal for the next start".into()))
        }
    }
}

fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let wrong = |_| {
        "write an address and a port, as 127.0.0.1:8788 or [::1]:8788; 0.0.0.0:8788 is all of the machine's".to_owned()
    };
    text.parse().map_err(wrong)
}

/// Looked at before anything else: later nobody would know which file it was.
fn readable(objective: &Path) -> Result<()> {
    let wrong = |problem: String| Error::Invalid(format!("--objective {}: {problem}", objective.display()));
    let json = std::fs::read(objective).map_err(|error| wrong(error.to_string()))?;
    match serde_json::from_slice::<IgnoredAny>(&json) {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

async fn shutdown_signal() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupt = tokio::signal::ctrl_c() => Ok(interrupt?),
    }
}
