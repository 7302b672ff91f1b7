//! A shop that moves to another time zone takes the days of its ledgers with it.
//!
//! So a stored ledger is always the one that the order's facts give in the zone that the shop has now, and nobody has to
//! read it to know it. The move holds the shop's privacy lock alone: batches read the zone again once they hold it.

use std::collections::BTreeSet;

use pgrx::datum::DatumWithOid;
use pgrx::spi::{Spi, SpiClient};
use weir_domain::events::Shop;
use weir_domain::order_state::OrderState;
use weir_domain::sales;

use crate::store::{self, cell, run_kept, ChangedOrder, Key, Referred};

const ORDERS: &str = include_str!("../../sql/postgres/shop_orders.sql");
const PAGE_ORDERS: i64 = 500;

/// Writes the ledgers of a shop's orders anew whose days differ between the zones of
/// `from` and `to`; how many did. Each of these orders gets a
/// new revision, so that its next event is newer than those that were told with the old days.
pub fn move_ledgers(shop_id: i64, from: &Shop, to: &Shop) -> usize {
    let (mut moved, mut last) = (0, i64::MIN);
    // What is read and written lives as long as its connection to SPI: each page has its own, for there may be millions of orders.
    while let Some((newest, count)) = Spi::connect_mut(|client| move_page(client, shop_id, last, from, to)) {
        last = newest;
        moved += count;
    }
    moved
}

/// The orders after `last`: the last of them, and how many moved.
fn move_page(client: &mut SpiClient<'_>, shop_id: i64, last: i64, from: &Shop, to: &Shop) -> Option<(i64, usize)> {
    let arguments = [shop_id, last, PAGE_ORDERS].map(DatumWithOid::from);
    let ids: Vec<i64> = run_kept(client, ORDERS, &arguments).map(|row| cell(&row, 1)).collect();
    let newest = *ids.last()?;
    let keys: BTreeSet<Key> = ids.iter().map(|id| (shop_id, *id)).collect();
    store::lock_orders(client, &keys);
    let orders = store::read_orders(client, &keys);
    let changed: Vec<_> = orders
        .states
        .iter()
        .filter_map(|(key, before)| {
            let ledger = sales::ledger(before, &to.zone);
            let revision = before.revision.saturating_add(1);
            let after = || OrderState {
                revision,
                ..before.clone()
            };
            let is_stored = match orders.old_ledgers.get(key) {
                Some(stored) => ledger == *stored,
                None => ledger == sales::ledger(before, &from.zone),
            };
            (!is_stored).then(|| (*key, before, after(), ledger))
        })
        .collect();
    let rows = changed.iter().map(|(key, before, after, ledger)| ChangedOrder {
        key: *key,
        before,
        after,
        ledger: Some(ledger),
        had_ledger: true,
        is_created: false,
    });
    let referred = Referred::by_this_call(false);
    store::write_orders(client, &rows.collect::<Vec<_>>(), &referred);
    Some((newest, changed.len()))
}
