//! That the tables are those of this library. A session keeps the library that it has loaded, also when a newer one was installed
//! and has migrated the tables: its statements would write what these no longer hold, or leave out what they do, without an
//! error. Pools keep sessions for days, and nobody else knows which library one has loaded, so the session ends itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::spi::SpiClient;

use super::{cell, run};
use crate::migrate::NEWEST;
use crate::report;

const APPLIED: &str = "select coalesce(max(version), 0) from configuration.schema_migration";

/// How often this session was told that some table has changed. A migration changes tables, and grants on them at its end.
static CHANGES: AtomicU64 = AtomicU64::new(1);
/// The value of it when the migrations were last looked at.
static LOOKED_AT: AtomicU64 = AtomicU64::new(0);
static IS_WATCHING: AtomicBool = AtomicBool::new(false);

/// Ends the session if a newer version of weir has migrated the tables. Costs a comparison where no table has changed since it
/// last looked. What waited for a lock of the migration is told of the change with the lock, and looks before its next statement.
pub fn require_known(client: &mut SpiClient<'_>) {
    let changes = CHANGES.load(Relaxed);
    if LOOKED_AT.load(Relaxed) == changes {
        return;
    }
    if !IS_WATCHING.swap(true, Relaxed) {
        // SAFETY: the function lives as long as the session, and is registered once.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(note_change), pg_sys::Datum::null()) };
    }
    let newest: i32 = run(client, APPLIED, &[]).next().map_or(0, |row| cell(&row, 1));
    if newest > NEWEST {
        report::end_session(
            "the session has an older version of weir than the database",
            &format!("The newest migration is {newest}; the newest known here is {NEWEST}."),
            "Connect again: a new session loads the library that is installed.",
        );
    }
    LOOKED_AT.store(changes, Relaxed);
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn note_change(_argument: pg_sys::Datum, _table: pg_sys::Oid) {
    CHANGES.fetch_add(1, Relaxed);
}
