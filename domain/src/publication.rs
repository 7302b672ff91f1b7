//! Interactions that touch the domain (referral, conversion, attribution) and the catalogue of who publishes what.
//!
//! Everything arrives from outside: an interaction is held to the schema of stream `publication_v1` before it is
//! believed, and what is kept of it names nobody.

mod catalogue;

pub use catalogue::{CatalogueChange, Item, Link, Program, Publisher};

use serde_json::Value;

use crate::order_state::{Attribution, ReferredBy};
use crate::shopify::json::{instant, Json};
use crate::telemetry;

/// Longest id of the catalogue, in bytes.
pub const MAX_CATALOGUE_ID_BYTES: usize = 128;

/// Whether a text can be the id of a publisher, item, program or link: letters, digits and `. _ : / -`. An e-mail address
/// or a name with spaces is none.
#[must_use]
pub fn is_catalogue_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    (1..=MAX_CATALOGUE_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// The interactions that PostgreSQL records; clicks, views and the like go to the stream alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InteractionType {
    /// A visitor was sent to the shop.
    Referral,
    /// A visitor bought; may name the order.
    Conversion,
    /// An order is ascribed to a publisher or program.
    Attribution,
}

impl InteractionType {
    /// Name in the stream.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Referral => "referral",
            Self::Conversion => "conversion",
            Self::Attribution => "attribution",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Referral, Self::Conversion, Self::Attribution];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// A recorded interaction. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Interaction {
    pub event_id: String,
    pub interaction_type: InteractionType,
    pub occurred_at: i64,
    pub received_at: i64,
    pub source: String,
    pub shop_domain: String,
    pub item_id: Option<String>,
    pub referred_by: ReferredBy,
    pub placement: Option<String>,
    pub product_id: Option<i64>,
    pub order_id: Option<i64>,
    /// Without query, fragment and credentials.
    pub url: Option<String>,
    pub referrer_host: Option<String>,
    pub country: Option<String>,
    pub device_class: Option<String>,
    pub session_key: Option<String>,
    pub visitor_key: Option<String>,
    pub is_bot: bool,
    /// Seconds in view.
    pub engaged_seconds: Option<f64>,
}

/// Why an interaction is refused: a reason of the verdicts, and where. Carries no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// `missing_field`, `null_value`, `type_mismatch`, `parse_failure` or `invalid_text`.
    pub reason: &'static str,
    /// Field, and what was expected.
    pub detail: String,
}

fn refuse<T>(reason: &'static str, detail: impl Into<String>) -> Result<T, Refusal> {
    let detail = detail.into();
    Err(Refusal { reason, detail })
}

