//! `POST /webhooks/shopify`: bytes in, hand-over, answer. 200 only after the hand-over is durable.

use serde_json::json;
use weir_domain::webhook::{header, Delivery};
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::{self, HeaderNames, SignedBody};
use weir_edge_shared::head::{Head, CONTENT_LENGTH};
use worker::web_sys::{Request, Response};
use worker::{console_error, Context, Env, Result};

use crate::admission::{Admission, Refusal};
use crate::bindings::{gate, hand_over, keep, Gate, BUCKET, COUNTERS};
use crate::counting::received;
use crate::quarantine::QuarantineRecord;

/// What is asked of every request at once.
const HEADERS: &[&str] = &[
    CONTENT_LENGTH,
    header::HMAC_SHA256,
    header::SHOP_DOMAIN,
    header::TOPIC,
    header::WEBHOOK_ID,
    header::TRIGGERED_AT,
    header::API_VERSION,
];

thread_local! {
    static NAMES: HeaderNames = HeaderNames::new(HEADERS);
}

/// Routes a request. The runtime's own types, since the `worker` crate's ask for more than a webhook needs.
pub async fn route(request: Request, env: Env, context: &Context) -> Result<Response> {
    let head = NAMES.with(|names| names.read(&request));
    match (head.method(), head.path()) {
        ("POST", "/webhooks/shopify") => shopify(&request, &head, &env, context).await,
        ("GET", "/healthz") => Ok(border::json(200, r#"{"status":"ok"}"#)),
        (_, "/webhooks/shopify" | "/healthz") => Ok(answer(405, "method_not_allowed", "")),
        (_, path) if path.starts_with("/internal/") => crate::worker_internal::route(request.into(), &env)
            .await
            .map(Into::into),
        _ => Ok(answer(404, "not_found", "")),
    }
}

async fn shopify(request: &Request, head: &Head, env: &Env, context: &Context) -> Result<Response> {
    let gate = match gate(env).await {
        Ok(gate) => gate,
        Err(error) => {
            console_error!("configuration: {error}");
            return Ok(answer(503, "not_configured", "the receiver is not configured"));
        }
    };
    let outcome = admitted(request, head, &gate).await?;
    AnalyticsEngine::bound(env, COUNTERS).write_beside(context, || received(outcome.as_ref()).points());
    match outcome {
        Ok(delivery) => accept(env, delivery).await,
        Err(refusal) => refuse(env, refusal, head.received_at().to_owned()).await,
    }
}

/// The delivery in `request`, or why it is refused.
async fn admitted(request: &Request, head: &Head, gate: &Gate) -> Result<std::result::Result<Delivery, Refusal>> {
    let Gate { admission, keys } = gate;
    let Admission { max_body_bytes, .. } = *admission;
    let announced = head.content_length();
    // A form of the name that is not asked for at once is asked for alone.
    let find = |name: &str| match head.has_asked(name) {
        true => head.header(name).map(str::to_owned),
        false => request.headers().get(name).ok().flatten(),
    };
    let signature = match admission.signature(find) {
        Ok(signature) => signature,
        Err(refusal) => {
            // Read all the same: an answer before the end of the body would not be seen.
            let body = border::body(request, announced, max_body_bytes).await?;
            return Ok(Err(body.map_or_else(|| Refusal::too_large(max_body_bytes), |_| refusal)));
        }
    };
    Ok(
        match border::signed_body(request, announced, max_body_bytes, keys, &signature).await? {
            SignedBody::Signed(body) => admission.admit(body, find, head.received_at().to_owned()),
            SignedBody::Forged => Err(Refusal::bad_signature("the signature does not match the body")),
            SignedBody::TooLarge => Err(Refusal::too_large(max_body_bytes)),
        },
    )
}

async fn accept(env: &Env, delivery: Delivery) -> Result<Response> {
    match hand_over(env, delivery, 0).await {
        Ok(()) => Ok(border::json(200, r#"{"status":"accepted"}"#)),
        Err(error) => {
            console_error!("hand-over failed: {error}");
            Ok(answer(503, "hand_over_failed", "not taken; deliver again"))
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
            return Ok(answer(503, "hand_over_failed", "not taken; deliver again"));
        }
    }
    Ok(answer(refusal.status, refusal.reason, &refusal.detail))
}

/// An answer that says why.
fn answer(status: u16, reason: &str, detail: &str) -> Response {
    border::json(status, &json!({"reason": reason, "detail": detail}).to_string())
}
