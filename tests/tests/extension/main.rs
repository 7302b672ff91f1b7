//! The extension, held to the contract that it shares with the SQL-only install, and to what only it does yet:
//! - [`bulk`], [`bulk_histories`]: `weir.ingest_bulk`, `weir.bulk_events`, the ledger of Shopify's agreements
//! - [`publication`]: `weir.record_interactions`, `weir.publish_catalogue`, `weir.publication_catalogue`
//! - [`fuzz`]: hostile texts, interactions among them
//! - [`upgrade`]: versions of the extension; [`glossary`]: GLOSSARY.md and the comments of the tables

mod bulk;
mod bulk_histories;
#[path = "contract.rs"]
mod contract;
mod fuzz;
mod glossary;
mod publication;
mod upgrade;

use contract::*;
