//! Shops, remembered deliveries and salts.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;
use weir_domain::events::{EventKey, Shop};

use super::columns::Columns;
use super::{cell, key_arrays, run_kept, Key};
use crate::report;

const SHOPS: &str = include_str!("../../../sql/postgres/ingest/shops_read.sql");
/// With the lock that a reference to a shop takes: nobody deletes them before the transaction ends.
const SHOPS_LOCK: &str = concat!(
    include_str!("../../../sql/postgres/ingest/shops_read.sql"),
    "order by shop_id for key share"
);
const FORMER_SHOPS: &str = include_str!("../../../sql/postgres/ingest/former_shops_read.sql");
const DELIVERIES: &str = include_str!("../../../sql/postgres/ingest/deliveries_read.sql");
const REMEMBER: &str = include_str!("../../../sql/postgres/ingest/webhook_delivery_write.sql");
const SALTS_MAKE: &str = include_str!("../../../sql/postgres/ingest/salts_make.sql");
const SALTS_READ: &str = include_str!("../../../sql/postgres/ingest/salts_read.sql");

const FORGOTTEN: &str = include_str!("../../../sql/postgres/privacy/redacted_read.sql");

/// A registered shop.
pub struct KnownShop {
    pub shop_id: i64,
    pub shop: Shop,
    /// When it was registered anew after it was forgotten; 0 where it never was.
    pub since: i64,
    /// Whether it has the domain by which it was found; else it had it.
    pub has_domain: bool,
}

/// The registered ones of `domains`, by domain.
pub fn read_shops(client: &mut SpiClient<'_>, domains: BTreeSet<&str>) -> BTreeMap<String, KnownShop> {
    shops_by(client, SHOPS, domains)
}

/// The same; they cannot be deleted before the transaction ends.
pub fn lock_shops(client: &mut SpiClient<'_>, domains: BTreeSet<&str>) -> BTreeMap<String, KnownShop> {
    shops_by(client, SHOPS_LOCK, domains)
}

/// Those that had the domains and have others now.
pub fn read_former_shops(client: &mut SpiClient<'_>, domains: BTreeSet<&str>) -> BTreeMap<String, KnownShop> {
    if domains.is_empty() {
        return BTreeMap::new();
    }
    shops_by(client, FORMER_SHOPS, domains)
}

fn shops_by(client: &mut SpiClient<'_>, sql: &'static str, domains: BTreeSet<&str>) -> BTreeMap<String, KnownShop> {
    let domains: Vec<String> = domains.into_iter().map(str::to_owned).collect();
    let mut shops = BTreeMap::new();
    for row in run_kept(client, sql, &[DatumWithOid::from(domains)]) {
        let (domain, zone, currency): (String, String, String) = (cell(&row, 2), cell(&row, 3), cell(&row, 4));
        let shop = Shop::new(&domain, &zone, &currency)
            .unwrap_or_else(|field| report::internal("a registered shop is not usable", field));
        shops.insert(
            domain,
            KnownShop {
                shop_id: cell(&row, 1),
                shop,
                since: cell(&row, 5),
                has_domain: cell(&row, 6),
            },
        );
    }
    shops
}

/// The registered shop of this domain.
pub fn read_shop(client: &mut SpiClient<'_>, domain: &str) -> Option<KnownShop> {
    read_shops(client, [domain].into()).remove(domain)
}

/// The same; it cannot be deleted before the transaction ends.
pub fn lock_shop(client: &mut SpiClient<'_>, domain: &str) -> Option<KnownShop> {
    lock_shops(client, [domain].into()).remove(domain)
}

/// Shop, topic and webhook id of a delivery.
pub type DeliveryKey = (i64, String, String);

