//! JSON without floats: a number stays the text it was, so that money and 64-bit ids are exact.

mod node;
mod reader;

use std::borrow::Cow;
use std::cmp::Ordering;

pub(super) use node::Node;

use super::{BodyError, Reason};
use crate::money::{self, Currency};

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
            | "tracking_url"
            | "tracking_numbers"
            | "tracking_number"
    )
}

/// Names of an order's attributes that say who brought the buyer.
const REFERRAL: [&str; 2] = ["weir_publisher", "weir_program"];

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

    /// The same with those attributes of an order that say who brought the buyer, in a webhook or in a line of a bulk operation:
    /// whoever reads it again finds the order as it was. The others are the buyer's to write.
    #[must_use]
    pub fn to_text_without_person(&self) -> String {
        let mut out = self.to_text_without_personal_data();
        for (list, name) in [("note_attributes", "name"), ("customAttributes", "key")] {
            let Some(Self::Array(attributes)) = self.member(list) else {
                continue;
            };
            let is_referral =
                |one: &&Self| matches!(one.member(name), Some(Self::String(name)) if REFERRAL.contains(&&**name));
            let attributes = attributes.iter().filter(is_referral);
            let attributes: Vec<String> = attributes.map(Self::to_text_without_personal_data).collect();
            out.pop();
            let comma = if out.len() > 1 { "," } else { "" };
            out.push_str(&format!(r#"{comma}"{list}":[{}]}}"#, attributes.join(",")));
        }
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
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    let time = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    TIMES.contains(&time).then_some(time)
}

/// Whether a text has the form of a time of RFC 3339; seconds and the minutes of an offset may be left out. jiff reads more
/// (brackets, commas, dates without dashes), which the SQL-only install would have to read the same.
fn is_rfc3339(text: &[u8]) -> bool {
    let Some(rest) = after(text, b"9999-99-99T99:99") else {
        return false;
    };
    let rest = match after(rest, b":99") {
        Some([b'.', rest @ ..]) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &rest[digits..]
        }
        Some(rest) => rest,
        None => rest,
    };
    match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hours @ ..] => {
            hours.get(..2).is_some_and(|hours| hours <= b"23")
                && ["99".as_bytes(), b"9999", b"99:99"]
                    .iter()
                    .any(|form| after(hours, form) == Some(&[]))
        }
        _ => false,
    }
}

/// What follows after a `form` that `text` begins with: 9 is any digit, T what may stand between date and time.
fn after<'a>(text: &'a [u8], form: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(form.len())?;
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'9' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == wanted,
    };
    start.iter().zip(form).all(fits).then_some(rest)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_personal_members_go() {
        let json = Json::parse(
            r#"{"id": 9007199254740993, "x": 89.990, "email": "a@example.com", "a": [{"note": 1,
            "tracking_number": "1Z", "tracking_numbers": ["1Z"], "tracking_url": "x", "tracking_urls": ["x"]}]}"#,
        );
        assert_eq!(
            json.unwrap().to_text_without_personal_data(),
            r#"{"a":[{}],"x":89.990,"id":9007199254740993}"#
        );
    }

    #[test]
    fn without_a_person_an_order_still_says_who_brought_the_buyer() {
        let text = |text: &str| Json::parse(text).unwrap().to_text_without_person();
        let order = text(
            r#"{"id": 1, "email": "a@example.com", "note_attributes": [{"name": "for", "value": "Jane"},
            {"name": "weir_program", "value": "spring"}, 7, {"value": "x"}]}"#,
        );
        assert_eq!(
            order,
            r#"{"id":1,"note_attributes":[{"name":"weir_program","value":"spring"}]}"#
        );
        assert_eq!(text(&order), order);
        assert_eq!(text(r#"{"customAttributes": []}"#), r#"{"customAttributes":[]}"#);
        for other in ["[]", "7", "{}", r#"{"note_attributes":null}"#] {
            let kept = Json::parse(other).unwrap().to_text_without_personal_data();
            assert_eq!(text(other), kept);
        }
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        let noon = instant("2026-07-01T12:00:00Z");
        assert!(noon.is_some());
        for same in [
            "2026-07-01t12:00z",
            "2026-07-01 12:00:00.000000000-00:00",
            "2026-07-01T21:00:00+0900",
            "2026-07-01T04:00:00-08",
            "2026-07-02T11:59:00+23:59",
            "2026-06-30T12:01:00-23:59",
        ] {
            assert_eq!(instant(same), noon, "{same}");
        }
        // A leap second is the second before it.
        for (leap, time) in [
            ("23:59:60Z", "23:59:59Z"),
            ("23:59:60.123456789Z", "23:59:59.123456789Z"),
        ] {
            assert_eq!(
                instant(&format!("2016-12-31T{leap}")),
                instant(&format!("2016-12-31T{time}"))
            );
        }
        for none in [
            "2026-07-01",
            "20260701T120000Z",
            "2026-07-01T12Z",
            "2026-07-01T12:00:00,5Z",
            "2026-07-01T12:00:00.Z",
            "2026-07-01T12:00:00.1234567890Z",
            "2026-07-01T12:00:00+09:00[Asia/Tokyo]",
            "2026-07-01T12:00:00+09:00:30",
            "2026-07-01T12:00:00+24:00",
            "2026-07-01T12:00:61Z",
            "2026-07-01T24:00:00Z",
            "2026-02-29T12:00:00Z",
            "+002026-07-01T12:00:00Z",
            "2026-W27-3T12:00:00Z",
            "2026-07-01T12:00:00",
            "1899-12-31T12:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(instant(none), None, "{none}");
        }
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
