//! Steps about what was deleted at Shopify: who is absent, who is really gone, what that leads to.

use serde_json::{json, Value};
use weir_domain::watermark::text;
use weir_edge_shared::discreet::place;
use weir_edge_shared::ingest::{IngestResult, IngestTransport, Verdict};
use weir_edge_shared::sql::Argument;
use worker::Env;

use crate::bindings::{commerce_streams, now, postgres, storage};
use crate::deletion::{gone, known_request, search, told, Comparison, Deletion, Ids, Known, Resource, LOOKUP, MOST};
use crate::replay::key_part;
use crate::settle::Page;
use crate::step::{Counts, Outcome, Run, StepError};
use crate::upsert::database;
use crate::worker_admin::call;
use crate::worker_archive::{absent, archive_key, keep_with, provenance, r2};
use crate::worker_postgres::keep_events;

fn count(length: usize) -> Option<i64> {
    i64::try_from(length).ok()
}

/// Compares the ids of `{resource}` in the archived `{key}` (null when the shop has none), of `{lines}` lines, with those that
/// PostgreSQL knows: `{absent, list}`, how many are absent, and the key under which their numbers are kept as text, for a step's
/// result has no room for all that may be. At most `{most}` may be absent.
pub async fn compare(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let bad = |what: &str| StepError::lasting("bad_call", format!("{what}: {input}"));
    let resource: Resource = serde_json::from_value(input["resource"].clone()).map_err(|_| bad("resource"))?;
    let there = read_ids(
        env,
        resource,
        input["key"].as_str(),
        input["lines"].as_u64().unwrap_or_default(),
    )
    .await?;
    let times = ["started_at", "until"].map(|name| input[name].as_str().unwrap_or_default());
    let postgres = postgres(env)?;
    let (mut comparison, mut after) = (Comparison::default(), Some("0".to_owned()));
    while let Some(from) = after {
        let request = known_request(resource, times, input["days_readable"].as_i64(), &from)?.to_string();
        let arguments = [Argument::Text(&run.shop_domain), Argument::Json(&request)];
        let answer = postgres.call("weir.known_ids", &arguments).await;
        let page: Known = serde_json::from_str(&answer.map_err(|error| database(&error))?)
            .map_err(|error| StepError::passing("unreadable_answer", format!("weir.known_ids: {}", place(&error))))?;
        comparison.add(&page, &there)?;
        after = page.next;
    }
    let most = input["most"].as_u64().unwrap_or(MOST);
    let comparison = comparison.believed(&run.shop_domain, resource, there.len(), most)?;
    let absent: Vec<String> = comparison.absent.iter().map(i64::to_string).collect();
    let list = (!absent.is_empty()).then(|| archive_key(run, input, "absent.json"));
    if let Some(list) = &list {
        keep_with(&storage(env)?, list, json!(absent).to_string(), provenance(input)).await?;
    }
    let known = i64::try_from(comparison.known).ok();
    Ok(Outcome {
        counts: Counts {
            read: known,
            unchanged: known.zip(count(absent.len())).map(|(known, absent)| known - absent),
            ..Counts::default()
        },
        output: json!({"absent": absent.len(), "list": list}),
        ..Outcome::default()
    })
}

/// `{most}` of the ids kept under `{list}`, from the `{from}`th on.
async fn listed(env: &Env, input: &Value) -> Result<Vec<i64>, StepError> {
    let key = input["list"].as_str().unwrap_or_default();
    let text = storage(env)?.read_text(key).await.map_err(r2)?;
    let all: Vec<String> = serde_json::from_str(&text.ok_or_else(|| absent(key))?)
        .map_err(|error| StepError::lasting("archive_unreadable", place(&error)))?;
    let number = |name: &str| usize::try_from(input[name].as_u64().unwrap_or_default()).unwrap_or_default();
    let some = all.iter().skip(number("from")).take(number("most"));
    some.map(|id| id.parse())
        .collect::<Result<Vec<i64>, _>>()
        .map_err(|_| StepError::lasting("archive_unreadable", format!("{key} holds what is no id")))
}

