//! Whether a delivery is taken, decided from bytes and headers alone.
//!
//! Nothing of the body is trusted or even parsed before the signature holds.

use weir_domain::webhook::{header, is_supported, verify_hmac, Delivery, SignatureError};

use crate::quarantine::Body;

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
    /// Set when Shopify really sent this (the signature holds) but it cannot be processed: kept before answering.
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

    /// 413 for a body of more than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "too_large", format!("the body is larger than {limit} bytes"))
    }
}

impl Admission {
    /// Admits `body` with the headers that `header_value` looks up (by name, without regard to case), received at
    /// `received_at` (RFC 3339 UTC).
    ///
    /// # Errors
    /// [`Refusal`]: 413 size, 401 signature, 404 shop, 415 topic, 400 missing header, 422 not JSON, 503 no secret.
    pub fn admit(
        &self,
        body: &[u8],
        header_value: impl Fn(&str) -> Option<String>,
        received_at: String,
    ) -> Result<Delivery, Refusal> {
        let find = |name: &str| {
            header_value(name)
                .or_else(|| header_value(header::without_prefix(name)))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        if body.len() > self.max_body_bytes {
            return Err(Refusal::too_large(self.max_body_bytes));
        }
        self.check_signature(body, find(header::HMAC_SHA256))?;

        let require = |name: &'static str| {
            find(name).ok_or_else(|| Refusal::new(400, "missing_header", format!("{name} is missing")))
        };
        let shop_domain = require(header::SHOP_DOMAIN)?.to_ascii_lowercase();
        if !self.shops.contains(&shop_domain) {
            return Err(Refusal::new(404, "unknown_shop", "this shop is not registered here"));
        }
        let topic = require(header::TOPIC)?;
        if !is_supported(&topic) {
            return Err(Refusal::new(415, "unsupported_topic", "weir does not take this topic"));
        }
        let mut delivery = Delivery {
            webhook_id: require(header::WEBHOOK_ID)?,
            topic,
            shop_domain,
            triggered_at: find(header::TRIGGERED_AT),
            api_version: find(header::API_VERSION),
            received_at,
            source: None,
            body: String::new(),
        };
        match text_of(body) {
            Ok(text) => {
                delivery.body = text;
                Ok(delivery)
            }
            Err(detail) => Err(Refusal {
                keep: Some(Box::new((delivery, Body::from_bytes(body)))),
                ..Refusal::new(422, "parse_failure", detail)
            }),
        }
    }

    fn check_signature(&self, body: &[u8], signature: Option<String>) -> Result<(), Refusal> {
        let signature = signature
            .ok_or_else(|| Refusal::new(401, "missing_signature", format!("{} is missing", header::HMAC_SHA256)))?;
        let secrets: Vec<&[u8]> = self.secrets.iter().map(String::as_bytes).collect();
        verify_hmac(body, &signature, &secrets).map_err(|error| match error {
            // Ours to repair, not Shopify's: 503 makes Shopify deliver again.
            SignatureError::NoSecret => Refusal::new(503, "not_configured", "the receiver is not configured"),
            SignatureError::Malformed | SignatureError::Mismatch => {
                Refusal::new(401, "bad_signature", error.to_string())
            }
        })
    }
}

/// The body as text, provided that it is one JSON value. Its bytes are kept as they are.
fn text_of(body: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| format!("not JSON at line {} column {}", error.line(), error.column()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use base64::Engine as _;
    use hmac::{Hmac, Mac};

    use super::*;

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
        admission().admit(body, find, "2026-11-24T10:00:01.000Z".into())
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
    fn a_signed_delivery_is_taken_with_its_exact_body() {
        let delivery = admit(BODY, &headers(BODY)).unwrap();
        assert_eq!(delivery.body.as_bytes(), BODY);
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
        let large = vec![b' '; 1001];
        assert_eq!(status(admit(&large, &headers(&large))), 413);
    }

    #[test]
    fn without_a_secret_shopify_is_told_to_come_back() {
        let admission = Admission {
            secrets: vec![String::new()],
            ..admission()
        };
        let refusal = admission
            .admit(BODY, |_| Some(sign("", BODY)), String::new())
            .unwrap_err();
        assert_eq!(refusal.status, 503);
    }

    #[test]
    fn a_signed_body_that_is_not_json_is_kept_and_its_place_named() {
        for (body, place) in [
            (&b"{\"id\": 1,\n x}"[..], "line 2 column 2"),
            (b"", "line 1 column 0"),
            (b"{} {}", "line 1 column 4"),
            (b"{\"a\":\"\xff\"}", "byte 6"),
        ] {
            let refusal = admit(body, &headers(body)).unwrap_err();
            assert_eq!((refusal.status, refusal.reason), (422, "parse_failure"));
            assert!(refusal.detail.contains(place), "{}", refusal.detail);
            let (delivery, kept) = *refusal.keep.unwrap();
            assert_eq!(delivery.webhook_id, "w-1");
            assert_eq!(kept, Body::from_bytes(body));
        }
    }

    #[test]
    fn an_unsigned_delivery_is_never_kept() {
        let refusal = changed(header::HMAC_SHA256, Some(&sign("forged", BODY))).unwrap_err();
        assert_eq!(refusal.keep, None);
    }
}
