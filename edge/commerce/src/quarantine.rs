//! What is kept of a delivery that cannot be taken: everything needed to repair and replay it.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use weir_domain::webhook::Delivery;

use crate::kept::UNKNOWN;
use crate::message::{is_zero, object_key, QueueMessage, Unreadable};
use crate::redaction::{is_about_privacy, is_foreign, keepable};

const UNREADABLE_MESSAGE: &str = "unreadable_message";
/// Reason of what came as a request about privacy and is not of the shop by its own word.
pub const OTHER_SHOP: &str = "other_shop";
/// Why a body of bytes is not replayed.
pub const NOT_TEXT: &str = "its body is not text; Shopify sends JSON";
/// Reason of a dead letter.
pub const RETRIES_EXHAUSTED: &str = "retries_exhausted";

/// A raw body; bytes that are not text are kept as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// UTF-8 text, in the delivery itself.
    Text(String),
    /// Anything else.
    Base64(String),
}

impl Body {
    /// Keeps `bytes` exactly.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}

/// One object of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// Reason class: those of verdicts, and `retries_exhausted`, `unreadable_message`, `database_refused`.
    pub reason: String,
    /// What and where.
    pub detail: String,
    /// When it was put here, RFC 3339 UTC.
    pub quarantined_at: String,
    /// The delivery, ready to be handed over again.
    pub delivery: Delivery,
    /// The body when it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// R2 key of the body when it lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_key: Option<String>,
    /// How often it had been replayed before it came here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replays: u32,
}

impl QuarantineRecord {
    /// A record of `delivery`, whose body is in it or at `body_key`. Of a request about privacy only its numbers are kept:
    /// an address in the quarantine would outlive the request to forget it.
    #[must_use]
    pub fn new(mut delivery: Delivery, reason: &str, detail: &str, quarantined_at: String) -> Self {
        let (reason, mut detail) = (reason.to_owned(), detail.to_owned());
        if let Some(numbers) = keepable(&delivery.topic, &delivery.body, &delivery.shop_domain) {
            delivery.body = numbers;
            detail.push_str("; of this request its numbers alone are kept");
        }
        Self {
            reason,
            detail,
            quarantined_at,
            delivery,
            body_base64: None,
            body_key: None,
            replays: 0,
        }
    }

    /// The same of a delivery that was replayed before.
    #[must_use]
    pub fn after_replays(mut self, replays: u32) -> Self {
        self.replays = replays;
        self
    }

    /// What it says of a delivery whose body is not at hand.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.delivery.body.clear();
        self.body_base64 = None;
        self
    }

    /// The same with the raw body.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        match body {
            Body::Text(text) => {
                let Delivery { topic, shop_domain, .. } = &self.delivery;
                self.delivery.body = keepable(topic, &text, shop_domain).unwrap_or(text);
            }
            // Nothing of it can be told apart.
            Body::Base64(_) if is_about_privacy(&self.delivery.topic) => self.delivery.body.clear(),
            Body::Base64(encoded) => self.body_base64 = Some(encoded),
        }
        self
    }

    /// The body as text, lossy where it is none; empty when it lies at `body_key`.
    #[must_use]
    pub fn raw_text(&self) -> String {
        match &self.body_base64 {
            Some(encoded) => String::from_utf8_lossy(&STANDARD.decode(encoded).unwrap_or_default()).into_owned(),
            None => self.delivery.body.clone(),
        }
    }

    /// Where it is kept: `quarantine/{date of receipt}/{shop}/{topic}/{webhook_id}.json`, and after replays `.replay-{n}.json`.
    ///
    /// A replay that fails again must not come to lie where the replayed record is about to be removed.
    #[must_use]
    pub fn key(&self) -> String {
        match self.replays {
            0 => object_key("quarantine", &self.delivery, "json"),
            replays => object_key("quarantine", &self.delivery, &format!("replay-{replays}.json")),
        }
    }

    /// Whether its delivery was refused for what it is, so that it would be again: not where every attempt failed, nor where
    /// nobody could read it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !matches!(self.reason.as_str(), RETRIES_EXHAUSTED | UNREADABLE_MESSAGE)
    }

    /// What can be read of a message that a deployment could not read: a newer one may have sent it to an older one.
    fn unread(&self) -> Result<QueueMessage, Unreadable> {
        match &self.body_base64 {
            Some(encoded) => QueueMessage::decode(&STANDARD.decode(encoded).unwrap_or_default()),
            None => QueueMessage::decode(self.delivery.body.as_bytes()),
        }
    }

    /// The delivery that it is of, as far as it says so for itself: without a body that is no text. A request about privacy whose body
    /// does not bear it out is nobody's, for it may be another shop's.
    #[must_use]
    pub fn told(&self) -> Delivery {
        if self.reason != UNREADABLE_MESSAGE {
            return self.delivery.clone();
        }
        let told = match self.unread() {
            Ok(message) => not_foreign(message).ok().map(|message| message.delivery),
            Err(Unreadable::NotText(message, _)) => {
                Some(message.delivery).filter(|told| !is_about_privacy(&told.topic))
            }
            Err(Unreadable::Foreign) => None,
        };
        told.unwrap_or_else(|| self.delivery.clone())
    }

    /// The message that replays it, its body still at `body_key` if it has one.
    ///
    /// # Errors
    /// Why it cannot be replayed: there is nothing in it that the consumer could take.
    pub fn into_replay(self) -> Result<QueueMessage, &'static str> {
        if self.reason == UNREADABLE_MESSAGE {
            let mut message = self.unread().map_err(|unreadable| match unreadable {
                Unreadable::Foreign => "it is a queue message that is not a delivery",
                Unreadable::NotText(..) => NOT_TEXT,
            })?;
            message.replays = message.replays.max(self.replays).saturating_add(1);
            return not_foreign(message);
        }
        if self.body_base64.is_some() {
            return Err(NOT_TEXT);
        }
        let mut delivery = self.delivery;
        delivery.source = Some("replay".into());
        not_foreign(QueueMessage {
            body_bytes: delivery.body.len(),
            delivery,
            body_key: self.body_key,
            replays: self.replays.saturating_add(1),
            redaction: None,
        })
    }
}

