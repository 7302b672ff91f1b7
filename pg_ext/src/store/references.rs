//! References that this very call makes sure of. PostgreSQL checks a foreign key by a statement a row: of an order of three
//! lines that was a sixth of the whole call (measured), to look up six times a row that the call has just created or locked.
//!
//! An order's parts are written after the order's row was inserted or locked against deletion by the same transaction
//! (`order_header_create.sql`, `order_header_lock.sql`), under the same key; orders and customers after their shop's row was
//! locked so ([`super::read::lock_shops`]), once and not once a row. So it is there, and stays until the commit. The
//! constraint itself is as it was: for everybody else's statements, for a deletion's cascade, in a dump.

use std::ffi::CStr;

use pgrx::pg_sys;

const SHOPS: &CStr = c"shop";
const ORDERS: &CStr = c"order_header";

/// Shops, and every table that a call writes between the lock of a shop's row and the last row that refers to it or to an order.
const WRITTEN: [&CStr; 18] = [
    SHOPS,
    ORDERS,
    c"customer",
    c"product",
    c"product_variant",
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

/// Positions of `shop_id`, and of `order_id` behind it, in the tables that are referred to and in each that refers to them.
const KEY: [pg_sys::AttrNumber; 2] = [1, 2];

/// That the rows which others refer to are there.
pub struct Referred {
    /// Tables, and of how many columns the key is; none where that is left to PostgreSQL.
    tables: Vec<(pg_sys::Oid, usize)>,
}

impl Referred {
    /// For a transaction that creates or locks the orders of all parts it writes, and has locked the shops of all it writes
    /// if `shops_are_locked`. Where somebody has put a trigger of their own on one of the tables nothing is taken for granted: it
    /// may keep an order from being created, or delete it.
    pub fn by_this_call(shops_are_locked: bool) -> Self {
        // SAFETY: the names are C strings. Each table is opened and closed again, and its lock, which the statements take
        // anyway, is held to the end of the transaction: nobody adds a trigger in between.
        let tables = unsafe {
            let schema = pg_sys::get_namespace_oid(c"commerce".as_ptr(), true);
            let table = |name: &CStr| pg_sys::get_relname_relid(name.as_ptr(), schema);
            let mut tables = Vec::new();
            if WRITTEN.iter().all(|name| has_only_postgresqls_triggers(table(name))) {
                tables.push((table(ORDERS), 2));
                tables.extend(shops_are_locked.then(|| (table(SHOPS), 1)));
            }
            tables
        };
        Self { tables }
    }

    /// Takes the checks of references to these rows out of a statement that was started and has not run.
    ///
    /// # Safety
    /// `query` has been started by `ExecutorStart`.
    pub unsafe fn unburden(&self, query: *mut pg_sys::QueryDesc) {
        if self.tables.is_empty() {
            return;
        }
        // SAFETY: a started query has a state of the kind that its tag says; a ModifyTable has as many tables as it says, whose
        // triggers are a copy of its own, made for this execution.
        unsafe {
            let state = (*query).planstate.cast::<pg_sys::ModifyTableState>();
            if (*state.cast::<pg_sys::Node>()).type_ != pg_sys::NodeTag::T_ModifyTableState {
                return;
            }
            for place in 0..(*state).mt_nrels as usize {
                let table = (*state).resultRelInfo.add(place);
                let keys = foreign_keys(table, &self.tables);
                for trigger in triggers((*table).ri_TrigDesc) {
                    if trigger.tgfoid.to_u32() == pg_sys::F_RI_FKEY_CHECK_INS && keys.contains(&trigger.tgconstraint) {
                        trigger.tgenabled = pg_sys::TRIGGER_DISABLED as std::ffi::c_char;
                    }
                }
            }
        }
    }
}

/// The constraints by which `table` refers to the keys of the `referred` tables.
unsafe fn foreign_keys(table: *mut pg_sys::ResultRelInfo, referred: &[(pg_sys::Oid, usize)]) -> Vec<pg_sys::Oid> {
    // SAFETY: the table is open; its list of constraints belongs to PostgreSQL's cache and is read at once.
    unsafe {
        let list = pg_sys::RelationGetFKeyList((*table).ri_RelationDesc);
        let length = list.as_ref().map_or(0, |list| list.length);
        let keys = (0..length).map(|place| &*pg_sys::list_nth(list, place).cast::<pg_sys::ForeignKeyCacheInfo>());
        keys.filter(|key| {
            referred.iter().any(|(table, columns)| {
                let is_key = |positions: &[pg_sys::AttrNumber]| positions[..*columns] == KEY[..*columns];
                key.confrelid == *table && key.nkeys as usize == *columns && is_key(&key.conkey) && is_key(&key.confkey)
            })
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
