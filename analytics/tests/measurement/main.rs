//! Measurement, from telemetry events to labels.
//!
//! - `golden`: small histories with the arithmetic beside them.
//! - `random`: thousands of products against an independent computation in Rust.
//! - `served`: the same through a running server and its lake.

mod golden;
mod random;
mod served;
mod world;
