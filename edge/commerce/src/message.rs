//! What travels on the queue: a line of JSON, and the body after it as Shopify sent it, so that nobody quotes it or reads it
//! quoted.

use serde::{Deserialize, Serialize};
use weir_domain::webhook::Delivery;
use weir_edge_shared::leading::leading;
use weir_edge_shared::object_key::{plain, MAX_PART_CHARS};

use crate::redaction::Progress;

/// Most bytes of a body in a message. A queue holds 128 KB a message, of which some is metadata; the headers beside the body are
/// short, or refused at the door.
pub const MAX_BODY_BYTES: usize = 100_000;

/// Most bytes of bodies that one part of a batch holds in memory. Text, statement and answer exist at once: seven times the bodies were
/// measured (72 MB of 10). An isolate has 128 MB for all its invocations, and five batches are consumed at once (wrangler.jsonc). A
/// single body of more, which `MAX_BODY_BYTES` may allow, goes alone.
pub const MAX_BATCH_BODY_BYTES: usize = 2_500_000;

/// Where large bodies lie in R2.
pub const BODIES: &str = "bodies/";

/// Name of an R2 object's metadata that has the delivery whose body it is, without the body.
pub const DELIVERY_METADATA: &str = "delivery";

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMessage {
    /// The delivery; its body is empty when it lies in R2.
    pub delivery: Delivery,
    /// R2 key of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_key: Option<String>,
    /// Size of the body in bytes, wherever it is.
    pub body_bytes: usize,
    /// How often it was replayed from the quarantine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replays: u32,
    /// How far forgetting has come, of a request to forget that takes several runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Progress>,
}

impl QueueMessage {
    /// The message of `delivery`, replayed `replays` times, whose body of so many bytes travels behind it.
    #[must_use]
    pub fn before(delivery: Delivery, body_bytes: usize, replays: u32) -> Self {
        Self {
            delivery,
            body_key: None,
            body_bytes,
            replays,
            redaction: None,
        }
    }

    /// What travels.
    ///
    /// # Errors
    /// When it does not serialise, which a message does.
    pub fn encode(mut self) -> serde_json::Result<Encoded> {
        let body = std::mem::take(&mut self.delivery.body).into_bytes();
        let line = self.line()?;
        Ok(Encoded { line, body })
    }

    /// What travels of a message whose body is beside it.
    ///
    /// # Errors
    /// As [`QueueMessage::encode`].
    pub fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The message in `bytes`, a line and the body behind its end. Earlier deployments sent JSON alone, with the body in it.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let mut message: Self = serde_json::from_slice(line).map_err(|_| Unreadable::Foreign)?;
        let Some(end) = end else { return Ok(message) };
        match text(bytes[end + 1..].to_vec()) {
            Ok(body) => message.delivery.body = body,
            Err(body) => return Err(Unreadable::NotText(Box::new(message), body)),
        }
        Ok(message)
    }
}

/// What is in the place of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Something that is none of ours.
    Foreign,
    /// A message without its body, which is no text.
    NotText(Box<QueueMessage>, NotText),
}

/// A body that is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// Where it ends to be text.
    pub detail: String,
    /// The body.
    pub bytes: Vec<u8>,
}

/// The text that `bytes` are.
///
/// # Errors
/// [`NotText`]
pub fn text(bytes: Vec<u8>) -> Result<String, NotText> {
    String::from_utf8(bytes).map_err(|error| NotText {
        detail: format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        bytes: error.into_bytes(),
    })
}

/// A message as it travels: a line of JSON, and the body behind its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// All but the body, JSON.
    pub line: String,
    /// The body as Shopify sent it; empty when it lies in R2.
    pub body: Vec<u8>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde calls
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A delivery ready to be handed over: put the object first, if there is one, then send the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// The queue message.
    pub message: Encoded,
    /// The R2 object of a large body.
    pub object: Option<BodyObject>,
}

/// A large body on its way to R2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyObject {
    /// R2 key.
    pub key: String,
    /// The body.
    pub body: Vec<u8>,
    /// The rest of the delivery, JSON: what lies in the bucket says for itself what it is of.
    pub delivery: String,
}

impl HandOver {
    /// Packs `delivery`, replayed `replays` times, with the body in the message when it fits.
    ///
    /// # Errors
    /// When it does not serialise, which a delivery does.
    pub fn pack(mut delivery: Delivery, replays: u32) -> serde_json::Result<Self> {
        let body = std::mem::take(&mut delivery.body).into_bytes();
        Self::of(delivery, body, replays)
    }

    /// The same of a `delivery` whose `body` is beside it.
    ///
    /// # Errors
    /// As [`HandOver::pack`].
    pub fn of(delivery: Delivery, body: Vec<u8>, replays: u32) -> serde_json::Result<Self> {
        let mut message = QueueMessage::before(delivery, body.len(), replays);
        if message.body_bytes <= MAX_BODY_BYTES {
            let line = message.line()?;
            return Ok(Self {
                message: Encoded { line, body },
                object: None,
            });
        }
        let key = object_key(BODIES.trim_end_matches('/'), &message.delivery, "json");
        let delivery = serde_json::to_string(&message.delivery)?;
        message.body_key = Some(key.clone());
        Ok(Self {
            message: message.encode()?,
            object: Some(BodyObject { key, body, delivery }),
        })
    }
}

