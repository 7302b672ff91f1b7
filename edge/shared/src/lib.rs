//! What weir's Workers share: the call to PostgreSQL, the stream and counter bindings, the quarantine, the internal routes.
//!
//! In scope: the SQL text of the call, its result, batching and validation of events, and both transports. Not in scope:
//! what a delivery or an event means (`weir_domain`, the extension). What touches the runtime
//! (the modules for wasm32) has no counterpart on the host; the rest is tested there.

pub mod backoff;
pub mod call;
pub mod connection;
pub mod content;
pub mod counters;
pub mod decision;
pub mod discreet;
pub mod head;
pub mod ingest;
pub mod internal;
pub mod leading;
pub mod lines;
pub mod object_key;
pub mod patience;
pub mod sql;
pub mod stream;
pub mod versions;

#[cfg(target_arch = "wasm32")]
pub mod analytics_engine;
#[cfg(target_arch = "wasm32")]
pub mod border;
#[cfg(target_arch = "wasm32")]
pub mod http;
#[cfg(target_arch = "wasm32")]
pub mod hyperdrive;
#[cfg(target_arch = "wasm32")]
pub mod object_writer;
#[cfg(target_arch = "wasm32")]
pub mod pipeline;
#[cfg(target_arch = "wasm32")]
pub mod quarantine_room;
#[cfg(target_arch = "wasm32")]
pub mod redelivery;
#[cfg(target_arch = "wasm32")]
pub mod settings;
#[cfg(target_arch = "wasm32")]
pub mod storage;
