//! Whether a delivery is taken, decided from bytes and headers alone.
//!
//! Nothing of the body is trusted before the signature holds. The platform's own cryptography verifies it, between
//! [`Admission::signature`] and [`Admission::admit`]. Then it is Shopify's, and taken as it is: whether it is JSON, and of what the topic
//! says, PostgreSQL finds out, and what it rejects is kept with its reason. To read it here as well cost a twentieth of a request, and
//! a refusal would make Shopify send the same bytes eight times again and drop the subscription. Only requests about
//! privacy are looked at, whose topic alone would have a shop forgotten.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use weir_domain::telemetry::event_id;
use weir_domain::webhook::{header, is_supported, Delivery};
use weir_edge_shared::object_key::MAX_PART_CHARS;

use crate::quarantine::{Body, OTHER_SHOP};
use crate::redaction::{is_about_privacy, is_foreign};

/// Longest webhook id, in bytes; Shopify's are UUIDs of 36. A longer one would share the keys of its objects with others that
/// begin alike, and an index of PostgreSQL takes some 2,700 bytes.
const MAX_WEBHOOK_ID_BYTES: usize = MAX_PART_CHARS;
/// Longest value of the headers that are kept beside it, in bytes: a month (7) and a time (some 30). With a large body they
/// travel as metadata of an R2 object, 8,192 bytes at most.
const MAX_VALUE_BYTES: usize = 64;

/// What the Worker is configured to take.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Webhook secrets; more than one while a secret is rotated.
    pub secrets: Vec<String>,
    /// Permanent domains of the known shops, lower case.
    pub shops: Vec<String>,
    /// Largest body taken, in bytes.
    pub max_body_bytes: usize,
}

/// A refusal: the HTTP answer, and what to keep of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Reason class, machine-readable.
    pub reason: &'static str,
    /// For the sender: what and where. Never a value from the body.
    pub detail: String,
    /// Set when Shopify really sent this (the signature holds) but it cannot be processed, or not for this shop: kept before
    /// answering.
    pub keep: Option<Box<(Delivery, Body)>>,
}

impl Refusal {
    fn new(status: u16, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            keep: None,
        }
    }

    /// The same, of a `delivery` that is kept with its raw body.
    fn keeping(self, delivery: Delivery, body: Body) -> Self {
        Self {
            keep: Some(Box::new((delivery, body))),
            ..self
        }
    }

    /// 413 for a body of more than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "too_large", format!("the body is larger than {limit} bytes"))
    }

    /// 401 for a signature that none of the secrets gives. Never says which was tried, nor what would have been right.
    #[must_use]
    pub fn bad_signature(detail: &'static str) -> Self {
        Self::new(401, "bad_signature", detail)
    }
}

impl Admission {
    /// The secrets that can sign: an empty one is none, since anybody could sign with it.
    pub fn usable_secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets
            .iter()
            .map(String::as_str)
            .filter(|secret| !secret.is_empty())
    }

    /// The signature that the headers carry, to be verified against the usable secrets and the bytes of the body. Headers are
    /// looked up by `header_value`, by name and without regard to case.
    ///
    /// # Errors
    /// [`Refusal`]: 401 when there is none or it is not base64, 503 when no secret could verify it.
    pub fn signature(&self, header_value: impl Fn(&str) -> Option<String>) -> Result<Vec<u8>, Refusal> {
        let signature = find(&header_value, header::HMAC_SHA256)
            .ok_or_else(|| Refusal::new(401, "missing_signature", format!("{} is missing", header::HMAC_SHA256)))?;
        if self.usable_secrets().next().is_none() {
            // Ours to repair, not Shopify's: 503 makes Shopify deliver again.
            return Err(Refusal::new(503, "not_configured", "the receiver is not configured"));
        }
        STANDARD
            .decode(&signature)
            .map_err(|_| Refusal::bad_signature("the signature is not base64"))
    }

    /// Admits the delivery of a body whose signature holds, with its headers, received at `received_at` (RFC 3339 UTC). `body` gives a
    /// copy of it; the delivery is without.
    ///
    /// # Errors
    /// [`Refusal`]: 404 shop, 415 topic, 400 a header that is missing or too long, 422 a request about privacy of another shop.
    pub fn admit(
        &self,
        body: impl Fn() -> Vec<u8>,
        header_value: impl Fn(&str) -> Option<String>,
        received_at: String,
    ) -> Result<Delivery, Refusal> {
        let find = |name| find(&header_value, name);
        let require = |name: &'static str| {
            find(name).ok_or_else(|| Refusal::new(400, "missing_header", format!("{name} is missing")))
        };
        let shop_domain = require(header::SHOP_DOMAIN)?.to_ascii_lowercase();
        let of = |webhook_id, topic, shop_domain| Delivery {
            webhook_id,
            topic,
            shop_domain,
            triggered_at: find(header::TRIGGERED_AT),
            api_version: find(header::API_VERSION),
            received_at,
            source: None,
            body: String::new(),
        };
        if !self.shops.contains(&shop_domain) {
            let refusal = Refusal::new(404, "unknown_shop", "this shop is not registered here");
            // Requests about privacy are owed an answer also when the shop is not taken any more: `shop/redact` comes two days
            // after the app is gone.
            let named = find(header::WEBHOOK_ID).zip(find(header::TOPIC));
            let owed = named.filter(|(_, topic)| is_about_privacy(topic) && !is_foreign(topic, &body(), &shop_domain));
            let Some((webhook_id, topic)) = owed else {
                return Err(refusal);
            };
            let mut delivery = of(webhook_id, topic, shop_domain);
            shorten(&mut delivery);
            return Err(refusal.keeping(delivery, Body::from_bytes(&body())));
        }
        let topic = require(header::TOPIC)?;
        if !is_supported(&topic) {
            return Err(Refusal::new(415, "unsupported_topic", "weir does not take this topic"));
        }
        let mut delivery = of(require(header::WEBHOOK_ID)?, topic, shop_domain);
        let too_long = shorten(&mut delivery);
        // Before all else that keeps it, for what is kept for another reason can be replayed.
        let is_other = is_about_privacy(&delivery.topic) && is_foreign(&delivery.topic, &body(), &delivery.shop_domain);
        let refusal = if is_other {
            let detail = format!("shop_domain of the body is not the shop in {}", header::SHOP_DOMAIN);
            Refusal::new(422, OTHER_SHOP, detail)
        } else if let Some(detail) = too_long {
            Refusal::new(400, "header_too_long", detail)
        } else {
            return Ok(delivery);
        };
        Err(refusal.keeping(delivery, Body::from_bytes(&body())))
    }
}