impl Interaction {
    /// Reads one event of stream `publication_v1`.
    ///
    /// # Errors
    /// [`Refusal`] when it is no such event, of another type, or an attribution without an order or without anybody to
    /// ascribe it to.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > telemetry::MAX_ROW_BYTES {
            return refuse("type_mismatch", "an interaction is at most 1 MB");
        }
        // Refuses what PostgreSQL cannot store, and nesting that would exhaust a stack.
        if let Err(error) = Json::parse(text) {
            return refuse(error.reason.as_str(), error.place());
        }
        let Ok(row) = serde_json::from_str::<Value>(text) else {
            return refuse("parse_failure", "not JSON");
        };
        if let Err(violation) = telemetry::publication().validate(&row) {
            let place = match violation.field.as_str() {
                "" => violation.detail,
                field => format!("{field}: {}", violation.detail),
            };
            return refuse(violation.reason.as_str(), place);
        }
        let interaction = Self::from_row(&row)?;
        if interaction.interaction_type == InteractionType::Attribution {
            if interaction.order_id.is_none() {
                return refuse("missing_field", "order_id: an attribution names its order");
            }
            if interaction.referred_by == ReferredBy::default() {
                return refuse(
                    "missing_field",
                    "publisher_id: an attribution names a publisher or a program",
                );
            }
        }
        Ok(interaction)
    }

    fn from_row(row: &Value) -> Result<Self, Refusal> {
        let Some(interaction_type) = row["event_type"].as_str().and_then(InteractionType::parse) else {
            return refuse(
                "type_mismatch",
                "event_type: expected referral, conversion or attribution",
            );
        };
        let event_id = required(row, "event_id");
        if event_id.is_empty() || event_id.len() > MAX_CATALOGUE_ID_BYTES {
            return refuse("type_mismatch", "event_id: expected 1 to 128 bytes");
        }
        Ok(Self {
            event_id,
            interaction_type,
            occurred_at: time(row, "occurred_at")?,
            received_at: time(row, "received_at")?,
            source: required(row, "source"),
            shop_domain: required(row, "shop_domain"),
            item_id: catalogue_id(row, "item_id")?,
            referred_by: ReferredBy {
                publisher_id: catalogue_id(row, "publisher_id")?,
                program_id: catalogue_id(row, "program_id")?,
            },
            placement: text(row, "placement"),
            product_id: shopify_id(row, "product_id")?,
            order_id: shopify_id(row, "order_id")?,
            url: text(row, "url").and_then(|url| address_only(&url)),
            referrer_host: text(row, "referrer_host"),
            country: text(row, "country"),
            device_class: text(row, "device_class"),
            session_key: text(row, "session_key"),
            visitor_key: text(row, "visitor_key"),
            is_bot: row["is_bot"].as_bool().unwrap_or(false),
            engaged_seconds: row["engaged_seconds"].as_f64(),
        })
    }

    /// The order and what is attributed to it, if it is an attribution.
    #[must_use]
    pub fn attribution(&self) -> Option<(i64, Attribution)> {
        let order_id = self.order_id?;
        (self.interaction_type == InteractionType::Attribution).then(|| {
            let attribution = Attribution {
                occurred_at: self.occurred_at,
                event_id: self.event_id.clone(),
                referred_by: self.referred_by.clone(),
            };
            (order_id, attribution)
        })
    }
}

/// Text of a field that is absent or was validated.
fn text(row: &Value, name: &str) -> Option<String> {
    row[name].as_str().map(str::to_owned)
}

fn required(row: &Value, name: &str) -> String {
    text(row, name).unwrap_or_default()
}

fn time(row: &Value, name: &str) -> Result<i64, Refusal> {
    match row[name].as_str().and_then(instant) {
        Some(at) => Ok(at),
        None => refuse("type_mismatch", format!("{name}: expected a time from 1900 to 9998")),
    }
}

fn catalogue_id(row: &Value, name: &str) -> Result<Option<String>, Refusal> {
    match text(row, name) {
        Some(id) if !is_catalogue_id(&id) => refuse(
            "type_mismatch",
            format!("{name}: expected 1 to 128 letters, digits and . _ : / -"),
        ),
        id => Ok(id),
    }
}

fn shopify_id(row: &Value, name: &str) -> Result<Option<i64>, Refusal> {
    match row[name].as_str().map(str::parse) {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(id)),
        Some(Err(_)) => refuse("type_mismatch", format!("{name}: expected a decimal 64-bit id")),
    }
}

/// Scheme, host and path. Queries and credentials can name a person; an address that is none is not kept, nor a path with an
/// at sign inside of a part (`/@name` is none): the Worker has masked e-mails before, but here anybody's event arrives.
fn address_only(url: &str) -> Option<String> {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let (before, rest) = address.split_once("//")?;
    let authority = rest.split('/').next()?;
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let host_end = before.len() + "//".len() + authority.len();
    let (host, path) = address.split_at(host_end);
    Some(if has_at_sign(path) { host } else { address }.to_owned())
}

/// Whether an at sign follows anything else than a slash, however often it is percent-encoded.
fn has_at_sign(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    while path.contains("%25") {
        path = path.replace("%25", "%");
    }
    let signs = ["@", "\u{ff20}", "\u{fe6b}", "%40", "%ef%bc%a0", "%ef%b9%ab"];
    let follows = |at: usize| path[..at].chars().next_back().is_some_and(|letter| letter != '/');
    signs
        .iter()
        .any(|sign| path.match_indices(sign).any(|(at, _)| follows(at)))
}

#[cfg(test)]
mod tests;
