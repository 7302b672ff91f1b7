//! References that this very call makes sure of. PostgreSQL checks a foreign key by a statement a row: of an order of three
//! lines that was a sixth of the whole call (measured), to look up six times a row that the call has just created or locked.
//!
//! An order's parts are written after the order's row was inserted or locked against deletion by the same transaction
//! (`order_header_create.sql`, `order_header_lock.sql`), under the same key. So it is there, and stays until the commit. The
//! constraint itself is as it was: for everybody else's statements, for a deletion's cascade, in a dump.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Every table that a call writes between the creation of an order's row and the last of its parts.
const WRITTEN: [&CStr; 15] = [
    c"order_header",
    c"product",
    c"order_line_item",
    c"refund",
    c"refund_line_item",
    c"refund_adjustment",
    c"payment",
    c"fulfillment",
    c"fulfillment_line_item",
    c"order_edit_line",
    c"order_return",
    c"sales_agreement",
    c"agreement_sale",
    c"agreement_reading",
    c"sales_ledger",
];

/// Positions of `shop_id` and `order_id` in `commerce.order_header` and in each of the tables that refer to it.
const KEY: [pg_sys::AttrNumber; 2] = [1, 2];

/// That the orders of the parts which are written are there.
pub struct Referred {
    /// `commerce.order_header`; `None` where that is left to PostgreSQL.
    orders: Option<pg_sys::Oid>,
}

impl Referred {
    /// For a transaction that has created or locked the orders of all parts it writes. Where somebody has put a trigger of
    /// their own on one of the tables nothing is taken for granted: it may keep an order from being created, or delete it.
    pub fn by_this_call() -> Self {
        // SAFETY: the names are C strings. Each table is opened and closed again, and its lock, which the statements take
        // anyway, is held to the end of the transaction: nobody adds a trigger in between.
        let orders = unsafe {
            let schema = pg_sys::get_namespace_oid(c"commerce".as_ptr(), true);
            let table = |name: &CStr| pg_sys::get_relname_relid(name.as_ptr(), schema);
            WRITTEN
                .iter()
                .all(|name| has_only_postgresqls_triggers(table(name)))
                .then(|| table(WRITTEN[0]))
        };
        Self { orders }
    }

    /// Takes the checks of references to orders out of a statement that was started and has not run.
    ///
    /// # Safety
    /// `query` has been started by `ExecutorStart`.
    pub unsafe fn unburden(&self, query: *mut pg_sys::QueryDesc) {
        let Some(orders) = self.orders else { return };
        // SAFETY: a started query has a state of the kind that its tag says; a ModifyTable has as many tables as it says, whose
        // triggers are a copy of its own, made for this execution.
        unsafe {
            let state = (*query).planstate.cast::<pg_sys::ModifyTableState>();
            if (*state.cast::<pg_sys::Node>()).type_ != pg_sys::NodeTag::T_ModifyTableState {
                return;
            }
            for place in 0..(*state).mt_nrels as usize {
                let table = (*state).resultRelInfo.add(place);
                let keys = foreign_keys(table, orders);
                for trigger in triggers((*table).ri_TrigDesc) {
                    if trigger.tgfoid.to_u32() == pg_sys::F_RI_FKEY_CHECK_INS && keys.contains(&trigger.tgconstraint) {
                        trigger.tgenabled = pg_sys::TRIGGER_DISABLED as std::ffi::c_char;
                    }
                }
            }
        }
    }
}

/// The constraints by which `table` refers to the key of `orders`.
unsafe fn foreign_keys(table: *mut pg_sys::ResultRelInfo, orders: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: the table is open; its list of constraints belongs to PostgreSQL's cache and is read at once.
    unsafe {
        let list = pg_sys::RelationGetFKeyList((*table).ri_RelationDesc);
        let length = list.as_ref().map_or(0, |list| list.length);
        let keys = (0..length).map(|place| &*pg_sys::list_nth(list, place).cast::<pg_sys::ForeignKeyCacheInfo>());
        keys.filter(|key| {
            key.confrelid == orders && key.nkeys == 2 && key.conkey[..2] == KEY && key.confkey[..2] == KEY
        })
        .map(|key| key.conoid)
        .collect()
    }
}

unsafe fn has_only_postgresqls_triggers(table: pg_sys::Oid) -> bool {
    if table == pg_sys::InvalidOid {
        return false;
    }
    // SAFETY: the table is there, since its name was just looked up or its lock raises an error.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let own = triggers((*relation).trigdesc)
            .iter()
            .any(|trigger| !trigger.tgisinternal);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        !own
    }
}

unsafe fn triggers<'a>(described: *mut pg_sys::TriggerDesc) -> &'a mut [pg_sys::Trigger] {
    // SAFETY: a description has as many triggers as it says.
    unsafe {
        match described.as_ref() {
            Some(described) if described.numtriggers > 0 => {
                std::slice::from_raw_parts_mut(described.triggers, described.numtriggers as usize)
            }
            _ => &mut [],
        }
    }
}
