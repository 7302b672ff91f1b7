//! Names and values that wrangler.jsonc binds, and what all handlers write to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use weir_domain::webhook::Delivery;
use weir_edge_shared::border::{send_message, Intake, SigningKeys};
use weir_edge_shared::patience::Patience;
use weir_edge_shared::quarantine_room::put;
use weir_edge_shared::settings::{number, patience, secret, shops, storage, text};
use weir_edge_shared::storage::Storage;
use worker::{Env, Error, Result};

use crate::admission::Admission;
use crate::message::{Encoded, HandOver, DELIVERY_METADATA};
use crate::quarantine::QuarantineRecord;
use crate::redaction::again_seconds;

/// Queue of admitted deliveries.
pub const DELIVERIES: &str = "DELIVERIES";
/// R2 bucket of large bodies, the quarantine and certificates of redaction.
pub const BUCKET: &str = "BUCKET";
/// R2 bucket of the publication Worker, for forgetting; absent where that Worker is not deployed.
pub const PUBLICATION_BUCKET: &str = "PUBLICATION_BUCKET";
/// R2 bucket of the sync Worker, for forgetting; absent where that Worker is not deployed.
pub const SYNC_BUCKET: &str = "SYNC_BUCKET";
/// Hyperdrive to PostgreSQL, caching disabled.
pub const POSTGRES: &str = "POSTGRES";
/// Stream of the telemetry: the Pipelines bindings `COMMERCE_TELEMETRY`, `COMMERCE_TELEMETRY_V2`.
pub const STREAM: &str = "commerce";

/// Service binding to the sync Worker; without it a finished bulk operation goes the way of all deliveries.
pub const SYNC: &str = "SYNC";
/// Analytics Engine dataset of verdicts; without the binding nothing is counted.
pub const COUNTERS: &str = "COMMERCE_COUNTERS";

/// Shopify's largest webhook bodies are a few hundred kilobytes; 5 MB is far beyond.
const DEFAULT_MAX_BODY_BYTES: usize = 5_000_000;

/// What every webhook passes.
pub struct Gate {
    /// What is admitted.
    pub admission: Rc<Admission>,
    /// How it is taken.
    pub intake: Intake,
}

thread_local! {
    // For the life of the isolate: another configuration comes with another one.
    static GATE: RefCell<Option<Rc<Gate>>> = const { RefCell::new(None) };
}

/// The gate, if it was made in this isolate.
pub fn open_gate() -> Option<Rc<Gate>> {
    GATE.with_borrow(Option::clone)
}

/// The gate, made at the first call in this isolate.
///
/// # Errors
/// When the configuration cannot be read; it is read again at the next call.
pub async fn gate(env: &Env) -> Result<Rc<Gate>> {
    if let Some(gate) = open_gate() {
        return Ok(gate);
    }
    let admission = Rc::new(admission(env)?);
    let keys = SigningKeys::import(admission.usable_secrets()).await?;
    let intake = crate::worker_http::intake(&admission, &keys, env)?;
    let gate = Rc::new(Gate { admission, intake });
    GATE.set(Some(gate.clone()));
    Ok(gate)
}

/// What the Worker admits: vars SHOPS (JSON array of domains) and MAX_BODY_BYTES, secret SHOPIFY_WEBHOOK_SECRETS (comma
/// separated).
fn admission(env: &Env) -> Result<Admission> {
    let secrets = secret(env, "SHOPIFY_WEBHOOK_SECRETS");
    let max_body_bytes = match text(env, "MAX_BODY_BYTES") {
        Some(value) => value
            .parse()
            .map_err(|_| Error::RustError("MAX_BODY_BYTES is not a number".into()))?,
        None => DEFAULT_MAX_BODY_BYTES,
    };
    Ok(Admission {
        secrets: secrets.split(',').map(|secret| secret.trim().to_owned()).collect(),
        shops: shops(env)?.into_iter().collect(),
        max_body_bytes,
    })
}

