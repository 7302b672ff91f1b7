//! Plans of weir's own statements, kept for the session: planning the statements of a batch costs more than running them
//! for a batch of one (measured: 2.7 ms a call without, see CHANGELOG).
//!
//! The plans are generic from the first call on. PostgreSQL itself would plan the first five calls anew, and statements that
//! read by key for ever: it takes an array that it sees, of one key, to be cheaper than one that it does not see, of an
//! assumed ten (measured: a sixth of a batch of one). And they go by the keys' indexes, however small the tables are when a plan
//! is made: it is kept while they grow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiHeapTupleData};

use super::references::Referred;
use super::{tables, Key};
use crate::report;

/// What a plan by key must not have: it reads the whole of a table or an index, and is as good where there are few rows.
/// Compilation (`jit`) is decided by costs that mean nothing then.
const NOT_BY_KEY: [&CStr; 5] = [
    c"enable_seqscan",
    c"enable_hashjoin",
    c"enable_mergejoin",
    c"enable_material",
    c"jit",
];

thread_local! {
    /// By the address of the text, which is a constant of the library. PostgreSQL itself plans anew when a table changes.
    static PLANS: RefCell<HashMap<(*const u8, usize), Rc<Kept>>> = RefCell::default();
}

/// Runs a constant statement with its kept plan, as a writing one.
pub fn execute<'conn>(client: &mut SpiClient<'conn>, sql: &'static str, arguments: &[DatumWithOid<'_>]) -> Rows<'conn> {
    tables::require_known(client);
    kept(sql, arguments).run(arguments)
}

/// Runs a constant statement that writes, whose references this call makes sure of; gives the keys that it returns, if any: its
/// first two columns.
pub fn execute_referring(
    client: &mut SpiClient<'_>,
    sql: &'static str,
    arguments: &[DatumWithOid<'_>],
    referred: &Referred,
) -> Vec<Key> {
    tables::require_known(client);
    kept(sql, arguments).run_referring(arguments, referred)
}

/// The plan of a constant statement, made.
fn kept(sql: &'static str, arguments: &[DatumWithOid<'_>]) -> Rc<Kept> {
    let key = (sql.as_ptr(), sql.len());
    let kept = PLANS.with_borrow(|plans| plans.get(&key).cloned());
    let plan = kept.unwrap_or_else(|| {
        let plan = Rc::new(Kept::new(sql, arguments));
        PLANS.with_borrow_mut(|plans| plans.insert(key, Rc::clone(&plan)));
        plan
    });
    plan.make();
    assert_eq!(
        arguments.len(),
        plan.parameters,
        "a statement has the parameters it was prepared with"
    );
    plan
}

/// A plan that lives as long as the session.
struct Kept {
    plan: NonNull<pg_sys::_SPI_plan>,
    parameters: usize,
}

impl Kept {
    fn new(sql: &str, arguments: &[DatumWithOid<'_>]) -> Self {
        let Ok(text) = CString::new(sql) else {
            report::internal("a statement of weir failed", "It holds U+0000.")
        };
        let mut types: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
        // SAFETY: the text is a C string and the types are as many as is said; PostgreSQL copies both. A client of SPI is
        // given to `execute`, so SPI is connected.
        let plan = unsafe {
            pg_sys::SPI_prepare_cursor(
                text.as_ptr(),
                types.len() as i32,
                types.as_mut_ptr(),
                pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
            )
        };
        let Some(plan) = NonNull::new(plan) else {
            report::internal("a statement of weir failed", "SPI_prepare_cursor returned null.")
        };
        // SAFETY: the plan was just made and nobody else knows of it; it is kept once.
        unsafe { pg_sys::SPI_keepplan(plan.as_ptr()) };
        Self {
            plan,
            parameters: types.len(),
        }
    }

    /// Whether it is planned, and no table has changed since.
    fn is_made(&self) -> bool {
        // SAFETY: a plan that was prepared from one statement has one source, which lives as long as it; the plan in it is
        // null or alive.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan.as_ptr());
            let source = pg_sys::list_nth(sources, 0).cast::<pg_sys::CachedPlanSource>();
            let Some(source) = source.as_ref() else { return false };
            source.is_valid && source.gplan.as_ref().is_some_and(|plan| plan.is_valid)
        }
    }

