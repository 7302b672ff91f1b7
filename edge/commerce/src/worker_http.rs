//! `POST /webhooks/shopify`: bytes in, hand-over, answer. 200 only after the hand-over is durable.

use std::cell::OnceCell;
use std::rc::Rc;

use serde_json::json;
use weir_domain::webhook::{header, Delivery};
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::{self, Budget, HeaderNames, Intake, Received, Settled, SignedBody, SigningKeys};
use weir_edge_shared::head::{Head, CONTENT_LENGTH};
use worker::js_sys::Promise;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, Response};
use worker::worker_sys::Context as JsContext;
use worker::{console_error, Context, Env, Queue, Result};

use crate::admission::{Admission, Refusal};
use crate::bindings::{gate, hand_over_packed, keep, open_gate, webhook_budget_millis, Gate, BUCKET, COUNTERS};
use crate::counting::received;
use crate::message::HandOver;
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

/// When Shopify may deliver again what was not taken, in seconds.
const RETRY_AFTER_SECONDS: u32 = 10;

thread_local! {
    static NAMES: HeaderNames = HeaderNames::new(HEADERS);
    static BUDGET: OnceCell<Budget> = const { OnceCell::new() };
}

const WEBHOOKS: &str = "/webhooks/shopify";

/// Routes a request. The runtime's own types, since the `worker` crate's ask for more than a webhook needs.
pub fn route(request: Request, env: Env, context: JsContext) -> Promise {
    let head = NAMES.with(|names| names.read(&request));
    if (head.method(), head.path()) == ("POST", WEBHOOKS) {
        return BUDGET.with(|budget| {
            let budget = budget.get_or_init(|| webhook_budget(&env));
            budget.bound(&in_its_own_time(request, head, env, context))
        });
    }
    border::answering(async move {
        match (head.method(), head.path()) {
            ("GET", "/healthz") => Ok(border::json(200, r#"{"status":"ok"}"#)),
            (_, WEBHOOKS | "/healthz") => Ok(answer(405, "method_not_allowed", "")),
            (_, path) if path.starts_with("/internal/") => crate::worker_internal::route(request.into(), &env)
                .await
                .map(Into::into),
            _ => Ok(answer(404, "not_found", "")),
        }
    })
}

/// How long a webhook may take: Shopify gives up after 5 s, the way to it and back included.
fn webhook_budget(env: &Env) -> Budget {
    let millis = webhook_budget_millis(env);
    Budget::new(millis, move || {
        console_error!("hand-over failed: not durable within {millis} ms");
        not_taken()
    })
}

/// The answer to a webhook, however long it takes. No future of Rust, once the gate is open.
fn in_its_own_time(request: Request, head: Head, env: Env, context: JsContext) -> Promise {
    if let Some(gate) = open_gate() {
        return webhook(request, head, env, context, &gate);
    }
    border::answering(async move {
        match gate(&env).await {
            Ok(gate) => {
                let answer = JsFuture::from(webhook(request, head, env, context, &gate)).await?;
                Ok(answer.unchecked_into())
            }
            Err(error) => {
                console_error!("configuration: {error}");
                Ok(answer(503, "not_configured", "the receiver is not configured"))
            }
        }
    })
}

/// A header of `request`. A form of the name that is not asked for at once is asked for alone.
fn find<'a>(request: &'a Request, head: &'a Head) -> impl Fn(&str) -> Option<String> + 'a {
    |name| match head.has_asked(name) {
        true => head.header(name).map(str::to_owned),
        false => request.headers().get(name).ok().flatten(),
    }
}

/// The answer to a webhook.
fn webhook(request: Request, head: Head, env: Env, context: JsContext, gate: &Gate) -> Promise {
    let limit = gate.admission.max_body_bytes;
    let announced = head.content_length();
    let refusal = match gate.admission.signature(find(&request, &head)) {
        _ if border::is_hopeless(announced) => Refusal::too_large(limit),
        Ok(signature) => return gate.intake.take(&request, &head, &signature, &env, &context),
        Err(refusal) => refusal,
    };
    border::answering(async move {
        // Read all the same: an answer before the end of the body would not be seen.
        let body = border::body(&request, announced, limit).await?;
        let refusal = body.map_or_else(|| Refusal::too_large(limit), |_| refusal);
        count(&env, &Context::new(context), Err(&refusal));
        refuse(&env, refusal, head.received_at().to_owned()).await
    })
}

/// How webhooks that `keys` signed are taken to `queue`.
pub fn intake(admission: &Rc<Admission>, keys: &SigningKeys, queue: &Queue) -> Intake {
    let settle = {
        let admission = Rc::clone(admission);
        move |received| settle(&admission, received)
    };
    let answer = |sent: std::result::Result<(), JsValue>| taken(sent.map_err(Into::into));
    Intake::new(keys, admission.max_body_bytes, queue, settle, answer)
}

/// What becomes of a webhook: a small one that is admitted goes to the queue at once.
fn settle(admission: &Admission, received: Received) -> Settled {
    let Received { request, body, env, .. } = received;
    let head = Head::new(received.head, HEADERS);
    let received_at = head.received_at().to_owned();
    let outcome = match body {
        SignedBody::Signed(body) => admission.admit(body, find(&request, &head), received_at.clone()),
        SignedBody::Forged => Err(Refusal::bad_signature("the signature does not match the body")),
        SignedBody::TooLarge => Err(Refusal::too_large(admission.max_body_bytes)),
    };
    count(&env, &received.context, outcome.as_ref());
    match outcome.map(|delivery| HandOver::pack(delivery, 0)) {
        Ok(Ok(HandOver { text, object: None })) => Settled::Send(text),
        Ok(packed) => Settled::Answer(border::answering(async move {
            let handed_over = match packed {
                Ok(packed) => hand_over_packed(&env, packed).await,
                Err(error) => Err(error.into()),
            };
            Ok(taken(handed_over))
        })),
        Err(refusal) => Settled::Answer(border::answering(
            async move { refuse(&env, refusal, received_at).await },
        )),
    }
}

fn count(env: &Env, context: &Context, outcome: std::result::Result<&Delivery, &Refusal>) {
    AnalyticsEngine::bound(env, COUNTERS).write_beside(context, || received(outcome).points());
}

/// The answer to a delivery that has been handed over, or was not.
fn taken(handed_over: Result<()>) -> Response {
    match handed_over {
        Ok(()) => border::json(200, r#"{"status":"accepted"}"#),
        Err(error) => {
            console_error!("hand-over failed: {error}");
            not_taken()
        }
    }
}

fn not_taken() -> Response {
    answer(503, "hand_over_failed", "not taken; deliver again")
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
            return Ok(not_taken());
        }
    }
    Ok(answer(refusal.status, refusal.reason, &refusal.detail))
}

/// An answer that says why.
fn answer(status: u16, reason: &str, detail: &str) -> Response {
    let text = json!({"reason": reason, "detail": detail}).to_string();
    match status {
        503 => border::unavailable(&text, RETRY_AFTER_SECONDS),
        _ => border::json(status, &text),
    }
}
