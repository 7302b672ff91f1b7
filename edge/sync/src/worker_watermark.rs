//! Steps about the watermark: where a run begins and ends, and moving it.

use serde_json::{json, Value};
use weir_domain::watermark::{self, daily_window, floor, month_slices, Window};
use worker::{Env, Method, Request, RequestInit};

use crate::agree::Totals;
use crate::bindings::{now, overlap, watermark_object};
use crate::step::{Outcome, Run, StepError};

/// Calls the shop's watermark object. Its refusals are final: another attempt would be refused again.
pub async fn call(env: &Env, shop: &str, verb: &str, body: &Value) -> Result<Value, StepError> {
    let failed = |error: worker::Error| StepError::passing("watermark_object", error.to_string());
    let stub = watermark_object(env, shop).map_err(failed)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(body.to_string().into()));
    let request = Request::new_with_init(&format!("http://watermark/{verb}"), &init).map_err(failed)?;
    let mut response = stub.fetch_with_request(request).await.map_err(failed)?;
    let status = response.status_code();
    let answer: Value = response.json().await.map_err(failed)?;
    match status {
        200 => Ok(answer),
        _ => Err(StepError::lasting(
            answer["kind"].as_str().unwrap_or("watermark_object"),
            answer["detail"].as_str().unwrap_or_default(),
        )),
    }
}

async fn reached(env: &Env, shop: &str, key: &str) -> Result<Option<String>, StepError> {
    let answer = call(env, shop, "get", &json!({"key": key})).await?;
    Ok(answer["watermark"]["value_json"]["ts"].as_str().map(str::to_owned))
}

fn instant(text: Option<&str>) -> Option<jiff::Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// The window of a daily run: `{window, watermark}`.
pub async fn initiate(env: &Env, run: &Run) -> Result<Outcome, StepError> {
    let watermark = reached(env, &run.shop_domain, watermark::ORDERS).await?;
    let window = daily_window(instant(watermark.as_deref()), now(), overlap(env));
    Ok(Outcome {
        output: json!({"window": window, "watermark": watermark}),
        watermark: (watermark, None),
        ..Outcome::default()
    })
}

/// The next months of a backfill from `{from}`: `{slices, watermark, complete}`. It ends where the daily sync's floor is.
pub async fn slices(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let watermark = reached(env, &run.shop_domain, watermark::BACKFILL).await?;
    let from = instant(watermark.as_deref()).or_else(|| instant(input["from"].as_str()));
    let from = from.ok_or_else(|| StepError::lasting("bad_parameter", "`from` is not an RFC 3339 time"))?;
    let all = month_slices(from, floor(now()));
    let most = usize::try_from(input["most"].as_u64().unwrap_or(12)).unwrap_or(12);
    let slices: Vec<&Window> = all.iter().take(most).collect();
    Ok(Outcome {
        output: json!({"slices": slices, "watermark": watermark, "complete": all.len() <= most}),
        watermark: (watermark, None),
        ..Outcome::default()
    })
}

/// Both halves of a window that is too much for Shopify: `{windows}`; the window itself where it cannot be parted.
pub fn halve(input: &Value) -> Result<Outcome, StepError> {
    let window: Window = serde_json::from_value(input["window"].clone())
        .map_err(|error| StepError::lasting("bad_call", error.to_string()))?;
    Ok(Outcome::of(match window.halves() {
        Some((first, second)) => json!({"windows": [first, second]}),
        None => json!({"windows": [window]}),
    }))
}

/// Moves the watermark `{key}` from `{expected}` to `{to}`, provided that `{totals}` agree.
pub async fn advance(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let totals: Totals = serde_json::from_value(input["totals"].clone())
        .map_err(|error| StepError::lasting("bad_call", error.to_string()))?;
    totals.agree()?;
    let body = json!({
        "key": input["key"], "expected": input["expected"], "to": input["to"],
        "instance_id": run.instance_id, "moved_at": watermark::text(now()),
    });
    let answer = call(env, &run.shop_domain, "advance", &body).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Outcome {
        output: answer,
        watermark: (text(&input["expected"]), text(&input["to"])),
        ..Outcome::default()
    })
}
