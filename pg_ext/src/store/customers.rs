//! Customers.

use std::collections::BTreeMap;

use pgrx::spi::SpiClient;
use weir_domain::customer::Customer;

use super::references::Referred;
use super::write::Parts;
use super::Key;

const WRITE: &str = include_str!("../../../sql/postgres/ingest/customer_write.sql");

/// Merges customers into what is stored of them. Needs no look before: the statement decides which version holds.
pub fn write(client: &mut SpiClient<'_>, customers: &BTreeMap<Key, Customer>, referred: &Referred) {
    let rows: Vec<(&Key, &Customer)> = customers.iter().collect();
    Parts::new(client, referred).put(WRITE, &rows, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .time(|row| row.1.created_at)
            .time(|row| row.1.updated_at)
            .flag(|row| Some(row.1.is_whole))
            .time(|row| Some(row.1.triggered_at))
            .text(|row| row.1.state.as_deref())
            .flag(|row| Some(row.1.is_email_verified))
            .flag(|row| Some(row.1.is_tax_exempt))
            .text(|row| row.1.email_consent.as_deref())
            .text(|row| row.1.sms_consent.as_deref())
            .text(|row| row.1.currency.as_deref())
            .time(|row| row.1.deleted_at)
    });
}
