//! Lines of the raw archive, and what was refused of them, without a person who is to be forgotten.

use serde_json::Value;
use weir_domain::shopify::bulk::BulkLine;
use weir_edge_shared::lines::Lines;

use crate::redaction::Person;

/// Takes a person out of the lines of a bulk result, whatever pieces it comes in. Lines that do not name them pass as they
/// are, byte for byte.
#[derive(Debug)]
pub struct Forgetter<'a> {
    person: &'a Person,
    lines: Lines,
    /// Lines that named them so far.
    pub named: u64,
}

impl<'a> Forgetter<'a> {
    /// One that forgets `person`.
    #[must_use]
    pub fn of(person: &'a Person) -> Self {
        Self {
            person,
            lines: Lines::default(),
            named: 0,
        }
    }

    /// The lines that are whole with the next piece; an empty one ends the result.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<u8> {
        let lines = self.lines.whole(piece);
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.line(line, &mut kept);
        }
        kept
    }

    fn line(&mut self, line: &[u8], kept: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line);
        if !self.person.may_be_named_in(&text) || !self.person.is_named_in(&text, "") {
            kept.extend_from_slice(line);
            return;
        }
        // A child names its order by number alone, and has nothing of a person.
        if text.contains("\"__parentId\"") && BulkLine::gid_in(&text).is_some() {
            kept.extend_from_slice(line);
            return;
        }
        // What cannot be read cannot be read without them either.
        let without = BulkLine::without_customer(text.trim_end()).ok();
        if without.as_deref() == Some(text.trim_end()) {
            // Forgotten before: an order keeps its number.
            kept.extend_from_slice(line);
            return;
        }
        self.named += 1;
        if let Some(without) = without {
            kept.extend_from_slice(without.as_bytes());
            kept.push(b'\n');
        }
    }
}

