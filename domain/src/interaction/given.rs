//! A sender's event: read field by field, and refused with the field's name.

use serde_json::{Map, Value};

use super::text::free_text;
use super::Kind;
use crate::publication::is_catalogue_id;

/// Most characters of the sender's own key of an event.
pub const MAX_KEY_CHARS: usize = 200;
/// Longest span of engagement in one event, in seconds: a day.
const MAX_ENGAGED_SECONDS: f64 = 86_400.0;
/// Most characters read of an address; what is kept is much less.
const MAX_GIVEN_ADDRESS_CHARS: usize = 8000;

/// What a sender said, before anything is known of the request around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The kind, from `event_type`.
    pub kind: Kind,
    /// The sender's own key of the event: a repeated beacon has the same and counts once.
    pub event_key: String,
    /// The shop, lower case.
    pub shop_domain: String,
    /// Publisher, as claimed.
    pub publisher_id: Option<String>,
    /// Item.
    pub item_id: Option<String>,
    /// Program.
    pub program_id: Option<String>,
    /// Where on the page.
    pub placement: Option<String>,
    /// Shopify's product id, decimal.
    pub product_id: Option<String>,
    /// Shopify's order id, decimal.
    pub order_id: Option<String>,
    /// Address of the page, as sent.
    pub url: Option<String>,
    /// Address of the page before, as sent.
    pub referrer: Option<String>,
    /// The sender's clock, milliseconds since 1970.
    pub occurred_at_millis: Option<i64>,
    /// Time in view, seconds.
    pub engaged_seconds: Option<f64>,
    /// Code of the redirect that was followed.
    pub link_code: Option<String>,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reason class: `missing_field`, `type_mismatch`, `parse_failure`, `invalid_text`, `unsupported_kind`.
    pub reason: &'static str,
    /// Field and what was expected; no value of the event.
    pub detail: String,
}

impl Refusal {
    /// A refusal of `field`.
    #[must_use]
    pub fn new(reason: &'static str, field: &str, expected: &str) -> Self {
        Self {
            reason,
            detail: format!("{field}: {expected}"),
        }
    }
}

impl Given {
    /// An event of which nothing more is said.
    #[must_use]
    pub fn new(kind: Kind, event_key: &str, shop_domain: &str) -> Self {
        Self {
            kind,
            event_key: event_key.to_owned(),
            shop_domain: shop_domain.to_owned(),
            publisher_id: None,
            item_id: None,
            program_id: None,
            placement: None,
            product_id: None,
            order_id: None,
            url: None,
            referrer: None,
            occurred_at_millis: None,
            engaged_seconds: None,
            link_code: None,
        }
    }

    /// Reads `event`, whose absent fields are taken from `common` (what a batch says once for all its events). Fields
    /// that are not known are ignored.
    ///
    /// # Errors
    /// [`Refusal`] naming the first field that is missing or of no use.
    pub fn read(event: &Value, common: &Map<String, Value>) -> Result<Self, Refusal> {
        let Value::Object(event) = event else {
            return Err(Refusal::new("parse_failure", "event", "expected an object"));
        };
        let fields = Fields { event, common };
        let kind = Kind::parse(&fields.required("event_type")?).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            Refusal::new(
                "unsupported_kind",
                "event_type",
                &format!("expected one of {}", known.join(", ")),
            )
        })?;
        let given = Self {
            kind,
            event_key: fields.required("event_key")?,
            shop_domain: fields.required("shop_domain")?.to_ascii_lowercase(),
            publisher_id: fields.catalogue_id("publisher_id")?,
            item_id: fields.catalogue_id("item_id")?,
            program_id: fields.catalogue_id("program_id")?,
            placement: fields.free_text("placement")?,
            product_id: fields.shopify_id("product_id", "gid://shopify/Product/")?,
            order_id: fields.shopify_id("order_id", "gid://shopify/Order/")?,
            url: fields.address("url")?,
            referrer: fields.address("referrer")?,
            occurred_at_millis: fields.instant("occurred_at")?,
            engaged_seconds: fields.seconds("engaged_seconds")?,
            link_code: fields.free_text("link_code")?,
        };
        given.complete()
    }

    fn complete(self) -> Result<Self, Refusal> {
        let missing = |field, expected| Err(Refusal::new("missing_field", field, expected));
        if self.kind.is_about_an_order() && self.order_id.is_none() {
            return missing("order_id", "this kind is about an order");
        }
        if self.kind == Kind::Engagement && self.engaged_seconds.is_none() {
            return missing("engaged_seconds", "an engagement has its time in view");
        }
        Ok(self)
    }
}

