//! What a replay reads: objects of the archive, named by their prefix or by a record of the quarantine.

use serde_json::{json, Value};
use weir_edge_shared::discreet::place;
use weir_edge_shared::storage::Storage;
use worker::{Env, Include};

use crate::bindings::storage;
use crate::replay::{is_lines, listed, source, whole_result, Source};
use crate::step::{Counts, Outcome, StepError};
use crate::worker_archive::r2;

/// Objects on one page of the listing.
const PAGE: u32 = 500;

/// The results of `shop` under the prefix `{prefix}` of the archive, or the one that the object `{prefix}` of the quarantine comes
/// from, from `{cursor}` on: `{objects: [{key, size, etag, run: {operation_id, kind, started_at}}], cursor}`.
pub async fn objects(env: &Env, shop: &str, input: &Value) -> Result<Outcome, StepError> {
    let given = input["prefix"].as_str().unwrap_or_default();
    let storage = storage(env)?;
    let prefix = match source(given, shop)? {
        Source::Archive => listed(given),
        Source::Record => of_record(&storage, given, shop).await?,
    };
    let mut page = storage
        .bucket()
        .list()
        .prefix(&prefix)
        .limit(PAGE)
        .include(vec![Include::CustomMetadata]);
    if let Some(cursor) = input["cursor"].as_str() {
        page = page.cursor(cursor);
    }
    let page = storage.wait(page.execute()).await.map_err(r2)?;
    let mut objects = Vec::new();
    for object in page.objects() {
        let run = object.custom_metadata().map_err(r2)?;
        if is_lines(&object.key(), &run) {
            objects.push(json!({"key": object.key(), "size": object.size(), "etag": object.etag(), "run": run}));
        }
    }
    let cursor = page.truncated().then(|| page.cursor()).flatten();
    if objects.is_empty() && cursor.is_none() && input["cursor"].is_null() {
        let detail = format!("no result of a bulk operation is kept under {prefix}");
        return Err(StepError::lasting("archive_missing", detail));
    }
    Ok(Outcome {
        counts: Counts {
            read: i64::try_from(objects.len()).ok(),
            ..Counts::default()
        },
        output: json!({"objects": objects, "cursor": cursor}),
        ..Outcome::default()
    })
}

/// The prefix of the result that the record `key` comes from.
async fn of_record(storage: &Storage, key: &str, shop: &str) -> Result<String, StepError> {
    let absent = || StepError::lasting("quarantine_missing", format!("nothing is kept under {key}"));
    let text = storage.read_text(key).await.map_err(r2)?.ok_or_else(absent)?;
    let record: Value =
        serde_json::from_str(&text).map_err(|error| StepError::lasting("quarantine_unreadable", place(&error)))?;
    whole_result(&record, key, shop)
}
