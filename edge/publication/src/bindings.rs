//! Names and values that wrangler.jsonc binds, and what all handlers do with them.

use std::time::Duration;

use weir_edge_shared::backoff::DEFAULT_MAX_DELAY_SECONDS;
use weir_edge_shared::connection::Timeouts;
use weir_edge_shared::quarantine_room::put;
use worker::{
    console_warn, BatchMessageBuilder, Bucket, Delay, Env, Error, MessageBuilder, Queue, QueueContentType, Result,
};

use crate::message::MessageSender;
use crate::quarantine::QuarantineRecord;

/// KV namespace of the catalogues.
pub const CATALOGUE: &str = "CATALOGUE";
/// Queue of domain-level interactions and of rows that the stream did not take.
pub const INTERACTIONS: &str = "INTERACTIONS";
/// R2 bucket of the quarantine.
pub const BUCKET: &str = "BUCKET";
/// Hyperdrive to PostgreSQL, caching disabled.
pub const POSTGRES: &str = "POSTGRES";
/// Pipelines stream `publication_v1`.
pub const PUBLICATION_STREAM: &str = "PUBLICATION_TELEMETRY";
/// Pipelines stream `commerce_v1`.
pub const COMMERCE_STREAM: &str = "COMMERCE_TELEMETRY";
/// Analytics Engine dataset.
pub const COUNTERS: &str = "PUBLICATION_COUNTERS";
/// Rate limit per address of the visitor; without the binding there is none.
pub const RATE_LIMIT: &str = "RATE_LIMIT";

/// How long a catalogue in memory is used before KV is asked again.
const DEFAULT_CATALOGUE_TTL_SECONDS: i64 = 60;
/// How long stream, queue or KV may take before a request goes on without them.
const DEFAULT_PATIENCE_MILLIS: u64 = 3000;

fn text(env: &Env, name: &str) -> Option<String> {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.trim().is_empty())
}

fn number<T: std::str::FromStr>(env: &Env, name: &str) -> Option<T> {
    text(env, name).and_then(|value| value.parse().ok())
}

/// The known shops, var SHOPS: a JSON array of permanent domains.
pub fn shops(env: &Env) -> Result<Vec<String>> {
    let shops: Vec<String> = serde_json::from_str(&text(env, "SHOPS").unwrap_or_else(|| "[]".into()))
        .map_err(|error| Error::RustError(format!("SHOPS is not a JSON array of domains: {error}")))?;
    Ok(shops.into_iter().map(|shop| shop.to_ascii_lowercase()).collect())
}

/// A secret, empty when there is none, which opens and signs nothing.
pub fn secret(env: &Env, name: &str) -> String {
    env.secret(name).map(|value| value.to_string()).unwrap_or_default()
}

/// Secrets of the links, LINK_SECRETS: comma separated, the first one signs, all are valid.
pub fn link_secrets(env: &Env) -> Vec<String> {
    secret(env, "LINK_SECRETS")
        .split(',')
        .map(|part| part.trim().to_owned())
        .collect()
}

/// Time to live of a catalogue in memory, var CATALOGUE_TTL_SECONDS.
pub fn catalogue_ttl_millis(env: &Env) -> i64 {
    number(env, "CATALOGUE_TTL_SECONDS")
        .unwrap_or(DEFAULT_CATALOGUE_TTL_SECONDS)
        .saturating_mul(1000)
}

/// A future that ends when a far end has had its time, var PATIENCE_MILLIS.
pub fn patience(env: &Env) -> Delay {
    Delay::from(Duration::from_millis(
        number(env, "PATIENCE_MILLIS").unwrap_or(DEFAULT_PATIENCE_MILLIS),
    ))
}

/// Longest delay of a retry, var RETRY_MAX_DELAY_SECONDS.
pub fn max_delay_seconds(env: &Env) -> u32 {
    number(env, "RETRY_MAX_DELAY_SECONDS").unwrap_or(DEFAULT_MAX_DELAY_SECONDS)
}

/// Name of the dead-letter queue, var DEAD_LETTER_QUEUE.
pub fn dead_letter_queue(env: &Env) -> Option<String> {
    text(env, "DEAD_LETTER_QUEUE")
}

/// How long PostgreSQL may take, vars POSTGRES_CONNECT_TIMEOUT_MILLIS and POSTGRES_STATEMENT_TIMEOUT_MILLIS.
pub fn postgres_timeouts(env: &Env) -> Timeouts {
    let default = Timeouts::default();
    let millis = |name, default| number(env, name).map_or(default, Duration::from_millis);
    Timeouts {
        connect: millis("POSTGRES_CONNECT_TIMEOUT_MILLIS", default.connect),
        statement: millis("POSTGRES_STATEMENT_TIMEOUT_MILLIS", default.statement),
    }
}

/// Now, RFC 3339 UTC with milliseconds.
pub fn now() -> String {
    js_sys::Date::new_0().to_iso_string().into()
}

/// The queue as [`MessageSender`].
pub struct InteractionQueue(pub Queue);

impl MessageSender for InteractionQueue {
    async fn send(&self, messages: &[String]) -> std::result::Result<(), String> {
        // Text: a structured value would arrive as an empty object.
        let of_text = |text: &String| {
            MessageBuilder::new(text.clone())
                .content_type(QueueContentType::Text)
                .build()
        };
        let batch = BatchMessageBuilder::new()
            .messages(messages.iter().map(of_text))
            .build();
        self.0.send_batch(batch).await.map_err(|error| error.to_string())
    }
}

/// Puts `record` into the quarantine; returns when it is durable.
pub async fn keep(bucket: &Bucket, record: &QuarantineRecord) -> Result<()> {
    let metadata = record.metadata().map(|(name, value)| (name.to_owned(), value));
    put(bucket, &record.key(), serde_json::to_string(record)?, metadata.into()).await?;
    console_warn!("quarantined {} ({})", record.key(), record.reason);
    Ok(())
}
