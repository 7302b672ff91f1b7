//! The queue handlers: interactions to PostgreSQL, deferred rows to the stream, dead letters to the quarantine.

use std::cell::RefCell;

use futures_util::future::join;
use serde_json::Value;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::border::content;
use weir_edge_shared::content::Content;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::decision::Decision;
use weir_edge_shared::discreet::place;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::patience::Patience;
use weir_edge_shared::pipeline::streams;
use weir_edge_shared::redelivery::retry;
use weir_edge_shared::settings::{
    batch_budget_millis, dead_letter_queue, max_delay_seconds, now, patience, postgres_timeouts, storage,
};
use weir_edge_shared::storage::Storage;
use worker::{Date, Env, Error, MessageBatch, MessageExt, RawMessage, Result};

use crate::bindings::{
    keep, InteractionQueue, BUCKET, COMMERCE_STREAM, COUNTERS, INTERACTIONS, POSTGRES, PUBLICATION_STREAM,
};
use crate::consume::{record, resend};
use crate::message::{Message, MessageSender};
use crate::quarantine::QuarantineRecord;

/// Handles a batch of either queue.
///
/// # Errors
/// What concerns the whole batch, so that messages are left that are neither acknowledged nor retried.
pub async fn handle(batch: MessageBatch<String>, env: Env) -> Result<()> {
    let consumer = Consumer {
        storage: storage(&env, BUCKET)?,
        queue: patience(&env, "the queue"),
        max_delay: max_delay_seconds(&env),
        counters: RefCell::default(),
        env: &env,
    };
    let dead = dead_letter_queue(&env).is_some_and(|name| name == batch.queue());
    let (mut interactions, mut deferred) = (Vec::new(), Vec::new());
    for raw in batch.raw_iter() {
        let content = content(&raw.body());
        let detail = match serde_json::from_str(&content.text()) {
            Ok(message) if dead => {
                let detail = "every attempt at PostgreSQL or the stream failed; see the log";
                consumer
                    .quarantine(&raw, ("retries_exhausted", detail), Ok(message))
                    .await;
                continue;
            }
            Ok(message @ Message::Interaction { .. }) => {
                interactions.push((raw, message));
                continue;
            }
            Ok(message @ Message::Rows { .. }) => {
                deferred.push((raw, message));
                continue;
            }
            Err(error) => place(&error),
        };
        consumer
            .quarantine(&raw, ("unreadable_message", &detail), Err(content))
            .await;
    }
    let (recorded, resent) = join(consumer.record_all(interactions), consumer.resend_all(deferred)).await;
    // Last: what is decided is carried out already.
    let points = consumer.counters.borrow().points();
    AnalyticsEngine::bound(&env, COUNTERS).write(&points).await;
    recorded.and(resent)
}

/// What one invocation has.
struct Consumer<'a> {
    env: &'a Env,
    storage: Storage,
    queue: Patience,
    /// Longest delay of a retry, in seconds.
    max_delay: u32,
    /// What went to the quarantine.
    counters: RefCell<Counters>,
}

impl Consumer<'_> {
    async fn record_all(&self, messages: Vec<(RawMessage, Message)>) -> Result<()> {
        let events: Vec<&Value> = messages
            .iter()
            .filter_map(|(_, message)| match message {
                Message::Interaction { event, .. } => Some(event),
                Message::Rows { .. } => None,
            })
            .collect();
        if events.is_empty() {
            return Ok(());
        }
        let transport = HyperdriveTransport::new(self.env.hyperdrive(POSTGRES)?, postgres_timeouts(self.env));
        let decisions = record(&events, &transport, &streams(self.env, COMMERCE_STREAM)?).await;
        for ((raw, message), decision) in messages.into_iter().zip(decisions) {
            self.carry_out(&raw, message, decision).await;
        }
        Ok(())
    }

    /// Resends deferred rows, message by message. What there is no time for is sent to the queue anew: a retry would use up one of
    /// its attempts, although nothing has failed.
    async fn resend_all(&self, messages: Vec<(RawMessage, Message)>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let (streams, began) = (streams(self.env, PUBLICATION_STREAM)?, Date::now().as_millis());
        for (raw, message) in messages {
            let Message::Rows { rows, .. } = &message else { continue };
            if Date::now().as_millis().saturating_sub(began) >= batch_budget_millis(self.env) {
                self.send_anew(&raw, &message).await;
                continue;
            }
            let decision = resend(rows, &streams).await;
            self.carry_out(&raw, message, decision).await;
        }
        Ok(())
    }

    /// Sends `message` in the place of `raw`, which is acknowledged when that is durable.
    async fn send_anew(&self, raw: &RawMessage, message: &Message) {
        let sending = async {
            let queue = InteractionQueue(self.env.queue(INTERACTIONS)?);
            let sent = queue.send(&[serde_json::to_string(message)?]).await;
            sent.map_err(Error::RustError)
        };
        match self.queue.bound(sending).await {
            Ok(()) => raw.ack(),
            Err(error) => retry(raw, &error.to_string(), self.max_delay),
        }
    }

    async fn carry_out(&self, raw: &RawMessage, message: Message, decision: Decision) {
        match decision {
            Decision::Acknowledge => raw.ack(),
            Decision::Retry { cause } => retry(raw, &cause, self.max_delay),
            Decision::Quarantine { reason, detail } => self.quarantine(raw, (&reason, &detail), Ok(message)).await,
        }
    }

    /// Keeps the message (or what is none), then acknowledges it. What was kept before one part failed is written once more, as it is.
    async fn quarantine(
        &self,
        raw: &RawMessage,
        (reason, detail): (&str, &str),
        content: std::result::Result<Message, Content>,
    ) {
        let record = |message, unread: Option<&Content>| QuarantineRecord {
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            quarantined_at: now(),
            message_id: raw.id(),
            message,
            text: unread.map(|content| content.text().into_owned()),
            base64: unread.and_then(Content::base64),
        };
        // A record a shop: it lies under the shop's name, where a redaction of that shop looks for it.
        let records: Vec<_> = match content {
            Ok(message) => message
                .by_shop()
                .into_iter()
                .map(|part| record(Some(part), None))
                .collect(),
            Err(content) => vec![record(None, Some(&content))],
        };
        for record in &records {
            if let Err(error) = keep(&self.storage, record).await {
                return retry(raw, &format!("quarantine failed: {error}"), self.max_delay);
            }
        }
        raw.ack();
        let mut counters = self.counters.borrow_mut();
        records.iter().for_each(|record| record.count(&mut counters));
    }
}
