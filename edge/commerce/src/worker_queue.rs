//! The queue handlers: deliveries to PostgreSQL and the stream, dead letters to the quarantine.

use weir_domain::webhook::Delivery;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::content;
use weir_edge_shared::content::Content;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::pipeline::streams;
use weir_edge_shared::quarantine_room::read_text;
use weir_edge_shared::redelivery::retry;
use weir_edge_shared::settings::{dead_letter_queue, max_delay_seconds, now, postgres_timeouts};
use worker::{console_error, Bucket, Date, Env, MessageBatch, MessageExt, RawMessage, Result};

use crate::bindings::{batch_budget_millis, keep, redaction_pass_objects, send, BUCKET, COUNTERS, POSTGRES, STREAM};
use crate::consume::consume;
use crate::counting::consumed;
use crate::message::{fitting, QueueMessage};
use crate::quarantine::{unreadable_message, Body, QuarantineRecord};
use crate::redaction::{Progress, Subject};
use crate::worker_redaction::{forget, Pass};
use crate::worker_sync::tell;

/// A message of the batch with what was read from it.
struct Entry {
    raw: RawMessage,
    message: QueueMessage,
}

/// Handles a batch of either queue. A message that is neither acknowledged nor retried here is retried by the queue, since
/// errors are returned.
pub async fn handle(batch: MessageBatch<String>, env: Env) -> Result<()> {
    let bucket = env.bucket(BUCKET)?;
    let max_delay = max_delay_seconds(&env);
    let dead = dead_letter_queue(&env).is_some_and(|name| name == batch.queue());
    let mut entries = Vec::new();
    for raw in batch.raw_iter() {
        let body = match content(&raw.body()) {
            Content::Text(text) => match QueueMessage::decode(&text) {
                Some(message) => {
                    entries.push(Entry { raw, message });
                    continue;
                }
                None => Body::Text(text),
            },
            Content::Bytes(bytes) => Body::from_bytes(&bytes),
        };
        let record = unreadable_message(&raw.id(), body, now());
        keep_then_acknowledge(&bucket, &raw, &record, max_delay).await;
    }
    if dead {
        bury(&bucket, entries, max_delay).await;
        return Ok(());
    }
    deliver(&env, &bucket, entries, max_delay).await
}

/// Delivers the batch in parts that memory holds, one after the other. What there is no time for is sent to the queue anew: a
/// retry would use up one of its attempts, although nothing has failed.
async fn deliver(env: &Env, bucket: &Bucket, mut entries: Vec<Entry>, max_delay: u32) -> Result<()> {
    let began = Date::now().as_millis();
    // For all parts together: the limit is the invocation's. Who comes too late goes on in another one.
    let mut left = redaction_pass_objects(env);
    while !entries.is_empty() {
        let rest = entries.split_off(fitting(entries.iter().map(|entry| entry.message.body_bytes)));
        deliver_part(env, bucket, entries, max_delay, &mut left).await?;
        entries = rest;
        if Date::now().as_millis().saturating_sub(began) >= batch_budget_millis(env) {
            break;
        }
    }
    for Entry { raw, message } in entries {
        replace(env, &raw, message, max_delay).await;
    }
    Ok(())
}

async fn deliver_part(env: &Env, bucket: &Bucket, entries: Vec<Entry>, max_delay: u32, left: &mut u32) -> Result<()> {
    let mut ready = Vec::with_capacity(entries.len());
    let mut deliveries = Vec::with_capacity(entries.len());
    for Entry { raw, mut message } in entries {
        let (replays, redaction) = (message.replays, message.redaction.take());
        let body_key = message.body_key.clone();
        match with_body(bucket, message).await {
            Ok(delivery) => match tell(env, &delivery).await {
                Some(decision) => carry_out(bucket, &raw, delivery, replays, decision, max_delay).await,
                None => {
                    ready.push(Ready {
                        raw,
                        replays,
                        redaction,
                        body_key,
                    });
                    deliveries.push(delivery);
                }
            },
            Err(NoBody::Absent(delivery)) => {
                let detail = "its body is not in R2 any more: removed by a redaction or by the bucket's lifecycle rule";
                let decision = Decision::quarantine("body_missing", detail);
                carry_out(bucket, &raw, *delivery, replays, decision, max_delay).await;
            }
            Err(NoBody::Failed(cause)) => retry(&raw, &cause, max_delay),
        }
    }
    if deliveries.is_empty() {
        return Ok(());
    }
    let transport = HyperdriveTransport::new(env.hyperdrive(POSTGRES)?, postgres_timeouts(env));
    let streams = streams(env, STREAM)?;
    let decisions = consume(&deliveries, &transport, &streams).await;
    let mut counters = Counters::default();
    let mut requests = Vec::new();
    for ((ready, delivery), decision) in ready.into_iter().zip(deliveries).zip(decisions) {
        consumed(&mut counters, &delivery, &decision);
        match Subject::of(&delivery) {
            // After the others: one of them may be put into the quarantine and name whom this asks to forget.
            Some(subject) if !matches!(decision, Decision::Retry { .. }) => {
                requests.push((ready, delivery, subject, decision));
            }
            _ => carry_out(bucket, &ready.raw, delivery, ready.replays, decision, max_delay).await,
        }
    }
    for (mut ready, delivery, subject, decision) in requests {
        let progress = ready.redaction.take().unwrap_or_default();
        match forget(env, &transport, &streams, &delivery, &subject, progress, left).await {
            Ok(Pass::Done) => match remove_body(bucket, &ready).await {
                Ok(()) => carry_out(bucket, &ready.raw, delivery, ready.replays, decision, max_delay).await,
                Err(error) => retry(&ready.raw, &error.to_string(), max_delay),
            },
            Ok(Pass::More(progress)) => go_on_later(env, &ready, delivery, progress, max_delay).await,
            Err(cause) => retry(&ready.raw, &cause, max_delay),
        }
    }
    // Last: what is decided is carried out already.
    AnalyticsEngine::bound(env, COUNTERS).write(&counters.points()).await;
    Ok(())
}

