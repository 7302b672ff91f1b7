//! weir's native side: the Iceberg lake, self-hosted Pipelines and the measurement over both.
//!
//! - [`lake`]: tables, appends, overwrites, scans, and the embedded Iceberg REST catalog.
//! - [`pipeline`]: the durable journal behind `POST /v1/streams/{stream}` and its committer.
//! - [`measurement`]: sales and performance, computed in DuckDB from the lake.
//! - [`server`]: the HTTP surface of `weir serve`.
//! - [`cli`]: the verbs of the `weir` command.
//! - [`failpoint`]: where tests make it crash.  - [`say`]: standard output and standard error.  - [`http_client`]: who is asked
//!   through a proxy.

pub mod cli;
pub mod error;
mod failpoint;
pub mod http_client;
pub mod lake;
pub mod measurement;
pub mod pipeline;
pub mod say;
pub mod server;

pub use error::{Error, Result};
