//! Measurement: sales and performance computed from the lake.

pub mod tables;

use std::sync::Arc;

use axum::Router;

use crate::server::App;

/// The measurement's HTTP routes, mounted at the root of `weir serve`.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
}
