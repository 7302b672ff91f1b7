//! Set-wise SQL: parallel arrays sorted by key, one statement a table, however large the batch.
//!
//! Every statement runs as a writing one, so that each sees what other transactions committed before it started
//! (`read committed`): what is read after a lock is what the lock protects.

mod array;
mod bulk;
mod columns;
mod customers;
mod interactions;
mod orders;
mod plans;
mod products;
mod read;
mod references;
mod tables;
mod write;

pub use array::length_word;
pub use bulk::{
    analyze_grown, make_page_salts, read_nodes, read_roots, write_lines, write_operation, Operation, StoredLine,
};
pub use customers::write as write_customers;
pub use interactions::{
    events as interaction_events, remember_events as remember_interaction_events, write as write_interactions,
    InteractionKey,
};
pub use orders::{
    create as create_orders, lock as lock_orders, read as read_orders, write as write_orders, ChangedOrder,
    StoredOrders,
};
pub use products::{lock as lock_products, read as read_products, write as write_products, ChangedProduct};
pub use read::{
    known_deliveries, lock_shop, lock_shops, read_forgotten, read_former_shops, read_redacted, read_salts, read_shop,
    read_shops, remember, DeliveryKey, KnownShop, Remembered,
};
pub use references::Referred;

use pgrx::datum::{DatumWithOid, FromDatum, IntoDatum};
use pgrx::spi::{SpiClient, SpiHeapTupleData, SpiTupleTable};

use crate::report;

/// (shop id, id at Shopify).
pub type Key = (i64, i64);

/// Runs one statement.
pub fn run<'conn>(client: &mut SpiClient<'conn>, sql: &str, arguments: &[DatumWithOid<'_>]) -> SpiTupleTable<'conn> {
    match client.update(sql, None, arguments) {
        Ok(rows) => rows,
        Err(error) => report::internal("a statement of weir failed", &error.to_string()),
    }
}

/// Runs one of the statements of every batch, with the plan that the session keeps of it.
pub use plans::execute as run_kept;

/// Runs a script of statements without parameters.
pub fn run_script(client: &mut SpiClient<'_>, sql: &str) {
    run(client, sql, &[]);
}

/// A column (from 1) that is never null.
pub fn cell<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData<'_>, ordinal: usize) -> T {
    match row.get::<T>(ordinal) {
        Ok(Some(value)) => value,
        Ok(None) => report::internal("a value is null that cannot be", &format!("column {ordinal}")),
        Err(error) => report::internal("a value has another type", &error.to_string()),
    }
}

fn key_arrays(keys: impl Iterator<Item = Key>) -> [DatumWithOid<'static>; 2] {
    let keys: Vec<Key> = keys.collect();
    [
        array::Array::of_ints(keys.iter().map(|key| Some(key.0))),
        array::Array::of_ints(keys.iter().map(|key| Some(key.1))),
    ]
}
