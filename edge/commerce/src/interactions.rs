//! What the publication Worker keeps in its quarantine, without a person who is to be forgotten.

use serde_json::Value;

use crate::redaction::Person;

/// What is left of an object without somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// All of it: it has been written without them before.
    All,
    /// This text.
    This(String),
    /// Nothing, or nobody can tell what is whose.
    Nothing,
}

/// What tells a visitor again.
const VISITOR: [&str; 2] = ["visitor_key", "session_key"];

/// What is left of `text`, a record that names `person`. Rows that wait for the stream are of many visitors: those of others stay. An
/// interaction that PostgreSQL is to record stays without its visitor, as it would be taken: who brought the buyer is the
/// publisher's, who else would lose the commission.
#[must_use]
pub fn interactions_without(person: &Person, text: &str) -> Left {
    let Ok(mut record) = serde_json::from_str::<Value>(text) else {
        return Left::Nothing;
    };
    // An older deployment could not read it, and kept it as text.
    let unread = record["text"]
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let left = match unread {
        Some(mut message) => {
            let left = take_out(person, &mut message);
            record["text"] = message.to_string().into();
            left
        }
        None => record.get_mut("message").and_then(|message| take_out(person, message)),
    };
    match left {
        Some(true) => Left::This(record.to_string()),
        Some(false) => Left::All,
        None => Left::Nothing,
    }
}

/// Takes `person` out of `message`; whether that changed it, `None` where nothing is left of it.
fn take_out(person: &Person, message: &mut Value) -> Option<bool> {
    if let Some(rows) = message.get_mut("rows").and_then(Value::as_array_mut) {
        let before = rows.len();
        rows.retain(|row| !person.is_named_in(&row.to_string(), ""));
        return (!rows.is_empty()).then_some(rows.len() < before);
    }
    let event = message.get_mut("event")?.as_object_mut()?;
    let mut rest = event.clone();
    rest.remove("order_id");
    if person.is_named_in(&Value::Object(rest).to_string(), "") {
        return None; // By more than its order, which PostgreSQL knows to be redacted.
    }
    let removed = VISITOR.map(|name| event.remove(name).is_some_and(|value| !value.is_null()));
    Some(removed.contains(&true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::redaction::Subject;

    fn jane() -> Person {
        let body = r#"{"customer": {"id": 7, "email": "jane@example.com"}, "orders_to_redact": [12]}"#;
        match Subject::of(&crate::message::delivery("w", "customers/redact", body)) {
            Some(Subject::Customer(person)) => person,
            other => panic!("{other:?}"),
        }
    }

    fn left(record: &Value) -> Left {
        interactions_without(&jane(), &record.to_string())
    }

    fn record(message: &Value) -> Value {
        json!({"reason": "retries_exhausted", "message": message})
    }

    fn row(visitor: &str, order: &str) -> Value {
        json!({"event_id": visitor, "visitor_key": visitor, "order_id": order})
    }

    #[test]
    fn rows_of_others_stay() {
        let rows = |rows: &[Value]| json!({"kind": "rows", "rows": rows, "replays": 0});
        let both = rows(&[row("a", "11"), row("b", "12"), row("c", "13")]);
        let others = rows(&[row("a", "11"), row("c", "13")]);
        assert_eq!(left(&record(&both)), Left::This(record(&others).to_string()));
        assert_eq!(left(&record(&rows(&[row("b", "12")]))), Left::Nothing);
        let unread =
            |message: &Value| json!({"reason": "unreadable_message", "message": null, "text": message.to_string()});
        assert_eq!(left(&unread(&both)), Left::This(unread(&others).to_string()));
    }

    #[test]
    fn an_interaction_stays_without_its_visitor() {
        let of = |event: Value| record(&json!({"kind": "interaction", "event": event}));
        let mut event = row("a", "12");
        event["publisher_id"] = json!("blog");
        event["session_key"] = json!("s");
        let without = of(json!({"event_id": "a", "order_id": "12", "publisher_id": "blog"}));
        assert_eq!(left(&of(event.clone())), Left::This(without.to_string()));
        assert_eq!(left(&without), Left::All, "as it is");
        event["url"] = json!("jane@example.com");
        assert_eq!(left(&of(event)), Left::Nothing);
    }

    #[test]
    fn what_nobody_can_read_goes() {
        for text in [
            "",
            "1",
            "{}",
            r#"{"message": null, "text": "order 12"}"#,
            r#"{"message": {"event": 12}}"#,
        ] {
            assert_eq!(interactions_without(&jane(), text), Left::Nothing, "{text}");
        }
    }
}
