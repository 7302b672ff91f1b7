//! Names and values that wrangler.jsonc binds, and the R2 room that all handlers write to.

use std::time::Duration;

use weir_domain::webhook::Delivery;
use weir_edge_shared::backoff::DEFAULT_MAX_DELAY_SECONDS;
use weir_edge_shared::connection::Timeouts;
use weir_edge_shared::quarantine_room::put;
use worker::{Bucket, Env, Error, MessageBuilder, QueueContentType, Result};

use crate::admission::Admission;
use crate::message::HandOver;
use crate::quarantine::QuarantineRecord;

/// Queue of admitted deliveries.
pub const DELIVERIES: &str = "DELIVERIES";
/// R2 bucket of large bodies and of the quarantine.
pub const BUCKET: &str = "BUCKET";
/// Hyperdrive to PostgreSQL, caching disabled.
pub const POSTGRES: &str = "POSTGRES";
/// Pipelines stream `commerce_v1`.
pub const STREAM: &str = "COMMERCE_TELEMETRY";

/// Service binding to the sync Worker; without it a finished bulk operation goes the way of all deliveries.
pub const SYNC: &str = "SYNC";
/// Analytics Engine dataset of verdicts; without the binding nothing is counted.
pub const COUNTERS: &str = "COMMERCE_COUNTERS";

/// Shopify's largest webhook bodies are a few hundred kilobytes; 5 MB is far beyond.
const DEFAULT_MAX_BODY_BYTES: usize = 5_000_000;

fn text(env: &Env, name: &str) -> Option<String> {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.trim().is_empty())
}

/// What the Worker admits: vars SHOPS (JSON array of domains) and MAX_BODY_BYTES, secret SHOPIFY_WEBHOOK_SECRETS (comma
/// separated).
pub fn admission(env: &Env) -> Result<Admission> {
    let shops: Vec<String> = serde_json::from_str(&text(env, "SHOPS").unwrap_or_else(|| "[]".into()))
        .map_err(|error| Error::RustError(format!("SHOPS is not a JSON array of domains: {error}")))?;
    let secrets = env
        .secret("SHOPIFY_WEBHOOK_SECRETS")
        .map(|value| value.to_string())
        .unwrap_or_default();
    let max_body_bytes = match text(env, "MAX_BODY_BYTES") {
        Some(value) => value
            .parse()
            .map_err(|_| Error::RustError("MAX_BODY_BYTES is not a number".into()))?,
        None => DEFAULT_MAX_BODY_BYTES,
    };
    Ok(Admission {
        secrets: secrets.split(',').map(|secret| secret.trim().to_owned()).collect(),
        shops: shops.into_iter().map(|shop| shop.to_ascii_lowercase()).collect(),
        max_body_bytes,
    })
}

/// Longest delay of a retry, var RETRY_MAX_DELAY_SECONDS.
pub fn max_delay_seconds(env: &Env) -> u32 {
    text(env, "RETRY_MAX_DELAY_SECONDS")
        .and_then(|value| value.parse().ok())
        .unwrap_or(DEFAULT_MAX_DELAY_SECONDS)
}

/// How long PostgreSQL may take, vars POSTGRES_CONNECT_TIMEOUT_MILLIS and POSTGRES_STATEMENT_TIMEOUT_MILLIS.
pub fn postgres_timeouts(env: &Env) -> Timeouts {
    let millis = |name: &str, default: Duration| {
        text(env, name)
            .and_then(|value| value.parse().ok())
            .map_or(default, Duration::from_millis)
    };
    let default = Timeouts::default();
    Timeouts {
        connect: millis("POSTGRES_CONNECT_TIMEOUT_MILLIS", default.connect),
        statement: millis("POSTGRES_STATEMENT_TIMEOUT_MILLIS", default.statement),
    }
}

/// Token of the internal routes, secret WEIR_INTERNAL_TOKEN; empty when there is none, which opens nothing.
pub fn internal_token(env: &Env) -> String {
    env.secret("WEIR_INTERNAL_TOKEN")
        .map(|value| value.to_string())
        .unwrap_or_default()
}

/// Name of the dead-letter queue, var DEAD_LETTER_QUEUE.
pub fn dead_letter_queue(env: &Env) -> Option<String> {
    text(env, "DEAD_LETTER_QUEUE")
}

/// Now, RFC 3339 UTC with milliseconds.
pub fn now() -> String {
    js_sys::Date::new_0().to_iso_string().into()
}

/// Hands `delivery`, replayed `replays` times, over to the queue; returns when it is durable there.
pub async fn hand_over(env: &Env, delivery: Delivery, replays: u32) -> Result<()> {
    let packed = HandOver::pack(delivery, replays)?;
    if let Some((key, body)) = packed.object {
        env.bucket(BUCKET)?.put(key, body).execute().await?;
    }
    let message = MessageBuilder::new(packed.text)
        .content_type(QueueContentType::Text)
        .build();
    env.queue(DELIVERIES)?.send(message).await
}

/// Puts `record` into the quarantine; returns when it is durable. Reason and ids are repeated as metadata, so that a
/// listing is the index.
pub async fn keep(bucket: &Bucket, record: &QuarantineRecord) -> Result<()> {
    let text = serde_json::to_string(record)?;
    let metadata = [
        ("reason", record.reason.clone()),
        ("webhook_id", record.delivery.webhook_id.clone()),
        ("topic", record.delivery.topic.clone()),
        ("shop_domain", record.delivery.shop_domain.clone()),
        ("quarantined_at", record.quarantined_at.clone()),
    ];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
    put(bucket, &record.key(), text, metadata).await?;
    worker::console_warn!("quarantined {} ({})", record.key(), record.reason);
    Ok(())
}
