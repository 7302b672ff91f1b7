//! Steps about the watermark: where a run begins and ends, and moving it.

use serde_json::{json, Value};
use weir_domain::watermark::{self, backfill_end, backfill_key, daily_window, month_slices, read_since, Window};
use worker::{Env, Method, Request, RequestInit};

use crate::agree::Totals;
use crate::bindings::{now, overlap, watermark_object};
use crate::registration::still;
use crate::scopes::all_readable;
use crate::step::{Outcome, Run, StepError};
use crate::worker_postgres::registered;

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

/// How far `key` is, if it has moved since the shop was registered at `{registered_at}`.
async fn reached(env: &Env, shop: &str, key: &str, input: &Value) -> Result<Option<String>, StepError> {
    let asked = json!({"key": key, "registered_at": input["registered_at"]});
    let answer = call(env, shop, "get", &asked).await?;
    Ok(answer["watermark"]["value_json"]["ts"].as_str().map(str::to_owned))
}

fn instant(text: Option<&str>) -> Option<jiff::Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// The window of a daily run: `{window, watermark, read_since: {expected, to}}`. `{days_readable}` and
/// `{registered_at}` as from the preflight.
pub async fn initiate(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let watermark = reached(env, &run.shop_domain, watermark::ORDERS, input).await?;
    let since = reached(env, &run.shop_domain, watermark::READ_SINCE, input).await?;
    let found = instant(watermark.as_deref());
    let window = daily_window(found, now(), overlap(env));
    let sees_all = input["days_readable"].is_null();
    let to = watermark::text(read_since(instant(since.as_deref()), found, window, sees_all));
    Ok(Outcome {
        output: json!({"window": window, "watermark": watermark, "read_since": {"expected": since, "to": to}}),
        watermark: (watermark, None),
        ..Outcome::default()
    })
}

/// The next months of a backfill from `{from}`, or from where its parts so far have ended: `{slices, key, watermark,
/// complete}`. It ends at `{until}`, an instant or `now`, or where the daily runs begin to have read everything.
/// `{days_readable}` and `{registered_at}` as from the preflight.
pub async fn slices(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let bad = |name: &str| StepError::lasting("bad_parameter", format!("`{name}` is not an RFC 3339 time"));
    let until = match input["until"].as_str() {
        None => None,
        Some("now") => Some(now()),
        text => Some(instant(text).ok_or_else(|| bad("until"))?),
    };
    let since = reached(env, &run.shop_domain, watermark::READ_SINCE, input).await?;
    let key = backfill_key(&run.instance_id);
    let watermark = reached(env, &run.shop_domain, &key, input).await?;
    let from = instant(watermark.as_deref()).or_else(|| instant(input["from"].as_str()));
    let from = from.ok_or_else(|| bad("from"))?;
    all_readable(&run.shop_domain, from, now(), input["days_readable"].as_i64())?;
    let all = month_slices(from, backfill_end(until, instant(since.as_deref()), now()));
    let most = usize::try_from(input["most"].as_u64().unwrap_or(12)).unwrap_or(12);
    let slices: Vec<&Window> = all.iter().take(most).collect();
    Ok(Outcome {
        output: json!({"slices": slices, "key": key, "watermark": watermark, "complete": all.len() <= most}),
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

/// Moves the watermark `{key}` from `{expected}` to `{to}`, provided that `{totals}` agree; first, where there is a
/// `{read_since}`, that one, so that a run that dies in between claims less and not more. The shop must still be registered since
/// `{registered_at}`.
pub async fn advance(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let totals: Totals = serde_json::from_value(input["totals"].clone())
        .map_err(|error| StepError::lasting("bad_call", error.to_string()))?;
    totals.agree()?;
    if let Some(before) = input["registered_at"].as_str() {
        still(&run.shop_domain, before, &registered(env, &run.shop_domain).await?.at)?;
    }
    let move_on = |key: Value, from_to: &Value| {
        json!({
            "key": key, "expected": from_to["expected"], "to": from_to["to"],
            "instance_id": run.instance_id, "moved_at": watermark::text(now()), "registered_at": input["registered_at"],
        })
    };
    let since = &input["read_since"];
    if since.is_object() && since["expected"] != since["to"] {
        let body = move_on(watermark::READ_SINCE.into(), since);
        call(env, &run.shop_domain, "advance", &body).await?;
    }
    let answer = call(env, &run.shop_domain, "advance", &move_on(input["key"].clone(), input)).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Outcome {
        output: answer,
        watermark: (text(&input["expected"]), text(&input["to"])),
        ..Outcome::default()
    })
}