/// R2 key `{room}/{date}/{shop}/{topic}/{webhook_id}.{extension}`; a retry by Shopify on the same day overwrites its own object,
/// and no other topic's: a delivery is the same one by shop, topic and id together.
#[must_use]
pub fn object_key(room: &str, delivery: &Delivery, extension: &str) -> String {
    let date = delivery.received_at.get(..10).unwrap_or("undated");
    let [date, shop, topic, id] =
        [date, &delivery.shop_domain, &delivery.topic, &delivery.webhook_id].map(|part| plain(part, MAX_PART_CHARS));
    format!("{room}/{date}/{shop}/{topic}/{id}.{extension}")
}

/// How many leading messages fit one batch's memory; at least one.
#[must_use]
pub fn fitting(body_bytes: impl IntoIterator<Item = usize>) -> usize {
    leading(body_bytes, MAX_BATCH_BODY_BYTES)
}

/// The text of a message of the tests.
#[cfg(test)]
pub fn text_of(Encoded { line, body }: &Encoded) -> String {
    format!("{line}\n{}", std::str::from_utf8(body).unwrap())
}

/// A delivery of the tests.
#[cfg(test)]
pub fn delivery(webhook_id: &str, topic: &str, body: &str) -> Delivery {
    Delivery {
        webhook_id: webhook_id.into(),
        topic: topic.into(),
        shop_domain: "demo.myshopify.com".into(),
        triggered_at: None,
        api_version: None,
        received_at: "2026-11-24T10:00:00.000Z".into(),
        source: None,
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(body: String) -> Delivery {
        super::delivery("../w 1", "orders/create", &body)
    }

    #[test]
    fn a_small_body_travels_in_the_message() {
        let packed = HandOver::pack(delivery("{}".into()), 0).unwrap();
        assert_eq!(packed.object, None);
        let message = QueueMessage::decode(text_of(&packed.message).as_bytes()).unwrap();
        assert_eq!((message.delivery, message.body_bytes), (delivery("{}".into()), 2));
    }

    #[test]
    fn a_body_travels_as_it_is() {
        for body in ["", "{}\n", "\n\n\r\n", "{\"a\":\n\"é\\u0000\"}"] {
            let packed = HandOver::pack(delivery(body.into()), 3).unwrap();
            let text = text_of(&packed.message);
            assert!(text.ends_with(body));
            let message = QueueMessage::decode(text.as_bytes()).unwrap();
            assert_eq!((message.delivery, message.replays), (delivery(body.into()), 3));
        }
    }

    #[test]
    fn a_message_of_an_earlier_deployment_is_read_and_no_other() {
        let message = QueueMessage {
            delivery: delivery("{\"a\":\n1}".into()),
            body_key: None,
            body_bytes: 8,
            replays: 1,
            redaction: None,
        };
        let earlier = serde_json::to_string(&message).unwrap();
        assert_eq!(QueueMessage::decode(earlier.as_bytes()), Ok(message));
        for other in ["", "not one of ours", "{}", "{}\n{}", "\n"] {
            assert_eq!(
                QueueMessage::decode(other.as_bytes()),
                Err(Unreadable::Foreign),
                "{other:?}"
            );
        }
        assert_eq!(QueueMessage::decode(b"{\"a\": \"\xff\"}"), Err(Unreadable::Foreign));
    }

    #[test]
    fn a_body_that_is_no_text_is_told_with_its_delivery() {
        let body = b"{\"a\":\"\xff\"}".to_vec();
        let Encoded { line, body: behind } = HandOver::of(delivery(String::new()), body.clone(), 2).unwrap().message;
        let bytes = [line.as_bytes(), b"\n", &behind].concat();
        let Err(Unreadable::NotText(message, not_text)) = QueueMessage::decode(&bytes) else {
            panic!("it is no text");
        };
        assert_eq!((message.delivery, message.replays), (delivery(String::new()), 2));
        assert_eq!(
            (not_text.detail.as_str(), not_text.bytes),
            ("not UTF-8 at byte 6", body)
        );
    }

    #[test]
    fn a_large_body_goes_to_r2_under_a_harmless_key() {
        let body = format!("\"{}\"", "é".repeat(60_000));
        let packed = HandOver::pack(delivery(body.clone()), 0).unwrap();
        let text = text_of(&packed.message);
        assert!(text.len() < 1000);
        let object = packed.object.unwrap();
        let key = object.key;
        assert_eq!(key, "bodies/2026-11-24/demo.myshopify.com/orders_create/.._w_1.json");
        assert_eq!(object.body, body.as_bytes());
        let described: Delivery = serde_json::from_str(&object.delivery).unwrap();
        assert_eq!(described, delivery(String::new()));
        let message = QueueMessage::decode(text.as_bytes()).unwrap();
        assert_eq!((message.body_key, message.body_bytes), (Some(key), body.len()));
    }

    #[test]
    fn a_batch_takes_what_fits_and_never_nothing() {
        assert_eq!(fitting([1, 2, 3]), 3);
        assert_eq!(fitting([MAX_BATCH_BODY_BYTES, 1]), 1);
        assert_eq!(fitting([MAX_BATCH_BODY_BYTES + 1, 1]), 1);
    }
}
