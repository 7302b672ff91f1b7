//! Products and their variants.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::spi::SpiClient;
use weir_domain::order_state::{Product, Variant};

use super::{cell, key_arrays, run_kept, write, Key};
use crate::report;

const LOCK: &str = include_str!("../../../sql/postgres/ingest/product_lock.sql");
const READ: &str = include_str!("../../../sql/postgres/ingest/products_read.sql");
const WRITE: &str = include_str!("../../../sql/postgres/ingest/product_write.sql");
const VARIANTS_CLEAR: &str = include_str!("../../../sql/postgres/ingest/product_variant_clear.sql");
const VARIANTS_WRITE: &str = include_str!("../../../sql/postgres/ingest/product_variant_write.sql");

/// Anchors and locks the products in key order; returns those that were there before.
pub fn lock(client: &mut SpiClient<'_>, keys: &BTreeSet<Key>) -> BTreeSet<Key> {
    write::anchor(client, LOCK, keys)
}

/// What is known of the products.
pub fn read(client: &mut SpiClient<'_>, keys: &BTreeSet<Key>) -> BTreeMap<Key, Product> {
    if keys.is_empty() {
        return BTreeMap::new();
    }
    let rows = run_kept(client, READ, &key_arrays(keys.iter().copied()));
    rows.map(|row| {
        let state: String = cell(&row, 3);
        let product = serde_json::from_str(&state)
            .unwrap_or_else(|error| report::internal("a stored product is not readable", &error.to_string()));
        ((cell(&row, 1), cell(&row, 2)), product)
    })
    .collect()
}

/// A product that a call changed.
pub struct ChangedProduct<'a> {
    pub key: Key,
    pub before: Option<&'a Product>,
    pub after: &'a Product,
}

/// Writes changed products, sorted by key.
pub fn write(client: &mut SpiClient<'_>, changed: &[ChangedProduct<'_>]) {
    write::put(client, WRITE, changed, |columns| {
        columns
            .int(|row| Some(row.key.0))
            .int(|row| Some(row.key.1))
            .text(|row| row.after.title.as_deref())
            .text(|row| row.after.vendor.as_deref())
            .text(|row| row.after.product_type.as_deref())
            .text(|row| row.after.status.as_deref())
            .time(|row| row.after.created_at)
            .time(|row| row.after.published_at)
            .time(|row| row.after.updated_at)
            .time(|row| row.after.triggered_at)
            .body(|row| row.after.raw.bytes())
    });
    let other = changed
        .iter()
        .filter(|row| row.before.is_none_or(|before| before.variants != row.after.variants));
    let other: Vec<_> = other.collect();
    write::clear(
        client,
        VARIANTS_CLEAR,
        &other.iter().map(|row| row.key).collect::<Vec<_>>(),
    );
    let variants = other
        .iter()
        .flat_map(|row| row.after.variants.iter().map(|variant| (row.key, variant)));
    let variants: Vec<(Key, &Variant)> = variants.collect();
    write::put(client, VARIANTS_WRITE, &variants, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.variant_id))
            .text(|row| row.1.title.as_deref())
            .text(|row| row.1.sku.as_deref())
            .int(|row| row.1.price)
            .text(|row| row.1.price_text.as_deref())
            .time(|row| row.1.told_updated_at)
            .time(|row| row.1.told_triggered_at)
    });
    let deleted = changed
        .iter()
        .filter_map(|row| row.after.deleted_at.map(|at| (row.key, at)));
    write::tombstones(client, "product", &deleted.collect::<Vec<_>>());
}
