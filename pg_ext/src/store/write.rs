//! What orders and products share when they are written.

use std::collections::BTreeSet;

use pgrx::spi::SpiClient;

use super::columns::Columns;
use super::plans::execute_referring;
use super::references::Referred;
use super::{cell, key_arrays, run_kept, Key};

const TOMBSTONES: &str = include_str!("../../../sql/postgres/ingest/tombstone_write.sql");

/// Anchors and locks rows in key order; returns the keys that had a row before.
pub fn anchor(client: &mut SpiClient<'_>, sql: &'static str, keys: &BTreeSet<Key>) -> BTreeSet<Key> {
    let mut known = keys.clone();
    if !keys.is_empty() {
        for row in run_kept(client, sql, &key_arrays(keys.iter().copied())) {
            known.remove(&(cell(&row, 1), cell(&row, 2)));
        }
    }
    known
}

/// Removes the rows of `keys` that a newer version may lack.
pub fn clear(client: &mut SpiClient<'_>, sql: &'static str, keys: &[Key]) {
    if !keys.is_empty() {
        run_kept(client, sql, &key_arrays(keys.iter().copied()));
    }
}

/// Writes rows, if there are any.
pub fn put<R>(
    client: &mut SpiClient<'_>,
    sql: &'static str,
    rows: &[R],
    columns: impl FnOnce(Columns<'_, R>) -> Columns<'_, R>,
) {
    if !rows.is_empty() {
        run_kept(client, sql, &columns(Columns::of(rows)).build());
    }
}

/// Writes what refers to rows that this call has created or locked.
pub struct Parts<'a, 'conn> {
    client: &'a mut SpiClient<'conn>,
    referred: &'a Referred,
}

impl<'a, 'conn> Parts<'a, 'conn> {
    pub fn new(client: &'a mut SpiClient<'conn>, referred: &'a Referred) -> Self {
        Self { client, referred }
    }

    /// Removes the rows of `keys` that a newer version may lack.
    pub fn clear(&mut self, sql: &'static str, keys: &[Key]) {
        clear(self.client, sql, keys);
    }

    /// Writes rows, if there are any.
    pub fn put<R>(&mut self, sql: &'static str, rows: &[R], columns: impl FnOnce(Columns<'_, R>) -> Columns<'_, R>) {
        if !rows.is_empty() {
            execute_referring(self.client, sql, &columns(Columns::of(rows)).build(), self.referred);
        }
    }
}

/// Records deletions; `rows` are (key, when it was told), sorted.
pub fn tombstones(client: &mut SpiClient<'_>, resource: &'static str, rows: &[(Key, i64)]) {
    put(client, TOMBSTONES, rows, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .text(|_| Some(resource))
            .int(|row| Some(row.0 .1))
            .time(|row| Some(row.1))
    });
}
