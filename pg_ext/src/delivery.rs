//! The batch as text: deliveries in, verdicts out.

use serde::Serialize;
use serde_json::value::RawValue;
use weir_domain::events::{EventKey, Provenance};
use weir_domain::shopify::json::{instant, Json};
use weir_domain::shopify::{BodyError, Fact, Reason};

use crate::report;

const HINT: &str = r#"Give [{"webhook_id": "...", "topic": "orders/create", "shop_domain": "demo.myshopify.com", "triggered_at": null, "received_at": "2026-11-24T10:00:00.000Z", "source": "webhook", "body": "..."}], the body as text."#;

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
pub struct Delivery {
    pub webhook_id: String,
    pub topic: String,
    pub shop_domain: String,
    pub triggered_at: i64,
    pub provenance: Provenance,
    pub body: String,
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

/// Reads the batch. A delivery that is not readable is rejected alone; a batch that is no list raises 22023.
pub fn read(text: &str) -> Vec<Delivery> {
    // In one pass where nothing is wrong; else each on its own.
    if let Ok(Json::Array(items)) = Json::parse(text) {
        return items.into_iter().map(|item| Delivery::read(Ok(item))).collect();
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        report::invalid_argument(
            "the deliveries are not a JSON list",
            "The argument is not a JSON array.",
            HINT,
        )
    };
    items
        .into_iter()
        .map(|item| Delivery::read(Json::parse(item.get())))
        .collect()
}

impl Delivery {
    fn read(json: Result<Json<'_>, BodyError>) -> Self {
        let mut delivery = Self {
            webhook_id: String::new(),
            topic: String::new(),
            shop_domain: String::new(),
            triggered_at: 0,
            provenance: Provenance {
                received_at: 0,
                source: String::new(),
            },
            body: String::new(),
            verdict: None,
            reason: None,
            detail: None,
            shop_id: 0,
            fact: None,
            keys: Vec::new(),
        };
        match json.and_then(|json| delivery.fill(json)) {
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

    fn fill(&mut self, mut json: Json<'_>) -> Result<(), BodyError> {
        self.webhook_id = required(&mut json, "webhook_id")?;
        self.topic = required(&mut json, "topic")?;
        self.shop_domain = required(&mut json, "shop_domain")?;
        self.provenance.source = optional(&mut json, "source")?.unwrap_or_else(|| "webhook".to_owned());
        let received_at = required(&mut json, "received_at")?;
        self.provenance.received_at = time(&received_at, "received_at")?;
        self.triggered_at = match optional(&mut json, "triggered_at")? {
            Some(text) => time(&text, "triggered_at")?,
            None => self.provenance.received_at,
        };
        self.body = required(&mut json, "body")?;
        Ok(())
    }

    /// Rejects for a reason of weir's own.
    pub fn reject(&mut self, reason: &'static str, detail: String) {
        self.verdict = Some(Verdict::Rejected);
        self.reason = Some(reason);
        self.detail = Some(detail);
    }

    /// Rejects for what is wrong with its text.
    pub fn reject_body(&mut self, error: &BodyError) {
        self.reject(error.reason.as_str(), error.place());
    }

    /// Passes over a topic that weir does not read.
    pub fn ignore(&mut self) {
        self.verdict = Some(Verdict::Ignored);
        self.reason = Some("unsupported_topic");
    }

    /// Passes over what arrives for a shop that was forgotten.
    pub fn ignore_redacted(&mut self) {
        self.fact = None;
        self.verdict = Some(Verdict::Ignored);
        self.reason = Some("redacted");
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

fn optional(json: &mut Json<'_>, name: &str) -> Result<Option<String>, BodyError> {
    if !matches!(json, Json::Object(_)) {
        return Err(error(Reason::TypeMismatch, "", "expected an object"));
    }
    match json.take(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.into_owned())),
        Some(_) => Err(error(Reason::TypeMismatch, name, "expected text")),
    }
}

fn required(json: &mut Json<'_>, name: &str) -> Result<String, BodyError> {
    optional(json, name)?.ok_or_else(|| error(Reason::MissingField, name, "a delivery needs it"))
}

fn time(text: &str, name: &str) -> Result<i64, BodyError> {
    instant(text).ok_or_else(|| error(Reason::TypeMismatch, name, "expected an RFC 3339 time"))
}