/// The value of header `name`, in either form of the name; `None` when it is absent or blank.
fn find(header_value: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let value = header_value(name).or_else(|| header_value(header::without_prefix(name)))?;
    let trimmed = value.trim();
    match trimmed.len() {
        0 => None,
        length if length == value.len() => Some(value),
        _ => Some(trimmed.to_owned()),
    }
}

/// Makes of `delivery` one that can be kept and replayed, if one of its headers is too long, and says which. A long id becomes
/// a digest of itself, so that the same delivery is the same again; the others are left out.
fn shorten(delivery: &mut Delivery) -> Option<String> {
    let too_long = |name: &str, limit: usize| Some(format!("{name} is longer than {limit} bytes"));
    let mut detail = None;
    for (name, value) in [
        (header::API_VERSION, &mut delivery.api_version),
        (header::TRIGGERED_AT, &mut delivery.triggered_at),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
            *value = None;
            detail = too_long(name, MAX_VALUE_BYTES);
        }
    }
    if delivery.webhook_id.len() > MAX_WEBHOOK_ID_BYTES {
        delivery.webhook_id = event_id(&delivery.shop_domain, &delivery.topic, &delivery.webhook_id, "too long");
        detail = too_long(header::WEBHOOK_ID, MAX_WEBHOOK_ID_BYTES);
    }
    detail
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use base64::Engine as _;
    use hmac::{Hmac, Mac};
    use proptest::prelude::*;

    use super::*;
    use crate::quarantine::QuarantineRecord;

    const BODY: &[u8] = br#"{"id": 820982911946154508, "note": "a\u0000b"}"#;

    fn sign(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn admission() -> Admission {
        Admission {
            secrets: vec!["new".into(), "old".into()],
            shops: vec!["demo.myshopify.com".into()],
            max_body_bytes: 1000,
        }
    }

    fn headers(body: &[u8]) -> Vec<(&'static str, String)> {
        vec![
            (header::TOPIC, "orders/create".into()),
            (header::HMAC_SHA256, sign("new", body)),
            (header::SHOP_DOMAIN, "Demo.myshopify.com".into()),
            (header::WEBHOOK_ID, "w-1".into()),
            (header::TRIGGERED_AT, "2026-11-24T10:00:00Z".into()),
            (header::API_VERSION, "2026-10".into()),
        ]
    }

    fn admit(body: &[u8], headers: &[(&'static str, String)]) -> Result<Delivery, Refusal> {
        let find = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        let admission = admission();
        let signature = STANDARD.encode(admission.signature(find)?);
        if !admission.usable_secrets().any(|secret| sign(secret, body) == signature) {
            return Err(Refusal::bad_signature("the signature does not match the body"));
        }
        admission.admit(|| body.to_vec(), find, "2026-11-24T10:00:01.000Z".into())
    }

    fn changed(name: &str, value: Option<&str>) -> Result<Delivery, Refusal> {
        let mut headers = headers(BODY);
        headers.retain(|(known, _)| *known != name);
        if let Some(value) = value {
            let name = weir_header(name);
            headers.push((name, value.into()));
        }
        admit(BODY, &headers)
    }

    fn weir_header(name: &str) -> &'static str {
        headers(b"")
            .into_iter()
            .map(|(known, _)| known)
            .find(|known| *known == name)
            .expect("a known header")
    }

    #[test]
    fn a_signed_delivery_is_taken() {
        let delivery = admit(BODY, &headers(BODY)).unwrap();
        assert_eq!(delivery.body, "", "it travels as it came");
        assert_eq!(delivery.shop_domain, "demo.myshopify.com");
        assert_eq!(delivery.api_version.as_deref(), Some("2026-10"));
        assert_eq!(delivery.source, None);
    }

    #[test]
    fn the_old_secret_and_headers_without_prefix_are_accepted() {
        assert!(changed(header::HMAC_SHA256, Some(&sign("old", BODY))).is_ok());
        let bare: Vec<_> = headers(BODY)
            .into_iter()
            .map(|(name, value)| (header::without_prefix(name), value))
            .collect();
        assert!(admit(BODY, &bare).is_ok());
    }

    #[test]
    fn each_fault_has_its_status() {
        let status = |result: Result<Delivery, Refusal>| result.unwrap_err().status;
        assert_eq!(status(changed(header::HMAC_SHA256, Some(&sign("forged", BODY)))), 401);
        assert_eq!(status(changed(header::HMAC_SHA256, Some("%"))), 401);
        assert_eq!(status(changed(header::HMAC_SHA256, None)), 401);
        assert_eq!(status(changed(header::SHOP_DOMAIN, Some("other.myshopify.com"))), 404);
        assert_eq!(status(changed(header::SHOP_DOMAIN, None)), 400);
        assert_eq!(status(changed(header::TOPIC, Some("carts/update"))), 415);
        assert_eq!(status(changed(header::TOPIC, None)), 400);
        assert_eq!(status(changed(header::WEBHOOK_ID, None)), 400);
        assert_eq!(status(changed(header::WEBHOOK_ID, Some(" "))), 400);
    }

    #[test]
    fn a_header_too_long_to_be_kept_is_refused_and_the_delivery_kept_without_it() {
        for (name, limit) in [
            (header::WEBHOOK_ID, MAX_WEBHOOK_ID_BYTES),
            (header::API_VERSION, MAX_VALUE_BYTES),
            (header::TRIGGERED_AT, MAX_VALUE_BYTES),
        ] {
            assert!(changed(name, Some(&"1".repeat(limit))).is_ok(), "{name}");
            let refusal = changed(name, Some(&"1".repeat(limit + 1))).unwrap_err();
            assert_eq!((refusal.status, refusal.reason), (400, "header_too_long"));
            assert!(refusal.detail.starts_with(name), "{}", refusal.detail);
            let (mut kept, body) = *refusal.keep.unwrap();
            assert_eq!(body, Body::from_bytes(BODY));
            assert_eq!(shorten(&mut kept), None);
        }
        let id = |text: &str| {
            changed(header::WEBHOOK_ID, Some(text))
                .unwrap_err()
                .keep
                .unwrap()
                .0
                .webhook_id
        };
        let long = "w".repeat(200);
        assert_eq!(id(&long), id(&long));
        assert_ne!(id(&long), id(&format!("{long}x")));
        for (name, status) in [(header::TOPIC, 415), (header::SHOP_DOMAIN, 404)] {
            assert_eq!(changed(name, Some(&long)).unwrap_err().status, status);
        }
    }

    #[test]
    fn without_a_secret_shopify_is_told_to_come_back() {
        let admission = Admission {
            secrets: vec![String::new()],
            ..admission()
        };
        let refusal = admission.signature(|_| Some(sign("", BODY))).unwrap_err();
        assert_eq!(refusal.status, 503);
        assert_eq!(admission.usable_secrets().count(), 0);
    }

    #[test]
    fn a_signed_body_is_taken_whatever_it_is() {
        for body in [&b"{\"id\": 1,\n x}"[..], b"", b"{} {}", b"{\"a\":\"\xff\"}"] {
            assert!(admit(body, &headers(body)).is_ok());
        }
    }

    #[test]
    fn a_request_about_privacy_says_itself_whose_it_is() {
        let admit_as = |webhook_id: &str, topic: &str, body: &str| {
            let mut headers = headers(body.as_bytes());
            headers[0].1 = topic.into();
            headers[3].1 = webhook_id.into();
            admit(body.as_bytes(), &headers)
        };
        let admit = |topic: &str, body: &str| admit_as("w-1", topic, body);
        let long = "w".repeat(MAX_WEBHOOK_ID_BYTES + 1);
        for topic in ["shop/redact", "customers/redact", "customers/data_request"] {
            assert!(admit(topic, r#"{"shop_id": 1, "shop_domain": "demo.myshopify.com"}"#).is_ok());
            for other in [
                r#"{"id": 1, "customer": {"id": 2}}"#,
                r#"{"shop_domain": "other.myshopify.com"}"#,
                "1",
                "not JSON",
            ] {
                for webhook_id in ["w-1", &long] {
                    let refusal = admit_as(webhook_id, topic, other).unwrap_err();
                    assert_eq!((refusal.status, refusal.reason), (422, OTHER_SHOP), "{topic} {other}");
                    let (delivery, body) = *refusal.keep.unwrap();
                    assert!(delivery.webhook_id.len() <= MAX_WEBHOOK_ID_BYTES);
                    // Also under the reason that an earlier deployment gave it.
                    for reason in [OTHER_SHOP, "header_too_long"] {
                        let at = "2026-11-24T10:00:02.000Z".to_owned();
                        let record = QuarantineRecord::new(delivery.clone(), reason, "", at).with_body(body.clone());
                        assert!(!record.delivery.body.contains("other"), "{}", record.delivery.body);
                        assert!(record.into_replay().is_err(), "it would be carried out");
                    }
                }
            }
            let refusal = admit_as(&long, topic, r#"{"shop_domain": "Demo.myshopify.com"}"#).unwrap_err();
            assert_eq!((refusal.status, refusal.reason), (400, "header_too_long"));
            let (delivery, body) = *refusal.keep.unwrap();
            let record = QuarantineRecord::new(delivery, refusal.reason, "", String::new()).with_body(body);
            assert!(record.into_replay().is_ok(), "its numbers say still whose it is");
        }
        assert!(admit("orders/create", r#"{"id": 1}"#).is_ok());
    }

    #[test]
    fn of_a_shop_that_is_not_taken_requests_about_privacy_are_kept() {
        let kept = |topic: &str, shop: &str, body: &str| {
            let mut headers = headers(body.as_bytes());
            headers[0].1 = topic.into();
            headers[2].1 = shop.into();
            let refusal = admit(body.as_bytes(), &headers).unwrap_err();
            assert_eq!((refusal.status, refusal.reason), (404, "unknown_shop"));
            refusal.keep.map(|kept| kept.0)
        };
        let body = r#"{"shop_id": 1, "shop_domain": "gone.myshopify.com"}"#;
        for topic in ["shop/redact", "customers/redact", "customers/data_request"] {
            let delivery = kept(topic, "Gone.myshopify.com", body).unwrap();
            assert_eq!((delivery.webhook_id.as_str(), delivery.topic.as_str()), ("w-1", topic));
        }
        assert_eq!(
            kept("shop/redact", "other.myshopify.com", body),
            None,
            "another shop's body"
        );
        assert_eq!(kept("orders/create", "gone.myshopify.com", body), None);
        assert_eq!(kept("shop/redact", "gone.myshopify.com", "{}"), None);
    }

    #[test]
    fn an_unsigned_delivery_is_never_kept() {
        let refusal = changed(header::HMAC_SHA256, Some(&sign("forged", BODY))).unwrap_err();
        assert_eq!(refusal.keep, None);
    }

    proptest! {
        #[test]
        fn no_made_up_signature_is_accepted(
            header in prop_oneof![any::<String>(), "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", Just(sign("forged", BODY))],
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut headers = headers(&body);
            headers[1].1 = header;
            let refusal = admit(&body, &headers).unwrap_err();
            prop_assert_eq!((refusal.status, refusal.keep), (401, None));
        }

        #[test]
        fn whatever_a_signed_delivery_says_is_taken_or_refused_with_a_reason(
            values in prop::collection::vec(prop::option::of(any::<String>()), 4),
            body in prop_oneof![Just(BODY.to_vec()), prop::collection::vec(any::<u8>(), 0..200)],
        ) {
            let mut headers = headers(&body);
            for ((_, value), other) in headers.iter_mut().skip(2).zip(values) {
                if let Some(other) = other {
                    *value = other;
                }
            }
            match admit(&body, &headers) {
                Ok(delivery) => {
                    prop_assert!(delivery.webhook_id.len() <= MAX_WEBHOOK_ID_BYTES);
                }
                Err(refusal) => {
                    prop_assert!((400..500).contains(&refusal.status));
                    prop_assert!(!refusal.reason.is_empty() && !refusal.detail.is_empty());
                }
            }
        }
    }
}
