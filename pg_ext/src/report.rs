//! Errors of a call: SQLSTATE, message, detail and hint, never a payload.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};
use serde::Serialize;

/// Raises SQLSTATE 22023 for an argument that is not what the function takes.
pub fn invalid_argument(message: &str, detail: &str, hint: &str) -> ! {
    raise(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, detail, hint)
}

/// Raises SQLSTATE 40001 for a batch that was read while its shop was registered with another currency: it is to come again.
pub fn currency_changed() -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the shop has another currency now",
        "It was registered anew while the batch waited.",
        "Send the batch again.",
    )
}

/// Raises SQLSTATE 55000 for a call that something else has to come before.
pub fn not_ready(message: &str, detail: &str, hint: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message,
        detail,
        hint,
    )
}

/// Raises SQLSTATE 55000 and ends the session: whoever asks again in it would be refused for ever.
pub fn end_session(message: &str, detail: &str, hint: &str) -> ! {
    raise_as(
        PgLogLevel::FATAL,
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message,
        detail,
        hint,
    )
}

/// Raises SQLSTATE 0A000 for a database in which weir cannot work.
pub fn unsupported(message: &str, detail: &str, hint: &str) -> ! {
    raise(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message, detail, hint)
}

/// Raises SQLSTATE 55000 unless each statement of the transaction sees what others have committed: batches and redactions wait
/// for each other, and whoever went on with what it saw before would bring the person back.
pub fn require_read_committed() {
    // SAFETY: a plain number of this backend, set when its transaction begins.
    if unsafe { pgrx::pg_sys::XactIsoLevel } > pgrx::pg_sys::XACT_READ_COMMITTED as i32 {
        not_ready(
            "the transaction is not read committed",
            "It would not see what was forgotten while it waited.",
            "Call it under read committed: alter role ... set default_transaction_isolation to 'read committed'.",
        );
    }
}

/// Raises SQLSTATE 22023 for a shop that nobody has registered.
pub fn unknown_shop() -> ! {
    invalid_argument(
        "the shop is not registered",
        "No shop has this shop_domain.",
        "Register it with weir.register_shop(json).",
    )
}

/// The JSON text of what `function` answers or keeps.
pub fn json_text<T: Serialize>(value: &T, function: &str) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| internal("an answer cannot be written", function))
}

/// Raises an error that no caller can cause.
pub fn internal(message: &str, detail: &str) -> ! {
    let hint = "Run select weir.migrate(); if the error stays, report it with the versions of weir and PostgreSQL.";
    raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message, detail, hint)
}

fn raise(code: PgSqlErrorCode, message: &str, detail: &str, hint: &str) -> ! {
    raise_as(PgLogLevel::ERROR, code, message, detail, hint)
}

fn raise_as(level: PgLogLevel, code: PgSqlErrorCode, message: &str, detail: &str, hint: &str) -> ! {
    ErrorReport::new(code, message.to_owned(), "weir")
        .set_detail(detail.to_owned())
        .set_hint(hint.to_owned())
        .report(level);
    unreachable!("a report of an error does not return")
}
