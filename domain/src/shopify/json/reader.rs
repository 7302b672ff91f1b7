//! From text to [`Json`] in one pass, with jiter as the tokenizer: it hands out a number's own bytes, where serde_json would
//! make a float of it or has to scan each level again (`RawValue`, measured 2.5 times slower on an order).

use std::borrow::Cow;

use jiter::{Jiter, JiterError, Peek};

use super::{fault, key_order, Json, Members};
use crate::shopify::{BodyError, Reason};

/// Deepest nesting read. Shopify's bodies stay under 12; the reader recurses, and a hostile body must not end the
/// PostgreSQL backend by exhausting its stack.
const MAX_DEPTH: usize = 64;

/// Longest number and largest power of ten read. PostgreSQL's jsonb refuses larger ones, and would refuse the whole batch.
const MAX_NUMBER_BYTES: usize = 100;
const MAX_EXPONENT: u32 = 300;

pub(super) fn read(text: &str) -> Result<Json<'_>, BodyError> {
    let mut reader = Reader {
        text,
        tokens: Jiter::new(text.as_bytes()),
        path: Vec::new(),
    };
    let json = reader.next()?;
    reader.tokens.finish().map_err(not_json)?;
    Ok(json)
}

/// A step on the way to a value.
enum Step<'a> {
    Member(Cow<'a, str>),
    Item(usize),
}

struct Reader<'a> {
    text: &'a str,
    tokens: Jiter<'a>,
    path: Vec<Step<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Json<'a>, BodyError> {
        let peek = self.tokens.peek().map_err(not_json)?;
        self.value(peek)
    }

    fn value(&mut self, peek: Peek) -> Result<Json<'a>, BodyError> {
        if self.path.len() > MAX_DEPTH {
            return Err(fault(Reason::ParseFailure, "", "nested too deeply"));
        }
        Ok(match peek {
            Peek::Null => {
                self.tokens.known_null().map_err(not_json)?;
                Json::Null
            }
            Peek::True | Peek::False => Json::Bool(self.tokens.known_bool(peek).map_err(not_json)?),
            Peek::String => Json::String(self.string()?),
            Peek::Array => Json::Array(self.array()?),
            Peek::Object => Json::Object(self.object()?),
            _ => Json::Number(self.number(peek)?),
        })
    }

    fn string(&mut self) -> Result<Cow<'a, str>, BodyError> {
        let start = self.tokens.current_index();
        let decoded = self.tokens.known_str().map_err(not_json)?;
        let value = as_in_text(self.text, start, decoded);
        self.without_nul(value, "text holds U+0000")
    }

    fn array(&mut self) -> Result<Vec<Json<'a>>, BodyError> {
        let mut items = Vec::new();
        let mut peek = self.tokens.known_array().map_err(not_json)?;
        while let Some(kind) = peek {
            self.path.push(Step::Item(items.len()));
            items.push(self.value(kind)?);
            self.path.pop();
            peek = self.tokens.array_step().map_err(not_json)?;
        }
        Ok(items)
    }

    fn object(&mut self) -> Result<Members<'a>, BodyError> {
        let mut members = Members::new();
        let mut start = self.tokens.current_index();
        let first = self.tokens.known_object().map_err(not_json)?;
        let mut key = first.map(|decoded| as_in_text(self.text, start, decoded));
        while let Some(name) = key {
            let name = self.without_nul(name, "a key holds U+0000")?;
            self.path.push(Step::Member(name.clone()));
            let value = self.next()?;
            self.path.pop();
            members.push((name, value));
            start = self.tokens.current_index();
            let next = self.tokens.next_key().map_err(not_json)?;
            key = next.map(|decoded| as_in_text(self.text, start, decoded));
        }
        if !members.is_sorted_by(|a, b| key_order(&a.0, &b.0).is_lt()) {
            // Stable and from the end: of a repeated key the last stands first, and stays.
            members.reverse();
            members.sort_by(|a, b| key_order(&a.0, &b.0));
            members.dedup_by(|later, earlier| later.0 == earlier.0);
        }
        Ok(members)
    }

    fn number(&mut self, peek: Peek) -> Result<&'a str, BodyError> {
        let start = self.tokens.current_index();
        let length = self.tokens.known_number_bytes(peek).map_err(not_json)?.len();
        let text = &self.text[start..start + length];
        if text.len() > MAX_NUMBER_BYTES || text.contains(['e', 'E']) && exponent(text) > MAX_EXPONENT {
            return Err(fault(Reason::TypeMismatch, &self.place(), "the number is too large"));
        }
        Ok(text)
    }

    fn without_nul(&self, value: Cow<'a, str>, detail: &'static str) -> Result<Cow<'a, str>, BodyError> {
        // Unescaped, JSON has none.
        if matches!(&value, Cow::Owned(text) if text.contains('\0')) {
            return Err(fault(Reason::InvalidText, &self.place(), detail));
        }
        Ok(value)
    }

    /// The path as in `line_items[0].title`.
    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Member(name) if place.is_empty() => place.push_str(name),
                Step::Member(name) => place.extend([".", name]),
                Step::Item(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }
}