/// How many requests one invocation makes of its bindings in order to forget before it leaves the rest to another, var
/// REDACTION_PASS_OBJECTS: most are of one object each. It may make 1,000 in all, of which the rest of its batch takes up to 300.
pub fn redaction_pass_objects(env: &Env) -> u32 {
    const DEFAULT: u32 = 400;
    number(env, "REDACTION_PASS_OBJECTS")
        .filter(|objects| *objects > 0)
        .unwrap_or(DEFAULT)
}

/// How long after everything was swept it is swept again, var REDACTION_AGAIN_SECONDS; 0: not at all. A message that names whom
/// to forget may have been on its way since before: its attempts last 14 hours (`weir_edge_shared::backoff`), and those at the
/// quarantine as long.
pub fn redaction_again_millis(env: &Env) -> u64 {
    again_seconds(number(env, "REDACTION_AGAIN_SECONDS")) * 1000
}

/// How long a webhook may take until it is answered 503, var WEBHOOK_BUDGET_MILLIS. Shopify waits 5 s in all and delivers
/// again: a second is left for the network, and a repetition is known by its id.
pub fn webhook_budget_millis(env: &Env) -> u32 {
    number(env, "WEBHOOK_BUDGET_MILLIS").unwrap_or(4000)
}

/// What is written to by more than one handler: R2 and the queue, each with the patience of one invocation.
pub struct FarEnds {
    env: Env,
    /// The bucket BUCKET.
    pub storage: Storage,
    queue: Patience,
}

impl FarEnds {
    /// Those of `env`.
    ///
    /// # Errors
    /// When there is no bucket.
    pub fn of(env: &Env) -> Result<Self> {
        Ok(Self {
            env: env.clone(),
            storage: storage(env, BUCKET)?,
            queue: patience(env, "the queue"),
        })
    }

    /// The bucket bound as `name`, `None` where it is not.
    pub fn other_storage(&self, name: &str) -> Option<Storage> {
        let bucket = self.env.bucket(name).ok()?;
        Some(Storage::new(bucket, self.storage.patience().clone()))
    }

    /// Hands `delivery`, replayed `replays` times, over to the queue; returns when it is durable there.
    pub async fn hand_over(&self, delivery: Delivery, replays: u32) -> Result<()> {
        self.hand_over_packed(HandOver::pack(delivery, replays)?).await
    }

    /// Hands `packed` over; returns when it is durable on the queue, a large body before in R2.
    pub async fn hand_over_packed(&self, packed: HandOver) -> Result<()> {
        if let Some(object) = packed.object {
            let described = HashMap::from([(DELIVERY_METADATA.to_owned(), object.delivery)]);
            let put = self.storage.bucket().put(object.key, object.body);
            self.storage.wait(put.custom_metadata(described).execute()).await?;
        }
        self.send(&packed.message).await
    }

    /// Sends `message` to the queue; returns when it is durable there.
    pub async fn send(&self, message: &Encoded) -> Result<()> {
        let queue = self.env.queue(DELIVERIES)?;
        self.queue
            .bound(send_message(&queue, &message.line, &message.body))
            .await
    }

    /// Puts `record` into the quarantine; returns when it is durable.
    pub async fn keep(&self, record: &QuarantineRecord) -> Result<()> {
        let text = serde_json::to_string(record)?;
        put(&self.storage, &record.key(), text, metadata_of(record)).await?;
        worker::console_warn!("quarantined {} ({})", record.key(), record.reason);
        Ok(())
    }
}

/// What stands beside `record`: reason and ids, so that a listing is the index.
pub fn metadata_of(record: &QuarantineRecord) -> HashMap<String, String> {
    let metadata = [
        ("reason", &record.reason),
        ("webhook_id", &record.delivery.webhook_id),
        ("topic", &record.delivery.topic),
        ("shop_domain", &record.delivery.shop_domain),
        ("quarantined_at", &record.quarantined_at),
    ];
    metadata.map(|(name, value)| (name.to_owned(), value.clone())).into()
}
