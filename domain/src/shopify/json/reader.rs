//! From text to [`Json`] in one pass, with jiter as the tokenizer: it hands out a number's own bytes, where serde_json would
//! make a float of it or has to scan each level again (`RawValue`, measured 2.5 times slower on an order). Text without an
//! escape stays where it is, and a container takes one allocation, made when its size is known.

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
        items: Vec::new(),
        members: Vec::new(),
        path: Vec::new(),
    };
    reader.whole().map_err(|Stop(reason, detail)| match reason {
        // What is no JSON has no places.
        Reason::ParseFailure => fault(reason, "", detail),
        _ => fault(reason, &reader.place(), detail),
    })
}

/// Why the reading ends. Small, since every value is returned beside it.
struct Stop(Reason, &'static str);

impl From<JiterError> for Stop {
    fn from(_: JiterError) -> Self {
        Self(Reason::ParseFailure, "not JSON")
    }
}

/// A step on the way to a value.
enum Step<'a> {
    Member(Cow<'a, str>),
    Item(usize),
}

struct Reader<'a> {
    text: &'a str,
    tokens: Jiter<'a>,
    /// Items of the arrays, and members of the objects, that are being read; those of the innermost last.
    items: Vec<Json<'a>>,
    members: Members<'a>,
    /// Of the value that stopped the reading; its last step first.
    path: Vec<Step<'a>>,
}

impl<'a> Reader<'a> {
    fn whole(&mut self) -> Result<Json<'a>, Stop> {
        let first = self.tokens.peek()?;
        let json = self.value(first, 0)?;
        self.tokens.finish()?;
        Ok(json)
    }

    fn value(&mut self, peek: Peek, depth: usize) -> Result<Json<'a>, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop(Reason::ParseFailure, "nested too deeply"));
        }
        Ok(match peek {
            Peek::Null => {
                self.tokens.known_null()?;
                Json::Null
            }
            Peek::True | Peek::False => Json::Bool(self.tokens.known_bool(peek)?),
            Peek::String => {
                let decoded = self.tokens.known_str()?;
                Json::String(without_nul(as_in_text(self.text, decoded), "text holds U+0000")?)
            }
            Peek::Array => Json::Array(self.array(depth)?),
            Peek::Object => Json::Object(self.object(depth)?),
            _ => Json::Number(self.number(peek)?),
        })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Json<'a>>, Stop> {
        let first = self.items.len();
        let mut peek = self.tokens.known_array()?;
        while let Some(kind) = peek {
            match self.value(kind, depth + 1) {
                Ok(item) => self.items.push(item),
                Err(stop) => {
                    self.path.push(Step::Item(self.items.len() - first));
                    return Err(stop);
                }
            }
            peek = self.tokens.array_step()?;
        }
        Ok(self.items.drain(first..).collect())
    }

    fn object(&mut self, depth: usize) -> Result<Members<'a>, Stop> {
        let first = self.members.len();
        let text = self.text;
        let mut key = self.tokens.known_object()?.map(|decoded| as_in_text(text, decoded));
        while let Some(name) = key {
            let name = without_nul(name, "a key holds U+0000")?;
            let kind = self.tokens.peek()?;
            match self.value(kind, depth + 1) {
                Ok(value) => self.members.push((name, value)),
                Err(stop) => {
                    self.path.push(Step::Member(name));
                    return Err(stop);
                }
            }
            key = self.tokens.next_key()?.map(|decoded| as_in_text(text, decoded));
        }
        let mut members: Members<'a> = self.members.drain(first..).collect();
        if !members.is_sorted_by(|a, b| key_order(&a.0, &b.0).is_lt()) {
            // Stable and from the end: of a repeated key the last stands first, and stays.
            members.reverse();
            members.sort_by(|a, b| key_order(&a.0, &b.0));
            members.dedup_by(|later, earlier| later.0 == earlier.0);
        }
        Ok(members)
    }

    fn number(&mut self, peek: Peek) -> Result<&'a str, Stop> {
        let start = self.tokens.current_index();
        let length = self.tokens.known_number_bytes(peek)?.len();
        let text = &self.text[start..start + length];
        if text.len() > MAX_NUMBER_BYTES || text.contains(['e', 'E']) && exponent(text) > MAX_EXPONENT {
            return Err(Stop(Reason::TypeMismatch, "the number is too large"));
        }
        Ok(text)
    }

    /// The path as in `line_items[0].title`.
    fn place(&self) -> String {
        self.path.iter().rev().fold(String::new(), |mut place, step| {
            match step {
                Step::Member(name) if place.is_empty() => place.push_str(name),
                Step::Member(name) => place.extend([".", name]),
                Step::Item(index) => place.push_str(&format!("[{index}]")),
            }
            place
        })
    }
}

/// The decoded string as a part of the text, where it holds no escape and jiter left it there; a copy where it does.
fn as_in_text<'a>(text: &'a str, decoded: &str) -> Cow<'a, str> {
    let start = decoded.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    match text.get(start..start.saturating_add(decoded.len())) {
        Some(part) => Cow::Borrowed(part),
        None => Cow::Owned(decoded.to_owned()),
    }
}

fn without_nul<'a>(value: Cow<'a, str>, detail: &'static str) -> Result<Cow<'a, str>, Stop> {
    match &value {
        // Unescaped, JSON has none.
        Cow::Owned(text) if text.contains('\0') => Err(Stop(Reason::InvalidText, detail)),
        _ => Ok(value),
    }
}

fn exponent(number: &str) -> u32 {
    let digits = number.split(['e', 'E']).nth(1).unwrap_or("0");
    digits.trim_start_matches(['+', '-']).parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        /// Whatever stands at which distance from the words in which strings are read.
        #[test]
        fn any_text_is_read_as_it_was_written(texts in proptest::collection::vec("[\\PC\"\\\\/\n\t\u{0}\u{1}é€😀]{0,40}", 1..6)) {
            let written = serde_json::to_string(&texts).unwrap();
            let nested = serde_json::to_string(&[&written]).unwrap();
            let expected: Vec<Json<'_>> = texts.iter().map(|text| Json::String(text.into())).collect();
            prop_assert_eq!(read(&nested).unwrap(), Json::Array(vec![Json::String(written.as_str().into())]));
            match read(&written) {
                Ok(json) => prop_assert_eq!(json, Json::Array(expected)),
                Err(error) => {
                    prop_assert_eq!(error.reason, Reason::InvalidText);
                    let place = texts.iter().position(|text| text.contains('\0')).unwrap();
                    prop_assert_eq!(error.path, format!("[{place}]"));
                }
            }
            for end in (0..written.len()).filter(|end| written.is_char_boundary(*end)) {
                prop_assert!(read(&written[..end]).is_err());
            }
        }
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let json = read(r#"{"b": 1, "a": 2, "b": 3, "a": 4, "c": 5}"#).unwrap();
        assert_eq!(json.to_text_without_personal_data(), r#"{"a":4,"b":3,"c":5}"#);
    }
}
