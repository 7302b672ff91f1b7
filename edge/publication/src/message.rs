//! What travels on the queue: JSON text (a structured value would arrive as an empty JavaScript object).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_edge_shared::leading::leading;
use weir_edge_shared::stream::batches;

use crate::prepare::Row;

/// Most bytes of a message. A queue holds 128 KB a message, of which some is metadata.
pub const MAX_MESSAGE_BYTES: usize = 100_000;

/// Most messages of one `sendBatch` (Cloudflare's "Queues limits", as the next one).
const MAX_BATCH_MESSAGES: usize = 100;
/// Most bytes of all of them: 256 KB, of which some is metadata.
const MAX_BATCH_BYTES: usize = 240_000;

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// An event for `weir.record_interactions`.
    Interaction {
        /// The event.
        event: Value,
        /// How often it was replayed from the quarantine.
        #[serde(default)]
        replays: u32,
    },
    /// Rows that the stream did not take when they came; each is valid under its schema.
    Rows {
        /// The rows.
        rows: Vec<Value>,
        /// How often they were replayed from the quarantine.
        #[serde(default)]
        replays: u32,
    },
}

impl Message {
    /// The same in parts of a shop each, in the order in which the shops come.
    #[must_use]
    pub fn by_shop(self) -> Vec<Self> {
        let Self::Rows { rows, replays } = self else {
            return vec![self];
        };
        let mut shops: Vec<(Value, Vec<Value>)> = Vec::new();
        for row in rows {
            let shop = row["shop_domain"].clone();
            match shops.iter_mut().find(|(known, _)| *known == shop) {
                Some((_, rows)) => rows.push(row),
                None => shops.push((shop, vec![row])),
            }
        }
        let parts = shops.into_iter().map(|(_, rows)| Self::Rows { rows, replays });
        parts.collect()
    }
}

/// Where messages go: the queue binding in the Worker, a fault-injecting fake in tests.
pub trait MessageSender {
    /// Sends all `messages`; returns when they are durable.
    ///
    /// # Errors
    /// When it is not known that all are. Sending again is safe: event ids are deterministic.
    fn send(&self, messages: &[String]) -> impl std::future::Future<Output = Result<(), String>>;
}

/// One message for each of `rows` that PostgreSQL keeps: one that is refused there is quarantined alone.
#[must_use]
pub fn interactions(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .filter(|row| row.kind.is_domain_level())
        .map(|row| format!(r#"{{"kind":"interaction","event":{}}}"#, row.text))
        .collect()
}

/// `rows` in as few messages as hold them.
#[must_use]
pub fn rows(rows: &[Row]) -> Vec<String> {
    let texts: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
    batches(&texts, MAX_MESSAGE_BYTES)
        .into_iter()
        .map(|batch| format!(r#"{{"kind":"rows","rows":{batch}}}"#))
        .collect()
}

/// `messages` in batches that the queue takes at once.
#[must_use]
pub fn sendable(messages: &[String]) -> Vec<&[String]> {
    let (mut parts, mut rest) = (Vec::new(), messages);
    while !rest.is_empty() {
        let bytes = rest.iter().take(MAX_BATCH_MESSAGES).map(String::len);
        let (part, others) = rest.split_at(leading(bytes, MAX_BATCH_BYTES));
        parts.push(part);
        rest = others;
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_domain::interaction::Kind;

    use super::*;

    fn row(kind: Kind, bytes: usize) -> Row {
        let event = json!({"event_type": kind.as_str(), "url": "x".repeat(bytes)});
        Row {
            index: 0,
            kind,
            text: event.to_string(),
            event,
        }
    }

    #[test]
    fn messages_read_back() {
        let given = [row(Kind::Click, 1), row(Kind::Conversion, 1), row(Kind::Referral, 1)];
        let texts = interactions(&given);
        assert_eq!(texts.len(), 2);
        let back: Message = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(
            back,
            Message::Interaction {
                event: given[1].event.clone(),
                replays: 0
            }
        );
        let back: Message = serde_json::from_str(&rows(&given)[0]).unwrap();
        let events = given.iter().map(|row| row.event.clone()).collect();
        assert_eq!(
            back,
            Message::Rows {
                rows: events,
                replays: 0
            }
        );
    }

    #[test]
    fn rows_of_several_shops_part_and_none_is_lost() {
        let rows = |rows: &[(&str, u8)]| Message::Rows {
            rows: rows
                .iter()
                .map(|(shop, id)| json!({"shop_domain": shop, "event_id": id}))
                .collect(),
            replays: 2,
        };
        let both = rows(&[("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(both.by_shop(), [rows(&[("a", 1), ("a", 3)]), rows(&[("b", 2)])]);
        let event = json!({"shop_domain": "a"});
        let one = Message::Interaction { event, replays: 1 };
        assert_eq!(one.clone().by_shop(), [one]);
    }

    #[test]
    fn a_message_holds_the_limit() {
        let texts = rows(&vec![row(Kind::Click, 1200); 100]);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= MAX_MESSAGE_BYTES + 32));
    }

    #[test]
    fn a_batch_holds_both_limits_and_nothing_is_lost() {
        for (count, bytes) in [(0_u8, 1), (1, MAX_BATCH_BYTES + 1), (100, 2400), (100, 2401), (250, 10)] {
            let messages: Vec<String> = (0..count)
                .map(|index| char::from(b'a' + index % 26).to_string().repeat(bytes))
                .collect();
            let parts = sendable(&messages);
            assert_eq!(parts.concat(), messages);
            for part in parts {
                let total: usize = part.iter().map(String::len).sum();
                assert!(!part.is_empty() && part.len() <= MAX_BATCH_MESSAGES);
                assert!(part.len() == 1 || total <= MAX_BATCH_BYTES, "{total}");
            }
        }
    }
}