/// `text`, a record of the sync Worker's quarantine, without those refused lines and events that name `person`; `None` where
/// nothing would be left, or nobody can tell what is whose. A replay of it reads the archive, so that the lines are not lost.
#[must_use]
pub fn refusals_without(person: &Person, text: &str) -> Option<String> {
    let mut record: Value = serde_json::from_str(text).ok()?;
    let mut left = 0;
    for list in ["rejections", "events"] {
        if let Some(refusals) = record.get_mut(list).and_then(Value::as_array_mut) {
            refusals.retain(|refusal| !person.is_named_in(&refusal.to_string(), ""));
            left += refusals.len();
        }
    }
    let text = record.to_string();
    (left > 0 && !person.is_named_in(&text, "")).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::redaction::Subject;

    fn person(id: &str) -> Person {
        let body = format!(r#"{{"customer": {{{id} "email": "jane@example.com"}}, "orders_to_redact": [12]}}"#);
        let body = body.as_str();
        match Subject::of(&crate::message::delivery("w", "customers/redact", body)) {
            Some(Subject::Customer(person)) => person,
            other => panic!("{other:?}"),
        }
    }

    fn order(id: i64, customer: i64) -> String {
        format!(
            r##"{{"__typename":"Order","id":"gid:\/\/shopify\/Order\/{id}","customer":{{"id":"gid:\/\/shopify\/Customer\/{customer}"}},"name":"#{id}"}}"##
        ) + "\n"
    }

    fn forget(text: &str, piece_bytes: usize) -> (String, u64) {
        forget_person(&person(r#""id": 7,"#), text, piece_bytes)
    }

    fn forget_person(person: &Person, text: &str, piece_bytes: usize) -> (String, u64) {
        let mut forgetter = Forgetter::of(person);
        let mut kept = Vec::new();
        for piece in text.as_bytes().chunks(piece_bytes) {
            kept.extend(forgetter.feed(piece));
        }
        kept.extend(forgetter.feed(b""));
        (String::from_utf8(kept).unwrap(), forgetter.named)
    }

    #[test]
    fn lines_that_name_the_person_lose_them_and_all_others_stay_byte_for_byte() {
        let child = r#"{"id":"gid://shopify/LineItem/7","__parentId":"gid://shopify/Order/12"}"#;
        let others = [
            order(11, 8),
            format!("{child}\n"),
            order(7, 77),
            "not json\n".to_owned(),
        ];
        let text = format!(
            "{}{}{}{}",
            order(10, 7),
            others.concat(),
            order(12, 9),
            r#"{"id": "gid://shopify/Order/9", "customer": {"id": "gid://shopify/Customer/7"}"#
        );
        for piece_bytes in [1, 7, 100, 10_000] {
            let (kept, named) = forget(&text, piece_bytes);
            assert_eq!(named, 3, "{kept}");
            assert!(kept.contains(&others.concat()), "{kept}");
            assert!(
                !kept.contains("Customer\\/7\"") && !kept.contains("Customer\\/9"),
                "{kept}"
            );
            assert!(
                kept.contains("\"name\":\"#10\"") && kept.contains("\"name\":\"#12\""),
                "{kept}"
            );
            assert!(!kept.contains("Order/9"), "the broken line is gone: {kept}");
            assert_eq!(
                forget(&kept, piece_bytes),
                (kept.clone(), 0),
                "nothing is left to forget"
            );
        }
        assert_eq!(forget("", 1), (String::new(), 0));
    }

    #[test]
    fn the_orders_of_many_years_are_found_in_a_whole_archive() {
        let orders: Vec<i64> = (0..20_000).map(|index| 5_000_000_000_000 + index).collect();
        let body = serde_json::json!({"customer": {"email": "jane@example.com"}, "orders_to_redact": orders});
        let request = crate::message::delivery("w", "customers/redact", &body.to_string());
        let Some(Subject::Customer(jane)) = Subject::of(&request) else {
            panic!("a customer")
        };
        // One line in a hundred is of an order of hers. To look for each of them in each line would take minutes.
        let ids = (0..100_000_i64).map(|index| match index % 100 {
            0 => 5_000_000_000_000 + index / 5,
            _ => 6_000_000_000_000 + index,
        });
        let text: String = ids.map(|id| order(id, 8)).collect();
        let (kept, named) = forget_person(&jane, &text, 1 << 16);
        assert_eq!(named, 1000);
        assert_eq!(kept.matches("\"customer\"").count(), 99_000);
    }

    #[test]
    fn other_peoples_refusals_stay() {
        let jane = person(r#""id": 7,"#);
        let refusals = |lines: &[String]| {
            let lines = lines
                .iter()
                .map(|line| json!({"reason": "type_mismatch", "id": null, "line": line}));
            json!({"shop_domain": "d", "run": {"operation_id": "gid://shopify/BulkOperation/7"}, "rejections": lines.collect::<Value>()})
        };
        let broken = r#"{"id": "gid://shopify/Order/3", "customer": {"id": "gid://shopify/Customer/7""#.to_owned();
        let both = refusals(&[order(1, 7), order(2, 8), broken.clone()]);
        let left: Value = serde_json::from_str(&refusals_without(&jane, &both.to_string()).unwrap()).unwrap();
        assert_eq!(left, refusals(&[order(2, 8)]));
        assert_eq!(
            refusals_without(&jane, &refusals(&[order(1, 7), broken]).to_string()),
            None
        );
        let events = json!({"events": [{"event": {"order_id": "12"}}, {"event": {"order_id": "13"}}]}).to_string();
        assert_eq!(
            refusals_without(&jane, &events).unwrap(),
            json!({"events": [{"event": {"order_id": "13"}}]}).to_string()
        );
        for unknown in ["", "{}", r#"{"lines": "gid://shopify/Customer/7"}"#] {
            assert_eq!(refusals_without(&jane, unknown), None);
        }
    }

    #[test]
    fn of_somebody_without_an_id_the_orders_alone_are_written_anew() {
        let others = [order(10, 7), order(7, 12), "{}\n".to_owned()].concat();
        let (kept, named) = forget_person(&person(""), &format!("{others}{}", order(12, 9)), 100);
        assert_eq!(named, 1, "{kept}");
        assert!(kept.starts_with(&others) && !kept.contains("Customer\\/9"), "{kept}");
    }
}
