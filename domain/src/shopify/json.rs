//! JSON without floats: a number stays the text it was, so that money and 64-bit ids are exact.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{BodyError, Reason};
use crate::money::{self, Currency};

/// Deepest nesting read. Shopify's bodies stay under 12; the reader recurses, and a hostile body must not end the
/// PostgreSQL backend by exhausting its stack.
const MAX_DEPTH: usize = 64;

/// Longest number and largest power of ten read. PostgreSQL's jsonb refuses larger ones, and would refuse the whole batch.
const MAX_NUMBER_BYTES: usize = 100;
const MAX_EXPONENT: u32 = 300;

/// 1900-01-01 and 9999-01-01 in microseconds since 1970: what a business time can be, and what PostgreSQL, Iceberg and
/// RFC 3339 write the same way.
const TIMES: std::ops::Range<i64> = -2_208_988_800_000_000..253_370_764_800_000_000;

/// Members that hold personal data or a credential, wherever they occur in a body.
const PERSONAL: [&str; 29] = [
    "customer",
    "billing_address",
    "shipping_address",
    "default_address",
    "addresses",
    "destination",
    "origin_address",
    "email",
    "phone",
    "contact_email",
    "browser_ip",
    "client_details",
    "note",
    "note_attributes",
    "order_status_url",
    "token",
    "cart_token",
    "checkout_token",
    "checkout_id",
    "payment_details",
    "receipt",
    "authorization",
    "landing_site",
    "referring_site",
    "staff_note",
    "customer_note",
    "return_reason_note",
    "properties",
    "tracking_urls",
];

