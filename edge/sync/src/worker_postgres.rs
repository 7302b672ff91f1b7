//! Steps that reach PostgreSQL: parts of the archive into rows, and the run's events out to the stream.

use serde_json::{json, Value};
use weir_domain::watermark::text;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::sql::Argument;
use worker::{console_warn, Env};

use crate::bindings::{commerce_streams, now, part_bytes, postgres, storage};
use crate::jsonl::{chunks, Chunk};
use crate::registration::{registration, Registration};
use crate::replay::key_part;
use crate::settle::{Page, PAGE_BYTES, PAGE_ROOTS};
use crate::step::{Counts, Outcome, Run, StepError};
use crate::upsert::{database, quarantined, Answer, Provenance};
use crate::worker_archive::{keep, read_range, Part};

/// Pages of events that one step sends.
const PAGES_A_STEP: usize = 20;

/// One part of the archived `{key}`, which has `{etag}`, from `{offset}` on, `{size}` bytes long: `{next, counts}`; `next` is null at
/// the end. Where the object was written anew, `{changed: {etag, bytes}}`: it is to be read from its beginning.
pub async fn upsert(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let (key, offset, size) = (
        input["key"].as_str().unwrap_or_default(),
        input["offset"].as_u64().unwrap_or_default(),
        input["size"].as_u64().unwrap_or_default(),
    );
    let provenance = provenance(run, input);
    let length = part_bytes(env).min(size.saturating_sub(offset));
    let last = offset + length >= size;
    let part = match read_range(env, key, input["etag"].as_str(), [offset, length]).await? {
        Part::Bytes(part) => part,
        Part::Changed { etag, size } => {
            return Ok(Outcome::of(json!({"changed": {"etag": etag, "bytes": size}})));
        }
    };
    let (chunks, used) = chunks(&part, last);
    drop(part);
    if used == 0 && length > 0 {
        let detail = format!("a line of {key} at byte {offset} is longer than {length} bytes");
        return Err(StepError::lasting("line_too_long", detail));
    }
    let postgres = postgres(env)?;
    let mut counts = Totals::default();
    for (index, chunk) in chunks.iter().enumerate() {
        let place = format!("{}-{offset}-{index}", key_part(key));
        let answer = ingest(env, run, &postgres, &provenance, chunk, [key, &place]).await?;
        counts.add(&answer, chunk);
    }
    let next = offset + used as u64;
    Ok(Outcome {
        output: json!({"next": (!last).then_some(next), "counts": counts.counts()}),
        counts: Counts {
            bytes: i64::try_from(used).ok(),
            ..counts.counts()
        },
        ..Outcome::default()
    })
}

/// How PostgreSQL knows `shop`.
pub async fn registered(env: &Env, shop: &str) -> Result<Registration, StepError> {
    let answer = postgres(env)?.call("weir.registration", &[Argument::Text(shop)]).await;
    registration(&answer.map_err(|error| database(&error))?, shop)
}

fn provenance(run: &Run, input: &Value) -> Provenance {
    let text_of = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    Provenance {
        operation_id: text_of("operation_id"),
        kind: text_of("kind"),
        source: run.source.clone(),
        started_at: text_of("started_at"),
        received_at: text(now()),
    }
}

#[derive(Default)]
struct Totals {
    read: i64,
    upserted: i64,
    unchanged: i64,
    rejected: i64,
}

impl Totals {
    fn add(&mut self, answer: &Answer, chunk: &Chunk) {
        let unsendable = i64::try_from(chunk.unsendable.len()).unwrap_or(i64::MAX);
        self.read += answer.read + unsendable;
        self.upserted += answer.upserted;
        self.unchanged += answer.unchanged;
        self.rejected += answer.rejected + unsendable;
    }

    fn counts(&self) -> Counts {
        Counts {
            read: Some(self.read),
            upserted: Some(self.upserted),
            unchanged: Some(self.unchanged),
            rejected: Some(self.rejected),
            ..Counts::default()
        }
    }
}

async fn ingest(
    env: &Env,
    run: &Run,
    postgres: &HyperdriveTransport,
    provenance: &Provenance,
    chunk: &Chunk,
    [object, place]: [&str; 2],
) -> Result<Answer, StepError> {
    let about = json!(provenance).to_string();
    let arguments = [
        Argument::Text(&run.shop_domain),
        Argument::Text(&chunk.text),
        Argument::Json(&about),
    ];
    let text = postgres
        .call("weir.ingest_bulk", &arguments)
        .await
        .map_err(|error| database(&error))?;
    let answer = Answer::read(&text, chunk.lines)?;
    // Not kept: a forgotten shop's lines are to be nowhere, and no watermark is to pass them.
    if let Some(error) = answer.refused_shop(&run.shop_domain) {
        return Err(error);
    }
    if let Some(record) = quarantined(
        provenance,
        [&run.shop_domain, object],
        &chunk.text,
        &answer,
        &chunk.unsendable,
    ) {
        let lines = record["rejections"].as_array().map_or(0, Vec::len);
        let key = quarantine_key(run, place);
        console_warn!("{lines} lines are kept in {key}");
        // Before the step says so: a rejected line is counted only once it is durable.
        keep(&storage(env)?, &key, record.to_string()).await?;
    }
    Ok(answer)
}

fn quarantine_key(run: &Run, place: &str) -> String {
    format!(
        "quarantine/{}/{}/{place}.json",
        key_part(&run.shop_domain),
        key_part(&run.instance_id)
    )
}

/// Keeps events that the stream would have dropped.
pub async fn keep_events(env: &Env, run: &Run, place: &str, invalid: &[Value]) -> Result<(), StepError> {
    if invalid.is_empty() {
        return Ok(());
    }
    let key = quarantine_key(run, place);
    console_warn!("{} events are kept in {key}", invalid.len());
    let record = json!({"shop_domain": run.shop_domain, "events": invalid});
    keep(&storage(env)?, &key, record.to_string()).await
}

/// Events of `{operation_ids}` from `{after}` on, as many pages as fit one step: `{next, events, streamed, events_rejected}`.
pub async fn stream(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let (postgres, streams) = (postgres(env)?, commerce_streams(env)?);
    let mut after = input["after"].clone();
    let (mut events, mut streamed, mut rejected) = (0, 0, 0);
    for page_number in 0..PAGES_A_STEP {
        let about = json!({
            "operation_ids": input["operation_ids"], "source": run.source, "received_at": text(now()),
            "after": after, "limit": PAGE_ROOTS, "bytes": PAGE_BYTES,
        })
        .to_string();
        let arguments = [Argument::Text(&run.shop_domain), Argument::Json(&about)];
        let text = postgres
            .call("weir.bulk_events", &arguments)
            .await
            .map_err(|error| database(&error))?;
        let page = Page::read(&text)?;
        let sent = page.send(&streams).await?;
        // Not by the cursor: each month of a backfill begins without one.
        let place = format!("events-{}-{page_number}", key_part(&run.step));
        keep_events(env, run, &place, &sent.invalid).await?;
        events += i64::try_from(page.events.len()).unwrap_or(i64::MAX);
        streamed += sent.streamed;
        rejected += i64::try_from(sent.invalid.len()).unwrap_or(i64::MAX);
        after = page.next.unwrap_or(Value::Null);
        if after.is_null() {
            break;
        }
    }
    Ok(Outcome {
        output: json!({"next": after, "events": events, "streamed": streamed, "events_rejected": rejected}),
        counts: Counts {
            read: Some(events),
            streamed: Some(streamed),
            rejected: Some(rejected),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}