    /// Plans, where a plan is due. The settings hold while PostgreSQL plans and no longer: neither the caller nor a
    /// trigger sees them.
    fn make(&self) {
        if self.is_made() {
            return;
        }
        // SAFETY: names and values are C strings. The settings go with the level that was begun for them, or with the
        // transaction (or its part) where an error ends it. The plan that PostgreSQL hands out is counted for the current
        // owner, and given back to the same.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            for name in NOT_BY_KEY {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    c"off".as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            let made = pg_sys::SPI_plan_get_cached_plan(self.plan.as_ptr());
            if !made.is_null() {
                pg_sys::ReleaseCachedPlan(made, pg_sys::CurrentResourceOwner);
            }
            pg_sys::AtEOXact_GUC(true, level);
        }
    }

    /// What SPI does of a statement that writes, save that its references are known to be.
    fn run_referring(&self, arguments: &[DatumWithOid<'_>], referred: &Referred) -> Vec<Key> {
        let mut keys = KeyReceiver::new();
        // SAFETY: the plan is of one statement, which the cached plan holds until it is released; parameters are as many as
        // the plan has, and of their types. The snapshot is active until the statement has ended, and the receiver lives longer.
        // Where an error ends the call, PostgreSQL gives everything back with the transaction or its part.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.plan.as_ptr());
            if cached.is_null() {
                report::internal("a statement of weir failed", "It has no plan.");
            }
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan.as_ptr());
            let source = pg_sys::list_nth(sources, 0).cast::<pg_sys::CachedPlanSource>();
            let parameters = pg_sys::makeParamList(arguments.len() as i32);
            let places = (*parameters).params.as_mut_slice(arguments.len());
            for (place, argument) in places.iter_mut().zip(arguments) {
                let value = argument.datum();
                place.isnull = value.is_none();
                place.value = value.map_or(pg_sys::Datum::from(0_usize), |datum| datum.sans_lifetime());
                place.pflags = pg_sys::PARAM_FLAG_CONST as u16;
                place.ptype = argument.oid();
            }
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            let query = pg_sys::CreateQueryDesc(
                pg_sys::list_nth((*cached).stmt_list, 0).cast(),
                (*source).query_string,
                pg_sys::GetActiveSnapshot(),
                std::ptr::null_mut(),
                (&raw mut keys).cast(),
                parameters,
                std::ptr::null_mut(),
                0,
            );
            pg_sys::ExecutorStart(query, 0);
            referred.unburden(query);
            #[cfg(not(feature = "pg18"))]
            pg_sys::ExecutorRun(query, pg_sys::ScanDirection::ForwardScanDirection, 0, true);
            #[cfg(feature = "pg18")]
            pg_sys::ExecutorRun(query, pg_sys::ScanDirection::ForwardScanDirection, 0);
            pg_sys::ExecutorFinish(query);
            pg_sys::ExecutorEnd(query);
            pg_sys::FreeQueryDesc(query);
            pg_sys::PopActiveSnapshot();
            pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
        }
        keys.keys
    }

    fn run<'conn>(&self, arguments: &[DatumWithOid<'_>]) -> Rows<'conn> {
        let mut nulls = vec![b' ' as std::ffi::c_char; arguments.len()];
        let mut values = vec![pg_sys::Datum::from(0_usize); arguments.len()];
        for (index, argument) in arguments.iter().enumerate() {
            match argument.datum() {
                Some(datum) => values[index] = datum.sans_lifetime(),
                None => nulls[index] = b'n' as std::ffi::c_char,
            }
        }
        // SAFETY: SPI is connected and nothing else runs in this thread; values and nulls are as many as the plan has
        // parameters, and of their types, since a statement is always given arguments of the same types.
        let (status, table) = unsafe {
            pg_sys::SPI_tuptable = std::ptr::null_mut();
            let status = pg_sys::SPI_execute_plan(self.plan.as_ptr(), values.as_mut_ptr(), nulls.as_ptr(), false, 0);
            (status, NonNull::new(pg_sys::SPI_tuptable))
        };
        if let Err(error) = Spi::check_status(status) {
            report::internal("a statement of weir failed", &error.to_string());
        }
        Rows {
            table,
            next: 0,
            connection: PhantomData,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the plan was kept by `new`, and nobody runs it: whoever does holds the `Rc`.
        unsafe { pg_sys::SPI_freeplan(self.plan.as_ptr()) };
    }
}

/// Takes the keys that a statement returns.
#[repr(C)]
struct KeyReceiver {
    /// First: PostgreSQL knows no more of it.
    receiver: pg_sys::DestReceiver,
    keys: Vec<Key>,
}

impl KeyReceiver {
    fn new() -> Self {
        let receiver = pg_sys::DestReceiver {
            receiveSlot: Some(take_key),
            rStartup: Some(begin_keys),
            rShutdown: Some(end_keys),
            rDestroy: Some(end_keys),
            mydest: pg_sys::CommandDest::DestNone,
        };
        Self {
            receiver,
            keys: Vec::new(),
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn take_key(slot: *mut pg_sys::TupleTableSlot, this: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: what a statement returns is a slot with its columns, of which the first two are bigint and never null; `this` is
    // the receiver that the statement was given.
    unsafe {
        // A virtual slot, as that of a returning list is, has all of them and raises an error when asked.
        if (*slot).tts_nvalid < 2 {
            pg_sys::slot_getsomeattrs_int(slot, 2);
        }
        let [shop_id, id] = [0, 1].map(|place| (*(*slot).tts_values.add(place)).value() as i64);
        (*this.cast::<KeyReceiver>()).keys.push((shop_id, id));
    }
    true
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn begin_keys(_this: *mut pg_sys::DestReceiver, _operation: i32, _row: pg_sys::TupleDesc) {}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn end_keys(_this: *mut pg_sys::DestReceiver) {}

/// What a statement returned; none where it returns nothing.
pub struct Rows<'conn> {
    /// PostgreSQL frees it when SPI is left, which ends `'conn`.
    table: Option<NonNull<pg_sys::SPITupleTable>>,
    next: usize,
    connection: PhantomData<&'conn ()>,
}

impl<'conn> Iterator for Rows<'conn> {
    type Item = SpiHeapTupleData<'conn>;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the table lives for `'conn` and has `numvals` tuples of its description.
        unsafe {
            let table = self.table?.as_ref();
            if self.next >= table.numvals as usize {
                return None;
            }
            let tuple = *table.vals.add(self.next);
            self.next += 1;
            SpiHeapTupleData::new(table.tupdesc, tuple).ok().flatten()
        }
    }
}
