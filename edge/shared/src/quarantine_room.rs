//! The quarantine in a Worker's R2 bucket: its listing, one record, and how a record is kept.

use std::collections::HashMap;

use serde_json::{json, Value};
use worker::{console_error, console_log, Bucket, HttpMetadata, Include, Object, Request, Response, Result};

use crate::http::answer;
use crate::internal::{page_records, parameter, PREFIX};

/// Puts `text`, a JSON record, under `key`; returns when it is durable. `metadata` is repeated beside it, so that a listing
/// is the index.
pub async fn put(bucket: &Bucket, key: &str, text: String, metadata: HashMap<String, String>) -> Result<()> {
    bucket
        .put(key, text)
        .http_metadata(HttpMetadata {
            content_type: Some("application/json".into()),
            ..HttpMetadata::default()
        })
        .custom_metadata(metadata)
        .execute()
        .await?;
    Ok(())
}

/// A page: `{"records": [...], "cursor": text or null}`; `?cursor=` gives the next one.
pub async fn list(bucket: &Bucket, request: &Request) -> Result<Response> {
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

/// A record as the listing shows it: what was written beside it.
fn entry(object: &Object) -> Result<Value> {
    let mut entry = json!({"key": object.key(), "bytes": object.size()});
    for (name, value) in object.custom_metadata()? {
        entry[name] = value.into();
    }
    Ok(entry)
}

pub async fn show(bucket: &Bucket, key: &str) -> Result<Response> {
    match read_text(bucket, key).await? {
        Some(text) => Response::from_json(&serde_json::from_str::<Value>(&text)?),
        None => answer(404, "not_found", "nothing is kept under this key"),
    }
}

/// Removes the record under `key`, whose message the queue has, and answers the replay. A record that stays may be replayed
/// again: its events have the same ids.
pub async fn replayed(bucket: &Bucket, key: &str) -> Result<Response> {
    if let Err(error) = bucket.delete(key).await {
        console_error!("replayed {key}, which was not removed: {error}");
        return answer(503, "not_removed", "replayed, and still in the quarantine; try again");
    }
    console_log!("replayed {key}");
    Response::from_json(&json!({"status": "replayed", "key": key}))
}

/// The text of the record under `key`, or `None`.
pub async fn read_text(bucket: &Bucket, key: &str) -> Result<Option<String>> {
    let Some(object) = bucket.get(key).execute().await? else {
        return Ok(None);
    };
    match object.body() {
        Some(body) => Ok(Some(body.text().await?)),
        None => Ok(None),
    }
}
