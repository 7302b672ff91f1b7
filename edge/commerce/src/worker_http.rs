//! `POST /webhooks/shopify`: bytes in, hand-over, answer. 200 only after the hand-over is durable.

use futures_util::StreamExt;
use serde_json::json;
use weir_domain::webhook::Delivery;
use worker::{console_error, Env, Method, Request, Response, Result};

use crate::admission::{Admission, Refusal};
use crate::bindings::{admission, hand_over, keep, now, BUCKET};
use crate::quarantine::QuarantineRecord;

/// Routes a request.
pub async fn route(request: Request, env: Env) -> Result<Response> {
    match (request.method(), request.path().as_str()) {
        (Method::Get, "/healthz") => Response::from_json(&json!({"status": "ok"})),
        (Method::Post, "/webhooks/shopify") => shopify(request, &env).await,
        (_, "/webhooks/shopify" | "/healthz") => answer(405, "method_not_allowed", ""),
        (_, path) if path.starts_with("/internal/") => crate::worker_internal::route(request, &env).await,
        _ => answer(404, "not_found", ""),
    }
}

async fn shopify(mut request: Request, env: &Env) -> Result<Response> {
    let admission = match admission(env) {
        Ok(admission) => admission,
        Err(error) => {
            console_error!("configuration: {error}");
            return answer(503, "not_configured", "the receiver is not configured");
        }
    };
    let received_at = now();
    let body = match read_body(&mut request, &admission).await? {
        Ok(body) => body,
        Err(refusal) => return refuse(env, refusal, received_at).await,
    };
    let headers = request.headers().clone();
    let find = |name: &str| headers.get(name).ok().flatten();
    match admission.admit(&body, find, received_at.clone()) {
        Ok(delivery) => accept(env, delivery).await,
        Err(refusal) => refuse(env, refusal, received_at).await,
    }
}

/// How much of a refused body is still read and dropped, in bytes. An answer before the end of the body resets the
/// connection of a client that is still sending, which then never sees the 413.
const MAX_DISCARDED_BYTES: usize = 32 << 20;

/// The body, kept no further than the limit, whatever Content-Length says.
async fn read_body(request: &mut Request, admission: &Admission) -> Result<std::result::Result<Vec<u8>, Refusal>> {
    let limit = admission.max_body_bytes;
    let announced = request
        .headers()
        .get("content-length")?
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_DISCARDED_BYTES) {
        return Ok(Err(Refusal::too_large(limit)));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(limit));
    let mut seen_bytes = 0;
    // A request without a body has no stream.
    let Ok(mut chunks) = request.stream() else {
        return Ok(Ok(body));
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
    if seen_bytes > limit {
        return Ok(Err(Refusal::too_large(limit)));
    }
    Ok(Ok(body))
}

async fn accept(env: &Env, delivery: Delivery) -> Result<Response> {
    match hand_over(env, delivery, 0).await {
        Ok(()) => Response::from_json(&json!({"status": "accepted"})),
        Err(error) => {
            console_error!("hand-over failed: {error}");
            answer(503, "hand_over_failed", "not taken; deliver again")
        }
    }
}

async fn refuse(env: &Env, refusal: Refusal, received_at: String) -> Result<Response> {
    if let Some((delivery, body)) = refusal.keep.map(|kept| *kept) {
        let record = QuarantineRecord::new(delivery, refusal.reason, &refusal.detail, received_at).with_body(body);
        let kept = match env.bucket(BUCKET) {
            Ok(bucket) => keep(&bucket, &record).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            console_error!("quarantine failed: {error}");
            return answer(503, "hand_over_failed", "not taken; deliver again");
        }
    }
    answer(refusal.status, refusal.reason, &refusal.detail)
}

/// An answer that says why.
pub fn answer(status: u16, reason: &str, detail: &str) -> Result<Response> {
    Ok(Response::from_json(&json!({"reason": reason, "detail": detail}))?.with_status(status))
}
