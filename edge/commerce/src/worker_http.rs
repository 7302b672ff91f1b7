//! `POST /webhooks/shopify`: bytes in, hand-over, answer. 200 only after the hand-over is durable.

use std::cell::OnceCell;
use std::rc::Rc;

use serde_json::json;
use weir_domain::webhook::header;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::{
    self, Budget, HeaderNames, Intake, IntakeParts, Received, Settled, SignedBody, SigningKeys,
};
use weir_edge_shared::head::{Head, CONTENT_LENGTH};
use weir_edge_shared::settings::now;
use worker::js_sys::Promise;
use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, Response};
use worker::worker_sys::Context as JsContext;
use worker::{console_error, Context, Env, Result};

use crate::admission::{Admission, Refusal};
use crate::bindings::{gate, open_gate, webhook_budget_millis, FarEnds, Gate, COUNTERS, DELIVERIES};
use crate::counting::received;
use crate::message::{HandOver, QueueMessage, MAX_BODY_BYTES};
use crate::quarantine::QuarantineRecord;

/// What is asked of every request at once.
const HEADERS: &[&str] = &[CONTENT_LENGTH, header::HMAC_SHA256];
/// What is asked of a webhook when its body is there.
const DELIVERY_HEADERS: &[&str] = &[
    header::SHOP_DOMAIN,
    header::TOPIC,
    header::WEBHOOK_ID,
    header::TRIGGERED_AT,
    header::API_VERSION,
];

/// The answer to a delivery that has been handed over.
const TAKEN: &str = r#"{"status":"accepted"}"#;
/// When Shopify may deliver again what was not taken, in seconds.
const RETRY_AFTER_SECONDS: u32 = 10;

thread_local! {
    static NAMES: HeaderNames = HeaderNames::new(HEADERS);
    static BUDGET: OnceCell<Rc<Budget>> = const { OnceCell::new() };
}

const WEBHOOKS: &str = "/webhooks/shopify";

/// Routes a request. The runtime's own types, since the `worker` crate's ask for more than a webhook needs.
pub fn route(request: Request, env: Env, context: JsContext) -> Promise {
    let head = NAMES.with(|names| names.read(&request));
    if (head.method(), head.path()) == ("POST", WEBHOOKS) {
        return match open_gate() {
            Some(gate) => webhook(request, head, env, context, &gate),
            None => first_webhook(request, head, env, context),
        };
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
fn webhook_budget(env: &Env) -> Rc<Budget> {
    let made = || {
        let millis = webhook_budget_millis(env);
        Rc::new(Budget::new(millis, move || {
            console_error!("hand-over failed: not durable within {millis} ms");
            not_taken()
        }))
    };
    BUDGET.with(|budget| budget.get_or_init(made).clone())
}

/// The answer to a webhook that has to wait until the gate is open.
fn first_webhook(request: Request, head: Head, env: Env, context: JsContext) -> Promise {
    let budget = webhook_budget(&env);
    let answer = border::answering(async move {
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
    });
    budget.bound(&answer)
}

/// The value of a header: of those that were `asked` for at once, or else asked of `request` alone, as a form of a name is.
fn find<'a>(
    request: &'a Request,
    names: &'a [&str],
    asked: impl Fn(&str) -> Option<&'a str> + 'a,
) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| match names.contains(&name) {
        true => asked(name).map(str::to_owned),
        false => request.headers().get(name).ok().flatten(),
    }
}

/// The answer to a webhook.
fn webhook(request: Request, head: Head, env: Env, context: JsContext, gate: &Gate) -> Promise {
    let limit = gate.admission.max_body_bytes;
    let announced = head.content_length();
    let signature = gate
        .admission
        .signature(find(&request, HEADERS, |name| head.header(name)));
    let refusal = match signature {
        _ if border::is_hopeless(announced) => Refusal::too_large(limit),
        Ok(signature) => return gate.intake.take(&request, &head, &signature, &env, &context),
        Err(refusal) => refusal,
    };
    let budget = webhook_budget(&env);
    let answer = border::answering(async move {
        // Read all the same: an answer before the end of the body would not be seen.
        let body = border::body(&request, announced, limit).await?;
        let refusal = body.map_or_else(|| Refusal::too_large(limit), |_| refusal);
        AnalyticsEngine::bound(&env, COUNTERS)
            .write_beside(&Context::new(context), || received(Err(&refusal)).points());
        refuse(&env, refusal, now()).await
    });
    budget.bound(&answer)
}

/// How webhooks that `keys` signed are taken to the queue of `env`.
///
/// # Errors
/// When there is no queue.
pub fn intake(admission: &Rc<Admission>, keys: &SigningKeys, env: &Env) -> Result<Intake> {
    let parts = IntakeParts {
        path: WEBHOOKS,
        signed: header::HMAC_SHA256,
        keys,
        headers: DELIVERY_HEADERS,
        limit: admission.max_body_bytes,
        queue: &env.queue(DELIVERIES)?,
        budget: &webhook_budget(env),
        taken: TAKEN,
    };
    let (admission, counted) = (Rc::clone(admission), AnalyticsEngine::bound(env, COUNTERS));
    let settle = move |received| settle(&admission, &counted, received);
    Ok(Intake::new(&parts, settle, |error| answer_of(Err(error.into()))))
}

/// What becomes of a webhook: a small one that is admitted goes to the queue at once, its body as JavaScript has it.
fn settle(admission: &Admission, counted: &AnalyticsEngine, signed: Received) -> Settled {
    let Received {
        request,
        receipt,
        body,
        env,
        context,
    } = signed;
    let received_at = receipt.received_at().to_owned();
    let outcome = match &body {
        SignedBody::Signed(body) => {
            let header = find(&request, DELIVERY_HEADERS, |name| receipt.header(name));
            let admitted = admission.admit(|| body.to_vec(), header, received_at.clone());
            admitted.map(|delivery| (delivery, body))
        }
        SignedBody::Forged => Err(Refusal::bad_signature("the signature does not match the body")),
        SignedBody::TooLarge => Err(Refusal::too_large(admission.max_body_bytes)),
    };
    counted.write_beside(&context, || {
        received(outcome.as_ref().map(|(delivery, _)| delivery)).points()
    });
    let packed = match outcome {
        Ok((delivery, body)) => match body.length() as usize {
            bytes @ ..=MAX_BODY_BYTES => match QueueMessage::before(delivery, bytes, 0).line() {
                Ok(line) => return Settled::Send(line),
                Err(error) => Err(error),
            },
            _ => HandOver::of(delivery, body.to_vec(), 0),
        },
        Err(refusal) => {
            return Settled::Answer(border::answering(
                async move { refuse(&env, refusal, received_at).await },
            ))
        }
    };
    Settled::Answer(border::answering(async move {
        let handed_over = async { FarEnds::of(&env)?.hand_over_packed(packed?).await };
        Ok(answer_of(handed_over.await))
    }))
}

/// The answer to a delivery that has been handed over, or was not.
fn answer_of(handed_over: Result<()>) -> Response {
    match handed_over {
        Ok(()) => border::json(200, TAKEN),
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
        let kept = async { FarEnds::of(env)?.keep(&record).await };
        if let Err(error) = kept.await {
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
