//! `POST /webhooks/shopify`: bytes in, hand-over, answer. 200 only after the hand-over is durable.

use serde_json::json;
use weir_domain::webhook::Delivery;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::http::{answer, read_body};
use weir_edge_shared::settings::now;
use worker::{console_error, Context, Env, Method, Request, Response, Result};

use crate::admission::Refusal;
use crate::bindings::{admission, hand_over, keep, BUCKET, COUNTERS};
use crate::counting::received;
use crate::quarantine::QuarantineRecord;

/// Routes a request.
pub async fn route(request: Request, env: Env, context: &Context) -> Result<Response> {
    match (request.method(), request.path().as_str()) {
        (Method::Get, "/healthz") => Response::from_json(&json!({"status": "ok"})),
        (Method::Post, "/webhooks/shopify") => shopify(request, &env, context).await,
        (_, "/webhooks/shopify" | "/healthz") => answer(405, "method_not_allowed", ""),
        (_, path) if path.starts_with("/internal/") => crate::worker_internal::route(request, &env).await,
        _ => answer(404, "not_found", ""),
    }
}

async fn shopify(mut request: Request, env: &Env, context: &Context) -> Result<Response> {
    let admission = match admission(env) {
        Ok(admission) => admission,
        Err(error) => {
            console_error!("configuration: {error}");
            return answer(503, "not_configured", "the receiver is not configured");
        }
    };
    let received_at = now();
    let Some(body) = read_body(&mut request, admission.max_body_bytes).await? else {
        let refusal = Refusal::too_large(admission.max_body_bytes);
        count(env, context, &received(Err(&refusal)));
        return refuse(env, refusal, received_at).await;
    };
    let headers = request.headers().clone();
    let find = |name: &str| headers.get(name).ok().flatten();
    let outcome = admission.admit(&body, find, received_at.clone());
    count(env, context, &received(outcome.as_ref()));
    match outcome {
        Ok(delivery) => accept(env, delivery).await,
        Err(refusal) => refuse(env, refusal, received_at).await,
    }
}

/// Counts beside the answer, which never waits for it.
fn count(env: &Env, context: &Context, counters: &Counters) {
    let (sink, points) = (AnalyticsEngine::bound(env, COUNTERS), counters.points());
    context.wait_until(async move { sink.write(&points).await });
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
