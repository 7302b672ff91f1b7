//! Names and values that wrangler.jsonc binds, and what all handlers do with them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use weir_edge_shared::quarantine_room::put;
use weir_edge_shared::settings::{internal_tokens, number, secret, shops};
use weir_edge_shared::storage::Storage;
use worker::{console_warn, BatchMessageBuilder, Delay, Env, Error, MessageBuilder, Queue, QueueContentType, Result};

use crate::message::{sendable, MessageSender};
use crate::quarantine::QuarantineRecord;

/// KV namespace of the catalogues.
pub const CATALOGUE: &str = "CATALOGUE";
/// Queue of domain-level interactions and of rows that the stream did not take.
pub const INTERACTIONS: &str = "INTERACTIONS";
/// R2 bucket of the quarantine.
pub const BUCKET: &str = "BUCKET";
/// Hyperdrive to PostgreSQL, caching disabled.
pub const POSTGRES: &str = "POSTGRES";
/// Stream of interactions: the Pipelines bindings `PUBLICATION_TELEMETRY`, `PUBLICATION_TELEMETRY_V2`.
pub const PUBLICATION_STREAM: &str = "publication";
/// Stream of what they change in orders: `COMMERCE_TELEMETRY`, `COMMERCE_TELEMETRY_V2`.
pub const COMMERCE_STREAM: &str = "commerce";
/// Analytics Engine dataset.
pub const COUNTERS: &str = "PUBLICATION_COUNTERS";
/// Rate limit per address of the visitor; without the binding there is none.
pub const RATE_LIMIT: &str = "RATE_LIMIT";

/// How long a catalogue in memory is used before KV is asked again.
const DEFAULT_CATALOGUE_TTL_SECONDS: i64 = 60;
/// How long stream, queue or KV may take before a request goes on without them.
const DEFAULT_PATIENCE_MILLIS: u64 = 3000;

/// What requests ask of the configuration.
pub struct Settings {
    /// The known shops, var SHOPS; why not, if they cannot be read.
    shops: std::result::Result<Vec<String>, String>,
    /// Secrets of the links, LINK_SECRETS: comma separated, the first one signs, all are valid.
    pub link_secrets: Vec<String>,
    /// Secret of the keyed hashes of visitors, VISITOR_SECRET.
    pub visitor_secret: String,
    /// Tokens of the internal routes, comma separated.
    pub internal_tokens: String,
    /// Time to live of a catalogue in memory, var CATALOGUE_TTL_SECONDS.
    pub catalogue_ttl_millis: i64,
    patience: Duration,
}

thread_local! {
    // For the life of the isolate: another configuration comes with another one.
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

impl Settings {
    /// The settings, read at the first call in this isolate.
    pub fn of(env: &Env) -> Rc<Self> {
        SETTINGS.with_borrow_mut(|known| known.get_or_insert_with(|| Rc::new(Self::read(env))).clone())
    }

    fn read(env: &Env) -> Self {
        let link_secrets = secret(env, "LINK_SECRETS");
        let ttl_seconds: i64 = number(env, "CATALOGUE_TTL_SECONDS").unwrap_or(DEFAULT_CATALOGUE_TTL_SECONDS);
        let patience_millis = number(env, "PATIENCE_MILLIS").unwrap_or(DEFAULT_PATIENCE_MILLIS);
        Self {
            shops: shops(env).map_err(|error| error.to_string()),
            link_secrets: link_secrets.split(',').map(|part| part.trim().to_owned()).collect(),
            visitor_secret: secret(env, "VISITOR_SECRET"),
            internal_tokens: internal_tokens(env),
            catalogue_ttl_millis: ttl_seconds.saturating_mul(1000),
            patience: Duration::from_millis(patience_millis),
        }
    }

    /// The known shops.
    ///
    /// # Errors
    /// What is wrong with the var SHOPS.
    pub fn shops(&self) -> Result<&[String]> {
        match &self.shops {
            Ok(shops) => Ok(shops),
            Err(detail) => Err(Error::RustError(detail.clone())),
        }
    }

    /// A future that ends when a far end has had its time, var PATIENCE_MILLIS.
    pub fn patience(&self) -> Delay {
        Delay::from(self.patience)
    }
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
        for part in sendable(messages) {
            let batch = BatchMessageBuilder::new().messages(part.iter().map(of_text)).build();
            self.0.send_batch(batch).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Puts `record` into the quarantine; returns when it is durable.
pub async fn keep(storage: &Storage, record: &QuarantineRecord) -> Result<()> {
    let metadata = record.metadata().map(|(name, value)| (name.to_owned(), value));
    put(storage, &record.key(), serde_json::to_string(record)?, metadata.into()).await?;
    console_warn!("quarantined {} ({})", record.key(), record.reason);
    Ok(())
}
