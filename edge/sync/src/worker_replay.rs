//! What a replay reads: objects of the archive or of the quarantine.

use serde_json::{json, Value};
use weir_edge_shared::discreet::place;
use worker::{Env, Include};

use crate::bindings::storage;
use crate::step::{Counts, Outcome, StepError};
use crate::worker_archive::{keep, r2};

/// Objects on one page of the listing.
const PAGE: u32 = 500;

/// The results under the prefix `{prefix}` of the archive, or the lines of one object `{prefix}` of the quarantine written as
/// a result: `{objects: [{key, size, run: {operation_id, kind, started_at}}], cursor}`.
pub async fn objects(env: &Env, input: &Value) -> Result<Outcome, StepError> {
    let prefix = input["prefix"].as_str().unwrap_or_default();
    if prefix.starts_with("quarantine/") && prefix.ends_with(".json") {
        return rejected_lines(env, prefix).await;
    }
    if !prefix.starts_with("archive/") {
        let detail = format!("{prefix:?} is neither archive/... nor an object of quarantine/...");
        return Err(StepError::lasting("bad_parameter", detail));
    }
    let storage = storage(env)?;
    let mut page = storage
        .bucket()
        .list()
        .prefix(prefix)
        .limit(PAGE)
        .include(vec![Include::CustomMetadata]);
    if let Some(cursor) = input["cursor"].as_str() {
        page = page.cursor(cursor);
    }
    let page = storage.wait(page.execute()).await.map_err(r2)?;
    let mut objects = Vec::new();
    for object in page.objects().iter().filter(|object| object.key().ends_with(".jsonl")) {
        let run = object.custom_metadata().map_err(r2)?;
        objects.push(json!({"key": object.key(), "size": object.size(), "run": run}));
    }
    let cursor = page.truncated().then(|| page.cursor()).flatten();
    Ok(Outcome {
        counts: Counts {
            read: i64::try_from(objects.len()).ok(),
            ..Counts::default()
        },
        output: json!({"objects": objects, "cursor": cursor}),
        ..Outcome::default()
    })
}

async fn rejected_lines(env: &Env, key: &str) -> Result<Outcome, StepError> {
    let storage = storage(env)?;
    let absent = || StepError::lasting("quarantine_missing", format!("nothing is kept under {key}"));
    let text = storage.read_text(key).await.map_err(r2)?.ok_or_else(absent)?;
    let record: Value =
        serde_json::from_str(&text).map_err(|error| StepError::lasting("quarantine_unreadable", place(&error)))?;
    let rejections = record["rejections"].as_array().ok_or_else(|| {
        StepError::lasting(
            "not_replayable",
            format!("{key} holds events; replay the archive they come from"),
        )
    })?;
    let lines = rejections.iter().filter_map(|rejection| rejection["line"].as_str());
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    // The parts of the key stay, the shop among them: by them a redaction finds whose lines these are.
    let copy = key.replacen("quarantine/", "replay/", 1).replace(".json", ".jsonl");
    let size = text.len();
    keep(&storage, &copy, text).await?;
    Ok(Outcome::of(
        json!({"objects": [{"key": copy, "size": size, "run": record["run"]}], "cursor": null}),
    ))
}
