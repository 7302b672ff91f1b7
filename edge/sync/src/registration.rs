//! Whether PostgreSQL takes what is read of a shop, since when, and whether it takes it for what it is.

use serde::Deserialize;
use serde_json::Value;
use weir_edge_shared::discreet::place;

use crate::step::StepError;

/// An answer of `weir.registration`.
#[derive(Debug, Deserialize)]
struct Answer {
    registered_at: Option<String>,
    iana_time_zone: Option<String>,
    currency: Option<String>,
    is_forgotten: bool,
}

/// How a shop is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Since when.
    pub at: String,
    /// In which its days are counted.
    pub iana_time_zone: String,
    /// By whose decimals its amounts are read.
    pub currency: String,
}

/// How `shop` is registered, by the answer `text`.
///
/// # Errors
/// When it is not, or was forgotten since: whatever is read of it would be refused, and is not to be kept here.
pub fn registration(text: &str, shop: &str) -> Result<Registration, StepError> {
    let unreadable = |what: String| StepError::passing("unreadable_answer", format!("weir.registration: {what}"));
    let answer: Answer = serde_json::from_str(text).map_err(|error| unreadable(place(&error)))?;
    let Some(at) = answer.registered_at else {
        return Err(refused("unknown_shop", shop));
    };
    if answer.is_forgotten {
        return Err(refused("redacted", shop));
    }
    let absent =
        || unreadable("no time zone or currency; the database is of an earlier version (weir db migrate)".to_owned());
    Ok(Registration {
        at,
        iana_time_zone: answer.iana_time_zone.ok_or_else(absent)?,
        currency: answer.currency.ok_or_else(absent)?,
    })
}

/// Whether what Shopify tells of its `shop` is how `domain` is `registered`. Else each amount would be read by another currency's
/// decimals, and each day cut at another midnight, without a fault anywhere.
///
/// # Errors
/// When it is another shop, or has another currency or time zone.
pub fn agrees(domain: &str, registered: &Registration, shop: &Value) -> Result<(), StepError> {
    let told = |name: &str| shop[name].as_str().unwrap_or_default();
    if told("myshopifyDomain") != domain {
        return Err(StepError::lasting(
            "wrong_shop",
            "the access token belongs to another shop",
        ));
    }
    let (currency, zone) = (told("currencyCode"), told("ianaTimezone"));
    if currency != registered.currency {
        let detail = format!(
            "{domain} is registered with the currency {}, and at Shopify has {currency}: register it with that \
             (weir.register_shop, with \"change_currency\": true where amounts of it are stored; docs/operate.md, A shop has \
             another currency), then start again",
            registered.currency
        );
        return Err(StepError::lasting("currency_changed", detail));
    }
    if !zone.eq_ignore_ascii_case(&registered.iana_time_zone) {
        let detail = format!(
            "{domain} is registered with the time zone {}, and at Shopify has {zone}: register it with that \
             (weir.register_shop), start again, and run weir backfill --from its first order --until now --again, which \
             tells the lake the days that its orders are on now",
            registered.iana_time_zone
        );
        return Err(StepError::lasting("time_zone_changed", detail));
    }
    Ok(())
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
    use serde_json::json;

    use super::*;

    const SHOP: &str = "one.myshopify.com";

    fn tokyo() -> Registration {
        Registration {
            at: "2026-11-24T10:00:00.000Z".into(),
            iana_time_zone: "Asia/Tokyo".into(),
            currency: "JPY".into(),
        }
    }

    #[test]
    fn only_a_shop_that_is_registered_and_not_forgotten_is_read() {
        let of = |answer: &Value| registration(&answer.to_string(), SHOP);
        let at = "2026-11-24T10:00:00.000Z";
        let answer = |is_forgotten: bool| json!({"registered_at": at, "iana_time_zone": "Asia/Tokyo", "currency": "JPY", "is_forgotten": is_forgotten});
        assert_eq!(of(&answer(false)).unwrap(), tokyo());
        let nobody = json!({"registered_at": null, "iana_time_zone": null, "currency": null, "is_forgotten": false});
        for (text, kind) in [(answer(true), "shop_forgotten"), (nobody, "unknown_shop")] {
            let error = of(&text).unwrap_err();
            assert_eq!((error.kind.as_str(), error.retry_after_millis), (kind, None));
            assert!(error.detail.contains(SHOP) && error.detail.contains("weir.register_shop"));
        }
        for other in [json!({}), json!({"registered_at": at, "is_forgotten": false})] {
            assert!(of(&other).unwrap_err().retry_after_millis.is_some(), "{other}");
        }
    }

    #[test]
    fn a_shop_is_read_only_as_what_it_is_at_shopify() {
        let of = |domain: &str, currency: &str, zone: &str| {
            let shop = json!({"myshopifyDomain": domain, "currencyCode": currency, "ianaTimezone": zone});
            agrees(SHOP, &tokyo(), &shop)
        };
        assert_eq!(of(SHOP, "JPY", "Asia/Tokyo"), Ok(()));
        // Registered before names were kept in IANA's own spelling.
        assert_eq!(of(SHOP, "JPY", "asia/tokyo"), Ok(()));
        for (told, kind, words) in [
            (
                of("two.myshopify.com", "JPY", "Asia/Tokyo"),
                "wrong_shop",
                ["token", "another shop"],
            ),
            (
                of(SHOP, "EUR", "Asia/Tokyo"),
                "currency_changed",
                ["has EUR", "A shop has another currency"],
            ),
            // To register it alone leaves the lake on the old days: no event tells it of orders that moved.
            (
                of(SHOP, "JPY", "Europe/Paris"),
                "time_zone_changed",
                [
                    "has Europe/Paris",
                    "weir backfill --from its first order --until now --again",
                ],
            ),
        ] {
            let error = told.unwrap_err();
            assert_eq!((error.kind.as_str(), error.retry_after_millis), (kind, None));
            for word in words {
                assert!(error.detail.contains(word), "{}", error.detail);
            }
        }
    }

    #[test]
    fn a_run_that_a_registration_overtook_says_nothing() {
        assert_eq!(still(SHOP, "a", "a"), Ok(()));
        assert_eq!(still(SHOP, "a", "b").unwrap_err().kind, "shop_registered_anew");
    }
}
