//! What weir's words mean: the types and rules of a shop's stream of commerce.
//!
//! In scope: Shopify's inbound shapes, the order's sales ledger, telemetry events with their identities and stream
//! schemas, objective specifications and the reference classification. Not in scope: any I/O and any clock — `now` is
//! always an argument. The crate compiles for the host and for wasm32, so that PostgreSQL, the Workers and the native
//! side share one meaning.

pub mod classification;
pub mod customer;
pub mod engagement;
pub mod events;
mod hex;
pub mod interaction;
pub mod money;
pub mod objective;
pub mod order_state;
pub mod publication;
pub mod sales;
pub mod shopify;
pub mod telemetry;
pub mod time_zone;
pub mod watermark;
pub mod webhook;
