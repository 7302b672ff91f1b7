//! Reading back: orders as events, and what a day's ledger comes to.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::{Date, DatumWithOid};
use pgrx::spi::Spi;
use serde_json::{json, Value};
use weir_domain::events::{EventKey, EventType, Provenance, Renderer};

use crate::privacy;
use crate::report;
use crate::store::{self, cell, run, Key};

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
        let lines = |(key, state): (&Key, &weir_domain::order_state::OrderState)| {
            let ids = state.lines.iter().filter_map(|line| line.product_id);
            ids.map(|id| (key.0, id)).collect::<Vec<_>>()
        };
        let products = store::read_products(client, &orders.iter().flat_map(lines).collect());
        let customer = |(key, state): (&Key, &weir_domain::order_state::OrderState)| {
            Some((key.0, state.header.as_ref()?.customer_id?))
        };
        let salts = store::read_salts(client, &orders.iter().filter_map(customer).collect());
        let mut events = Vec::new();
        for known in shops.values() {
            let products: BTreeMap<_, _> = of_shop(&products, known.shop_id);
            let salts: BTreeMap<_, _> = of_shop(&salts, known.shop_id);
            let renderer = Renderer {
                shop: &known.shop,
                products: &products,
                salts: &salts,
            };
            for ((_, order_id), state) in orders.iter().filter(|(key, _)| key.0 == known.shop_id) {
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
                events.push(renderer.order(&key, state, &provenance));
            }
        }
        Value::from(events).to_string()
    })
}

fn of_shop<T: Clone>(all: &BTreeMap<Key, T>, shop_id: i64) -> BTreeMap<i64, T> {
    let own = all.range((shop_id, i64::MIN)..=(shop_id, i64::MAX));
    own.map(|(key, value)| (key.1, value.clone())).collect()
}

/// Counts, sums (minor units) and a digest of each day's ledger, both days included.
pub fn reconcile(shop_domain: &str, first_day: Date, last_day: Date) -> String {
    Spi::connect_mut(|client| {
        let shops = store::read_shops(client, BTreeSet::from([shop_domain]));
        let Some(known) = shops.get(shop_domain) else {
            report::invalid_argument(
                "the shop is not registered",
                "No shop has this shop_domain.",
                "Register it with weir.register_shop(json).",
            )
        };
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