async fn read_ids(env: &Env, resource: Resource, key: Option<&str>, lines: u64) -> Result<Vec<i64>, StepError> {
    let mut ids = Ids::default();
    if let Some(key) = key {
        let storage = storage(env)?;
        let pieces = storage.open(key).await.map_err(r2)?;
        let mut pieces = pieces.ok_or_else(|| absent(key))?;
        while let Some(piece) = pieces.next().await.map_err(r2)? {
            ids.feed(resource, &piece)?;
        }
        ids.feed(resource, b"")?;
    }
    ids.all(lines)
}

/// Looks up `{most}` of the absent ids of `{resource}` that are kept under `{list}`, from the `{from}`th on, and marks those deleted
/// that Shopify no longer has: `{read, deleted, events, streamed, events_rejected}`. `{at}` is when they were missed.
pub async fn delete(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let bad = |what: &str| StepError::lasting("bad_call", format!("{what}: {input}"));
    let resource: Resource = serde_json::from_value(input["resource"].clone()).map_err(|_| bad("resource"))?;
    let ids = listed(env, input).await?;
    let at = input["at"].as_str().ok_or_else(|| bad("at"))?;
    let mut deletions = Vec::new();
    for some in ids.chunks(LOOKUP) {
        let gids = some
            .iter()
            .map(|id| format!("gid://shopify/{}/{id}", resource.gid_name()));
        let variables = json!({"ids": gids.collect::<Vec<_>>()});
        let data = call(env, &run.shop_domain, "StillThere", &variables).await?;
        let gone = gone(some, &data["nodes"])?;
        deletions.extend(gone.into_iter().map(|id| Deletion {
            resource,
            id,
            at: at.to_owned(),
        }));
    }
    apply(env, run, &deletions, ids.len()).await
}

/// Marks the products deleted that Shopify says were destroyed since `{from}`: as [`delete`].
pub async fn products(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let search = search(input["from"].as_str().unwrap_or_default());
    let (mut deletions, mut after) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({"search": search, "after": after});
        let data = call(env, &run.shop_domain, "DeletedProducts", &variables).await?;
        let page = &data["events"];
        deletions.extend(told(&page["edges"]));
        if page["pageInfo"]["hasNextPage"].as_bool() != Some(true) {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    apply(env, run, &deletions, deletions.len()).await
}

/// The deletions into PostgreSQL and the stream, by the path of the webhooks that did not come.
async fn apply(env: &Env, run: &Run, deletions: &[Deletion], read: usize) -> Result<Outcome, StepError> {
    let (mut events, mut streamed, mut rejected) = (0, 0, 0);
    let (transport, streams) = (postgres(env)?, commerce_streams(env)?);
    for (number, some) in deletions.chunks(LOOKUP).enumerate() {
        let received_at = text(now());
        let deliveries = some
            .iter()
            .map(|one| one.delivery(&run.shop_domain, &run.source, &received_at));
        let batch = json!(deliveries.collect::<Vec<_>>()).to_string();
        let answer = transport.ingest(&batch).await.map_err(|error| database(&error))?;
        let result = IngestResult::parse(&answer, some.len()).map_err(|error| database(&error))?;
        if let Some(refused) = result.deliveries.iter().find(|one| one.verdict == Verdict::Rejected) {
            let reason = refused.reason.as_deref().unwrap_or("rejected");
            return Err(StepError::lasting(reason, "PostgreSQL refused a deletion"));
        }
        events += result.events.len();
        let page = Page {
            events: result.events,
            next: None,
        };
        let sent = page.send(&streams).await?;
        keep_events(
            env,
            run,
            &format!("events-{}-{number}", key_part(&run.step)),
            &sent.invalid,
        )
        .await?;
        streamed += sent.streamed;
        rejected += sent.invalid.len();
    }
    let rejected = count(rejected);
    let deleted = count(deletions.len());
    Ok(Outcome {
        output: json!({
            "read": read, "deleted": deleted, "events": events, "streamed": streamed, "events_rejected": rejected,
        }),
        counts: Counts {
            read: count(read),
            upserted: deleted,
            unchanged: count(read - deletions.len()),
            rejected,
            streamed: Some(streamed),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}
