//! What is kept of a message that cannot be taken: everything needed to repair and replay it.
//!
//! Refused requests are not kept: their sender has the verdicts, and a bucket that anybody can fill is no quarantine.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_edge_shared::counters::Counters;
use weir_edge_shared::internal::PREFIX;
use weir_edge_shared::object_key;

use crate::message::Message;

/// The verdict under which an event is counted that is kept here.
const QUARANTINED: &str = "quarantined";

/// One object of the quarantine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// Reason class: those of verdicts, and `retries_exhausted`, `unreadable_message`, `database_refused`.
    pub reason: String,
    /// What and where.
    pub detail: String,
    /// When it was put here, RFC 3339 UTC.
    pub quarantined_at: String,
    /// The queue's id of the message.
    pub message_id: String,
    /// The message, ready to be sent again; absent when it could not be read.
    pub message: Option<Message>,
    /// The text of an unreadable message, as far as it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its bytes, where the text does not give them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl QuarantineRecord {
    /// Where it is kept: `quarantine/{day}/{shop}/{first event id}.interaction.json`, of rows `.rows-{message id}.json`, and after
    /// replays `.replay-{n}.json`.
    ///
    /// One event comes as both: PostgreSQL records the interaction, and the stream wants its row. Rows come in more than one message,
    /// with others beside them each time. A replay that fails again must not come to lie where the replayed record is about to be removed.
    #[must_use]
    pub fn key(&self) -> String {
        let plain = |text: &str| object_key::plain(text, object_key::MAX_PART_CHARS);
        let day = plain(self.quarantined_at.get(..10).unwrap_or("undated"));
        let of = |name: &str| {
            self.first_event()
                .and_then(|event| event.get(name))
                .and_then(Value::as_str)
        };
        let shop = plain(of("shop_domain").unwrap_or("unknown"));
        let message = plain(&self.message_id);
        let name = match (of("event_id").map(plain), &self.message) {
            (Some(event), Some(Message::Rows { .. })) => format!("{event}.rows-{message}"),
            (Some(event), _) => format!("{event}.interaction"),
            (None, _) => format!("message-{message}"),
        };
        let replays = match self.replays() {
            0 => String::new(),
            replays => format!(".replay-{replays}"),
        };
        format!("{PREFIX}{day}/{shop}/{name}{replays}.json")
    }

    /// What a listing shows of it.
    #[must_use]
    pub fn metadata(&self) -> [(&'static str, String); 5] {
        let of = |name: &str| {
            let event = self.first_event().and_then(|event| event.get(name));
            event.and_then(Value::as_str).unwrap_or("unknown").to_owned()
        };
        // Under the names that commerce's quarantine has, so that one command lists both.
        [
            ("reason", self.reason.clone()),
            ("webhook_id", of("event_id")),
            ("topic", format!("interactions/{}", of("event_type"))),
            ("shop_domain", of("shop_domain")),
            ("quarantined_at", self.quarantined_at.clone()),
        ]
    }

    /// Counts what is kept: each event under its type and the reason, and a message that could not be read as one of nobody's.
    pub fn count(&self, counters: &mut Counters) {
        let events = match &self.message {
            Some(Message::Interaction { event, .. }) => std::slice::from_ref(event),
            Some(Message::Rows { rows, .. }) => rows,
            None => return counters.count("unknown", &["", QUARANTINED, &self.reason], &[]),
        };
        for event in events {
            let of = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            counters.count(of("shop_domain"), &[of("event_type"), QUARANTINED, &self.reason], &[]);
        }
    }

    /// The message that replays it.
    ///
    /// # Errors
    /// Why it cannot be replayed.
    pub fn into_replay(self) -> Result<Message, &'static str> {
        // A newer deployment may have sent to an older one what that could not read.
        let read_again = || serde_json::from_str(self.text.as_deref()?).ok();
        match self.message.or_else(read_again) {
            Some(Message::Interaction { event, replays }) => Ok(Message::Interaction {
                event,
                replays: replays.saturating_add(1),
            }),
            Some(Message::Rows { rows, replays }) => Ok(Message::Rows {
                rows,
                replays: replays.saturating_add(1),
            }),
            None => Err("it is a queue message that is not one of ours"),
        }
    }

    fn first_event(&self) -> Option<&Value> {
        match self.message.as_ref()? {
            Message::Interaction { event, .. } => Some(event),
            Message::Rows { rows, .. } => rows.first(),
        }
    }

    fn replays(&self) -> u32 {
        match self.message {
            Some(Message::Interaction { replays, .. } | Message::Rows { replays, .. }) => replays,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(message: Option<Message>) -> QuarantineRecord {
        QuarantineRecord {
            reason: "missing_field".into(),
            detail: String::new(),
            quarantined_at: "2026-11-24T10:00:00.000Z".into(),
            message_id: "m/1".into(),
            message,
            text: None,
            base64: None,
        }
    }

    #[test]
    fn a_replay_is_the_message_and_has_a_key_of_its_own() {
        let event = json!({"event_id": "e-1", "event_type": "conversion", "shop_domain": "demo.myshopify.com"});
        let first = record(Some(Message::Interaction { event, replays: 0 }));
        assert_eq!(
            first.key(),
            "quarantine/2026-11-24/demo.myshopify.com/e-1.interaction.json"
        );
        assert_eq!(first.metadata()[2].1, "interactions/conversion");
        let again = record(Some(first.into_replay().unwrap()));
        assert_eq!(
            again.key(),
            "quarantine/2026-11-24/demo.myshopify.com/e-1.interaction.replay-1.json"
        );
        let text = serde_json::to_string(&again).unwrap();
        assert_eq!(serde_json::from_str::<QuarantineRecord>(&text).unwrap(), again);
    }

    #[test]
    fn an_event_that_comes_in_several_messages_is_kept_of_each() {
        let event = json!({"event_id": "e-1", "shop_domain": "demo.myshopify.com"});
        let rows = |message_id: &str| {
            let rows = vec![event.clone()];
            let message_id = message_id.to_owned();
            QuarantineRecord {
                message_id,
                ..record(Some(Message::Rows { rows, replays: 2 }))
            }
        };
        let (first, second) = (rows("m/1").key(), rows("m/2").key());
        let of_shop = "quarantine/2026-11-24/demo.myshopify.com/";
        assert_eq!(first, format!("{of_shop}e-1.rows-m_1.replay-2.json"));
        assert_eq!(second, format!("{of_shop}e-1.rows-m_2.replay-2.json"));
        let event = event.clone();
        let interaction = record(Some(Message::Interaction { event, replays: 2 }));
        assert_eq!(interaction.key(), format!("{of_shop}e-1.interaction.replay-2.json"));
    }

    #[test]
    fn an_unreadable_message_is_replayed_once_it_can_be_read() {
        let mut unreadable = record(None);
        assert_eq!(unreadable.key(), "quarantine/2026-11-24/unknown/message-m_1.json");
        for text in [
            None,
            Some(""),
            Some("not one of ours"),
            Some(r#"{"kind": "of tomorrow"}"#),
        ] {
            unreadable.text = text.map(str::to_owned);
            assert!(unreadable.clone().into_replay().is_err(), "{text:?}");
        }
        unreadable.text = Some(r#"{"kind": "rows", "rows": [{"event_id": "e-1"}]}"#.to_owned());
        let rows = vec![json!({"event_id": "e-1"})];
        assert_eq!(unreadable.into_replay(), Ok(Message::Rows { rows, replays: 1 }));
    }
}
