//! A webhook delivery: signature, topic, envelope.
//!
//! In scope: what Shopify says around the body. Not in scope: the body's meaning ([`crate::shopify`]) and any transport.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Names of the delivery headers. Shopify announced the same names without the `X-`; [`without_prefix`] gives those.
pub mod header {
    /// `orders/create` and so on.
    pub const TOPIC: &str = "X-Shopify-Topic";
    /// Base64 of HMAC-SHA256 over the raw body.
    pub const HMAC_SHA256: &str = "X-Shopify-Hmac-Sha256";
    /// The shop's permanent `*.myshopify.com` domain.
    pub const SHOP_DOMAIN: &str = "X-Shopify-Shop-Domain";
    /// Identity of the delivery, kept over its retries.
    pub const WEBHOOK_ID: &str = "X-Shopify-Webhook-Id";
    /// When Shopify triggered the delivery, RFC 3339.
    pub const TRIGGERED_AT: &str = "X-Shopify-Triggered-At";
    /// API version the body is written in, such as `2026-10`.
    pub const API_VERSION: &str = "X-Shopify-API-Version";

    /// The same header in its form without `X-`.
    #[must_use]
    pub fn without_prefix(name: &str) -> &str {
        name.strip_prefix("X-").unwrap_or(name)
    }
}

/// Why a signature was refused. Never says which secret was tried, nor what would have been right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No usable secret is configured: nothing can be accepted.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// The header is not base64.
    #[error("the signature is not base64")]
    Malformed,
    /// No secret produces this signature over this body.
    #[error("the signature does not match the body")]
    Mismatch,
}

/// Checks the signature of `body`, the bytes exactly as received: re-serialised JSON has another signature.
///
/// Several `secrets` are valid at once while a secret is rotated. Each comparison takes constant time and every secret is
/// tried whatever came before. An empty secret is skipped, since anyone could sign with it.
///
/// # Errors
/// [`SignatureError`] when the header is malformed, when no secret is configured or when none matches.
pub fn verify_hmac(body: &[u8], header_base64: &str, secrets: &[&[u8]]) -> Result<(), SignatureError> {
    let signature = STANDARD
        .decode(header_base64.trim())
        .map_err(|_| SignatureError::Malformed)?;
    let mut usable = false;
    let mut matches = false;
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        usable = true;
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
            continue; // HMAC takes keys of any length, so this does not happen.
        };
        mac.update(body);
        matches |= mac.verify_slice(&signature).is_ok();
    }
    match (usable, matches) {
        (false, _) => Err(SignatureError::NoSecret),
        (true, false) => Err(SignatureError::Mismatch),
        (true, true) => Ok(()),
    }
}

/// Whether `given` is the secret `expected`, in a time that tells neither where they differ nor how long the secret is. An
/// empty secret is nobody's.
#[must_use]
pub fn is_secret(given: &[u8], expected: &[u8]) -> bool {
    let digest = |text: &[u8]| {
        Hmac::<Sha256>::new_from_slice(b"weir secret comparison").map(|mut mac| {
            mac.update(text);
            mac
        })
    };
    let (Ok(given), Ok(wanted)) = (digest(given), digest(expected)) else {
        return false; // HMAC takes keys of any length, so this does not happen.
    };
    let same = given.verify(&wanted.finalize().into_bytes()).is_ok();
    same && !expected.is_empty()
}