/// A message whose delivery is at hand.
struct Ready {
    raw: RawMessage,
    replays: u32,
    redaction: Option<Progress>,
    /// Where the body lies in R2, if it does.
    body_key: Option<String>,
}

/// Removes the body of a request to forget that is done: it names whom it was about.
async fn remove_body(bucket: &Bucket, ready: &Ready) -> Result<()> {
    match &ready.body_key {
        Some(key) => bucket.delete(key).await,
        None => Ok(()),
    }
}

/// Sends the rest of a long redaction as a message of its own.
async fn go_on_later(env: &Env, ready: &Ready, mut delivery: Delivery, progress: Progress, max_delay: u32) {
    let body_bytes = delivery.body.len();
    if ready.body_key.is_some() {
        delivery.body.clear(); // Too large for a message, and still where it was.
    }
    let message = QueueMessage {
        body_bytes,
        delivery,
        body_key: ready.body_key.clone(),
        replays: ready.replays,
        redaction: Some(progress),
    };
    replace(env, &ready.raw, message, max_delay).await;
}

/// Sends `message` in the place of `raw`, which is acknowledged when that is durable.
async fn replace(env: &Env, raw: &RawMessage, message: QueueMessage, max_delay: u32) {
    let sent = match message.encode() {
        Ok(text) => send(env, &text).await,
        Err(error) => Err(error.into()),
    };
    match sent {
        Ok(()) => raw.ack(),
        Err(error) => retry(raw, &error.to_string(), max_delay),
    }
}

async fn carry_out(
    bucket: &Bucket,
    raw: &RawMessage,
    delivery: Delivery,
    replays: u32,
    decision: Decision,
    max_delay: u32,
) {
    match decision {
        Decision::Acknowledge => raw.ack(),
        Decision::Retry { cause } => retry(raw, &cause, max_delay),
        Decision::Quarantine { reason, detail } => {
            let record = QuarantineRecord::new(delivery, &reason, &detail, now()).after_replays(replays);
            keep_then_acknowledge(bucket, raw, &record, max_delay).await;
        }
    }
}

/// Why a delivery has no body.
pub enum NoBody {
    /// The object is gone; the delivery without its body.
    Absent(Box<Delivery>),
    /// R2 did not give it.
    Failed(String),
}

/// The delivery with its body, which a large one has in R2. The object stays: a redelivery needs it again, and the
/// bucket's lifecycle rule removes it, or a redaction does.
pub async fn with_body(bucket: &Bucket, message: QueueMessage) -> std::result::Result<Delivery, NoBody> {
    let mut delivery = message.delivery;
    if let Some(key) = message.body_key {
        match read_text(bucket, &key).await {
            Ok(Some(body)) => delivery.body = body,
            Ok(None) => return Err(NoBody::Absent(Box::new(delivery))),
            Err(error) => return Err(NoBody::Failed(error.to_string())),
        }
    }
    Ok(delivery)
}

async fn bury(bucket: &Bucket, entries: Vec<Entry>, max_delay: u32) {
    for Entry { raw, message } in entries {
        let detail = "every attempt at PostgreSQL or the stream failed; see the log";
        let mut record =
            QuarantineRecord::new(message.delivery, "retries_exhausted", detail, now()).after_replays(message.replays);
        record.body_key = message.body_key;
        keep_then_acknowledge(bucket, &raw, &record, max_delay).await;
    }
}

async fn keep_then_acknowledge(bucket: &Bucket, raw: &RawMessage, record: &QuarantineRecord, max_delay: u32) {
    match keep(bucket, record).await {
        Ok(()) => raw.ack(),
        Err(error) => {
            console_error!("quarantine failed: {error}");
            retry(raw, "quarantine failed", max_delay);
        }
    }
}