/// `message`, unless its body is at hand and does not bear its topic out. Earlier deployments kept such bodies under other
/// reasons, and of a request's body not what says whose it is. One that lies in R2 is looked at by the consumer.
fn not_foreign(message: QueueMessage) -> Result<QueueMessage, &'static str> {
    let Delivery {
        topic,
        shop_domain,
        body,
        ..
    } = &message.delivery;
    if message.body_key.is_none() && is_foreign(topic, body.as_bytes(), shop_domain) {
        return Err(
            "its body does not name the shop, or is no request; call weir.redact_customer or weir.redact_shop if it is one",
        );
    }
    Ok(message)
}

/// A record of a queue message with `body` that is not one of ours. `id` is the queue's message id.
#[must_use]
pub fn unreadable_message(id: &str, body: Body, quarantined_at: String) -> QuarantineRecord {
    let delivery = Delivery {
        webhook_id: format!("message-{id}"),
        topic: UNKNOWN.into(),
        shop_domain: UNKNOWN.into(),
        triggered_at: None,
        api_version: None,
        received_at: quarantined_at.clone(),
        source: None,
        body: String::new(),
    };
    let detail = "the queue message is not a delivery";
    QuarantineRecord::new(delivery, UNREADABLE_MESSAGE, detail, quarantined_at).with_body(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Kept;

    fn text(text: &str) -> Body {
        Body::Text(text.into())
    }

    #[test]
    fn bytes_come_back_exactly() {
        let record = unreadable_message("1", text(""), "2026-11-24T10:00:00.000Z".into());
        let binary = record.clone().with_body(Body::from_bytes(b"\xff\x00"));
        assert_eq!(STANDARD.decode(binary.body_base64.unwrap()).unwrap(), b"\xff\x00");
        let text = record.with_body(Body::from_bytes("ü".as_bytes()));
        assert_eq!((text.delivery.body.as_str(), text.body_base64), ("ü", None));
    }

    #[test]
    fn the_key_names_day_shop_and_delivery() {
        let record = unreadable_message("1", text(""), "2026-11-24T10:00:00.000Z".into());
        assert_eq!(record.key(), "quarantine/2026-11-24/unknown/unknown/message-1.json");
        assert!(record.key().starts_with(weir_edge_shared::internal::PREFIX));
    }

    #[test]
    fn a_replay_is_the_delivery_and_has_a_key_of_its_own() {
        let mut record = unreadable_message("1", text("{}"), "2026-11-24T10:00:00.000Z".into());
        assert!(record.clone().into_replay().is_err());
        record.reason = "missing_field".into();
        assert!(record
            .clone()
            .with_body(Body::from_bytes(b"\xff"))
            .into_replay()
            .is_err());
        let message = record.clone().into_replay().unwrap();
        assert_eq!((message.replays, message.body_bytes), (1, 2));
        assert_eq!(message.delivery.source.as_deref(), Some("replay"));
        let again = QuarantineRecord::new(message.delivery, "missing_field", "", String::new()).after_replays(1);
        assert_eq!(
            again.key(),
            "quarantine/2026-11-24/unknown/unknown/message-1.replay-1.json"
        );
        assert_eq!(again.into_replay().unwrap().replays, 2);
    }

    #[test]
    fn a_message_that_only_an_older_deployment_could_not_read_is_replayed() {
        let sent = "{\"delivery\":{\"webhook_id\":\"w\",\"topic\":\"orders/create\",\"shop_domain\":\"s\",\"received_at\":\"\",\
            \"body\":\"\"},\"body_bytes\":8}\n{\"id\":1}";
        let message = unreadable_message("1", text(sent), String::new())
            .into_replay()
            .unwrap();
        assert_eq!(
            (
                message.delivery.webhook_id.as_str(),
                message.delivery.body.as_str(),
                message.replays
            ),
            ("w", "{\"id\":1}", 1)
        );
    }

    #[test]
    fn a_message_that_an_older_deployment_could_not_read_is_known_by_its_line() {
        let line = "{\"delivery\":{\"webhook_id\":\"w\",\"topic\":\"customers/update\",\"shop_domain\":\"demo.myshopify.com\",\
            \"received_at\":\"2026-11-24T09:00:00.000Z\",\"body\":\"\"},\"body_bytes\":8}\n";
        let sent = [line.as_bytes(), b"{\"id\": 7, \"name\": \"\xff\"}"].concat();
        let record = unreadable_message("1", Body::from_bytes(&sent), "2026-11-24T10:00:00.000Z".into());
        assert!(record.body_base64.is_some());
        assert_eq!(record.clone().into_replay(), Err(NOT_TEXT));
        assert_eq!(record.told().webhook_id, "w");
        let text = serde_json::to_string(&record).unwrap();
        let (kept, message) = Kept::record(&text, None);
        assert_eq!(
            (kept.topic.as_str(), kept.shop_domain.as_deref(), message),
            ("customers/update", Some("demo.myshopify.com"), None)
        );
        assert_eq!(
            crate::kept::received_millis(&text),
            crate::redaction::millis("2026-11-24T09:00:00.000Z")
        );
        let other = unreadable_message("1", Body::from_bytes(b"\xff"), "2026-11-24T10:00:00.000Z".into());
        assert_eq!(other.told(), other.delivery);
        assert_ne!(other.into_replay(), Err(NOT_TEXT));
    }

    #[test]
    fn of_a_request_about_privacy_no_contact_is_kept() {
        let mut delivery = unreadable_message("1", text(""), "2026-11-24T10:00:00.000Z".into()).delivery;
        delivery.topic = "customers/redact".into();
        delivery.body = r#"{"customer": {"email": "jane@example.com"}, "orders_to_redact": [7]}"#.into();
        let record = QuarantineRecord::new(delivery, "missing_field", "customer.id", String::new());
        assert!(record.detail.starts_with("customer.id; "));
        let broken = record
            .clone()
            .with_body(Body::from_bytes(b"{\"email\": \"jane@example.com"));
        for record in [record, broken] {
            assert!(record.clone().into_replay().is_err(), "nobody can tell whose it is");
            assert!(!serde_json::to_string(&record).unwrap().contains("jane"), "{record:?}");
        }
    }

    #[test]
    fn what_failed_is_not_refused() {
        let record = unreadable_message("1", text("x"), "2026-11-24T10:00:00.000Z".into());
        for (reason, refused) in [
            ("unknown_shop", true),
            (RETRIES_EXHAUSTED, false),
            (UNREADABLE_MESSAGE, false),
        ] {
            let reason = reason.to_owned();
            let text = serde_json::to_string(&QuarantineRecord {
                reason,
                ..record.clone()
            })
            .unwrap();
            assert_eq!(Kept::record(&text, None).0.is_refused, refused, "{text}");
        }
        assert!(!Kept::record("no record", None).0.is_refused);
    }

    #[test]
    fn a_record_reads_back() {
        let record = unreadable_message("1", text("x"), "2026-11-24T10:00:00.000Z".into()).after_replays(3);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<QuarantineRecord>(&text).unwrap(), record);
    }
}
