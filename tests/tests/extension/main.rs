//! The extension, held to the contract that it shares with the SQL-only install, and to what is its own:
//! - [`fuzz`]: hostile texts, interactions among them
//! - [`jsonb`]: the bytes of stored bodies; [`plans`]: the plans that a session keeps
//! - [`references`]: from an order's parts to the order
//! - [`upgrade`]: versions of the extension; [`glossary`]: GLOSSARY.md and the comments of the tables

#[path = "contract.rs"]
mod contract;
mod fuzz;
mod glossary;
mod jsonb;
mod plans;
mod references;
mod upgrade;

use contract::*;
