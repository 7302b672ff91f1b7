//! What an object of R2 holds when a person or a shop is looked for in it.

use serde_json::Value;
use weir_domain::shopify::json::Json;
use weir_domain::webhook::Delivery;

use crate::interactions::Left;
use crate::message::QueueMessage;
use crate::quarantine::QuarantineRecord;
use crate::redaction::{keepable, millis, Person, Subject};

/// In the keys of messages that nobody could read, the part that is the shop elsewhere.
pub const UNKNOWN: &str = "unknown";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// What is searched: the body of a delivery, or all of the object.
    pub text: String,
    /// What an `id` in it is the id of.
    pub topic: String,
    /// Whose it is; `None` when nobody can tell.
    pub shop_domain: Option<String>,
    /// Whether it is a record of what was refused for what it is ([`QuarantineRecord::is_refused`]).
    pub is_refused: bool,
    /// The delivery in it, and how often that has been replayed once it is handed over.
    pub delivery: Option<(Delivery, u32)>,
    /// Whether the body of the delivery is another object, which is looked at by itself.
    is_apart: bool,
    /// The record that it is, without a body.
    record: Option<QuarantineRecord>,
}

impl Kept {
    /// An object with `text` that is no delivery. `owner` is the shop that its key names.
    #[must_use]
    pub fn other(text: String, owner: Option<&str>) -> Self {
        Self {
            text,
            shop_domain: owner.map(str::to_owned),
            ..Self::default()
        }
    }

    /// A large body `text` with the delivery that is written beside it.
    #[must_use]
    pub fn body(text: String, described: Option<Delivery>, owner: Option<&str>) -> Self {
        match described {
            Some(delivery) => Self::other(String::new(), owner).with(Delivery { body: text, ..delivery }, 0),
            None => Self::other(text, owner),
        }
    }

    /// A record of the quarantine, and the message whose delivery has still to be read, wherever its body lies. A message
    /// that could not be read is read again: an older deployment knew less, and what it kept as text belongs to a shop
    /// and has a topic all the same.
    #[must_use]
    pub fn record(text: &str, owner: Option<&str>) -> (Self, Option<QueueMessage>) {
        let Ok(record) = serde_json::from_str::<QuarantineRecord>(text) else {
            return (Self::other(text.to_owned(), owner), None);
        };
        let mut kept = Self::other(record.raw_text(), owner);
        let told = record.told();
        kept.topic = told.topic;
        if told.shop_domain != UNKNOWN {
            kept.shop_domain.get_or_insert(told.shop_domain);
        }
        kept.is_refused = record.is_refused();
        kept.record = Some(record.clone().without_body());
        let message = record.into_replay().ok();
        kept.is_apart = message.as_ref().is_some_and(|message| message.body_key.is_some());
        (kept, message)
    }

    /// The same with its `delivery`, of so many `replays`.
    #[must_use]
    pub fn with(self, delivery: Delivery, replays: u32) -> Self {
        Self {
            text: delivery.body.clone(),
            topic: delivery.topic.clone(),
            delivery: Some((delivery, replays)),
            ..self
        }
    }

    /// What is left of it without `person` where its delivery was not taken, for a reason and a detail. There may be no other copy of
    /// the order, which is the shop's once the cause is mended.
    #[must_use]
    pub fn refused(&self, person: &Person, reason: &str, detail: &str) -> Left {
        let Some((delivery, replays)) = &self.delivery else {
            return Left::Nothing;
        };
        if self.is_apart {
            return Left::All;
        }
        let Some(body) = body_without(person, delivery) else {
            return Left::Nothing;
        };
        let is_as_before = body == delivery.body;
        let Some(record) = &self.record else {
            return if is_as_before { Left::All } else { Left::This(body) };
        };
        let delivery = Delivery {
            body,
            ..delivery.clone()
        };
        // It has not been replayed: the next one counts.
        let anew = QuarantineRecord::new(delivery, reason, detail, record.quarantined_at.clone())
            .after_replays(replays.saturating_sub(1));
        if is_as_before && (&anew.reason, &anew.detail) == (&record.reason, &record.detail) {
            return Left::All;
        }
        serde_json::to_string(&anew).map_or(Left::Nothing, Left::This)
    }

    /// Whether `subject`, of `shop_domain`, is to be forgotten here.
    #[must_use]
    pub fn names(&self, subject: &Subject, shop_domain: &str) -> bool {
        match (&self.shop_domain, subject) {
            (None, _) => subject.is_a_word_of(&self.text, shop_domain),
            (Some(owner), _) if owner != shop_domain => false,
            (Some(_), Subject::Shop) => true,
            (Some(_), Subject::Customer(person)) => person.is_named_in(&self.text, &self.topic),
        }
    }
}

