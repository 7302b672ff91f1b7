//! JSON without floats: a number stays the text it was, so that money and 64-bit ids are exact.

mod reader;

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{BodyError, Reason};
use crate::money::{self, Currency};
use crate::order_state::Raw;

/// 1900-01-01 and 9999-01-01 in microseconds since 1970: what a business time can be, and what PostgreSQL, Iceberg and
/// RFC 3339 write the same way.
const TIMES: std::ops::Range<i64> = -2_208_988_800_000_000..253_370_764_800_000_000;

/// 10^15 minor units: no order comes near, and sums and quantity x price of such amounts stay far inside i64.
const MAX_MINOR_UNITS: u64 = 1_000_000_000_000_000;

/// Members that hold personal data or a credential, wherever they occur in a body.
fn is_personal(key: &str) -> bool {
    // A match compiles to a comparison by length first, several times faster than a search in a list.
    matches!(
        key,
        "customer"
            | "billing_address"
            | "shipping_address"
            | "default_address"
            | "addresses"
            | "destination"
            | "origin_address"
            | "email"
            | "phone"
            | "contact_email"
            | "browser_ip"
            | "client_details"
            | "note"
            | "note_attributes"
            | "customAttributes"
            | "order_status_url"
            | "token"
            | "cart_token"
            | "checkout_token"
            | "checkout_id"
            | "payment_details"
            | "receipt"
            | "authorization"
            | "landing_site"
            | "referring_site"
            | "staff_note"
            | "customer_note"
            | "return_reason_note"
            | "properties"
            | "tracking_urls"
    )
}

/// A JSON value over the text it was read from; text is only copied where it holds an escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number's own text.
    Number(&'a str),
    /// Text without U+0000.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Json<'a>>),
    /// A record: members in key order, each key once.
    Object(Members<'a>),
}

/// Members of an object in key order ([`key_order`]); of a repeated key the last (as in PostgreSQL's jsonb).
pub type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// How a body is encoded to be kept: by its store. Whoever encodes leaves out what [`kept`] leaves out.
pub type Encode = fn(&Members<'_>) -> Vec<u8>;

/// Keys by length, then by bytes: what PostgreSQL's jsonb keeps, and quicker than by bytes alone.
#[must_use]
pub fn key_order(a: &str, b: &str) -> Ordering {
    (a.len(), a).cmp(&(b.len(), b))
}

/// The members without those that hold personal data or credentials; their values may hold such members again.
pub fn kept<'m, 'a>(members: &'m Members<'a>) -> impl Iterator<Item = &'m (Cow<'a, str>, Json<'a>)> {
    members.iter().filter(|(key, _)| !is_personal(key))
}

/// Encodes a body as JSON text.
#[must_use]
pub fn encode_text(members: &Members<'_>) -> Vec<u8> {
    members_text(members).into_bytes()
}

impl<'a> Json<'a> {
    /// Reads a whole text, in one pass.
    ///
    /// # Errors
    /// `parse_failure` when it is not JSON or nested too deeply, `invalid_text` when a string holds U+0000.
    pub fn parse(text: &'a str) -> Result<Self, BodyError> {
        reader::read(text)
    }

    /// The member of this name; `None` also when this is no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => find(members, name),
            _ => None,
        }
    }

    /// Takes the member of this name out and leaves null; `None` also when this is no object.
    pub fn take(&mut self, name: &str) -> Option<Self> {
        match self {
            Self::Object(members) => {
                let place = members.binary_search_by(|(key, _)| key_order(key, name)).ok()?;
                Some(std::mem::replace(&mut members[place].1, Self::Null))
            }
            _ => None,
        }
    }

    /// The text of a number or of a string: Shopify writes ids and amounts as either.
    fn digits(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            Self::String(text) => Some(text),
            _ => None,
        }
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
            Self::Object(members) => write_members(members, out),
        }
    }
}

fn find<'m, 'a>(members: &'m Members<'a>, name: &str) -> Option<&'m Json<'a>> {
    let place = members.binary_search_by(|(key, _)| key_order(key, name)).ok()?;
    Some(&members[place].1)
}

fn members_text(members: &Members<'_>) -> String {
    let mut out = String::new();
    write_members(members, &mut out);
    out
}

fn write_members(members: &Members<'_>, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in kept(members).enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

/// An RFC 3339 time as microseconds since 1970; `None` when it is none, or outside the years 1900 to 9998.
#[must_use]
pub fn instant(text: &str) -> Option<i64> {
    let time = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    TIMES.contains(&time).then_some(time)
}

/// A decimal text as minor units; `None` when it is no believable amount of the currency.
pub(super) fn minor_units(text: &str, currency: Currency) -> Option<i64> {
    let minor = money::parse_minor(text, currency).ok()?;
    (minor.unsigned_abs() <= MAX_MINOR_UNITS).then_some(minor)
}

fn write_string(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
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
    members: &'a Members<'a>,
    path: String,
    encode: Encode,
}

impl<'a> Node<'a> {
    /// `encode` is for the bodies that are kept.
    pub fn root(json: &'a Json<'a>, encode: Encode) -> Result<Self, BodyError> {
        Self::at(json, String::new(), encode)
    }

    fn at(json: &'a Json<'a>, path: String, encode: Encode) -> Result<Self, BodyError> {
        match json {
            Json::Object(members) => Ok(Self { members, path, encode }),
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

    pub fn is_null(&self, name: &str) -> bool {
        find(self.members, name) == Some(&Json::Null)
    }

    fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        find(self.members, name).filter(|value| **value != Json::Null)
    }

    /// The object encoded to be kept.
    pub fn raw(&self) -> Raw {
        Raw(Some((self.encode)(self.members)))
    }

    /// The object as JSON text, without personal data and credentials.
    pub fn to_text(&self) -> String {
        members_text(self.members)
    }

    /// A required 64-bit id, a number or its text.
    pub fn id(&self, name: &str) -> Result<i64, BodyError> {
        match find(self.members, name) {
            None => Err(fault(Reason::MissingField, &self.path(name), "an id is required")),
            Some(Json::Null) => Err(fault(Reason::NullValue, &self.path(name), "an id is required")),
            Some(_) => Ok(self.int(name)?.unwrap_or_default()),
        }
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, BodyError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .digits()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| self.mismatch(name, "expected a 64-bit integer"))
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, BodyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone().into_owned())),
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
        if minor.unsigned_abs() > MAX_MINOR_UNITS {
            return Err(self.mismatch(name, "expected an amount below 10^15 minor units"));
        }
        Ok(Some(minor))
    }

    /// The digits of a number, given as a JSON number or as text.
    pub fn decimal(&self, name: &str) -> Result<Option<&'a str>, BodyError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value
            .digits()
            .map(Some)
            .ok_or_else(|| self.mismatch(name, "expected a decimal amount"))
    }

    pub fn object(&self, name: &str) -> Result<Option<Node<'a>>, BodyError> {
        self.get(name)
            .map(|value| Node::at(value, self.path(name), self.encode))
            .transpose()
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
                .map(|item| item.digits().and_then(|text| text.parse().ok()).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// The items of a list that may be anything; none where it is no list.
    pub fn list(&self, name: &str) -> &'a [Json<'a>] {
        match self.get(name) {
            Some(Json::Array(items)) => items,
            _ => &[],
        }
    }

    pub fn objects(&self, name: &str) -> Result<Vec<Node<'a>>, BodyError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Node::at(item, format!("{}[{index}]", self.path(name)), self.encode))
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
            r#"{"a":[{}],"x":89.990,"id":9007199254740993}"#
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
