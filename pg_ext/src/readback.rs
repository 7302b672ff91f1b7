//! Reading back: orders as events, and what a day's ledger comes to.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::{Date, DatumWithOid};
use pgrx::spi::{Spi, SpiClient};
use serde_json::value::RawValue;
use serde_json::{json, Value};
use weir_domain::events::{EventKey, EventType, Provenance, Renderer};

use crate::privacy;
use crate::report;
use crate::store::{self, cell, run, Key, KnownShop, StoredOrders};

const ORDERS: &str = include_str!("../../sql/postgres/orders_of_shops.sql");
const RECONCILE: &str = include_str!("../../sql/postgres/reconcile.sql");
const NOW: &str = "select (extract(epoch from pg_catalog.now()) * 1000000)::bigint";

/// An `order_updated` event for each of the orders that is known, by shop and order: header, lines and complete ledger. Its
/// id is that of the order's revision, so sending it again adds nothing.
pub fn order_events(order_ids: Vec<i64>) -> String {
    Spi::connect_mut(|client| {
        let rows = run(client, ORDERS, &[DatumWithOid::from(order_ids)]);
        let found: Vec<(Key, String)> = rows
            .map(|row| ((cell(&row, 1), cell(&row, 2)), cell(&row, 3)))
            .collect();
        // What is read from here on, no redaction changes before the end of the transaction.
        for shop_id in found.iter().map(|(key, _)| key.0).collect::<BTreeSet<_>>() {
            privacy::lock(client, shop_id, false);
        }
        let shops = store::read_shops(client, found.iter().map(|(_, domain)| domain.as_str()).collect());
        let orders = store::read_orders(client, &found.iter().map(|(key, _)| *key).collect());
        let received_at = run(client, NOW, &[]).next().map_or(0, |row| cell(&row, 1));
        let provenance = Provenance {
            received_at,
            source: "replay".to_owned(),
        };
        let mut told = Vec::new();
        for ((shop_id, order_id), state) in &orders.states {
            let updated_at = state.header.as_ref().map(|header| header.updated_at);
            // An order of which only parts have arrived has nothing to tell yet.
            let Some(occurred_at) = state.deleted_at.or(updated_at) else {
                continue;
            };
            let key = EventKey {
                event_type: EventType::OrderUpdated,
                entity_id: *order_id,
                discriminator: state.revision.to_string(),
                occurred_at,
                order_id: Some(*order_id),
            };
            told.push(Told {
                shop_id: *shop_id,
                key,
                provenance: provenance.clone(),
            });
        }
        report::json_text(&render(client, &shops, &orders, &told), "weir.order_event")
    })
}

/// An event of an order to be written.
pub struct Told {
    pub shop_id: i64,
    pub key: EventKey,
    pub provenance: Provenance,
}

/// Writes events of orders from the orders as they are, with their ledgers as they are stored; the first of those with one id.
/// Locks the salts of their customers.
pub fn render(
    client: &mut SpiClient<'_>,
    shops: &BTreeMap<String, KnownShop>,
    orders: &StoredOrders,
    told: &[Told],
) -> Vec<Box<RawValue>> {
    let order_of = |one: &Told| {
        let key = (one.shop_id, one.key.order_id?);
        Some((key, orders.states.get(&key)?))
    };
    let (mut customers, mut products) = (BTreeSet::new(), BTreeSet::new());
    for (key, state) in told.iter().filter_map(order_of) {
        let customer_id = state.header.as_ref().and_then(|header| header.customer_id);
        customers.extend(customer_id.map(|id| (key.0, id)));
        products.extend(state.lines.iter().filter_map(|line| Some((key.0, line.product_id?))));
    }
    let products = store::read_products(client, &products);
    let salts = store::read_salts(client, &customers);
    let (mut events, mut written) = (Vec::new(), BTreeSet::new());
    for known in shops.values() {
        let renderer = Renderer {
            shop: &known.shop,
            products: &of_shop(&products, known.shop_id),
            salts: &of_shop(&salts, known.shop_id),
        };
        for one in told.iter().filter(|one| one.shop_id == known.shop_id) {
            let Some((key, state)) = order_of(one) else { continue };
            if written.insert(renderer.id(&one.key)) {
                events.push(match orders.old_ledgers.get(&key) {
                    Some(ledger) => renderer.order_with(&one.key, state, ledger, &one.provenance),
                    None => renderer.order(&one.key, state, &one.provenance),
                });
            }
        }
    }
    events
}

fn of_shop<T: Clone>(all: &BTreeMap<Key, T>, shop_id: i64) -> BTreeMap<i64, T> {
    let own = all.range((shop_id, i64::MIN)..=(shop_id, i64::MAX));
    own.map(|(key, value)| (key.1, value.clone())).collect()
}

/// Counts, sums (minor units) and a digest of each day's ledger, both days included.
pub fn reconcile(shop_domain: &str, first_day: Date, last_day: Date) -> String {
    Spi::connect_mut(|client| {
        let known = store::read_shop(client, shop_domain).unwrap_or_else(|| report::unknown_shop());
        let arguments = [
            DatumWithOid::from(known.shop_id),
            DatumWithOid::from(first_day),
            DatumWithOid::from(last_day),
        ];
        let mut rows = run(client, RECONCILE, &arguments);
        let Some(row) = rows.next() else {
            report::internal("nothing was read", "reconcile.sql")
        };
        let mut answer: Value = serde_json::from_str(&cell::<String>(&row, 1))
            .unwrap_or_else(|_| report::internal("an answer is not readable", "reconcile.sql"));
        answer["shop_domain"] = shop_domain.into();
        answer["currency"] = json!(known.shop.currency.code());
        answer.to_string()
    })
}