/// The body of `delivery` without `person`, as PostgreSQL would store it; of a request about privacy its numbers. `None` where nobody can
/// read it, or it names them by more than an order of theirs, as what is told of a customer does.
fn body_without(person: &Person, delivery: &Delivery) -> Option<String> {
    let Delivery {
        topic,
        shop_domain,
        body,
        ..
    } = delivery;
    if let Some(numbers) = keepable(topic, body, shop_domain) {
        return Some(numbers);
    }
    let body = Json::parse(body).ok()?.to_text_without_person();
    (!person.without_orders().is_named_in(&body, topic)).then_some(body)
}

/// When what `text`, a record of one of the quarantines, holds was received, in milliseconds since 1970; `None` where nobody can
/// tell. What was read of Shopify is as of the operation.
#[must_use]
pub fn received_millis(text: &str) -> Option<u64> {
    if let Ok(record) = serde_json::from_str::<QuarantineRecord>(text) {
        return millis(&record.told().received_at);
    }
    let record: Value = serde_json::from_str(text).ok()?;
    let message = &record["message"];
    let told = [
        &message["event"]["received_at"],
        &message["rows"][0]["received_at"],
        &record["run"]["started_at"],
        &record["events"][0]["event"]["received_at"],
        &record["quarantined_at"],
    ];
    let told = told.into_iter().find_map(Value::as_str)?;
    millis(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{delivery, text_of, HandOver};
    use crate::quarantine::{unreadable_message, Body};

    const SHOP: &str = "demo.myshopify.com";
    const OTHER_SHOP: &str = "my-demo.myshopify.com";

    fn jane() -> Subject {
        let body = r#"{"customer": {"id": 207119551, "email": "jane@example.com"}, "orders_to_redact": [299938]}"#;
        Subject::of(&delivery("w", "customers/redact", body)).unwrap()
    }

    /// The record of a message that could not be read.
    fn unread(text: &str) -> Kept {
        let record = unreadable_message("1", Body::Text(text.to_owned()), "2026-11-24T10:00:00.000Z".into());
        assert!(record.key().split('/').any(|part| part == UNKNOWN));
        let (kept, message) = Kept::record(&serde_json::to_string(&record).unwrap(), None);
        message.map_or(kept.clone(), |message| kept.with(message.delivery, message.replays))
    }

    fn message(topic: &str, body: &str) -> String {
        text_of(&HandOver::pack(delivery("w-7", topic, body), 0).unwrap().message)
    }

    #[test]
    fn a_message_that_an_older_deployment_could_not_read_is_of_its_shop_and_topic() {
        let kept = unread(&message("customers/update", r#"{"id": 207119551}"#));
        assert!(
            kept.names(&jane(), SHOP),
            "by the id that is a customer's in this topic"
        );
        let (delivery, replays) = kept.delivery.clone().unwrap();
        assert_eq!((delivery.webhook_id.as_str(), replays), ("w-7", 1));
        assert!(!kept.names(&jane(), OTHER_SHOP) && !kept.names(&Subject::Shop, OTHER_SHOP));
        assert!(kept.names(&Subject::Shop, SHOP));
        assert!(!unread(&message("products/update", r#"{"id": 207119551}"#)).names(&jane(), SHOP));
        let request = message(
            "customers/data_request",
            r#"{"customer": {"email": "Jane@example.com"}}"#,
        );
        assert!(unread(&request).names(&jane(), SHOP), "by contact");
    }

    #[test]
    fn a_message_that_is_none_of_ours_is_searched_for_words() {
        for named in [
            "v9:demo.myshopify.com:jane@example.com",
            "\u{1}customer\u{2}207119551",
            r#"{"delivery": {"body": "{\"note\": \"jane\u0040example.com\"}"}}"#,
            r#"{"order": 299938, broken"#,
        ] {
            assert!(unread(named).names(&jane(), SHOP), "{named}");
        }
        for other in [
            "",
            "not one of ours",
            "v9:2071195510",
            r#"{"email": "john@example.com"}"#,
        ] {
            assert!(!unread(other).names(&jane(), SHOP), "{other}");
        }
        let of_another = format!(r#"{{"shop": "{OTHER_SHOP}"}}"#);
        assert!(unread(&of_another).names(&Subject::Shop, OTHER_SHOP));
        assert!(!unread(&of_another).names(&Subject::Shop, SHOP));
    }

    #[test]
    fn a_record_is_as_old_as_what_is_in_it() {
        let at = "2026-11-24T11:00:00.000Z";
        let of = |text: &str| {
            let record = unreadable_message("1", Body::Text(text.to_owned()), at.into());
            received_millis(&serde_json::to_string(&record).unwrap())
        };
        let received = millis("2026-11-24T10:00:00.000Z");
        assert_eq!(of("none of ours"), millis(at));
        assert_eq!(of(&message("orders/create", "{}")), received);
        for record in [
            r#"{"message": {"kind": "interaction", "event": {"received_at": "2026-11-24T10:00:00.000Z"}}, "quarantined_at": ""}"#,
            r#"{"message": {"kind": "rows", "rows": [{"received_at": "2026-11-24T10:00:00.000Z"}]}}"#,
            r#"{"message": null, "text": "v9", "quarantined_at": "2026-11-24T10:00:00Z"}"#,
            r#"{"shop_domain": "d", "run": {"started_at": "2026-11-24T10:00:00Z"}, "rejections": []}"#,
            r#"{"shop_domain": "d", "events": [{"event": {"received_at": "2026-11-24T10:00:00Z"}}]}"#,
        ] {
            assert_eq!(received_millis(record), received, "{record}");
        }
        for unknown in ["", "{}", "1", r#"{"run": {"started_at": "today"}}"#] {
            assert_eq!(received_millis(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_refused_stays_without_the_person() {
        let Subject::Customer(person) = jane() else {
            panic!("a customer")
        };
        let of = |topic: &str, body: &str| {
            let at = "2026-11-24T10:00:00.000Z";
            let record = QuarantineRecord::new(delivery("w", topic, body), "retries_exhausted", "", at.into());
            let (kept, message) = Kept::record(&serde_json::to_string(&record).unwrap(), Some(SHOP));
            let message = message.unwrap();
            kept.with(message.delivery, message.replays)
        };
        let order = r#"{"id": 1, "email": "jane@example.com", "customer": {"id": 207119551}, "total_price": "1.00",
            "note_attributes": [{"name": "for", "value": "Jane"}, {"name": "weir_publisher", "value": "blog"}]}"#;
        let kept = of("orders/create", order);
        assert!(kept.names(&jane(), SHOP));
        let Left::This(text) = kept.refused(&person, "unknown_shop", "not registered") else {
            panic!("it stays")
        };
        let record: QuarantineRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (record.reason.as_str(), record.replays, record.quarantined_at.as_str()),
            ("unknown_shop", 0, "2026-11-24T10:00:00.000Z")
        );
        let without = r#"{"id":1,"total_price":"1.00","note_attributes":[{"name":"weir_publisher","value":"blog"}]}"#;
        assert_eq!(record.delivery.body, without);

        // An order of theirs is found again, and written once.
        let Left::This(text) = of("orders/create", r#"{"id": 299938, "note": "x"}"#).refused(&person, "r", "d") else {
            panic!("it stays")
        };
        let (again, message) = Kept::record(&text, Some(SHOP));
        let again = again.with(message.unwrap().delivery, 1);
        assert!(again.names(&jane(), SHOP));
        assert_eq!(again.refused(&person, "r", "d"), Left::All);
        let mut apart = again;
        apart.is_apart = true;
        assert_eq!(apart.refused(&person, "other", ""), Left::All);

        let described = delivery("w", "orders/create", "");
        let body = Kept::body(order.into(), Some(described), Some(SHOP));
        assert_eq!(body.refused(&person, "r", "d"), Left::This(without.into()));
        for (topic, gone) in [
            ("orders/create", r#"{"id": 1, "title": "jane@example.com"}"#),
            ("orders/create", r#"{"id": 1, "email": "jane@example.com""#),
            ("customers/update", r#"{"id": 207119551}"#),
        ] {
            assert_eq!(of(topic, gone).refused(&person, "r", "d"), Left::Nothing, "{gone}");
        }
        let asked = of(
            "customers/data_request",
            r#"{"shop_domain": "demo.myshopify.com", "customer": {"id": 207119551}}"#,
        );
        assert!(matches!(asked.refused(&person, "r", "d"), Left::This(text) if text.contains("207119551")));
    }

    #[test]
    fn a_body_is_its_delivery() {
        let described = delivery("w", "customers/update", "");
        let kept = Kept::body(r#"{"id": 207119551}"#.into(), Some(described), Some(SHOP));
        assert!(kept.names(&jane(), SHOP));
        assert_eq!(kept.delivery.unwrap().0.body, r#"{"id": 207119551}"#);
        assert!(!Kept::body(r#"{"id": 207119551}"#.into(), None, Some(SHOP)).names(&jane(), SHOP));
    }
}
