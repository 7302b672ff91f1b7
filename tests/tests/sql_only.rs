//! The contract of weir in PostgreSQL, held against the SQL-only install, and both installs held against each other.

#[path = "extension/contract.rs"]
mod contract;
#[path = "sql_only/differential.rs"]
mod differential;
#[path = "sql_only/install.rs"]
mod install;
