//! Shopify's bulk operations: lines in, events out.
//!
//! Two calls, since a chunk rarely holds whole orders: [`ingest`] keeps the lines of an operation as they come, [`settle`]
//! puts orders and products together from them and applies them like webhooks. So neither the sequence of the lines, nor
//! the borders of the chunks, nor repetitions can matter: lines are a set.

mod ingest;
mod settle;

pub use ingest::ingest;
pub use settle::events;

use serde::de::DeserializeOwned;
use weir_domain::shopify::bulk::Gid;
use weir_domain::shopify::json::instant;

use crate::report;

const HINT: &str = r#"Give {"operation_id": "gid://shopify/BulkOperation/1", "kind": "orders_core", "source": "bulk_sync", "started_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:00.000Z"}; weir.bulk_events takes {"operation_ids": [...], "source", "received_at", "after": null, "limit": 500, "bytes": null}."#;

/// Reads the argument `run`.
fn read_run<T: DeserializeOwned>(run: &str) -> T {
    if run.contains("\\u0000") {
        refuse("A text holds U+0000.");
    }
    serde_json::from_str(run).unwrap_or_else(|_| refuse("A field is missing or mistyped."))
}

fn refuse(detail: &str) -> ! {
    report::invalid_argument("the run is not readable", detail, HINT)
}

/// Number of an operation's global id.
fn operation_id(gid: &str) -> i64 {
    match Gid::parse(gid) {
        Some(gid) if gid.resource == "BulkOperation" => gid.id,
        _ => refuse("An operation id is not gid://shopify/BulkOperation/<number>."),
    }
}

fn time(text: &str, field: &str) -> i64 {
    instant(text).unwrap_or_else(|| refuse(&format!("{field} is not an RFC 3339 time.")))
}

fn source(text: &str) -> &str {
    if ["bulk_sync", "backfill", "replay"].contains(&text) {
        return text;
    }
    refuse("source is none of bulk_sync, backfill, replay.")
}
