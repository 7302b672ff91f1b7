//! Outbound telemetry events: their identity and the schemas of the three streams.
//!
//! [`schema`] is the only source of every stream's fields; the Cloudflare stream schema, the Iceberg schema and the docs
//! are generated from it.

mod docs;
mod event_id;
pub mod schema;
mod streams;
mod validate;
mod version;

pub use event_id::event_id;
pub use schema::{Field, FieldType, StreamSchema};
pub use streams::{all, commerce, publication, sync};
pub use validate::{is_date, is_timestamp, Violation, ViolationReason, MAX_ROW_BYTES};
pub use version::{binding, family_and_version, stream_name, versions};
