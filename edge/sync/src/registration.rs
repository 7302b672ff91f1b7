//! Whether PostgreSQL takes what is read of a shop, and since when.

use serde::Deserialize;
use weir_edge_shared::discreet::place;

use crate::step::StepError;

/// An answer of `weir.registration`.
#[derive(Debug, Deserialize)]
struct Registration {
    registered_at: Option<String>,
    is_forgotten: bool,
}

/// Since when `shop` is registered, by the answer `text`.
///
/// # Errors
/// When it is not, or was forgotten since: whatever is read of it would be refused, and is not to be kept here.
pub fn registered_at(text: &str, shop: &str) -> Result<String, StepError> {
    let answer: Registration = serde_json::from_str(text)
        .map_err(|error| StepError::passing("unreadable_answer", format!("weir.registration: {}", place(&error))))?;
    match answer.registered_at {
        Some(_) if answer.is_forgotten => Err(refused("redacted", shop)),
        Some(registered_at) => Ok(registered_at),
        None => Err(refused("unknown_shop", shop)),
    }
}

/// The failure of a step of `shop` from which PostgreSQL takes nothing, for the `reason` that it gives for each line.
#[must_use]
pub fn refused(reason: &str, shop: &str) -> StepError {
    match reason {
        "redacted" => {
            let detail =
                format!("{shop} was forgotten: register it anew (weir.register_shop) if it came back, and start again");
            StepError::lasting("shop_forgotten", detail)
        }
        _ => StepError::lasting("unknown_shop", format!("{shop} is not registered (weir.register_shop)")),
    }
}

/// Whether the run that began while `shop` was registered since `before` may still say what it has read.
///
/// # Errors
/// When the shop was registered anew meanwhile: some of what the run has read was forgotten.
pub fn still(shop: &str, before: &str, now: &str) -> Result<(), StepError> {
    if before == now {
        return Ok(());
    }
    let detail = format!("{shop} was registered anew at {now}, after the run had begun; start again");
    Err(StepError::lasting("shop_registered_anew", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "one.myshopify.com";

    #[test]
    fn only_a_shop_that_is_registered_and_not_forgotten_is_read() {
        let of = |text: &str| registered_at(text, SHOP);
        let at = "2026-11-24T10:00:00.000Z";
        let answer =
            |at: &str, is_forgotten: bool| format!(r#"{{"registered_at": {at}, "is_forgotten": {is_forgotten}}}"#);
        assert_eq!(of(&answer(&format!("{at:?}"), false)).unwrap(), at);
        for (text, kind) in [
            (answer(&format!("{at:?}"), true), "shop_forgotten"),
            (answer("null", false), "unknown_shop"),
        ] {
            let error = of(&text).unwrap_err();
            assert_eq!((error.kind.as_str(), error.retry_after_millis), (kind, None));
            assert!(error.detail.contains(SHOP) && error.detail.contains("weir.register_shop"));
        }
        assert!(of("{}").unwrap_err().retry_after_millis.is_some());
    }

    #[test]
    fn a_run_that_a_registration_overtook_says_nothing() {
        assert_eq!(still(SHOP, "a", "a"), Ok(()));
        assert_eq!(still(SHOP, "a", "b").unwrap_err().kind, "shop_registered_anew");
    }
}
