//! The queue handlers: deliveries to PostgreSQL and the stream, dead letters to the quarantine.

use std::cell::RefCell;

use weir_domain::webhook::Delivery;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::content;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::pipeline::{streams, PipelineStream};
use weir_edge_shared::redelivery::{delay_seconds, later, retry};
use weir_edge_shared::settings::{batch_budget_millis, dead_letter_queue, max_delay_seconds, now, postgres_timeouts};
use weir_edge_shared::storage::Storage;
use weir_edge_shared::versions::StreamVersions;
use worker::{console_warn, Date, Env, MessageBatch, MessageExt, RawMessage, Result};

use crate::bindings::{redaction_again_millis, redaction_pass_objects, FarEnds, COUNTERS, POSTGRES, STREAM};
use crate::consume::consume;
use crate::counting::consumed;
use crate::message::{fitting, text, NotText, QueueMessage, Unreadable};
use crate::quarantine::{unreadable_message, Body, QuarantineRecord, OTHER_SHOP};
use crate::redaction::{is_foreign, Progress, Subject};
use crate::worker_redaction::{forget, Around, Pass};
use crate::worker_sync::Sync;

/// Reason of a body that cannot be put into a batch for PostgreSQL, which says the same of what is text and not JSON.
const NOT_JSON: &str = "parse_failure";

/// A message of the batch with what was read from it.
struct Entry {
    raw: RawMessage,
    message: QueueMessage,
}

/// A message whose delivery is at hand.
struct Ready {
    raw: RawMessage,
    replays: u32,
    redaction: Option<Progress>,
    /// Where the body lies in R2, if it does.
    body_key: Option<String>,
}

/// Handles a batch of either queue.
///
/// # Errors
/// What concerns the whole batch, so that messages are left that are neither acknowledged nor retried.
pub async fn handle(batch: MessageBatch<String>, env: Env) -> Result<()> {
    let consumer = Consumer {
        far_ends: FarEnds::of(&env)?,
        sync: Sync::of(&env),
        max_delay: max_delay_seconds(&env),
        counters: RefCell::default(),
        env: &env,
    };
    let dead = dead_letter_queue(&env).is_some_and(|name| name == batch.queue());
    let mut entries = Vec::new();
    for raw in batch.raw_iter() {
        let bytes = content(&raw.body()).into_bytes();
        let record = match QueueMessage::decode(&bytes) {
            Ok(message) => {
                entries.push(Entry { raw, message });
                continue;
            }
            Err(Unreadable::Foreign) => unreadable_message(&raw.id(), Body::from_bytes(&bytes), now()),
            Err(Unreadable::NotText(message, body)) => {
                let record = QuarantineRecord::new(message.delivery, NOT_JSON, &body.detail, now());
                record
                    .with_body(Body::from_bytes(&body.bytes))
                    .after_replays(message.replays)
            }
        };
        consumer.keep_then_acknowledge(&raw, &record).await;
    }
    let handled = match dead {
        true => {
            consumer.bury(entries).await;
            Ok(())
        }
        false => consumer.deliver(entries).await,
    };
    // Last: what is decided is carried out already.
    let points = consumer.counters.borrow().points();
    AnalyticsEngine::bound(&env, COUNTERS).write(&points).await;
    handled
}

/// What one invocation has.
struct Consumer<'a> {
    env: &'a Env,
    far_ends: FarEnds,
    sync: Sync,
    /// Longest delay of a retry, in seconds.
    max_delay: u32,
    /// What became of the deliveries.
    counters: RefCell<Counters>,
}