macro_rules! topics {
    ($($variant:ident => $name:literal,)+) => {
        /// Webhook topics that weir subscribes to, under Shopify's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Topic {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Topic {
            /// All topics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The topic called `name` (`orders/create`), or `None` when weir does not know it.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Shopify's name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

topics! {
    OrdersCreate => "orders/create",
    OrdersUpdated => "orders/updated",
    OrdersPaid => "orders/paid",
    OrdersFulfilled => "orders/fulfilled",
    OrdersPartiallyFulfilled => "orders/partially_fulfilled",
    OrdersCancelled => "orders/cancelled",
    OrdersEdited => "orders/edited",
    OrdersDelete => "orders/delete",
    OrderTransactionsCreate => "order_transactions/create",
    RefundsCreate => "refunds/create",
    FulfillmentsCreate => "fulfillments/create",
    FulfillmentsUpdate => "fulfillments/update",
    ReturnsRequest => "returns/request",
    ReturnsApprove => "returns/approve",
    ReturnsUpdate => "returns/update",
    ReturnsCancel => "returns/cancel",
    ReturnsClose => "returns/close",
    ReturnsDecline => "returns/decline",
    ReturnsReopen => "returns/reopen",
    ProductsCreate => "products/create",
    ProductsUpdate => "products/update",
    ProductsDelete => "products/delete",
    ShopUpdate => "shop/update",
    AppUninstalled => "app/uninstalled",
    BulkOperationsFinish => "bulk_operations/finish",
    CustomersCreate => "customers/create",
    CustomersUpdate => "customers/update",
    CustomersEnable => "customers/enable",
    CustomersDisable => "customers/disable",
    CustomersDelete => "customers/delete",
    CustomersMerge => "customers/merge",
    CustomersDataRequest => "customers/data_request",
    CustomersRedact => "customers/redact",
    ShopRedact => "shop/redact",
}

/// Whether weir takes deliveries of the topic called `name`.
#[must_use]
pub fn is_supported(name: &str) -> bool {
    Topic::parse(name).is_some()
}

/// One delivery as the edge hands it to `weir.ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Shopify's id of the delivery; with shop and topic the key of deduplication.
    pub webhook_id: String,
    /// Shopify's topic name.
    pub topic: String,
    /// Permanent shop domain, lower case.
    pub shop_domain: String,
    /// When Shopify triggered it, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_at: Option<String>,
    /// API version of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// When the edge received it, RFC 3339 UTC with milliseconds.
    pub received_at: String,
    /// Where it came from; absent means `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The raw body as text, so that it is parsed once, exactly, where it is needed.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8] = b"shpss_test_new_0123456789abcdef";
    const OLD: &[u8] = b"shpss_test_old_fedcba9876543210";

    // Signatures over the fixtures, made with OpenSSL and with Python's hmac, which agree.
    const VECTORS: &[(&str, &str, &str)] = &[
        (
            r##"{"id": 820982911946154508, "name": "#9999", "total_price": "199.00", "note": null}"##,
            "4kELij2jrvE33SDuTuaq/o33Nwawy7/nfEq0v8Bs+G4=",
            "tQgl+dixvU0+/WuqNjqolIMTtWh6d0UnfYqGqN1t7f0=",
        ),
        (
            r##"{
  "id": 890088186047892319,
  "order_id": 820982911946154508,
  "note": "Grüße \u0026 \/ end"
}"##,
            "wylZgpVO6jUwtJYGJAA2NUh44vEj28W36E/iwtSLaHI=",
            "5SNuu9tY0ZG2De2lkhaT1FCVVHKa5Uu9tfkDBeel4uo=",
        ),
        (
            r##"{ "id":788032119674292922 }"##,
            "T3IbNS4FVeIHbWTIG/twwRij+Pw1SJ7PVP+Zw8HqNm8=",
            "cu+Vo5CV18gDVnZqouSaeeDU0SxGYWYoVE92kqT2Gs8=",
        ),
    ];

    #[test]
    fn either_secret_is_accepted_during_rotation() {
        for (body, by_new, by_old) in VECTORS {
            for signature in [by_new, by_old] {
                assert_eq!(verify_hmac(body.as_bytes(), signature, &[NEW, OLD]), Ok(()));
            }
            assert_eq!(verify_hmac(body.as_bytes(), by_new, &[NEW]), Ok(()));
            assert_eq!(
                verify_hmac(body.as_bytes(), by_old, &[NEW]),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn reserialised_json_is_refused() {
        for (body, by_new, _) in VECTORS {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            let again = serde_json::to_string(&value).unwrap();
            assert_ne!(&again, body);
            assert_eq!(
                verify_hmac(again.as_bytes(), by_new, &[NEW]),
                Err(SignatureError::Mismatch)
            );
        }
    }

    #[test]
    fn one_changed_byte_is_refused() {
        let (body, by_new, _) = VECTORS[0];
        for at in 0..body.len() {
            let mut bytes = body.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(verify_hmac(&bytes, by_new, &[NEW, OLD]), Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn malformed_truncated_and_empty_signatures_are_refused() {
        let (body, by_new, _) = VECTORS[0];
        assert_eq!(
            verify_hmac(body.as_bytes(), "%%%", &[NEW]),
            Err(SignatureError::Malformed)
        );
        assert_eq!(verify_hmac(body.as_bytes(), "", &[NEW]), Err(SignatureError::Mismatch));
        let truncated = STANDARD.encode(&STANDARD.decode(by_new).unwrap()[..16]);
        assert_eq!(
            verify_hmac(body.as_bytes(), &truncated, &[NEW]),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(b"{}");
        let forged = STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(verify_hmac(b"{}", &forged, &[b""]), Err(SignatureError::NoSecret));
        assert_eq!(verify_hmac(b"{}", &forged, &[b"", NEW]), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_secret_is_itself_and_an_empty_one_nobodys() {
        assert!(is_secret(NEW, NEW));
        assert!(!is_secret(OLD, NEW) && !is_secret(&NEW[1..], NEW) && !is_secret(b"", NEW));
        assert!(!is_secret(b"", b"") && !is_secret(NEW, b""));
    }

    #[test]
    fn every_topic_parses_back_and_unknown_ones_do_not() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(*topic));
        }
        for unknown in ["", "orders", "ORDERS/CREATE", "orders/create ", "carts/update"] {
            assert!(!is_supported(unknown), "{unknown:?}");
        }
    }

    #[test]
    fn a_delivery_keeps_its_body_byte_for_byte() {
        let delivery = Delivery {
            webhook_id: "w".into(),
            topic: "orders/create".into(),
            shop_domain: "demo.myshopify.com".into(),
            triggered_at: None,
            api_version: None,
            received_at: "2026-11-24T10:00:00.000Z".into(),
            source: None,
            body: "{\"id\": 9007199254740993, \"note\":\"\\u0000 \u{e9} '\"}".into(),
        };
        let text = serde_json::to_string(&delivery).unwrap();
        assert_eq!(serde_json::from_str::<Delivery>(&text).unwrap(), delivery);
        assert!(!text.contains("source"), "absent fields stay absent");
    }

    #[test]
    fn both_header_forms() {
        assert_eq!(header::without_prefix(header::TOPIC), "Shopify-Topic");
    }
}
