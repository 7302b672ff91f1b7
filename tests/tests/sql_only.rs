//! The contract of weir in PostgreSQL, held against the SQL-only install, and both installs held against each other.

#[path = "sql_only/bodies.rs"]
mod bodies;
#[path = "extension/contract.rs"]
mod contract;
#[path = "sql_only/differential.rs"]
mod differential;
#[path = "sql_only/extremes.rs"]
mod extremes;
#[path = "sql_only/install.rs"]
mod install;
#[path = "sql_only/older_lines.rs"]
mod older_lines;
#[path = "sql_only/pair.rs"]
mod pair;
#[path = "sql_only/readings.rs"]
mod readings;
#[path = "sql_only/visits.rs"]
mod visits;
