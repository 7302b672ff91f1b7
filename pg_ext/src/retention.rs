//! How long deliveries are remembered.

use pgrx::datum::{DatumWithOid, Interval};
use pgrx::spi::Spi;

use crate::report;
use crate::store::{cell, run};

const PURGE: &str = include_str!("../../sql/postgres/purge_deliveries.sql");
/// Shopify's repetitions of a delivery end within it. A delivery that is forgotten and comes again changes nothing, but
/// answers without its events.
const LEAST: &str = "select $1 >= interval '48 hours'";

/// Forgets deliveries that were received longer ago than `older_than`, at least 48 hours; how many.
pub fn purge_deliveries(older_than: Interval) -> i64 {
    Spi::connect_mut(|client| {
        let long_enough = run(client, LEAST, &[DatumWithOid::from(older_than)])
            .next()
            .is_some_and(|row| cell(&row, 1));
        if !long_enough {
            report::invalid_argument(
                "deliveries are not forgotten so early",
                "Shopify may still repeat deliveries of the last 48 hours.",
                "Give an interval of 48 hours or more, such as interval '7 days'.",
            );
        }
        let mut rows = run(client, PURGE, &[DatumWithOid::from(older_than)]);
        rows.next().map_or(0, |row| cell(&row, 1))
    })
}
