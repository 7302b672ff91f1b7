//! Steps about the archive in R2: a result into it, the rest of what was cut, what is in it.

use std::collections::HashMap;

use serde_json::{json, Value};
use weir_domain::shopify::bulk::BulkKind;
use weir_edge_shared::discreet::place;
use weir_edge_shared::storage::Storage;
use worker::{Env, Fetch, Method, Object, Range, Request, RequestInit, RequestRedirect, Response};

use crate::bindings::storage;
use crate::jsonl::{Cut, Scan};
use crate::operation::State;
use crate::replay::key_part;
use crate::rest::{document, lines, variables, Place};
use crate::step::{Counts, Outcome, Run, StepError};
use crate::worker_copy::copy;
use crate::{worker_admin, worker_shopify};

/// Lines of cut connections that one step reads; about what fits its memory twice.
const REST_BYTES: usize = 4_000_000;

/// What R2 refused; it may take it later.
pub fn r2(error: worker::Error) -> StepError {
    StepError::passing("r2", error.to_string())
}

/// Puts `text` under `key`.
pub async fn keep(storage: &Storage, key: &str, text: String) -> Result<(), StepError> {
    let put = storage.bucket().put(key, text);
    storage.wait(put.execute()).await.map_err(r2)?;
    Ok(())
}

/// The failure of a step that needs the object `key`.
pub fn absent(key: &str) -> StepError {
    StepError::lasting("archive_missing", format!("{key} is not in the archive"))
}

/// `length` bytes of the object `key` from `offset` on.
pub async fn read_range(env: &Env, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, StepError> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let storage = storage(env)?;
    let range = storage
        .bucket()
        .get(key)
        .range(Range::OffsetWithLength { offset, length });
    let read = storage.wait(async {
        let object = range.execute().await?;
        match object.as_ref().and_then(Object::body) {
            Some(body) => body.bytes().await.map(Some),
            None => Ok(None),
        }
    });
    let bytes = read.await.map_err(r2)?.ok_or_else(|| absent(key))?;
    if bytes.len() as u64 != length {
        return Err(StepError::passing(
            "r2",
            format!("{} of {length} bytes of {key}", bytes.len()),
        ));
    }
    Ok(bytes)
}

/// The result of `{operation_id}` into `archive/{shop}/{date}/{operation}.jsonl`: `{key, lines, bytes, cut}`, or `{gone: true}`
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
    let date = input["date"].as_str().unwrap_or("undated");
    let number = id.rsplit('/').next().unwrap_or_default();
    let base = format!(
        "archive/{}/{}/{}",
        key_part(&run.shop_domain),
        key_part(date),
        key_part(number)
    );
    let key = format!("{base}.jsonl");
    let scan = copy(&storage(env)?, &key, &mut response, &operation, provenance(input)).await?;
    let bytes = scan.bytes;
    let cut = cuts(env, &base, scan).await?;
    Ok(Outcome {
        output: json!({"key": key, "lines": expected.0, "bytes": bytes, "cut": cut}),
        counts: Counts {
            read: i64::try_from(expected.0).ok(),
            bytes: i64::try_from(bytes).ok(),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}

/// Where an object of the archive comes from, kept beside it: a replay has nothing else to go by.
fn provenance(input: &Value) -> HashMap<String, String> {
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

/// Writes down which connections may be cut, beside the result; returns how many.
async fn cuts(env: &Env, base: &str, scan: Scan) -> Result<usize, StepError> {
    let (mut cut, mut roots) = scan.cuts();
    let storage = storage(env)?;
    if roots.is_needed() {
        let absent = || StepError::passing("r2", "the archive was just written and is absent");
        let pieces = storage.open(&format!("{base}.jsonl")).await.map_err(r2)?;
        let mut pieces = pieces.ok_or_else(absent)?;
        while let Some(piece) = pieces.next().await.map_err(r2)? {
            roots.feed(&piece);
        }
        roots.feed(b"");
        cut.extend(roots.found());
    }
    if !cut.is_empty() {
        keep(&storage, &format!("{base}.cut.json"), json!(cut).to_string()).await?;
    }
    Ok(cut.len())
}

/// Reads the rest of cut connections of `{key}` from the `{from}`th on, into an object of its own: `{key, lines, bytes, next}`.
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
    for cut in &list[from.min(list.len())..] {
        count += read_connection(env, run, kind, cut, &mut text).await?;
        next += 1;
        if text.len() >= REST_BYTES {
            break;
        }
    }
    let key = format!("{base}.rest-{from}.jsonl");
    let bytes = text.len();
    let object = storage.bucket().put(&key, text).custom_metadata(provenance(input));
    storage.wait(object.execute()).await.map_err(r2)?;
    Ok(Outcome {
        output: json!({"key": key, "lines": count, "bytes": bytes, "next": (next < list.len()).then_some(next)}),
        counts: Counts {
            read: Some(count),
            bytes: i64::try_from(bytes).ok(),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}

async fn read_connection(env: &Env, run: &Run, kind: BulkKind, cut: &Cut, text: &mut String) -> Result<i64, StepError> {
    let document = document(kind, &cut.connection)?;
    let (mut place, mut count) = (Some(Place::default()), 0);
    while let Some(here) = place {
        let data = worker_admin::query(env, &run.shop_domain, &document, &variables(cut, &here)).await?;
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