/// Which of the deliveries were applied before, and the events they caused.
pub fn known_deliveries(
    client: &mut SpiClient<'_>,
    asked: &BTreeSet<DeliveryKey>,
) -> BTreeMap<DeliveryKey, Vec<EventKey>> {
    if asked.is_empty() {
        return BTreeMap::new();
    }
    let asked: Vec<&DeliveryKey> = asked.iter().collect();
    let arguments = Columns::of(&asked)
        .int(|key| Some(key.0))
        .text(|key| Some(key.1.as_str()))
        .text(|key| Some(key.2.as_str()))
        .build();
    let mut known = BTreeMap::new();
    for row in run_kept(client, DELIVERIES, &arguments) {
        let keys: String = cell(&row, 4);
        let keys = serde_json::from_str(&keys)
            .unwrap_or_else(|_| report::internal("remembered events are not readable", "webhook_delivery.event_keys"));
        known.insert((cell(&row, 1), cell(&row, 2), cell(&row, 3)), keys);
    }
    known
}

/// A delivery to remember.
pub struct Remembered {
    pub key: DeliveryKey,
    pub received_at: i64,
    pub event_keys: String,
}

/// Remembers applied deliveries.
pub fn remember(client: &mut SpiClient<'_>, mut deliveries: Vec<Remembered>) {
    if deliveries.is_empty() {
        return;
    }
    deliveries.sort_by(|a, b| a.key.cmp(&b.key));
    let arguments = Columns::of(&deliveries)
        .int(|row| Some(row.key.0))
        .text(|row| Some(row.key.1.as_str()))
        .text(|row| Some(row.key.2.as_str()))
        .time(|row| Some(row.received_at))
        .json(|row| Some(row.event_keys.as_str()))
        .build();
    run_kept(client, REMEMBER, &arguments);
}

/// What is known of customers and orders that were asked for.
#[derive(Default)]
pub struct Forgotten {
    /// Customers who were forgotten; customer 0 is the shop.
    pub customers: BTreeSet<Key>,
    /// Into whom the others were merged that were.
    pub merged: BTreeMap<Key, i64>,
    /// Orders whose buyer was forgotten.
    pub orders: BTreeSet<Key>,
}

/// Which of the customers were forgotten; customer 0 asks for the shop.
pub fn read_redacted(client: &mut SpiClient<'_>, asked: &BTreeSet<Key>) -> BTreeSet<Key> {
    read_forgotten(client, asked, &BTreeSet::new()).customers
}

/// Which of the customers and orders were forgotten, and into whom the other customers were merged that were.
pub fn read_forgotten(client: &mut SpiClient<'_>, customers: &BTreeSet<Key>, orders: &BTreeSet<Key>) -> Forgotten {
    let mut forgotten = Forgotten::default();
    if customers.is_empty() && orders.is_empty() {
        return forgotten;
    }
    let [customer_shops, customer_ids] = key_arrays(customers.iter().copied());
    let [order_shops, order_ids] = key_arrays(orders.iter().copied());
    let arguments = [customer_shops, customer_ids, order_shops, order_ids];
    for row in run_kept(client, FORGOTTEN, &arguments) {
        let shop_id = cell(&row, 1);
        if let Some(order_id) = row.get(4).ok().flatten() {
            forgotten.orders.insert((shop_id, order_id));
            continue;
        }
        let key = (shop_id, cell(&row, 2));
        match row.get(3).ok().flatten() {
            Some(into) => _ = forgotten.merged.insert(key, into),
            None => _ = forgotten.customers.insert(key),
        }
    }
    forgotten
}

/// The salts of customers, by (shop, customer); missing ones are made.
pub fn read_salts(client: &mut SpiClient<'_>, customers: &BTreeSet<Key>) -> BTreeMap<Key, String> {
    if customers.is_empty() {
        return BTreeMap::new();
    }
    let mut salts = salts_of(client, customers);
    let missing: BTreeSet<Key> = customers
        .iter()
        .filter(|key| !salts.contains_key(key))
        .copied()
        .collect();
    if !missing.is_empty() {
        run_kept(client, SALTS_MAKE, &key_arrays(missing.iter().copied()));
        // Read, not returned: another transaction may have made it first.
        salts.extend(salts_of(client, &missing));
    }
    salts
}

fn salts_of(client: &mut SpiClient<'_>, customers: &BTreeSet<Key>) -> BTreeMap<Key, String> {
    let rows = run_kept(client, SALTS_READ, &key_arrays(customers.iter().copied()));
    rows.map(|row| ((cell(&row, 1), cell(&row, 2)), cell(&row, 3)))
        .collect()
}
