//! Measurement, from telemetry events to labels.
//!
//! - `days`: Shopify's bodies in shops of many time zones, from the ledger to the windows, with the arithmetic beside
//!   them.
//! - `golden`: small histories with the arithmetic beside them.
//! - `random`: thousands of products against an independent computation in Rust.
//! - `margins`: what an explanation says would turn a label, turned.
//! - `incremental`: what builds on the last refresh against what is computed anew.
//! - `crash`: cut off at every step.
//! - `served`: the same through a running server and its lake.
//! - `what_if`: other thresholds over stored facts.
//! - `history`: what was said day by day.
//! - `as_of`: what was said at a moment.
//! - `sinks`: over tables that Cloudflare's sinks made.
//! - `command`: the verbs of the `weir` command.

mod as_of;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod concurrent;
mod crash;
mod days;
mod golden;
mod harness;
mod history;
mod incremental;
mod margins;
mod random;
mod served;
mod sinks;
mod what_if;
mod world;