/// A JSON value; object members in key order, the last of a repeated key wins (as in PostgreSQL's jsonb).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number's own text.
    Number(String),
    /// Text without U+0000.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// A record.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    /// `parse_failure` when it is not JSON or nested too deeply, `invalid_text` when a string holds U+0000.
    pub fn parse(text: &str) -> Result<Self, BodyError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| fault(Reason::ParseFailure, "", "not JSON"))?;
        Self::from_raw(raw, &mut Vec::new())
    }

    fn from_raw(raw: &RawValue, path: &mut Vec<String>) -> Result<Self, BodyError> {
        let text = raw.get();
        let broken = |path: &[String]| fault(Reason::ParseFailure, &path.concat(), "not JSON");
        if path.len() > MAX_DEPTH {
            return Err(fault(Reason::ParseFailure, "", "nested too deeply"));
        }
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| broken(path))?;
                let mut object = BTreeMap::new();
                for (key, value) in members {
                    if key.contains('\0') {
                        return Err(fault(Reason::InvalidText, &path.concat(), "a key holds U+0000"));
                    }
                    path.push(if path.is_empty() {
                        key.clone()
                    } else {
                        format!(".{key}")
                    });
                    let child = Self::from_raw(value, path)?;
                    path.pop();
                    object.insert(key, child);
                }
                Self::Object(object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| broken(path))?;
                let mut array = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    path.push(format!("[{index}]"));
                    array.push(Self::from_raw(item, path)?);
                    path.pop();
                }
                Self::Array(array)
            }
            Some(b'"') => {
                let value: String = serde_json::from_str(text).map_err(|_| broken(path))?;
                if value.contains('\0') {
                    return Err(fault(Reason::InvalidText, &path.concat(), "text holds U+0000"));
                }
                Self::String(value)
            }
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            _ if text.len() > MAX_NUMBER_BYTES || text.contains(['e', 'E']) && exponent(text) > MAX_EXPONENT => {
                return Err(fault(Reason::TypeMismatch, &path.concat(), "the number is too large"));
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The value as JSON text, without the members that hold personal data or credentials.
    #[must_use]
    pub fn to_text_without_personal_data(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                let kept = members.iter().filter(|(key, _)| !PERSONAL.contains(&key.as_str()));
                for (index, (key, value)) in kept.enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn exponent(number: &str) -> u32 {
    let digits = number.split(['e', 'E']).nth(1).unwrap_or("0");
    digits.trim_start_matches(['+', '-']).parse().unwrap_or(u32::MAX)
}

/// An RFC 3339 time as microseconds since 1970; `None` when it is none, or outside the years 1900 to 9998.
#[must_use]
pub fn instant(text: &str) -> Option<i64> {
    let time = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    TIMES.contains(&time).then_some(time)
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

pub(super) fn fault(reason: Reason, path: &str, detail: &'static str) -> BodyError {
    BodyError {
        reason,
        path: path.to_owned(),
        detail,
    }
}

/// An object of the body and the path to it.
pub(super) struct Node<'a> {
    members: &'a BTreeMap<String, Json>,
    path: String,
}

impl<'a> Node<'a> {
    pub fn root(json: &'a Json) -> Result<Self, BodyError> {
        Self::at(json, String::new())
    }

    fn at(json: &'a Json, path: String) -> Result<Self, BodyError> {
        match json {
            Json::Object(members) => Ok(Self { members, path }),
            _ => Err(fault(Reason::TypeMismatch, &path, "expected an object")),
        }
    }

    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub fn mismatch(&self, name: &str, detail: &'static str) -> BodyError {
        fault(Reason::TypeMismatch, &self.path(name), detail)
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.get(name).filter(|value| **value != Json::Null)
    }

    /// The object's members as text for storage.
    pub fn raw(&self) -> String {
        Json::Object(self.members.clone()).to_text_without_personal_data()
    }

    /// A required 64-bit id, a number or its text.
    pub fn id(&self, name: &str) -> Result<i64, BodyError> {
        match self.members.get(name) {
            None => Err(fault(Reason::MissingField, &self.path(name), "an id is required")),
            Some(Json::Null) => Err(fault(Reason::NullValue, &self.path(name), "an id is required")),
            Some(_) => Ok(self.int(name)?.unwrap_or_default()),
        }
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, BodyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(text) | Json::String(text)) => text
                .parse()
                .map(Some)
                .map_err(|_| self.mismatch(name, "expected a 64-bit integer")),
            Some(_) => Err(self.mismatch(name, "expected a 64-bit integer")),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, BodyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.mismatch(name, "expected text")),
        }
    }

    pub fn bool(&self, name: &str) -> Result<bool, BodyError> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(self.mismatch(name, "expected true or false")),
        }
    }

    /// An instant in microseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<i64>, BodyError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        instant(&text)
            .map(Some)
            .ok_or_else(|| self.mismatch(name, "expected an RFC 3339 time from 1900 to 9998"))
    }

    pub fn currency(&self, name: &str) -> Result<Option<Currency>, BodyError> {
        let Some(code) = self.text(name)? else { return Ok(None) };
        Currency::from_code(&code)
            .map(Some)
            .map_err(|_| self.mismatch(name, "expected an ISO 4217 code"))
    }

    /// An amount in minor units; a JSON number or text, read from its digits.
    pub fn money(&self, name: &str, currency: Currency) -> Result<Option<i64>, BodyError> {
        let Some(text) = self.decimal(name)? else {
            return Ok(None);
        };
        let minor = money::parse_minor(text, currency)
            .map_err(|_| self.mismatch(name, "expected a decimal amount of the currency"))?;
        // 10^15 minor units: no order comes near, and sums and quantity x price of such amounts stay far inside i64.
        if minor.unsigned_abs() > 1_000_000_000_000_000 {
            return Err(self.mismatch(name, "expected an amount below 10^15 minor units"));
        }
        Ok(Some(minor))
    }

    /// The digits of a number, given as a JSON number or as text.
    pub fn decimal(&self, name: &str) -> Result<Option<&'a str>, BodyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(text) | Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.mismatch(name, "expected a decimal amount")),
        }
    }

    pub fn object(&self, name: &str) -> Result<Option<Node<'a>>, BodyError> {
        self.get(name).map(|value| Node::at(value, self.path(name))).transpose()
    }

    pub fn required_object(&self, name: &str) -> Result<Node<'a>, BodyError> {
        self.object(name)?
            .ok_or_else(|| fault(Reason::MissingField, &self.path(name), "an object is required"))
    }

    /// A list of 64-bit ids, numbers or their texts.
    pub fn ids(&self, name: &str) -> Result<Vec<i64>, BodyError> {
        let wrong = || self.mismatch(name, "expected a list of 64-bit integers");
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Json::Number(text) | Json::String(text) => text.parse().map_err(|_| wrong()),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// The objects of a list that may be anything.
    pub fn list(&self, name: &str) -> Vec<&'a BTreeMap<String, Json>> {
        let Some(Json::Array(items)) = self.get(name) else {
            return Vec::new();
        };
        let object = |item: &'a Json| match item {
            Json::Object(members) => Some(members),
            _ => None,
        };
        items.iter().filter_map(object).collect()
    }

    pub fn objects(&self, name: &str) -> Result<Vec<Node<'a>>, BodyError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Node::at(item, format!("{}[{index}]", self.path(name))))
                .collect(),
            Some(_) => Err(self.mismatch(name, "expected a list")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_personal_members_go() {
        let json =
            Json::parse(r#"{"id": 9007199254740993, "x": 89.990, "email": "a@example.com", "a": [{"note": 1}]}"#);
        assert_eq!(
            json.unwrap().to_text_without_personal_data(),
            r#"{"a":[{}],"id":9007199254740993,"x":89.990}"#
        );
    }

    #[test]
    fn nul_and_depth_are_refused_with_a_reason() {
        let error = Json::parse(r#"{"line_items": [{"title": "a\u0000b"}]}"#).unwrap_err();
        assert_eq!(
            (error.reason, error.path.as_str()),
            (Reason::InvalidText, "line_items[0].title")
        );
        for number in ["1e400000", "1e99999999999999", &"9".repeat(101)] {
            assert_eq!(Json::parse(number).unwrap_err().reason, Reason::TypeMismatch);
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(Json::parse(&deep).unwrap_err().reason, Reason::ParseFailure);
        assert_eq!(Json::parse("{").unwrap_err().reason, Reason::ParseFailure);
    }
}
