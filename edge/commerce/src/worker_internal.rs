//! `/internal/quarantine`: what is kept there, one record of it, and its replay. For operators, behind a token.

use serde_json::{json, Value};
use worker::{console_error, console_log, Bucket, Env, Include, Method, Object, Request, Response, Result};

use crate::bindings::{hand_over, internal_token, BUCKET};
use crate::internal::{is_authorised, page_records, parameter, Target};
use crate::quarantine::{QuarantineRecord, PREFIX};
use crate::worker_http::answer;
use crate::worker_queue::with_body;

/// Answers a request under `/internal/`.
pub async fn route(request: Request, env: &Env) -> Result<Response> {
    let authorization = request.headers().get("authorization")?;
    if !is_authorised(authorization.as_deref(), &internal_token(env)) {
        return answer(401, "unauthorised", "the bearer token is missing or wrong");
    }
    let bucket = env.bucket(BUCKET)?;
    match (request.method(), Target::parse(&request.path())) {
        (_, None) => answer(404, "not_found", ""),
        (Method::Get, Some(Target::Quarantine)) => list(&bucket, &request).await,
        (Method::Get, Some(Target::Record(key))) => show(&bucket, &key).await,
        (Method::Post, Some(Target::Replay(key))) => replay(env, &bucket, &key).await,
        (_, Some(_)) => answer(405, "method_not_allowed", ""),
    }
}

/// A page: `{"records": [...], "cursor": text or null}`; `?cursor=` gives the next one.
async fn list(bucket: &Bucket, request: &Request) -> Result<Response> {
    let url = request.inner().url();
    let limit = match page_records(parameter(&url, "limit")) {
        Ok(limit) => limit,
        Err(detail) => return answer(400, "bad_parameter", &detail),
    };
    let mut page = bucket
        .list()
        .prefix(PREFIX)
        .limit(limit)
        .include(vec![Include::CustomMetadata]);
    if let Some(cursor) = parameter(&url, "cursor") {
        page = page.cursor(String::from(js_sys::decode_uri_component(cursor)?));
    }
    let page = page.execute().await?;
    let records: Vec<Value> = page.objects().iter().map(entry).collect::<Result<_>>()?;
    let cursor = page.truncated().then(|| page.cursor()).flatten();
    Response::from_json(&json!({"records": records, "cursor": cursor}))
}

/// A record as the listing shows it: what [`crate::bindings::keep`] wrote beside it.
fn entry(object: &Object) -> Result<Value> {
    let mut entry = json!({"key": object.key(), "bytes": object.size()});
    for (name, value) in object.custom_metadata()? {
        entry[name] = value.into();
    }
    Ok(entry)
}

async fn show(bucket: &Bucket, key: &str) -> Result<Response> {
    match read(bucket, key).await? {
        Some(record) => Response::from_json(&record),
        None => answer(404, "not_found", "nothing is kept under this key"),
    }
}

/// Hands the delivery over as a live one is. Only when the queue has it, the record is removed: whatever fails in between,
/// it is at worst there twice, which `weir.ingest` recognises.
async fn replay(env: &Env, bucket: &Bucket, key: &str) -> Result<Response> {
    let Some(record) = read(bucket, key).await? else {
        return answer(404, "not_found", "nothing is kept under this key");
    };
    let message = match record.into_replay() {
        Ok(message) => message,
        Err(detail) => return answer(422, "not_replayable", detail),
    };
    let replays = message.replays;
    let handed_over = match with_body(bucket, message).await {
        Ok(delivery) => hand_over(env, delivery, replays)
            .await
            .map_err(|error| error.to_string()),
        Err(cause) => Err(cause),
    };
    if let Err(cause) = handed_over {
        console_error!("replay of {key} failed: {cause}");
        return answer(503, "hand_over_failed", "it is still in the quarantine; try again");
    }
    bucket.delete(key).await?;
    console_log!("replayed {key}");
    Response::from_json(&json!({"status": "replayed", "key": key}))
}

async fn read(bucket: &Bucket, key: &str) -> Result<Option<QuarantineRecord>> {
    let Some(object) = bucket.get(key).execute().await? else {
        return Ok(None);
    };
    let Some(body) = object.body() else {
        return Ok(None);
    };
    Ok(Some(serde_json::from_str(&body.text().await?)?))
}
