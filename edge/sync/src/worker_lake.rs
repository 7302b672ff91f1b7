//! Steps that call `weir serve`: a refresh of the measurement, and specifications on their way to the lake.

use serde_json::{json, Value};
use weir_edge_shared::discreet::place;
use weir_edge_shared::sql::Argument;
use worker::{Env, Fetch, Headers, Method, Request, RequestInit};

use crate::bindings::{lake, postgres};
use crate::lake::may_pass;
use crate::step::{Counts, Outcome, StepError};
use crate::upsert::database;

async fn post(env: &Env, path: &str, body: &Value) -> Result<Value, StepError> {
    let (url, token) = lake(env)?;
    let (status, text) = exchange(&format!("{url}{path}"), &token, body)
        .await
        .map_err(|error| StepError::passing("lake_unreachable", error.to_string()))?;
    match status {
        200 => serde_json::from_str(&text).map_err(|error| StepError::passing("unreadable_answer", error.to_string())),
        _ if may_pass(status) => Err(StepError::passing(&format!("lake_{status}"), text)),
        _ => Err(StepError::lasting(&format!("lake_{status}"), text)),
    }
}

async fn exchange(url: &str, token: &str, body: &Value) -> worker::Result<(u16, String)> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("authorization", &format!("Bearer {token}"))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body.to_string().into()));
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?).send().await?;
    Ok((response.status_code(), response.text().await?))
}

/// Refreshes the measurement: `{refresh_id}`. The container does the work and tells of its steps itself.
pub async fn refresh(env: &Env, input: &Value) -> Result<Outcome, StepError> {
    let body = match input["now"].as_str() {
        Some(now) => json!({"now": now}),
        None => json!({}),
    };
    let answer = post(env, "/v1/refresh", &body).await?;
    let number = |name: &str| answer[name].as_i64();
    Ok(Outcome {
        counts: Counts {
            read: number("event_count"),
            upserted: number("rows_committed"),
            ..Counts::default()
        },
        output: json!({"refresh_id": answer["refresh_id"]}),
        ..Outcome::default()
    })
}

/// Takes the objective specifications from PostgreSQL to the lake: `{sequence, sent}`, of which the first is the number of
/// their newest change. They are sent each time, whatever was sent before: what the lake holds only the lake knows, which may
/// have been made anew, or PostgreSQL restored to an earlier day. What it holds already changes nothing there and commits nothing.
/// Fails for good where the lake refuses some; it has taken the others then.
pub async fn replicate(env: &Env) -> Result<Outcome, StepError> {
    let text = postgres(env)?
        .call("weir.objective_snapshot", &[] as &[Argument<'_>])
        .await
        .map_err(|error| database(&error))?;
    let snapshot: Value = serde_json::from_str(&text).map_err(|error| {
        StepError::passing(
            "unreadable_answer",
            format!("weir.objective_snapshot: {}", place(&error)),
        )
    })?;
    // Those that were ended too: the lake goes on with what it was told last.
    let lists = ["specifications", "ended"]
        .iter()
        .filter_map(|name| snapshot[*name].as_array());
    let specifications: Vec<Value> = lists.flatten().cloned().collect();
    let sent = i64::try_from(specifications.len()).unwrap_or(i64::MAX);
    if !specifications.is_empty() {
        post(env, "/v1/objective", &Value::Array(specifications)).await?;
    }
    Ok(Outcome {
        output: json!({"sequence": snapshot["sequence"], "sent": sent}),
        counts: Counts {
            read: Some(sent),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}
