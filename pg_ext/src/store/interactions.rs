//! Interactions and the commerce events they caused.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::spi::SpiClient;
use weir_domain::events::EventKey;
use weir_domain::publication::Interaction;

use super::columns::Columns;
use super::{cell, run, write};
use crate::report;

const WRITE: &str = include_str!("../../../sql/postgres/publication/interaction_write.sql");
const READ: &str = include_str!("../../../sql/postgres/publication/interactions_read.sql");
const EVENTS_WRITE: &str = include_str!("../../../sql/postgres/publication/interaction_events_write.sql");

/// Identity of an interaction: shop and event id.
pub type InteractionKey = (i64, String);

/// Writes interactions of shops, sorted by key; returns those that were not there.
pub fn write(client: &mut SpiClient<'_>, rows: &[(i64, &Interaction)]) -> BTreeSet<InteractionKey> {
    if rows.is_empty() {
        return BTreeSet::new();
    }
    let arguments = Columns::of(rows)
        .int(|row| Some(row.0))
        .text(|row| Some(row.1.event_id.as_str()))
        .text(|row| Some(row.1.interaction_type.as_str()))
        .time(|row| Some(row.1.occurred_at))
        .time(|row| Some(row.1.received_at))
        .text(|row| Some(row.1.source.as_str()))
        .text(|row| row.1.referred_by.publisher_id.as_deref())
        .text(|row| row.1.item_id.as_deref())
        .text(|row| row.1.referred_by.program_id.as_deref())
        .text(|row| row.1.placement.as_deref())
        .int(|row| row.1.product_id)
        .int(|row| row.1.order_id)
        .text(|row| row.1.url.as_deref())
        .text(|row| row.1.referrer_host.as_deref())
        .text(|row| row.1.country.as_deref())
        .text(|row| row.1.device_class.as_deref())
        .text(|row| row.1.session_key.as_deref())
        .text(|row| row.1.visitor_key.as_deref())
        .flag(|row| Some(row.1.is_bot))
        .float(|row| row.1.engaged_seconds)
        .build();
    let new = run(client, WRITE, &arguments);
    new.map(|row| (cell(&row, 1), cell(&row, 2))).collect()
}

/// What interactions have caused that were recorded before.
pub fn events(client: &mut SpiClient<'_>, asked: &BTreeSet<InteractionKey>) -> BTreeMap<InteractionKey, Vec<EventKey>> {
    let asked: Vec<&InteractionKey> = asked.iter().collect();
    if asked.is_empty() {
        return BTreeMap::new();
    }
    let arguments = Columns::of(&asked)
        .int(|key| Some(key.0))
        .text(|key| Some(key.1.as_str()))
        .build();
    let rows = run(client, READ, &arguments);
    rows.map(|row| {
        let keys: String = cell(&row, 3);
        let keys = serde_json::from_str(&keys).unwrap_or_else(|_| {
            report::internal("remembered events are not readable", "publication_telemetry.event_keys")
        });
        ((cell(&row, 1), cell(&row, 2)), keys)
    })
    .collect()
}

/// Remembers the events, as JSON, that new interactions caused.
pub fn remember_events(client: &mut SpiClient<'_>, rows: &[(InteractionKey, String)]) {
    write::put(client, EVENTS_WRITE, rows, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .text(|row| Some(row.0 .1.as_str()))
            .text(|row| Some(row.1.as_str()))
    });
}
