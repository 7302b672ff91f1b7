//! The batch as text: deliveries in, verdicts out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_domain::events::{EventKey, Provenance};
use weir_domain::shopify::json::{instant, Json};
use weir_domain::shopify::{BodyError, Fact, Reason};
use weir_domain::webhook;

use crate::report;
use crate::store::DeliveryKey;

const HINT: &str = r#"Give [{"webhook_id": "...", "topic": "orders/create", "shop_domain": "demo.myshopify.com", "triggered_at": null, "received_at": "2026-11-24T10:00:00.000Z", "source": "webhook", "body": "..."}], the body as text; or, as text, the line {"body_bytes": [2, ...]}, the line [the same without body, ...] and after them the bodies as they are, of so many bytes each."#;

/// Longest webhook id, in bytes; Shopify's are UUIDs of 36. It is part of a key, and PostgreSQL takes no index row above 2,704
/// bytes. Of the key's other texts none needs a limit: a topic is one that weir reads.
const MAX_WEBHOOK_ID_BYTES: usize = 1024;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Accepted,
    Duplicate,
    Stale,
    Ignored,
    Rejected,
}

/// A delivery on its way through a call.
pub struct Delivery<'t> {
    pub webhook_id: String,
    pub topic: String,
    pub shop_domain: String,
    pub triggered_at: i64,
    pub provenance: Provenance,
    pub body: Cow<'t, str>,
    /// `None` while undecided.
    pub verdict: Option<Verdict>,
    pub reason: Option<&'static str>,
    pub detail: Option<String>,
    pub shop_id: i64,
    pub fact: Option<Fact>,
    pub keys: Vec<EventKey>,
}

/// A delivery in the answer.
#[derive(Serialize)]
pub struct Outcome<'a> {
    webhook_id: &'a str,
    topic: &'a str,
    shop_domain: &'a str,
    verdict: Verdict,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    event_ids: Vec<String>,
}

/// The answer of `weir.ingest`.
#[derive(Serialize)]
pub struct Answer<'a> {
    pub deliveries: Vec<Outcome<'a>>,
    pub events: Vec<Box<RawValue>>,
}

/// Reads the batch, of either form. A delivery that is not readable is rejected alone; a batch that is none raises 22023.
pub fn read(text: &str) -> Vec<Delivery<'_>> {
    let deliveries = match text.starts_with('{') {
        true => read_unquoted(text),
        false => items(text)
            .map(|items| items.into_iter().map(|item| Delivery::read(item, None)).collect())
            .ok_or("The argument is not a JSON array."),
    };
    deliveries.unwrap_or_else(|detail| report::invalid_argument("the deliveries are not a JSON list", detail, HINT))
}

/// The items of a JSON array, each readable or not; `None` where it is no array.
fn items(text: &str) -> Option<Vec<Result<Json<'_>, BodyError>>> {
    // In one pass where nothing is wrong; else each on its own.
    if let Ok(Json::Array(items)) = Json::parse(text) {
        return Some(items.into_iter().map(Ok).collect());
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(items.into_iter().map(|item| Json::parse(item.get())).collect())
}

/// The first line of the other form.
#[derive(Deserialize)]
struct Sizes {
    body_bytes: Vec<usize>,
}

