//! Steps about the archive in R2: a result into it, the rest of what was cut, what is in it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{json, Value};
use weir_domain::shopify::bulk::BulkKind;
use weir_edge_shared::discreet::place;
use weir_edge_shared::storage::Storage;
use worker::{Conditional, Delay, Env, Fetch, Method, Object, Range, Request, RequestInit, RequestRedirect, Response};

use crate::admin::THROTTLED;
use crate::bindings::{now, storage};
use crate::jsonl::{Cut, Scan};
use crate::operation::State;
use crate::replay::key_part;
use crate::rest::{document, lines, variables, Place};
use crate::step::{Counts, Outcome, Run, StepError};
use crate::worker_copy::copy;
use crate::{worker_admin, worker_shopify};

/// Lines of cut connections that one step reads; about what fits its memory twice.
const REST_BYTES: usize = 4_000_000;

/// How long such a step goes on, of the 30 minutes that it has (workflows/runner.mjs).
const REST_PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// How long after a fault of Shopify's the same page is asked for once more.
const FAULT_PAUSE_MILLIS: u64 = 1000;

/// What R2 refused; it may take it later.
pub fn r2(error: worker::Error) -> StepError {
    StepError::passing("r2", error.to_string())
}

/// Puts `text` under `key`.
pub async fn keep(storage: &Storage, key: &str, text: String) -> Result<(), StepError> {
    keep_with(storage, key, text, HashMap::new()).await.map(|_| ())
}

/// The same in the archive, with its `provenance` beside it, by which a redaction of the shop knows how old it is; its etag.
pub async fn keep_with(
    storage: &Storage,
    key: &str,
    text: String,
    provenance: HashMap<String, String>,
) -> Result<Option<String>, StepError> {
    let put = storage.bucket().put(key, text).custom_metadata(provenance);
    let kept = storage.wait(put.execute()).await.map_err(r2)?;
    Ok(kept.map(|object| object.etag()))
}

/// The key of what the archive keeps of `{operation_id}` under `{date}`, `suffix` saying what it is.
pub fn archive_key(run: &Run, input: &Value, suffix: &str) -> String {
    let date = input["date"].as_str().unwrap_or("undated");
    let operation_id = input["operation_id"].as_str().unwrap_or_default();
    let number = operation_id.rsplit('/').next().unwrap_or_default();
    format!(
        "archive/{}/{}/{}.{suffix}",
        key_part(&run.shop_domain),
        key_part(date),
        key_part(number)
    )
}

/// The failure of a step that needs the object `key`.
pub fn absent(key: &str) -> StepError {
    StepError::lasting("archive_missing", format!("{key} is not in the archive"))
}

/// A part of an object.
pub enum Part {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// The object is another by now.
    Changed {
        /// What it is now.
        etag: String,
        /// Its bytes.
        size: u64,
    },
}

/// `length` bytes of the object `key` from `offset` on, provided that it still is what `etag` says, where that is known: a redaction
/// writes results anew, and what lay at `offset` lies elsewhere then.
pub async fn read_range(
    env: &Env,
    key: &str,
    etag: Option<&str>,
    [offset, length]: [u64; 2],
) -> Result<Part, StepError> {
    if length == 0 {
        return Ok(Part::Bytes(Vec::new()));
    }
    let storage = storage(env)?;
    let mut range = storage
        .bucket()
        .get(key)
        .range(Range::OffsetWithLength { offset, length });
    if let Some(etag) = etag {
        range = range.only_if(Conditional {
            etag_matches: Some(etag.to_owned()),
            ..Conditional::default()
        });
    }
    let read = storage.wait(async {
        let object = range.execute().await?;
        match object.as_ref().and_then(Object::body) {
            Some(body) => body.bytes().await.map(Some),
            None => Ok(None),
        }
    });
    let read = read.await;
    match &read {
        Ok(Some(bytes)) if bytes.len() as u64 == length => {}
        // One that has become shorter may also be a range that is none.
        _ => {
            let (now, size) = stat(&storage, key).await?;
            if etag.is_some_and(|etag| etag != now) {
                return Ok(Part::Changed { etag: now, size });
            }
        }
    }
    match read.map_err(r2)? {
        Some(bytes) if bytes.len() as u64 == length => Ok(Part::Bytes(bytes)),
        bytes => {
            let count = bytes.map_or(0, |bytes| bytes.len());
            Err(StepError::passing("r2", format!("{count} of {length} bytes of {key}")))
        }
    }
}

