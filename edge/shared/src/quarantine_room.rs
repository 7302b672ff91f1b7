//! The quarantine in a Worker's R2 bucket: its listing, one record, and how a record is kept.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{json, Value};
use worker::{
    console_error, console_log, Error, HttpMetadata, Include, Object, PutOptionsBuilder, Request, Response, Result,
};

use crate::discreet::place;
use crate::http::answer;
use crate::internal::{page_records, parameter, PREFIX};
use crate::storage::Storage;

/// Puts `text`, a JSON record, under `key`; returns when it is durable. `metadata` is repeated beside it, so that a listing
/// is the index.
pub async fn put(storage: &Storage, key: &str, text: String, metadata: HashMap<String, String>) -> Result<()> {
    let object = record(storage, key, text, metadata);
    storage.wait(object.execute()).await.map(drop)
}

/// The same in the place of `object`, of which `text` was made; fails when that is another one by now.
pub async fn put_anew(
    storage: &Storage,
    object: &Object,
    text: String,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let anew = record(storage, &object.key(), text, metadata);
    storage.replace(anew, Some(object.etag())).await
}

fn record<'a>(
    storage: &'a Storage,
    key: &str,
    text: String,
    metadata: HashMap<String, String>,
) -> PutOptionsBuilder<'a> {
    let http_metadata = HttpMetadata {
        content_type: Some("application/json".into()),
        ..HttpMetadata::default()
    };
    let object = storage.bucket().put(key, text);
    object.http_metadata(http_metadata).custom_metadata(metadata)
}

/// A page: `{"records": [...], "cursor": text or null}`; `?cursor=` gives the next one.
pub async fn list(storage: &Storage, request: &Request) -> Result<Response> {
    let url = request.inner().url();
    let limit = match page_records(parameter(&url, "limit")) {
        Ok(limit) => limit,
        Err(detail) => return answer(400, "bad_parameter", &detail),
    };
    let mut page = storage
        .bucket()
        .list()
        .prefix(PREFIX)
        .limit(limit)
        .include(vec![Include::CustomMetadata]);
    if let Some(cursor) = parameter(&url, "cursor") {
        page = page.cursor(String::from(js_sys::decode_uri_component(cursor)?));
    }
    let page = match storage.wait(page.execute()).await {
        Ok(page) => page,
        Err(error) => return unread(&error),
    };
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

/// The record under `key`.
pub async fn show(storage: &Storage, key: &str) -> Result<Response> {
    match storage.read_text(key).await {
        Ok(Some(text)) => Response::from_json(&serde_json::from_str::<Value>(&text)?),
        Ok(None) => absent(),
        Err(error) => unread(&error),
    }
}

fn absent() -> Result<Response> {
    answer(404, "not_found", "nothing is kept under this key")
}

/// The record under `key`, or else the answer to its replay.
pub async fn to_replay<T: DeserializeOwned>(storage: &Storage, key: &str) -> Result<std::result::Result<T, Response>> {
    let text = match storage.read_text(key).await {
        Ok(Some(text)) => text,
        Ok(None) => return absent().map(Err),
        Err(error) => return not_replayed(key, &error.to_string()).map(Err),
    };
    match serde_json::from_str(&text) {
        Ok(record) => Ok(Ok(record)),
        Err(error) => answer(422, "not_replayable", &format!("the record is {}", place(&error))).map(Err),
    }
}

fn unread(error: &Error) -> Result<Response> {
    console_error!("the quarantine cannot be read: {error}");
    answer(503, "not_read", &format!("{error}; try again"))
}

/// The answer to a replay of the record under `key` that failed because of `cause`, of R2 or the queue.
pub fn not_replayed(key: &str, cause: &str) -> Result<Response> {
    console_error!("replay of {key} failed: {cause}");
    answer(
        503,
        "hand_over_failed",
        &format!("{cause}; it is still in the quarantine; try again"),
    )
}

/// Removes the record under `key`, whose message the queue has, and answers the replay. A record that stays may be replayed
/// again: its events have the same ids.
pub async fn replayed(storage: &Storage, key: &str) -> Result<Response> {
    if let Err(error) = storage.delete(key).await {
        console_error!("replayed {key}, which was not removed: {error}");
        let detail = format!("{error}; replayed, and still in the quarantine; try again");
        return answer(503, "not_removed", &detail);
    }
    console_log!("replayed {key}");
    Response::from_json(&json!({"status": "replayed", "key": key}))
}
