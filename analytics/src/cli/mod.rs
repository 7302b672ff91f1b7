//! The verbs of the `weir` command. Each module is one verb: its arguments and what it does; [`client`] and
//! [`worker`] are what verbs share.

pub mod catalog;
pub mod client;
pub mod db;
pub mod explain;
pub mod history;
pub mod lake;
pub mod maintain;
pub mod performance;
pub mod quarantine;
pub mod reconcile;
pub mod refresh;
pub mod sales;
pub mod serve;
pub mod streams;
pub mod sync;
pub mod what_if;
pub mod worker;

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
    /// Recomputes sales and performance from the lake.
    Refresh(refresh::Args),
    /// Prints sales by shop, day and product.
    Sales(sales::Args),
    /// Prints every product with its label and the reason.
    Performance(performance::Args),
    /// Prints why a product has its label.
    Explain(explain::Args),
    /// Prints what was said of a product day by day.
    History(history::Args),
    /// Prints which products would change class under other thresholds.
    WhatIf(what_if::Args),
    /// Compares PostgreSQL's sales ledger with the lake's.
    Reconcile(reconcile::Args),
    /// Merges small files of the lake and expires old snapshots.
    Maintain(maintain::Args),
    /// Installs weir in a PostgreSQL database and brings it up to date.
    Db(db::Args),
    /// Lists tables and snapshots, merges, expires, finds orphans, runs a select.
    Lake(lake::Args),
    /// Plans and creates streams, sinks and pipelines at Cloudflare.
    Streams(streams::Args),
    /// Lists, shows and replays what the commerce Worker could not take.
    Quarantine(quarantine::Args),
    /// Starts the daily synchronisation with Shopify, and shows how it is and how far it got.
    Sync(sync::Args),
    /// Reads a shop's past, month by month, up to where the daily synchronisation begins.
    Backfill(sync::Backfill),
    /// Reads what was archived or quarantined once more, through the same path.
    Replay(sync::Replay),
}

/// Runs one verb to its end.
///
/// # Errors
/// Whatever the verb reports.
pub async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Refresh(args) => refresh::run(args).await,
        Command::Sales(args) => sales::run(args).await,
        Command::Performance(args) => performance::run(args).await,
        Command::Explain(args) => explain::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::WhatIf(args) => what_if::run(args).await,
        Command::Reconcile(args) => reconcile::run(args).await,
        Command::Maintain(args) => maintain::run(args).await,
        Command::Db(args) => db::run(args).await,
        Command::Lake(args) => lake::run(args).await,
        Command::Streams(args) => streams::run(args).await,
        Command::Quarantine(args) => quarantine::run(args).await,
        Command::Sync(args) => sync::run(args).await,
        Command::Backfill(args) => sync::backfill(args).await,
        Command::Replay(args) => sync::replay(args).await,
    }
}