/// The decoded string as a part of the text, where it holds no escape; a copy where it does. `start` is at its opening quote
/// or at blanks, a comma or a brace before it.
fn as_in_text<'a>(text: &'a str, start: usize, decoded: &str) -> Cow<'a, str> {
    let bytes = text.as_bytes();
    let open = bytes[start..]
        .iter()
        .position(|byte| *byte == b'"')
        .map(|at| start + at + 1);
    let same = open.and_then(|open| {
        let end = open + decoded.len();
        // Each escape is longer than what it stands for: with equal lengths there is none.
        (bytes.get(end) == Some(&b'"')).then(|| text.get(open..end)).flatten()
    });
    match same {
        Some(part) if part == decoded => Cow::Borrowed(part),
        _ => Cow::Owned(decoded.to_owned()),
    }
}

fn exponent(number: &str) -> u32 {
    let digits = number.split(['e', 'E']).nth(1).unwrap_or("0");
    digits.trim_start_matches(['+', '-']).parse().unwrap_or(u32::MAX)
}

fn not_json(_: JiterError) -> BodyError {
    fault(Reason::ParseFailure, "", "not JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde_json decides what is JSON.
    fn is_json(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text).is_ok()
    }

    #[test]
    fn it_refuses_what_is_not_json_and_nothing_else() {
        let cases = [
            "",
            " ",
            "{",
            "}",
            "{}",
            "[]",
            "[1,]",
            "[,1]",
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            "{a:1}",
            "01",
            "-",
            "-0",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "1E5",
            "NaN",
            "Infinity",
            "-Infinity",
            "nul",
            "true",
            "tru",
            "falsey",
            "\"a",
            r#""\q""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\ud83d\ude00""#,
            r#""\udc00\ud800""#,
            "\"a\nb\"",
            "\"a\tb\"",
            "\"\u{1}\"",
            "[1] 2",
            "[1]]",
            " [ 1 , { \"a\" : [ ] } ] ",
            "\u{feff}[]",
            r#"{"a":1 "b":2}"#,
            "[1 2]",
            "'a'",
            "/* */ 1",
            "1 // x",
            "\"\u{7f}é\u{10ffff}\"",
            "0x10",
            "1_000",
            "- 1",
            "--1",
            "1.2.3",
            r#"{"a":1,"a":2}"#,
        ];
        for case in cases {
            assert_eq!(read(case).is_ok(), is_json(case), "{case:?}");
        }
        // One byte of an order changed, left out or doubled, at every place.
        let order = r#"{"id":820982911946154508,"a":"x\/\u00e9\n","m":[{"p":"1.0","n":-0.5e3,"t":true},null,[]],"k":{"é":"ü"}}"#;
        for (at, one) in order.char_indices() {
            for put in ["", "\"", "\\", "{", "]", ",", ":", "1", "e", "-", " ", "\u{0}"] {
                let text = [&order[..at], put, &order[at + one.len_utf8()..]].concat();
                let refused_nul = read(&text).is_err_and(|error| error.reason == Reason::InvalidText);
                assert_eq!(read(&text).is_ok() || refused_nul, is_json(&text), "{text}");
            }
        }
    }

    #[test]
    fn text_is_what_serde_json_reads_and_copied_only_with_an_escape() {
        let text = r#"{"plain": "é€😀", "escaped": "a\u00e9\n\/\"\ud83d\ude00", "k\u00e9y" : "" , "": "\\" }"#;
        let json = read(text).unwrap();
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        let Json::Object(members) = &json else {
            panic!("an object")
        };
        assert_eq!(members.len(), 4);
        for (key, value) in members {
            let Json::String(value) = value else { panic!("text") };
            assert_eq!(expected[key.as_ref()], value.as_ref());
        }
        assert!(matches!(json.member("plain"), Some(Json::String(Cow::Borrowed(_)))));
        assert!(matches!(json.member("escaped"), Some(Json::String(Cow::Owned(_)))));
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let json = read(r#"{"b": 1, "a": 2, "b": 3, "a": 4, "c": 5}"#).unwrap();
        assert_eq!(json.to_text_without_personal_data(), r#"{"a":4,"b":3,"c":5}"#);
    }
}