impl Consumer<'_> {
    /// Delivers the batch in parts that memory holds, one after the other. What there is no time for is sent to the queue anew:
    /// a retry would use up one of its attempts, although nothing has failed.
    async fn deliver(&self, mut entries: Vec<Entry>) -> Result<()> {
        let began = Date::now().as_millis();
        entries.retain(|Entry { raw, message }| {
            let progress = message.redaction.as_ref();
            let wait = progress.and_then(|progress| progress.wait_seconds(began));
            wait.inspect(|seconds| later(raw, *seconds)).is_none()
        });
        // For all parts together: the limit is the invocation's. Who comes too late goes on in another one.
        let mut left = redaction_pass_objects(self.env);
        // Likewise: one that does not answer the first part is not asked by the next ones.
        let streams = streams(self.env, STREAM)?;
        while !entries.is_empty() {
            let rest = entries.split_off(fitting(entries.iter().map(|entry| entry.message.body_bytes)));
            self.deliver_part(entries, &streams, &mut left).await?;
            entries = rest;
            if Date::now().as_millis().saturating_sub(began) >= batch_budget_millis(self.env) {
                break;
            }
        }
        for Entry { raw, message } in entries {
            self.replace(&raw, message).await;
        }
        Ok(())
    }

    async fn deliver_part(
        &self,
        entries: Vec<Entry>,
        streams: &StreamVersions<PipelineStream>,
        left: &mut u32,
    ) -> Result<()> {
        let (ready, deliveries) = self.read(entries).await;
        if deliveries.is_empty() {
            return Ok(());
        }
        let began_millis = Date::now().as_millis();
        let transport = HyperdriveTransport::new(self.env.hyperdrive(POSTGRES)?, postgres_timeouts(self.env));
        let mut requests = Vec::new();
        let (mut open, mut asked) = (Vec::new(), Vec::new());
        for (ready, delivery) in ready.into_iter().zip(deliveries) {
            let is_done = |subject: &Subject| {
                let progress = ready.redaction.as_ref();
                progress.is_some_and(|progress| progress.is_done_in_postgres(subject))
            };
            match Subject::of(&delivery).filter(is_done) {
                Some(subject) => requests.push((ready, delivery, subject, Decision::Acknowledge)),
                None => {
                    open.push(ready);
                    asked.push(delivery);
                }
            }
        }
        let decisions = match asked.is_empty() {
            true => Vec::new(),
            false => consume(&asked, &transport, streams).await,
        };
        for ((ready, delivery), decision) in open.into_iter().zip(asked).zip(decisions) {
            match Subject::of(&delivery) {
                // After the others: one of them may be put into the quarantine and name whom this asks to forget.
                Some(subject) if !matches!(decision, Decision::Retry { .. }) => {
                    requests.push((ready, delivery, subject, decision));
                }
                _ => self.carry_out(&ready.raw, delivery, ready.replays, decision).await,
            }
        }
        let around = Around {
            far_ends: &self.far_ends,
            transport: &transport,
            streams,
            began_millis,
        };
        for (ready, delivery, subject, decision) in requests {
            self.forget(&around, ready, delivery, &subject, decision, left).await;
        }
        Ok(())
    }

    /// Forgets `subject` at the edge, as `delivery` asks, about which `decision` was taken.
    async fn forget(
        &self,
        around: &Around<'_>,
        mut ready: Ready,
        delivery: Delivery,
        subject: &Subject,
        decision: Decision,
        left: &mut u32,
    ) {
        let before = ready.redaction.take().unwrap_or_default();
        let is_last = before.again_at_millis.is_some() || decision != Decision::Acknowledge;
        let run = before.run(&delivery, around.began_millis);
        let goes_on = |progress: Progress| Progress {
            run: Some(run.clone()),
            is_taken: decision == Decision::Acknowledge,
            ..progress
        };
        match forget(around, &delivery, subject, before.clone(), &run, left).await {
            Pass::Done(progress) if !is_last && redaction_again_millis(self.env) > 0 => {
                let again_at = Date::now().as_millis() + redaction_again_millis(self.env);
                self.go_on_later(&ready, delivery, progress.again(again_at)).await;
            }
            Pass::Done(_) => match self.remove_body(ready.body_key.as_ref()).await {
                Ok(()) => self.carry_out(&ready.raw, delivery, ready.replays, decision).await,
                Err(error) => self.retry_counted(&ready.raw, &delivery, &error.to_string()),
            },
            Pass::More(progress) => self.go_on_later(&ready, delivery, goes_on(progress)).await,
            // The message itself would come again as it is, and the certificate would not count what was done.
            Pass::Failed(progress, cause) if progress != before => {
                let delay = delay_seconds(&ready.raw, self.max_delay);
                let mut progress = goes_on(progress);
                progress.not_before_millis = Some(Date::now().as_millis() + u64::from(delay) * 1000);
                console_warn!("message {} again in {delay} s, from there on: {cause}", ready.raw.id());
                self.go_on_later(&ready, delivery, progress).await;
            }
            Pass::Failed(_, cause) => self.retry_counted(&ready.raw, &delivery, &cause),
        }
    }

    /// The deliveries of `entries`, as far as their bodies are to be had and they are not the sync Worker's alone.
    async fn read(&self, entries: Vec<Entry>) -> (Vec<Ready>, Vec<Delivery>) {
        let mut ready = Vec::with_capacity(entries.len());
        let mut deliveries = Vec::with_capacity(entries.len());
        for Entry { raw, mut message } in entries {
            let (replays, redaction) = (message.replays, message.redaction.take());
            let body_key = message.body_key.clone();
            match with_body(&self.far_ends.storage, message).await {
                // Who sends it to the queue has looked, but earlier deployments had not.
                Ok(delivery) if is_foreign(&delivery.topic, delivery.body.as_bytes(), &delivery.shop_domain) => {
                    self.refuse_foreign(&raw, delivery, replays, body_key).await;
                }
                Ok(delivery) => match self.sync.tell(self.env, &delivery).await {
                    Some(decision) => self.carry_out(&raw, delivery, replays, decision).await,
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
                    let detail =
                        "its body is not in R2 any more: removed by a redaction or by the bucket's lifecycle rule";
                    let decision = Decision::quarantine("body_missing", detail);
                    self.carry_out(&raw, *delivery, replays, decision).await;
                }
                Err(NoBody::NotText(delivery, detail)) => {
                    let record = QuarantineRecord::new(*delivery, NOT_JSON, &detail, now()).after_replays(replays);
                    let record = QuarantineRecord { body_key, ..record };
                    self.keep_then_acknowledge(&raw, &record).await;
                }
                Err(NoBody::Failed(cause)) => self.retry(&raw, &cause),
            }
        }
        (ready, deliveries)
    }

    /// Keeps of a `delivery` that is no request about privacy of its shop that it came. A large body goes: it may be another
    /// shop's, whose redactions would not find it there.
    async fn refuse_foreign(&self, raw: &RawMessage, delivery: Delivery, replays: u32, body_key: Option<String>) {
        let decision = Decision::quarantine(OTHER_SHOP, "shop_domain of the body is not the shop of the delivery");
        match self.remove_body(body_key.as_ref()).await {
            Ok(()) => self.carry_out(raw, delivery, replays, decision).await,
            Err(error) => self.retry_counted(raw, &delivery, &error.to_string()),
        }
    }

    /// Removes a body that lies in R2. That of a request to forget which is done names whom it was about.
    async fn remove_body(&self, body_key: Option<&String>) -> Result<()> {
        match body_key {
            Some(key) => self.far_ends.storage.delete(key).await,
            None => Ok(()),
        }
    }

    /// Sends the rest of a long redaction, or its second time, as a message of its own.
    async fn go_on_later(&self, ready: &Ready, mut delivery: Delivery, progress: Progress) {
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
        self.replace(&ready.raw, message).await;
    }

    /// Sends `message` in the place of `raw`, which is acknowledged when that is durable.
    async fn replace(&self, raw: &RawMessage, message: QueueMessage) {
        let sent = match message.encode() {
            Ok(message) => self.far_ends.send(&message).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(()) => raw.ack(),
            Err(error) => self.retry(raw, &error.to_string()),
        }
    }

    async fn carry_out(&self, raw: &RawMessage, delivery: Delivery, replays: u32, decision: Decision) {
        match decision {
            Decision::Acknowledge => {
                raw.ack();
                self.count(&delivery, &Decision::Acknowledge);
            }
            Decision::Retry { cause } => self.retry_counted(raw, &delivery, &cause),
            Decision::Quarantine { reason, detail } => {
                let record = QuarantineRecord::new(delivery, &reason, &detail, now()).after_replays(replays);
                self.keep_then_acknowledge(raw, &record).await;
            }
        }
    }

    async fn bury(&self, entries: Vec<Entry>) {
        for Entry { raw, message } in entries {
            let detail = "every attempt at PostgreSQL or the stream failed; see the log";
            let mut record = QuarantineRecord::new(message.delivery, "retries_exhausted", detail, now())
                .after_replays(message.replays);
            record.body_key = message.body_key;
            self.keep_then_acknowledge(&raw, &record).await;
        }
    }

    async fn keep_then_acknowledge(&self, raw: &RawMessage, record: &QuarantineRecord) {
        match self.far_ends.keep(record).await {
            Ok(()) => {
                raw.ack();
                let decision = Decision::quarantine(&record.reason, record.detail.as_str());
                self.count(&record.delivery, &decision);
            }
            Err(error) => self.retry_counted(raw, &record.delivery, &format!("quarantine failed: {error}")),
        }
    }

    fn count(&self, delivery: &Delivery, decision: &Decision) {
        consumed(&mut self.counters.borrow_mut(), delivery, decision);
    }

    fn retry_counted(&self, raw: &RawMessage, delivery: &Delivery, cause: &str) {
        self.retry(raw, cause);
        let cause = cause.to_owned();
        self.count(delivery, &Decision::Retry { cause });
    }

    fn retry(&self, raw: &RawMessage, cause: &str) {
        retry(raw, cause, self.max_delay);
    }
}

/// Why a delivery has no body.
pub enum NoBody {
    /// The object is gone; the delivery without its body.
    Absent(Box<Delivery>),
    /// It is no text; the delivery without it, and where it ends to be text.
    NotText(Box<Delivery>, String),
    /// R2 did not give it.
    Failed(String),
}

/// The delivery with its body, which a large one has in R2. The object stays: a redelivery needs it again, and the
/// bucket's lifecycle rule removes it, or a redaction does.
pub async fn with_body(storage: &Storage, message: QueueMessage) -> std::result::Result<Delivery, NoBody> {
    let mut delivery = message.delivery;
    if let Some(key) = message.body_key {
        match storage.read_bytes(&key).await {
            Ok(Some(bytes)) => match text(bytes) {
                Ok(body) => delivery.body = body,
                Err(NotText { detail, .. }) => return Err(NoBody::NotText(Box::new(delivery), detail)),
            },
            Ok(None) => return Err(NoBody::Absent(Box::new(delivery))),
            Err(error) => return Err(NoBody::Failed(error.to_string())),
        }
    }
    Ok(delivery)
}
