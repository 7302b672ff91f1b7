//! The order's sales ledger.