struct Fields<'a> {
    event: &'a Map<String, Value>,
    common: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let present = |fields: &'_ Map<String, Value>| fields.get(name).is_some_and(|value| !value.is_null());
        let fields = if present(self.event) { self.event } else { self.common };
        fields.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::new("type_mismatch", name, "expected a string")),
        }
    }

    fn required(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name)?.map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Err(Refusal::new("missing_field", name, "required"));
        }
        if text.chars().count() > MAX_KEY_CHARS || text.chars().any(char::is_control) {
            let expected = format!("at most {MAX_KEY_CHARS} characters, none of them a control character");
            return Err(Refusal::new("invalid_text", name, &expected));
        }
        Ok(text.to_owned())
    }

    fn free_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        free_text(text).map_err(|wrong| Refusal::new("invalid_text", name, &wrong))
    }

    /// An id of the catalogue. One that looks like an e-mail address is dropped; any other that PostgreSQL would refuse
    /// later is refused now, while its sender still listens.
    fn catalogue_id(&self, name: &str) -> Result<Option<String>, Refusal> {
        let id = self.free_text(name)?;
        if id.as_deref().is_none_or(is_catalogue_id) {
            return Ok(id);
        }
        Err(Refusal::new(
            "type_mismatch",
            name,
            "expected 1 to 128 letters, digits and . _ : / -",
        ))
    }

    fn address(&self, name: &str) -> Result<Option<String>, Refusal> {
        let text = self.text(name)?.filter(|text| !text.trim().is_empty());
        Ok(text.map(|text| text.chars().take(MAX_GIVEN_ADDRESS_CHARS).collect()))
    }

    /// A Shopify id as decimal digits, an integer or a gid; kept as digits.
    fn shopify_id(&self, name: &str, gid: &str) -> Result<Option<String>, Refusal> {
        let id = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => {
                let digits = text.trim();
                let digits = digits.strip_prefix(gid).unwrap_or(digits);
                let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
                plain.then(|| digits.parse().ok()).flatten()
            }
            Some(_) => None,
        };
        id.filter(|id| *id > 0)
            .map(|id| Some(id.to_string()))
            .ok_or_else(|| Refusal::new("type_mismatch", name, "expected a Shopify id: decimal digits or a gid"))
    }

    fn instant(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let millis = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond()),
            Some(_) => None,
        };
        millis.map(Some).ok_or_else(|| {
            Refusal::new(
                "type_mismatch",
                name,
                "expected RFC 3339 with a zone, or whole milliseconds since 1970",
            )
        })
    }

    fn seconds(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|seconds| (0.0..=MAX_ENGAGED_SECONDS).contains(seconds))
            .map(Some)
            .ok_or_else(|| Refusal::new("type_mismatch", name, "expected seconds, from 0 to a day's 86400"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: Value) -> Result<Given, Refusal> {
        let common = json!({"shop_domain": "Demo.myshopify.com", "url": "https://blog.example/"});
        Given::read(&event, common.as_object().unwrap())
    }

    #[test]
    fn a_full_event_reads_back_and_a_batch_says_things_once() {
        let given = read(json!({
            "event_type": "conversion", "event_key": "k-1", "order_id": "gid://shopify/Order/820982911946154508",
            "product_id": 7, "item_id": " i-1 ", "occurred_at": "2026-11-24T10:00:00+01:00", "placement": null,
            "customer_email": "jane@example.com",
        }))
        .unwrap();
        assert_eq!(given.kind, Kind::Conversion);
        assert_eq!(given.shop_domain, "demo.myshopify.com");
        assert_eq!(given.url.as_deref(), Some("https://blog.example/"));
        assert_eq!(given.order_id.as_deref(), Some("820982911946154508"));
        assert_eq!(
            (given.product_id.as_deref(), given.item_id.as_deref()),
            (Some("7"), Some("i-1"))
        );
        assert_eq!(given.occurred_at_millis, Some(1_795_510_800_000));
        assert!(!format!("{given:?}").contains("jane"));
    }

    #[test]
    fn each_fault_is_named() {
        let event = json!({"event_type": "click", "event_key": "k"});
        assert!(read(event.clone()).is_ok());
        let cases = [
            ("event_type", json!("purchase"), "unsupported_kind"),
            ("event_type", json!(1), "type_mismatch"),
            ("event_key", json!(""), "missing_field"),
            ("event_key", json!("x".repeat(MAX_KEY_CHARS + 1)), "invalid_text"),
            ("item_id", json!(["i"]), "type_mismatch"),
            ("item_id", json!("two words"), "type_mismatch"),
            ("publisher_id", json!("p".repeat(129)), "type_mismatch"),
            ("placement", json!("a\nb"), "invalid_text"),
            ("product_id", json!("7; drop table"), "type_mismatch"),
            ("product_id", json!(-7), "type_mismatch"),
            ("product_id", json!(7.5), "type_mismatch"),
            ("occurred_at", json!("yesterday"), "type_mismatch"),
            ("engaged_seconds", json!(-1), "type_mismatch"),
            ("engaged_seconds", json!(86_401), "type_mismatch"),
        ];
        for (field, value, reason) in cases {
            let mut broken = event.clone();
            broken[field] = value;
            let refusal = read(broken).unwrap_err();
            assert_eq!(refusal.reason, reason, "{field}");
            assert!(refusal.detail.starts_with(field), "{}", refusal.detail);
        }
        assert_eq!(read(json!("text")).unwrap_err().reason, "parse_failure");
    }

    #[test]
    fn kinds_need_what_they_are_about() {
        for (kind, field) in [
            ("conversion", "order_id"),
            ("attribution", "order_id"),
            ("engagement", "engaged_seconds"),
        ] {
            let refusal = read(json!({"event_type": kind, "event_key": "k"})).unwrap_err();
            assert_eq!(refusal.reason, "missing_field");
            assert!(refusal.detail.starts_with(field), "{}", refusal.detail);
        }
    }

    #[test]
    fn an_email_in_a_free_field_is_dropped() {
        let given = read(
            json!({"event_type": "click", "event_key": "k", "placement": "jane%40example.com", "item_id": "jane@example.com"}),
        );
        let given = given.unwrap();
        assert_eq!((given.placement, given.item_id), (None, None));
    }
}