/// Etag and bytes of the object `key`.
async fn stat(storage: &Storage, key: &str) -> Result<(String, u64), StepError> {
    let object = storage.wait(storage.bucket().head(key)).await.map_err(r2)?;
    object
        .map(|object| (object.etag(), object.size()))
        .ok_or_else(|| absent(key))
}

/// The result of `{operation_id}` into `archive/{shop}/{date}/{operation}.jsonl`: `{key, lines, bytes, etag, cut}`, or `{gone: true}`
/// when Shopify no longer has it.
pub async fn download(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let id = input["operation_id"].as_str().unwrap_or_default();
    let operation = worker_shopify::operation(env, &run.shop_domain, id).await?;
    if operation.state() != State::Complete {
        return Ok(Outcome::of(json!({"gone": true})));
    }
    let expected = (
        operation.object_count.unwrap_or_default(),
        operation.file_size.unwrap_or_default(),
    );
    let Some(url) = operation.url.as_deref() else {
        // COMPLETED without a url is a result without rows.
        return match expected.0 {
            0 => Ok(Outcome::of(json!({"key": null, "lines": 0, "bytes": 0, "cut": 0}))),
            count => Err(StepError::passing(
                "result_missing",
                format!("{count} objects and no url"),
            )),
        };
    };
    let mut response = fetch_result(url).await?;
    match response.status_code() {
        200 => {}
        403 | 404 | 410 => return Ok(Outcome::of(json!({"gone": true}))),
        status => {
            return Err(StepError::passing(
                "result_unavailable",
                format!("the result answered {status}"),
            ))
        }
    }
    let (key, storage) = (archive_key(run, input, "jsonl"), storage(env)?);
    let scan = copy(&storage, &key, &mut response, &operation, provenance(input)).await?;
    let cut = cuts(
        &storage,
        [&key, &archive_key(run, input, "cut.json")],
        scan,
        provenance(input),
    )
    .await?;
    // Both of one moment: a redaction may have written it anew already.
    let (etag, bytes) = stat(&storage, &key).await?;
    Ok(Outcome {
        output: json!({"key": key, "lines": expected.0, "bytes": bytes, "etag": etag, "cut": cut}),
        counts: Counts {
            read: i64::try_from(expected.0).ok(),
            bytes: i64::try_from(bytes).ok(),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}

/// Where an object of the archive comes from, kept beside it: a replay has nothing else to go by.
pub fn provenance(input: &Value) -> HashMap<String, String> {
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    ["operation_id", "kind", "started_at"]
        .into_iter()
        .map(|name| (name.to_owned(), text(name)))
        .collect()
}

/// Without any header of ours: the address is signed and belongs to another company; the access token is not theirs to see.
async fn fetch_result(url: &str) -> Result<Response, StepError> {
    let failed = |error: worker::Error| StepError::passing("result_unavailable", error.to_string());
    let mut init = RequestInit::new();
    init.with_method(Method::Get);
    init.redirect = RequestRedirect::Follow;
    let request = Request::new_with_init(url, &init).map_err(failed)?;
    Fetch::Request(request).send().await.map_err(failed)
}

/// Writes down which connections of `key` may be cut, beside it; returns how many.
async fn cuts(
    storage: &Storage,
    [key, list]: [&str; 2],
    scan: Scan,
    provenance: HashMap<String, String>,
) -> Result<usize, StepError> {
    let (mut cut, mut roots) = scan.cuts();
    if roots.is_needed() {
        let absent = || StepError::passing("r2", "the archive was just written and is absent");
        let pieces = storage.open(key).await.map_err(r2)?;
        let mut pieces = pieces.ok_or_else(absent)?;
        while let Some(piece) = pieces.next().await.map_err(r2)? {
            roots.feed(&piece);
        }
        roots.feed(b"");
        cut.extend(roots.found());
    }
    if !cut.is_empty() {
        keep_with(storage, list, json!(cut).to_string(), provenance).await?;
    }
    Ok(cut.len())
}

/// Reads the rest of cut connections of `{key}` from the `{from}`th on, into an object of its own: `{key, lines, bytes, etag, next}`.
/// What may pass and does not ends the step with the connections that are whole: whoever began anew each time might never end.
pub async fn rest(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let key = input["key"].as_str().unwrap_or_default();
    let base = key.strip_suffix(".jsonl").unwrap_or(key);
    let kind = input["kind"].as_str().and_then(BulkKind::from_name);
    let kind = kind.ok_or_else(|| StepError::lasting("bad_call", "kind"))?;
    let from = usize::try_from(input["from"].as_u64().unwrap_or_default()).unwrap_or_default();
    let (storage, list_key) = (storage(env)?, format!("{base}.cut.json"));
    let list = storage.read_text(&list_key).await.map_err(r2)?;
    let list: Vec<Cut> = serde_json::from_str(&list.ok_or_else(|| absent(&list_key))?)
        .map_err(|error| StepError::lasting("archive_unreadable", place(&error)))?;
    let (mut text, mut count, mut next) = (String::new(), 0, from);
    let until = now() + REST_PATIENCE;
    for cut in &list[from.min(list.len())..] {
        let whole = text.len();
        match read_connection(env, run, kind, cut, until, &mut text).await {
            Ok(lines) => count += lines,
            // The next step goes on with this one.
            Err(error) if error.retry_after_millis.is_some() && next > from => {
                text.truncate(whole);
                break;
            }
            Err(error) => return Err(error),
        }
        next += 1;
        if text.len() >= REST_BYTES || now() >= until {
            break;
        }
    }
    let key = format!("{base}.rest-{from}.jsonl");
    let bytes = text.len();
    let etag = keep_with(&storage, &key, text, provenance(input)).await?;
    Ok(Outcome {
        output: json!({"key": key, "lines": count, "bytes": bytes, "etag": etag, "next": (next < list.len()).then_some(next)}),
        counts: Counts {
            read: Some(count),
            bytes: i64::try_from(bytes).ok(),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}

/// Reads the rest of one connection. A throttle is waited for in place `until` then, for Shopify throttles often here; of another fault
/// that may pass the page is asked for once more.
async fn read_connection(
    env: &Env,
    run: &Run,
    kind: BulkKind,
    cut: &Cut,
    until: Timestamp,
    text: &mut String,
) -> Result<i64, StepError> {
    let document = document(kind, &cut.connection)?;
    let (mut place, mut count) = (Some(Place::default()), 0);
    while let Some(here) = place {
        let mut has_failed = false;
        let data = loop {
            let error = match worker_admin::query(env, &run.shop_domain, &document, &variables(cut, &here)).await {
                Ok(data) => break data,
                Err(error) => error,
            };
            let pause = match error.retry_after_millis {
                Some(millis) if error.kind == THROTTLED && now() < until => millis,
                Some(_) if error.kind != THROTTLED && !has_failed => {
                    has_failed = true;
                    FAULT_PAUSE_MILLIS
                }
                _ => return Err(error),
            };
            Delay::from(Duration::from_millis(pause)).await;
        };
        let mut page = Vec::new();
        place = lines(cut, &here, &data, &mut page)?;
        count += i64::try_from(page.len()).unwrap_or(i64::MAX);
        for line in page {
            text.push_str(&line);
            text.push('\n');
        }
    }
    Ok(count)
}
