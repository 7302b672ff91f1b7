//! What weir's Workers share: the one PostgreSQL call and the stream bindings.
//!
//! In scope: the SQL text of the call, its result, batching and validation of events, and both transports. Not in scope:
//! what a delivery or an event means (`weir_domain`, the extension). Everything but [`hyperdrive`] and [`pipeline`] builds
//! on the host and is tested there.

pub mod connection;
pub mod ingest;
pub mod sql;
pub mod stream;

#[cfg(target_arch = "wasm32")]
pub mod hyperdrive;
#[cfg(target_arch = "wasm32")]
pub mod pipeline;
