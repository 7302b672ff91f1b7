//! Requests and answers as all Workers read and give them.

use serde_json::json;
use worker::{Request, Response, Result};

use crate::border;
use crate::head::CONTENT_LENGTH;

/// The body, or `None` when it has more than `limit` bytes; kept no further than that, whatever Content-Length says.
pub async fn read_body(request: &Request, limit: usize) -> Result<Option<Vec<u8>>> {
    let announced = request.headers().get(CONTENT_LENGTH)?;
    let announced = announced.and_then(|value| value.parse().ok());
    border::body(request.inner(), announced, limit).await
}

/// An answer that says why.
pub fn answer(status: u16, reason: &str, detail: &str) -> Result<Response> {
    Ok(Response::from_json(&json!({"reason": reason, "detail": detail}))?.with_status(status))
}
