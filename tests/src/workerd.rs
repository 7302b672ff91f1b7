//! The commerce Worker in workerd, over a local Hyperdrive, queue, R2 and stream.

use std::path::Path;

use serde_json::{json, Value};

use crate::lake::{listening, TOKEN};
use crate::service::{kill, Service, Spec};
use crate::shop::Delivery;
use crate::{failed, Result};

/// Webhook secrets the Worker accepts: the new one and, during rotation, the old one.
pub const SECRETS: [&str; 2] = ["weir_test_secret_new", "weir_test_secret_old"];

/// Token of the Worker's internal routes.
pub const INTERNAL_TOKEN: &str = "weir_test_internal_token";

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
        Self::start_with(postgres, lake, shops, None)
    }

    /// The same with R2 in `persist`, so that a Worker started after a crash finds it there. The queue is not: miniflare
    /// keeps its messages in memory (an array of its broker, `workers/queues/broker.worker`, and no option to persist it),
    /// where Cloudflare's is durable before `send` returns.
    ///
    /// # Errors
    /// As [`CommerceWorker::start`].
    pub fn start_with(postgres: &str, lake: &str, shops: &[&str], persist: Option<&Path>) -> Result<Self> {
        Self::start_from(json!({
            "postgres": postgres, "lake": lake, "token": TOKEN, "secrets": SECRETS.join(","), "shops": shops,
            "internalToken": INTERNAL_TOKEN, "persist": persist, "port": 0,
        }))
    }

    fn start_from(config: Value) -> Result<Self> {
        let root = crate::workspace_root()?;
        let node = std::env::var("WEIR_NODE").map_err(|_| failed("WEIR_NODE is not set; use `make`"))?;
        let service = Service::start(Spec {
            name: "commerce Worker",
            command: vec![
                node,
                root.join("edge/local/local.mjs").display().to_string(),
                config.to_string(),
            ],
            environment: vec![],
            stop_signal: "TERM",
            remove_directory: None,
            user: None,
        })?;
        let line = service.next_line()?;
        Ok(Self {
            url: listening(&line, "listening")?,
            admin: listening(&line, "admin")?,
            client: reqwest::Client::new(),
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

    /// What the Worker and workerd wrote to their log.
    #[must_use]
    pub fn log(&self) -> String {
        self.service.log()
    }
}
