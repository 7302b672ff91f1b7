//! The queue handlers: deliveries to PostgreSQL and the stream, dead letters to the quarantine.

use weir_domain::webhook::Delivery;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::backoff::retry_delay_seconds;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::pipeline::PipelineStream;
use worker::{
    console_error, console_warn, Bucket, Date, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage,
    Result,
};

use crate::bindings::{
    dead_letter_queue, keep, max_delay_seconds, now, postgres_timeouts, BUCKET, COUNTERS, POSTGRES, STREAM,
};
use crate::consume::consume;
use crate::counting::consumed;
use crate::message::{fitting, QueueMessage};
use crate::quarantine::{unreadable_message, QuarantineRecord};
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
        let text = raw.body().as_string().unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(message) => entries.push(Entry { raw, message }),
            Err(_) => {
                let record = unreadable_message(&raw.id(), text, now());
                keep_then_acknowledge(&bucket, &raw, &record, max_delay).await;
            }
        }
    }
    if dead {
        bury(&bucket, entries, max_delay).await;
        return Ok(());
    }
    deliver(&env, &bucket, entries, max_delay).await
}

async fn deliver(env: &Env, bucket: &Bucket, mut entries: Vec<Entry>, max_delay: u32) -> Result<()> {
    let deferred = entries.split_off(fitting(entries.iter().map(|entry| entry.message.body_bytes)).min(entries.len()));
    for entry in deferred {
        entry.raw.retry(); // The next batch has room for it.
    }
    let mut ready = Vec::with_capacity(entries.len());
    let mut deliveries = Vec::with_capacity(entries.len());
    for Entry { raw, message } in entries {
        let replays = message.replays;
        match with_body(bucket, message).await {
            Ok(delivery) => match tell(env, &delivery).await {
                Some(decision) => carry_out(bucket, &raw, delivery, replays, decision, max_delay).await,
                None => {
                    ready.push((raw, replays));
                    deliveries.push(delivery);
                }
            },
            Err(cause) => retry(&raw, &cause, max_delay),
        }
    }
    if deliveries.is_empty() {
        return Ok(());
    }
    let transport = HyperdriveTransport::new(env.hyperdrive(POSTGRES)?, postgres_timeouts(env));
    let stream: PipelineStream = env.get_binding(STREAM)?;
    let decisions = consume(&deliveries, &weir_domain::telemetry::commerce(), &transport, &stream).await;
    let mut counters = Counters::default();
    for (((raw, replays), delivery), decision) in ready.iter().zip(deliveries).zip(decisions) {
        consumed(&mut counters, &delivery, &decision);
        carry_out(bucket, raw, delivery, *replays, decision, max_delay).await;
    }
    // Last: what is decided is carried out already.
    AnalyticsEngine::bound(env, COUNTERS).write(&counters.points()).await;
    Ok(())
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

/// The delivery with its body, which a large one has in R2. The object stays: a redelivery needs it again, and the
/// bucket's lifecycle rule removes it.
pub async fn with_body(bucket: &Bucket, message: QueueMessage) -> std::result::Result<Delivery, String> {
    let mut delivery = message.delivery;
    if let Some(key) = message.body_key {
        let object = bucket.get(&key).execute().await.map_err(|error| error.to_string())?;
        let object = object.ok_or_else(|| format!("{key} is absent"))?;
        let body = object.body().ok_or_else(|| format!("{key} has no body"))?;
        delivery.body = body.text().await.map_err(|error| error.to_string())?;
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

fn retry(raw: &RawMessage, cause: &str, max_delay: u32) {
    let age_millis = Date::now().as_millis().saturating_sub(raw.timestamp().as_millis());
    let delay = retry_delay_seconds(age_millis, max_delay);
    console_warn!("message {} again in {delay} s: {cause}", raw.id());
    raw.retry_with_options(&QueueRetryOptionsBuilder::new().with_delay_seconds(delay).build());
}
