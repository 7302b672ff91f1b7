//! Measurement: sales and performance computed from the lake.
//!
//! - [`engine`]: query, compute, classify, in DuckDB (sql/duckdb).
//! - [`oracle`]: the SQL's labels against the domain's reference.
//! - [`refresh`]: reads the lake, runs the engine, writes the lake.
//! - [`objective_store`]: revisions of objective specifications in the lake.
//! - [`reads`]: rows for the HTTP API. [`explain`]: why a product has its label.
//! - [`steps`]: the steps of a refresh and when each ran.
//! - [`what_if`]: who would change class under other thresholds.
//! - `routes`: the HTTP surface. [`tables`]: the Iceberg tables. `telemetry`: what a refresh tells of itself.

pub mod engine;
pub mod explain;
pub mod objective_store;
pub mod oracle;
pub mod reads;
pub mod refresh;
mod routes;
pub mod steps;
pub mod tables;
mod telemetry;
pub mod what_if;

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
