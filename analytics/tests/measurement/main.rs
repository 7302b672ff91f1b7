//! Measurement, from telemetry events to labels.
//!
//! - `golden`: small histories with the arithmetic beside them.
//! - `random`: thousands of products against an independent computation in Rust.
//! - `margins`: what an explanation says would turn a label, turned.
//! - `served`: the same through a running server and its lake.
//! - `command`: the verbs of the `weir` command.

mod command;
#[path = "../common/mod.rs"]
mod common;
mod golden;
mod harness;
mod margins;
mod random;
mod served;
mod world;
