//! The queue handlers: interactions to PostgreSQL, deferred rows to the stream, dead letters to the quarantine.

use serde_json::Value;
use weir_edge_shared::border::content;
use weir_edge_shared::content::Content;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::discreet::place;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::pipeline::streams;
use weir_edge_shared::redelivery::retry;
use weir_edge_shared::settings::{dead_letter_queue, max_delay_seconds, now, postgres_timeouts, storage};
use weir_edge_shared::storage::Storage;
use worker::{Env, MessageBatch, MessageExt, RawMessage, Result};

use crate::bindings::{keep, BUCKET, COMMERCE_STREAM, POSTGRES, PUBLICATION_STREAM};
use crate::consume::{record, resend};
use crate::message::Message;
use crate::quarantine::QuarantineRecord;

/// Handles a batch of either queue.
///
/// # Errors
/// What concerns the whole batch, so that messages are left that are neither acknowledged nor retried.
pub async fn handle(batch: MessageBatch<String>, env: Env) -> Result<()> {
    let storage = storage(&env, BUCKET)?;
    let max_delay = max_delay_seconds(&env);
    let dead = dead_letter_queue(&env).is_some_and(|name| name == batch.queue());
    let (mut interactions, mut deferred) = (Vec::new(), Vec::new());
    for raw in batch.raw_iter() {
        let content = content(&raw.body());
        let detail = match serde_json::from_str(&content.text()) {
            Ok(message) if dead => {
                let detail = "every attempt at PostgreSQL or the stream failed; see the log";
                quarantine(&storage, &raw, ("retries_exhausted", detail), Ok(message), max_delay).await;
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
        quarantine(&storage, &raw, ("unreadable_message", &detail), Err(content), max_delay).await;
    }
    let (recorded, resent) = futures_util::future::join(
        record_all(&env, &storage, interactions, max_delay),
        resend_all(&env, &storage, deferred, max_delay),
    )
    .await;
    recorded.and(resent)
}

async fn record_all(env: &Env, storage: &Storage, messages: Vec<(RawMessage, Message)>, max_delay: u32) -> Result<()> {
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
    let transport = HyperdriveTransport::new(env.hyperdrive(POSTGRES)?, postgres_timeouts(env));
    let decisions = record(&events, &transport, &streams(env, COMMERCE_STREAM)?).await;
    for ((raw, message), decision) in messages.into_iter().zip(decisions) {
        carry_out(storage, &raw, message, decision, max_delay).await;
    }
    Ok(())
}

async fn resend_all(env: &Env, storage: &Storage, messages: Vec<(RawMessage, Message)>, max_delay: u32) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let streams = streams(env, PUBLICATION_STREAM)?;
    for (raw, message) in messages {
        if let Message::Rows { rows, .. } = &message {
            let decision = resend(rows, &streams).await;
            carry_out(storage, &raw, message, decision, max_delay).await;
        }
    }
    Ok(())
}

async fn carry_out(storage: &Storage, raw: &RawMessage, message: Message, decision: Decision, max_delay: u32) {
    match decision {
        Decision::Acknowledge => raw.ack(),
        Decision::Retry { cause } => retry(raw, &cause, max_delay),
        Decision::Quarantine { reason, detail } => {
            quarantine(storage, raw, (&reason, &detail), Ok(message), max_delay).await;
        }
    }
}

/// Keeps the message (or what is none), then acknowledges it. What was kept before one part failed is written once more, as it is.
async fn quarantine(
    storage: &Storage,
    raw: &RawMessage,
    (reason, detail): (&str, &str),
    content: std::result::Result<Message, Content>,
    max_delay: u32,
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
    for record in records {
        if let Err(error) = keep(storage, &record).await {
            return retry(raw, &format!("quarantine failed: {error}"), max_delay);
        }
    }
    raw.ack();
}
