//! Objects of a body, as the readers of its topics see them.

use super::{fault, find, instant, members_text, Encode, Json, Members, MAX_MINOR_UNITS};
use crate::money::{self, Currency};
use crate::order_state::Raw;
use crate::shopify::{BodyError, Reason};

/// An object of the body. Copied freely: where it stands is looked up when a fault is told.
#[derive(Clone, Copy)]
pub(in crate::shopify) struct Node<'a> {
    members: &'a Members<'a>,
    /// Of the body itself.
    root: &'a Members<'a>,
    encode: Encode,
}

impl<'a> Node<'a> {
    /// `encode` is for the bodies that are kept.
    pub fn root(json: &'a Json<'a>, encode: Encode) -> Result<Self, BodyError> {
        match json {
            Json::Object(members) => Ok(Self {
                members,
                root: members,
                encode,
            }),
            _ => Err(not_an_object("")),
        }
    }

    /// A part of the same body.
    fn part(&self, json: &'a Json<'a>) -> Option<Self> {
        match json {
            Json::Object(members) => Some(Self { members, ..*self }),
            _ => None,
        }
    }

    /// Path of the member called `name`, as in `line_items[0].title`.
    pub fn path(&self, name: &str) -> String {
        let mut path = String::new();
        path_to(self.members, self.root, &mut path);
        if !path.is_empty() {
            path.push('.');
        }
        path + name
    }

    pub fn mismatch(&self, name: &str, detail: &'static str) -> BodyError {
        fault(Reason::TypeMismatch, &self.path(name), detail)
    }

    pub fn is_null(&self, name: &str) -> bool {
        find(self.members, name) == Some(&Json::Null)
    }

    /// Whether there is such a member, be it null.
    pub fn has(&self, name: &str) -> bool {
        find(self.members, name).is_some()
    }

    pub fn has_object(&self, name: &str) -> bool {
        matches!(find(self.members, name), Some(Json::Object(_)))
    }

    fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        find(self.members, name).filter(|value| **value != Json::Null)
    }

    /// The object encoded to be kept.
    pub fn raw(&self) -> Raw {
        Raw::of((self.encode)(self.members))
    }

    /// The object as JSON text, without personal data and credentials.
    pub fn to_text(self) -> String {
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
        Ok(self.str(name)?.map(str::to_owned))
    }

    fn str(&self, name: &str) -> Result<Option<&'a str>, BodyError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
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
        let Some(text) = self.str(name)? else { return Ok(None) };
        instant(text)
            .map(Some)
            .ok_or_else(|| self.mismatch(name, "expected an RFC 3339 time from 1900 to 9998"))
    }

    pub fn currency(&self, name: &str) -> Result<Option<Currency>, BodyError> {
        let Some(code) = self.str(name)? else { return Ok(None) };
        Currency::from_code(code)
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
        let part = |value| self.part(value).ok_or_else(|| not_an_object(&self.path(name)));
        self.get(name).map(part).transpose()
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
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(_) => return Err(self.mismatch(name, "expected a list")),
        };
        let part = |(index, item)| {
            self.part(item)
                .ok_or_else(|| not_an_object(&format!("{}[{index}]", self.path(name))))
        };
        items.iter().enumerate().map(part).collect()
    }
}

fn not_an_object(path: &str) -> BodyError {
    fault(Reason::TypeMismatch, path, "expected an object")
}

/// Writes the path of an object within another one behind `path`; whether it is in there. A body is a tree, so that an
/// object has one place.
fn path_to(wanted: &Members<'_>, members: &Members<'_>, path: &mut String) -> bool {
    let length = path.len();
    std::ptr::eq(wanted, members)
        || members.iter().any(|(name, value)| {
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            let is_here = path_into(wanted, value, path);
            if !is_here {
                path.truncate(length);
            }
            is_here
        })
}

fn path_into(wanted: &Members<'_>, json: &Json<'_>, path: &mut String) -> bool {
    let length = path.len();
    match json {
        Json::Object(members) => path_to(wanted, members, path),
        Json::Array(items) => items.iter().enumerate().any(|(index, item)| {
            path.push_str(&format!("[{index}]"));
            let is_here = path_into(wanted, item, path);
            if !is_here {
                path.truncate(length);
            }
            is_here
        }),
        _ => false,
    }
}
