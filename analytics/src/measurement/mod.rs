//! Measurement: sales and performance computed from the lake.
//!
//! - [`engine`]: query, compute, classify, in DuckDB, from [`inputs`]; `sql`: the files it runs, `daily_sales`, `parameters` and
//!   `local_date`: parts of it. [`identity`]: names of what was computed.
//! - [`oracle`]: the SQL's labels against the domain's reference.
//! - [`refresh`]: one refresh from its request to its outcome. [`plan`]: what it reads. [`write`]: its commits.
//! - [`as_of`]: the moment or the day of each shop that it is computed for.
//! - [`base`]: what a refresh leaves for the next one and for readers.
//! - [`objective_store`]: revisions of objective specifications in the lake.
//! - [`reads`]: rows for the HTTP API. [`explain`]: why a product has its label.
//! - [`reconcile`]: PostgreSQL's ledger beside the lake's.
//! - [`steps`]: the steps of a refresh and when each ran.
//! - [`what_if`]: who would change class under other thresholds.
//! - `routes`: the HTTP surface, with [`refresh_route`] for the one that takes its time. [`tables`]: the Iceberg tables. `telemetry`: what a refresh tells of itself.

pub mod as_of;
pub mod base;
mod daily_sales;
pub mod engine;
pub mod explain;
pub mod identity;
pub mod inputs;
mod local_date;
pub mod objective_store;
pub mod oracle;
mod parameters;
pub mod plan;
pub mod reads;
pub mod reconcile;
pub mod refresh;
pub mod refresh_route;
mod routes;
mod sql;
pub mod steps;
pub mod tables;
mod telemetry;
pub mod what_if;
pub mod write;

use std::path::Path;

use crate::server::App;
use crate::Result;

pub use routes::routes;

/// What `weir serve` does before it is ready: publishes the objective specification of its command line, if any.
///
/// # Errors
/// If the file cannot be read or is refused.
pub async fn start(app: &App, objective: Option<&Path>) -> Result<()> {
    match objective {
        Some(path) => objective_store::publish_file(&app.lake, path).await,
        None => Ok(()),
    }
}
