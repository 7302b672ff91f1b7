//! The commerce Worker in workerd, over a local Hyperdrive, queue, R2 and stream.

use std::path::Path;

use serde_json::{json, Value};

use crate::lake::{listening, TOKEN};
use crate::service::{kill, Service};
use crate::shop::Delivery;
use crate::{failed, Result};

/// Webhook secrets the Worker accepts: the new one and, during rotation, the old one.
pub const SECRETS: [&str; 2] = ["weir_test_secret_new", "weir_test_secret_old"];

/// Token of the Worker's internal routes.
pub const INTERNAL_TOKEN: &str = "weir_test_internal_token";

/// A client with a connection for each request. workerd closes one that was idle for five seconds, and when the machine has held it up
/// so long in the middle of a test, that may be at the moment at which the next request goes out on it.
pub(crate) fn one_request_each() -> reqwest::ClientBuilder {
    reqwest::Client::builder().pool_max_idle_per_host(0)
}

/// A running commerce Worker.
pub struct CommerceWorker {
    /// Base address of the Worker.
    pub url: String,
    /// Address of the local runner's own inspection API.
    pub admin: String,
    client: reqwest::Client,
    service: Service,
    config: Value,
}

impl CommerceWorker {
    /// Starts the Worker for `shops`, writing to `postgres` and sending to the stream endpoint at `lake`.
    ///
    /// # Errors
    /// When the Worker is not built (`make build`) or workerd does not become ready.
    pub fn start(postgres: &str, lake: &str, shops: &[&str]) -> Result<Self> {
        Self::start_with(postgres, lake, shops, None, false)
    }

    /// The same with R2 in `persist`, so that a Worker started after a crash finds it there. The queue is not: miniflare
    /// keeps its messages in memory (an array of its broker, `workers/queues/broker.worker`, and no option to persist it),
    /// where Cloudflare's is durable before `send` returns. One that `is_inspected` answers [`CommerceWorker::heap_bytes`].
    ///
    /// # Errors
    /// As [`CommerceWorker::start`].
    pub fn start_with(
        postgres: &str,
        lake: &str,
        shops: &[&str],
        persist: Option<&Path>,
        is_inspected: bool,
    ) -> Result<Self> {
        Self::start_from(json!({
            "postgres": postgres, "lake": lake, "token": TOKEN, "secrets": SECRETS.join(","), "shops": shops,
            "internalToken": INTERNAL_TOKEN, "persist": persist, "port": 0,
            "inspect": is_inspected,
        }))
    }

    fn start_from(config: Value) -> Result<Self> {
        let service = Service::node("commerce Worker", "edge/local/local.mjs", &config)?;
        let line = service.next_line()?;
        Ok(Self {
            url: listening(&line, "listening")?,
            admin: listening(&line, "admin")?,
            client: one_request_each().build()?,
            service,
            config,
        })
    }

    /// Process id of the process around workerd.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.service.pid
    }

    /// Kills workerd and the process around it with SIGKILL.
    pub fn kill(&self) {
        // workerd dies with it (edge/local/workerd.sh).
        kill(self.service.pid);
    }

    /// Kills the Worker unless it is dead already, and starts another with the same configuration, at a new address.
    ///
    /// # Errors
    /// As [`CommerceWorker::start`].
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.service.crash();
        *self = Self::start_from(self.config.clone())?;
        Ok(())
    }

    /// Sends a delivery as Shopify does, signed with the newest secret. Returns status and body.
    ///
    /// # Errors
    /// When the Worker cannot be reached.
    pub async fn deliver(&self, delivery: &Delivery) -> Result<(u16, String)> {
        self.deliver_signed(delivery, &delivery.signature(SECRETS[0])).await
    }

    /// Sends a delivery with any signature.
    ///
    /// # Errors
    /// When the Worker cannot be reached.
    pub async fn deliver_signed(&self, delivery: &Delivery, signature: &str) -> Result<(u16, String)> {
        let response = self
            .client
            .post(format!("{}/webhooks/shopify", self.url))
            .header("Content-Type", "application/json")
            .header("X-Shopify-Topic", &delivery.topic)
            .header("X-Shopify-Shop-Domain", &delivery.shop_domain)
            .header("X-Shopify-Webhook-Id", &delivery.webhook_id)
            .header("X-Shopify-Triggered-At", &delivery.triggered_at)
            .header("X-Shopify-API-Version", "2026-10")
            .header("X-Shopify-Hmac-Sha256", signature)
            .body(delivery.body.clone())
            .send()
            .await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// What lies in the quarantine.
    ///
    /// # Errors
    /// When the runner cannot be reached.
    pub async fn quarantine(&self) -> Result<Vec<Value>> {
        let response = self.client.get(format!("{}/quarantine", self.admin)).send().await?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }

    /// What the Worker's isolate holds, in bytes: JavaScript's heap and buffers, wasm's memory among them. The process around
    /// it holds more, among it the queue's messages, which miniflare keeps in memory.
    ///
    /// # Errors
    /// When the runner cannot be reached, or the Worker is not inspected.
    pub async fn heap_bytes(&self) -> Result<u64> {
        let response = self.client.get(format!("{}/heap", self.admin)).send().await?;
        let answer: Value = serde_json::from_str(&response.text().await?)?;
        let bytes = answer["bytes"].as_f64();
        bytes
            .map(|bytes| bytes as u64)
            .ok_or_else(|| failed(format!("no heap: {answer}")))
    }

    /// What the Worker and workerd wrote to their log.
    #[must_use]
    pub fn log(&self) -> String {
        self.service.log()
    }
}
