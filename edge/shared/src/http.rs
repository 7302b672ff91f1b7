//! Requests and answers as all Workers read and give them.

use futures_util::StreamExt;
use serde_json::json;
use worker::{Request, Response, Result};

/// How much of a refused body is still read and dropped, in bytes. An answer before the end of the body resets the
/// connection of a client that is still sending, which then never sees the 413.
const MAX_DISCARDED_BYTES: usize = 32 << 20;

/// The body, or `None` when it has more than `limit` bytes; kept no further than that, whatever Content-Length says.
pub async fn read_body(request: &mut Request, limit: usize) -> Result<Option<Vec<u8>>> {
    let announced = request
        .headers()
        .get("content-length")?
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_DISCARDED_BYTES) {
        return Ok(None);
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(limit));
    let mut seen_bytes = 0;
    // A request without a body has no stream.
    let Ok(mut chunks) = request.stream() else {
        return Ok(Some(body));
    };
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        seen_bytes += chunk.len();
        if seen_bytes <= limit {
            body.extend_from_slice(&chunk);
        } else if seen_bytes > MAX_DISCARDED_BYTES {
            break;
        }
    }
    Ok((seen_bytes <= limit).then_some(body))
}

/// An answer that says why.
pub fn answer(status: u16, reason: &str, detail: &str) -> Result<Response> {
    Ok(Response::from_json(&json!({"reason": reason, "detail": detail}))?.with_status(status))
}
