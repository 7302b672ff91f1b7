//! Plans of weir's own statements, kept for the session: planning the statements of a batch costs more than running them
//! for a batch of one (measured: 2.7 ms a call without, see CHANGELOG).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::PgOid;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult, SpiTupleTable};

thread_local! {
    /// By the address of the text, which is a constant of the library. PostgreSQL itself plans anew when a table changes.
    static PLANS: RefCell<HashMap<(*const u8, usize), Rc<OwnedPreparedStatement>>> = RefCell::default();
}

/// Runs a constant statement with its kept plan.
pub fn execute<'conn>(
    client: &mut SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<SpiTupleTable<'conn>> {
    let key = (sql.as_ptr(), sql.len());
    // Taken out before it runs: a trigger of the statement may come here again.
    let kept = PLANS.with_borrow(|plans| plans.get(&key).cloned());
    let plan = match kept {
        Some(plan) => plan,
        None => {
            let types: Vec<PgOid> = arguments.iter().map(|argument| PgOid::from(argument.oid())).collect();
            // As a writing statement, like everything in this module: it sees what others committed before it.
            let plan = Rc::new(client.prepare_mut(sql, &types)?.keep());
            PLANS.with_borrow_mut(|plans| plans.insert(key, Rc::clone(&plan)));
            plan
        }
    };
    client.update(&*plan, None, arguments)
}
