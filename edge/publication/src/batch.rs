//! The body of `POST /v1/events`: a JSON array of events, or `{"events": [...]}` whose other fields hold for each of them.

use serde_json::{Map, Value};
use weir_domain::interaction::given::{Given, Refusal as EventRefusal};
use weir_edge_shared::discreet::place;

/// Largest body taken, in bytes. A browser's sendBeacon takes 64 KiB (Fetch standard, keepalive quota).
pub const MAX_BODY_BYTES: usize = 65_536;

/// Most events of a batch: the queue takes 100 messages at once, and the counters 250 points an invocation.
pub const MAX_EVENTS: usize = 100;

/// Why a whole request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Reason class, machine-readable.
    pub reason: &'static str,
    /// What and where; no value of the body.
    pub detail: String,
}

impl Refusal {
    fn new(status: u16, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
        }
    }

    /// 413 for a body beyond [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            413,
            "too_large",
            format!("the body is larger than {MAX_BODY_BYTES} bytes"),
        )
    }
}

/// Reads a body sent as `content_type`: JSON, or the text/plain that sendBeacon sends without a preflight. Returns each
/// event, or why it is refused, in the order given.
///
/// # Errors
/// [`Refusal`] of the request: 413, 415, or 422 when it is no batch at all.
pub fn read(body: &[u8], content_type: Option<&str>) -> Result<Vec<Result<Given, EventRefusal>>, Refusal> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Refusal::too_large());
    }
    let media_type = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or("text/plain");
    if !["application/json", "text/plain"].contains(&media_type.trim().to_ascii_lowercase().as_str()) {
        return Err(Refusal::new(
            415,
            "unsupported_media_type",
            "send application/json or text/plain",
        ));
    }
    let not_json = |error: serde_json::Error| Refusal::new(422, "parse_failure", place(&error));
    let (events, common) = match serde_json::from_slice(body).map_err(not_json)? {
        Value::Array(events) => (events, Map::new()),
        Value::Object(mut common) => match common.remove("events") {
            Some(Value::Array(events)) => (events, common),
            _ => return Err(Refusal::new(422, "missing_field", "events: expected an array")),
        },
        _ => {
            return Err(Refusal::new(
                422,
                "type_mismatch",
                "expected an array, or an object with events",
            ))
        }
    };
    if events.is_empty() {
        return Err(Refusal::new(422, "missing_field", "events: there is none"));
    }
    if events.len() > MAX_EVENTS {
        let detail = format!("{} events, at most {MAX_EVENTS} are taken at once", events.len());
        return Err(Refusal::new(413, "batch_too_large", detail));
    }
    Ok(events.iter().map(|event| Given::read(event, &common)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(body: &[u8], content_type: Option<&str>) -> u16 {
        read(body, content_type).unwrap_err().status
    }

    #[test]
    fn both_forms_and_both_media_types() {
        let event = json!({"event_type": "click", "event_key": "k", "shop_domain": "demo.myshopify.com"});
        let array = json!([event]).to_string();
        let object =
            json!({"shop_domain": "demo.myshopify.com", "events": [{"event_type": "click", "event_key": "k"}]});
        let object = object.to_string();
        for content_type in [Some("application/json"), Some("text/plain;charset=UTF-8"), None] {
            let first = read(array.as_bytes(), content_type).unwrap();
            assert_eq!(first, read(object.as_bytes(), content_type).unwrap());
            assert!(first[0].is_ok());
        }
    }

    #[test]
    fn a_bad_event_is_refused_alone() {
        let body = json!([{"event_type": "click"}, {"event_type": "click", "event_key": "k", "shop_domain": "d"}]);
        let events = read(body.to_string().as_bytes(), None).unwrap();
        assert!(events[0].is_err() && events[1].is_ok());
    }

    #[test]
    fn what_is_no_batch_has_its_status() {
        assert_eq!(status(&[b' '; MAX_BODY_BYTES + 1], None), 413);
        assert_eq!(status(b"[]", Some("text/html")), 415);
        for body in [
            &b""[..],
            b"[",
            b"[]",
            b"{}",
            b"1",
            b"{\"events\":{}}",
            b"\xff",
            b"[] []",
        ] {
            assert_eq!(status(body, None), 422, "{body:?}");
        }
        let many = json!(vec![json!({}); MAX_EVENTS + 1]).to_string();
        assert_eq!(read(many.as_bytes(), None).unwrap_err().reason, "batch_too_large");
        assert!(read(b"[\n x]", None).unwrap_err().detail.contains("line 2 column 2"));
    }
}