/// The form in which nobody quotes a body or reads it quoted, which of a batch of orders costs more than to read what is in
/// them: a line of sizes, a line of deliveries, and after them the bodies as they came. The sizes stand apart from the
/// deliveries, so that one that is not readable does not hide where the next body begins.
fn read_unquoted(text: &str) -> Result<Vec<Delivery<'_>>, &'static str> {
    let (sizes, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (list, mut bodies) = rest.split_once('\n').unwrap_or((rest, ""));
    let Ok(Sizes { body_bytes }) = serde_json::from_str(sizes) else {
        return Err("The first line is not a JSON object with body_bytes, a list of sizes.");
    };
    let items = items(list).ok_or("The second line is not a JSON array.")?;
    if items.len() != body_bytes.len() {
        return Err("body_bytes has not as many sizes as there are deliveries.");
    }
    let mut deliveries = Vec::with_capacity(items.len());
    for (item, size) in items.into_iter().zip(body_bytes) {
        let (body, rest) = bodies
            .split_at_checked(size)
            .ok_or("The bodies are not as long as body_bytes says.")?;
        bodies = rest;
        deliveries.push(Delivery::read(item, Some(body)));
    }
    match bodies {
        "" => Ok(deliveries),
        _ => Err("The bodies are not as long as body_bytes says."),
    }
}

impl<'t> Delivery<'t> {
    fn read(json: Result<Json<'t>, BodyError>, body: Option<&'t str>) -> Self {
        let mut delivery = Self {
            webhook_id: String::new(),
            topic: String::new(),
            shop_domain: String::new(),
            triggered_at: 0,
            provenance: Provenance {
                received_at: 0,
                source: String::new(),
            },
            body: Cow::Borrowed(""),
            verdict: None,
            reason: None,
            detail: None,
            shop_id: 0,
            fact: None,
            keys: Vec::new(),
        };
        match json.and_then(|json| delivery.fill(json, body)) {
            Err(error) => delivery.reject_body(&error),
            Ok(()) if delivery.webhook_id.len() > MAX_WEBHOOK_ID_BYTES => {
                let found = delivery.webhook_id.len();
                let detail = format!("webhook_id: expected at most {MAX_WEBHOOK_ID_BYTES} bytes, found {found}");
                delivery.reject(Reason::TypeMismatch.as_str(), detail);
            }
            Ok(()) => {}
        }
        delivery
    }

    fn fill(&mut self, mut json: Json<'t>, body: Option<&'t str>) -> Result<(), BodyError> {
        self.webhook_id = required(&mut json, "webhook_id")?.into_owned();
        self.topic = required(&mut json, "topic")?.into_owned();
        self.shop_domain = required(&mut json, "shop_domain")?.into_owned();
        self.provenance.source = optional(&mut json, "source")?.map_or_else(|| "webhook".to_owned(), Cow::into_owned);
        let received_at = required(&mut json, "received_at")?;
        self.provenance.received_at = time(&received_at, "received_at")?;
        let told = optional(&mut json, "triggered_at")?;
        let told = told.map(|text| time(&text, "triggered_at")).transpose()?;
        self.triggered_at = webhook::triggered_at(told, self.provenance.received_at);
        self.body = match body {
            Some(body) => Cow::Borrowed(body),
            None => required(&mut json, "body")?,
        };
        Ok(())
    }

    /// By what it is known again: one action fires several topics, and a topic repeats with its webhook id.
    pub fn key(&self) -> DeliveryKey {
        (self.shop_id, self.topic.clone(), self.webhook_id.clone())
    }

    /// Rejects for a reason of weir's own.
    pub fn reject(&mut self, reason: &'static str, detail: String) {
        self.fact = None;
        self.verdict = Some(Verdict::Rejected);
        self.reason = Some(reason);
        self.detail = Some(detail);
    }

    /// Rejects for what is wrong with its text.
    pub fn reject_body(&mut self, error: &BodyError) {
        self.reject(error.reason.as_str(), error.place());
    }

    /// Passes over what asks for nothing: a topic that weir does not read, or, without a reason, a delivery that it understands, such
    /// as that the app was uninstalled. Whoever keeps what is not read need not keep the others.
    pub fn ignore(&mut self) {
        self.verdict = Some(Verdict::Ignored);
        self.reason = (!webhook::is_supported(&self.topic)).then_some("unsupported_topic");
    }

    /// Passes over what arrives for a shop that was forgotten.
    pub fn ignore_redacted(&mut self) {
        self.ignore_for("redacted");
    }

    /// Passes over what is not to be done any more.
    pub fn ignore_for(&mut self, reason: &'static str) {
        self.fact = None;
        self.verdict = Some(Verdict::Ignored);
        self.reason = Some(reason);
    }

    /// The delivery in the answer.
    pub fn outcome(&self, event_ids: Vec<String>) -> Outcome<'_> {
        Outcome {
            webhook_id: &self.webhook_id,
            topic: &self.topic,
            shop_domain: &self.shop_domain,
            verdict: self.verdict.unwrap_or(Verdict::Accepted),
            reason: self.reason,
            detail: self.detail.as_deref(),
            event_ids,
        }
    }
}

fn error(reason: Reason, path: &str, detail: &'static str) -> BodyError {
    BodyError {
        reason,
        path: path.to_owned(),
        detail,
    }
}

fn optional<'t>(json: &mut Json<'t>, name: &str) -> Result<Option<Cow<'t, str>>, BodyError> {
    if !matches!(json, Json::Object(_)) {
        return Err(error(Reason::TypeMismatch, "", "expected an object"));
    }
    match json.take(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(error(Reason::TypeMismatch, name, "expected text")),
    }
}

fn required<'t>(json: &mut Json<'t>, name: &str) -> Result<Cow<'t, str>, BodyError> {
    optional(json, name)?.ok_or_else(|| error(Reason::MissingField, name, "a delivery needs it"))
}

fn time(text: &str, name: &str) -> Result<i64, BodyError> {
    instant(text).ok_or_else(|| error(Reason::TypeMismatch, name, "expected an RFC 3339 time"))
}
