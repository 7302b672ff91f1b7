//! The verbs of the `weir` command. Each module is one verb: its arguments and what it does.

pub mod serve;

use clap::{Parser, Subcommand};

use crate::Result;

/// Streams of commerce into an Iceberg lake, and what they say about the products.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the ingest endpoint, the committer, the Iceberg REST catalog and the measurement API.
    Serve(serve::Args),
}

/// Runs one verb to its end.
///
/// # Errors
/// Whatever the verb reports.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
    }
}
