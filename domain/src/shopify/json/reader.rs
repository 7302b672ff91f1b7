//! From text to [`Json`] in one pass. A number stays its own bytes, which serde_json would make a float of; text without an
//! escape stays where it is; and a container takes one allocation, made when its size is known.
//!
//! Measured on an order of 8 KB against a tree built with jiter as the tokenizer: see CHANGELOG.

mod string;

use std::borrow::Cow;

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
        bytes: text.as_bytes(),
        at: 0,
        items: Vec::new(),
        members: Vec::new(),
        decoded: Vec::new(),
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

const NOT_JSON: Stop = Stop(Reason::ParseFailure, "not JSON");

/// A step on the way to a value.
enum Step<'a> {
    Member(Cow<'a, str>),
    Item(usize),
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// The next byte.
    at: usize,
    /// Items of the arrays, and members of the objects, that are being read; those of the innermost last.
    items: Vec<Json<'a>>,
    members: Members<'a>,
    /// Where text with escapes is decoded.
    decoded: Vec<u8>,
    /// Of the value that stopped the reading; its last step first.
    path: Vec<Step<'a>>,
}

impl<'a> Reader<'a> {
    fn whole(&mut self) -> Result<Json<'a>, Stop> {
        let json = self.value(0)?;
        match self.peek() {
            None => Ok(json),
            Some(_) => Err(NOT_JSON),
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop(Reason::ParseFailure, "nested too deeply"));
        }
        match self.peek() {
            Some(b'"') => self.string("text holds U+0000").map(Json::String),
            Some(b'{') => self.object(depth).map(Json::Object),
            Some(b'[') => self.array(depth).map(Json::Array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            _ => Err(NOT_JSON),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Stop> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(NOT_JSON);
        }
        self.at += word.len();
        Ok(value)
    }

    /// At `[`.
    fn array(&mut self, depth: usize) -> Result<Vec<Json<'a>>, Stop> {
        let first = self.items.len();
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Vec::new());
        }
        loop {
            match self.value(depth + 1) {
                Ok(item) => self.items.push(item),
                Err(stop) => {
                    self.path.push(Step::Item(self.items.len() - first));
                    return Err(stop);
                }
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(NOT_JSON),
            }
        }
        self.at += 1;
        Ok(self.items.drain(first..).collect())
    }

    /// At `{`.
    fn object(&mut self, depth: usize) -> Result<Members<'a>, Stop> {
        let first = self.members.len();
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Members::new());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(NOT_JSON);
            }
            let name = self.string("a key holds U+0000")?;
            if self.peek() != Some(b':') {
                return Err(NOT_JSON);
            }
            self.at += 1;
            match self.value(depth + 1) {
                Ok(value) => self.members.push((name, value)),
                Err(stop) => {
                    self.path.push(Step::Member(name));
                    return Err(stop);
                }
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(NOT_JSON),
            }
        }
        self.at += 1;
        let mut members: Members<'a> = self.members.drain(first..).collect();
        if !members.is_sorted_by(|a, b| key_order(&a.0, &b.0).is_lt()) {
            // Stable and from the end: of a repeated key the last stands first, and stays.
            members.reverse();
            members.sort_by(|a, b| key_order(&a.0, &b.0));
            members.dedup_by(|later, earlier| later.0 == earlier.0);
        }
        Ok(members)
    }

    /// At the opening quote.
    fn string(&mut self, detail_of_nul: &'static str) -> Result<Cow<'a, str>, Stop> {
        let start = self.at + 1;
        let end = string::plain_end(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        self.at = string::decode(self.bytes, start, &mut self.decoded).ok_or(NOT_JSON)?;
        // Unescaped, JSON has none.
        if self.decoded.contains(&0) {
            return Err(Stop(Reason::InvalidText, detail_of_nul));
        }
        // Text between escapes is that of a `str`, and an escape stands for a whole character.
        let text = std::str::from_utf8(&self.decoded).map_err(|_| NOT_JSON)?;
        Ok(Cow::Owned(text.to_owned()))
    }

    /// At a minus or a digit.
    fn number(&mut self) -> Result<&'a str, Stop> {
        let start = self.at;
        self.at += usize::from(self.bytes[start] == b'-');
        let is_zero = self.bytes.get(self.at) == Some(&b'0');
        let whole = self.digits()?;
        if is_zero && whole > 1 {
            return Err(NOT_JSON);
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent = 0;
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            let from = self.at;
            self.digits()?;
            exponent = self.text[from..self.at].parse().unwrap_or(u32::MAX);
        }
        if self.at - start > MAX_NUMBER_BYTES || exponent > MAX_EXPONENT {
            return Err(Stop(Reason::TypeMismatch, "the number is too large"));
        }
        Ok(&self.text[start..self.at])
    }

    /// How many digits there are; at least one.
    fn digits(&mut self) -> Result<usize, Stop> {
        let rest = &self.bytes[self.at..];
        let count = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        self.at += count;
        if count == 0 {
            return Err(NOT_JSON);
        }
        Ok(count)
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
