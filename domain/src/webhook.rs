//! A webhook delivery: topic, envelope, headers; and how secrets are compared.
//!
//! In scope: what Shopify says around the body. Not in scope: the body's meaning ([`crate::shopify`]) and any transport.

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

impl Topic {
    /// Requests about privacy: every app has them without a subscription, at the address in its configuration.
    pub const MANDATORY: [Self; 3] = [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact];
}

/// Whether weir takes deliveries of the topic called `name`.
#[must_use]
pub fn is_supported(name: &str) -> bool {
    Topic::parse(name).is_some()
}

/// How far the clock of whoever fires deliveries may be ahead of the edge's, in microseconds: five minutes, what Kerberos and
/// most of what signs with a time allow. Shopify promises nothing about it.
pub const MAX_CLOCK_SKEW_MICROSECONDS: i64 = 300_000_000;

/// When a delivery was triggered, microseconds since 1970: what `X-Shopify-Triggered-At` told, if anything, and at the latest
/// [`MAX_CLOCK_SKEW_MICROSECONDS`] after it was received; else when it was received. It decides between two bodies of one second,
/// and nobody signs that header: one of next year would be newer than every later body.
#[must_use]
pub fn triggered_at(told: Option<i64>, received_at: i64) -> i64 {
    told.filter(|at| *at <= received_at.saturating_add(MAX_CLOCK_SKEW_MICROSECONDS))
        .unwrap_or(received_at)
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
    /// When Shopify triggered it, as sent; what counts is [`triggered_at`].
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

/// A delivery without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as in Delivery
pub struct Headers<'a> {
    pub webhook_id: &'a str,
    pub topic: &'a str,
    pub shop_domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<&'a str>,
    pub received_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a str>,
}

impl Delivery {
    /// All but the body.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers {
            webhook_id: &self.webhook_id,
            topic: &self.topic,
            shop_domain: &self.shop_domain,
            triggered_at: self.triggered_at.as_deref(),
            api_version: self.api_version.as_deref(),
            received_at: &self.received_at,
            source: self.source.as_deref(),
        }
    }
}

/// A batch as `weir.ingest` takes it with the bodies as they came: a line with their sizes in bytes, a line with the headers,
/// both JSON, and the bodies after them. To quote them, and to read them quoted, costs more than to read what is in them.
/// PostgreSQL takes no text that holds U+0000: with such a body the batch has to go as a JSON list.
///
/// # Errors
/// When the headers do not serialise, which texts do.
pub fn batch_text(deliveries: &[(Headers<'_>, &str)]) -> serde_json::Result<String> {
    let sizes: Vec<usize> = deliveries.iter().map(|(_, body)| body.len()).collect();
    let headers: Vec<&Headers<'_>> = deliveries.iter().map(|(headers, _)| headers).collect();
    let (lines, bytes) = (serde_json::to_string(&headers)?, sizes.iter().sum::<usize>());
    let sizes = serde_json::to_string(&serde_json::json!({ "body_bytes": sizes }))?;
    let mut text = String::with_capacity(sizes.len() + lines.len() + 2 + bytes);
    for line in [sizes, lines] {
        text.push_str(&line);
        text.push('\n');
    }
    for (_, body) in deliveries {
        text.push_str(body);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8] = b"shpss_test_new_0123456789abcdef";
    const OLD: &[u8] = b"shpss_test_old_fedcba9876543210";

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
    fn a_trigger_later_than_the_receipt_is_a_clock_or_nothing() {
        let received = 1_800_000_000_000_000;
        let latest = received + MAX_CLOCK_SKEW_MICROSECONDS;
        for told in [0, received - 1, received, received + 1, latest] {
            assert_eq!(triggered_at(Some(told), received), told);
        }
        for told in [None, Some(latest + 1), Some(i64::MAX)] {
            assert_eq!(triggered_at(told, received), received);
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
    fn a_batch_has_its_bodies_as_they_came_and_their_sizes_before_them() {
        let delivery = Delivery {
            webhook_id: "w\n\"".into(),
            topic: "orders/create".into(),
            shop_domain: "demo.myshopify.com".into(),
            triggered_at: Some("2026-11-24T09:59:59Z".into()),
            api_version: Some("2026-10".into()),
            received_at: "2026-11-24T10:00:00.000Z".into(),
            source: Some("replay".into()),
            body: "{\"note\":\"\u{e9}\"}\n".into(),
        };
        let text = batch_text(&[(delivery.headers(), &delivery.body), (delivery.headers(), "")]).unwrap();
        let [sizes, headers, bodies]: [&str; 3] = text.splitn(3, '\n').collect::<Vec<_>>().try_into().unwrap();
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        assert_eq!(bodies, delivery.body);
        assert_eq!(read(sizes), serde_json::json!({"body_bytes": [delivery.body.len(), 0]}));
        let mut told = serde_json::to_value(&delivery).unwrap();
        told.as_object_mut().unwrap().remove("body");
        assert_eq!(read(headers), serde_json::json!([told, told]));
    }

    #[test]
    fn both_header_forms() {
        assert_eq!(header::without_prefix(header::TOPIC), "Shopify-Topic");
    }
}
