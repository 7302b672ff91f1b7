//! `POST /internal/step/{name}`: one step, its telemetry, its answer. Reached over the service binding to itself only.

use serde::Deserialize;
use serde_json::{json, Value};
use weir_domain::watermark::text;
use weir_edge_shared::internal::is_authorised;
use weir_edge_shared::settings::internal_tokens;
use worker::{console_error, Env, Method, Request, Response, Result};

use crate::bindings::{now, sync_streams};
use crate::step::{kept, Outcome, Run, StepError};
use crate::telemetry::event;
use crate::watermark_object::UNTOLD;
use crate::{
    worker_archive, worker_deletion, worker_lake, worker_postgres, worker_replay, worker_shopify, worker_watermark,
};

#[derive(Deserialize)]
struct Call {
    run: Run,
    #[serde(default)]
    input: Value,
}

/// Routes a request.
pub async fn route(mut request: Request, env: Env) -> Result<Response> {
    let path = request.path();
    let authorization = request.headers().get("authorization")?;
    if !is_authorised(authorization.as_deref(), &internal_tokens(&env)) {
        return refuse(401, "unauthorised", "the bearer token is missing or wrong");
    }
    if request.method() != Method::Post {
        return refuse(405, "method_not_allowed", "");
    }
    if let Some(verb) = path.strip_prefix("/internal/watermark/") {
        let call: Value = request.json().await?;
        let shop = call["shop_domain"].as_str().unwrap_or_default();
        return answer(worker_watermark::call(&env, shop, verb, &call).await.map(Outcome::of));
    }
    if path == "/internal/registration" {
        let call: Value = request.json().await?;
        let registered = worker_postgres::registered(&env, call["shop_domain"].as_str().unwrap_or_default()).await;
        return answer(registered.map(|registered| Outcome::of(json!({"registered_at": registered.at}))));
    }
    if path == "/internal/cancel" {
        let call: Value = request.json().await?;
        let shop = call["shop_domain"].as_str().unwrap_or_default();
        return answer(worker_shopify::cancel(&env, shop, &call).await);
    }
    if path == "/internal/replayable" {
        let call: Value = request.json().await?;
        let found = worker_replay::objects(&env, call["shop_domain"].as_str().unwrap_or_default(), &call).await;
        return answer(found.map(|_| Outcome::of(json!({}))));
    }
    let Some(name) = path.strip_prefix("/internal/step/") else {
        return refuse(404, "not_found", "");
    };
    let call: Call = match serde_json::from_str(&request.text().await?) {
        Ok(call) => call,
        Err(error) => return refuse(400, "bad_call", &error.to_string()),
    };
    perform(&env, name, &call).await
}

async fn perform(env: &Env, name: &str, call: &Call) -> Result<Response> {
    let started = now();
    let result = match step(env, name, &call.run, &call.input).await {
        Ok(outcome) => kept(&outcome.output).map(|_| outcome),
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        console_error!(
            "{} {}: {}: {}",
            call.run.instance_id,
            call.run.step,
            error.kind,
            error.detail
        );
    }
    // A step of which nothing is told has not happened: it is tried again, which every step allows.
    let told = tell(env, &call.run, started, &result).await;
    if name == "report" {
        return answer(told.map(|()| Outcome::of(json!({}))));
    }
    answer(told.and(result))
}

async fn step(env: &Env, name: &str, run: &Run, input: &Value) -> std::result::Result<Outcome, StepError> {
    match name {
        "preflight" => worker_shopify::preflight(env, run).await,
        "initiate" => worker_watermark::initiate(env, run, input).await,
        "slices" => worker_watermark::slices(env, run, input).await,
        "halve" => worker_watermark::halve(input),
        "request" => worker_shopify::request(env, run, input).await,
        "poll" => worker_shopify::poll(env, run, input).await,
        "download" => worker_archive::download(env, run, input).await,
        "rest" => worker_archive::rest(env, run, input).await,
        "upsert" => worker_postgres::upsert(env, run, input).await,
        "stream" => worker_postgres::stream(env, run, input).await,
        "compare" => worker_deletion::compare(env, run, input).await,
        "delete" => worker_deletion::delete(env, run, input).await,
        "deleted_products" => worker_deletion::products(env, run, input).await,
        "advance" => worker_watermark::advance(env, run, input).await,
        "refresh" => worker_lake::refresh(env, input).await,
        "replicate" => worker_lake::replicate(env).await,
        "subscriptions" => worker_shopify::subscriptions(env, run).await,
        "replayed" => worker_replay::objects(env, &run.shop_domain, input).await,
        // A run that failed says so in telemetry; the failure itself is the Workflow's.
        "report" => Err(StepError::lasting(
            input["error_kind"].as_str().unwrap_or("unknown"),
            "the run failed",
        )),
        _ => Err(StepError::lasting("unknown_step", name)),
    }
}

async fn tell(
    env: &Env,
    run: &Run,
    started: jiff::Timestamp,
    result: &std::result::Result<Outcome, StepError>,
) -> std::result::Result<(), StepError> {
    let event = event(run, started, now(), result.as_ref());
    let told = send(env, &event).await;
    let (status, facts) = match (&told, result) {
        (Err(untold), _) => (UNTOLD.into(), json!({"error_kind": untold.kind})),
        (_, Ok(outcome)) => (event["status"].clone(), json!(outcome.counts)),
        (_, Err(error)) => (event["status"].clone(), json!({"error_kind": error.kind})),
    };
    let note = json!({
        "workflow": run.workflow, "instance_id": run.instance_id, "step": run.step, "attempt": run.attempt,
        "status": status, "noted_at": text(now()), "facts": facts,
    });
    // Also where the stream did not take it: a run that nobody knows of could not be seen, nor stopped.
    let noted = worker_watermark::call(env, &run.shop_domain, "note", &note).await;
    told.and(noted.map(drop))
}

async fn send(env: &Env, event: &Value) -> std::result::Result<(), StepError> {
    let streams = sync_streams(env)?;
    let mut rows = streams.rows();
    let added = streams.add(&mut rows, event);
    added.map_err(|violation| StepError::lasting("invalid_telemetry", violation.detail))?;
    let sent = streams.send(&rows).await;
    sent.map_err(|error| StepError::passing("stream", error.to_string()))
}

fn answer(result: std::result::Result<Outcome, StepError>) -> Result<Response> {
    match result {
        Ok(outcome) => Response::from_json(&outcome.output),
        Err(error) => {
            let status = if error.retry_after_millis.is_some() { 503 } else { 422 };
            let body = json!({
                "error_kind": error.kind, "detail": error.detail, "retry_after_ms": error.retry_after_millis,
            });
            Ok(Response::from_json(&body)?.with_status(status))
        }
    }
}

fn refuse(status: u16, reason: &str, detail: &str) -> Result<Response> {
    Ok(Response::from_json(&json!({"reason": reason, "detail": detail}))?.with_status(status))
}
