//! The sync Worker in workerd, and Shopify's Admin API played beside it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{json, Value};

use crate::bulk_jsonl::{jsonl, BulkLine, BulkShop, Sequence};
use crate::lake::{listening, TOKEN};
use crate::service::Service;
use crate::shop::{Delivery, Shop};
use crate::workerd::{one_request_each, INTERNAL_TOKEN, SECRETS};
use crate::{failed, Result};

/// How long a run may take. A bound, not a measurement.
const RUN_SECONDS: u64 = 120;
const POLL: Duration = Duration::from_millis(50);

/// Access token that the played Shopify accepts.
const ACCESS_TOKEN: &str = "shpat_weir_test";

/// Shopify's Admin API for some shops: the real schema, the rules of bulk operations, and results that say what the shop's
/// webhooks said.
pub struct FakeShopify {
    /// Address with `{shop}` in it.
    pub origin: String,
    /// Base address.
    url: String,
    _service: Service,
    _results: Option<tempfile::TempDir>,
}

impl FakeShopify {
    /// Starts it for `shops`, each as it is after its deliveries; results come in `sequence`.
    ///
    /// # Errors
    /// When node is missing or the fake does not become ready.
    pub fn start(shops: &[(&Shop, &[Delivery])], sequence: Sequence) -> Result<Self> {
        let results = tempfile::Builder::new().prefix("weir-shopify-").tempdir()?;
        let mut configs = Vec::new();
        for (shop_of, deliveries) in shops {
            let domain = shop_of.domain;
            let shop = BulkShop::of(deliveries);
            let all = Timestamp::MIN..Timestamp::MAX;
            let mut files = json!({});
            for (kind, lines) in [
                ("orders_core", shop.orders_core(all.clone())),
                ("orders_ledger", shop.orders_ledger(all.clone())),
                ("products", shop.products(all.clone())),
            ] {
                let path = results.path().join(format!("{domain}.{kind}.jsonl"));
                std::fs::write(&path, jsonl(lines, sequence))?;
                files[kind] = path.display().to_string().into();
            }
            for (kind, root, lines) in [
                ("order_ids", "Order", shop.orders_core(all.clone())),
                ("product_ids", "Product", shop.products(all.clone())),
            ] {
                let path = results.path().join(format!("{domain}.{kind}.jsonl"));
                std::fs::write(&path, jsonl(ids_of(root, lines), sequence))?;
                files[kind] = path.display().to_string().into();
            }
            let mut config = configuration(shop_of);
            config["files"] = files;
            configs.push(config);
        }
        Self::of(&configs, Some(results))
    }

    /// Starts it for a shop that lives by itself: it makes up what happens, the same for the same `history` (`{"seed", "orders",
    /// "start", "deletions"}`, see edge/fake-shopify/history.mjs), and both its bulk results and the webhooks that
    /// [`FakeShopify::deliver`] has it send to the commerce Worker at `worker` tell of that.
    ///
    /// # Errors
    /// As [`FakeShopify::start`].
    pub fn alive(shop: &Shop, history: &Value, worker: &str) -> Result<Self> {
        let mut config = configuration(shop);
        config["webhook"] = json!({"url": format!("{worker}/webhooks/shopify"), "secret": SECRETS[0]});
        config["history"] = history.clone();
        Self::of(&[config], None)
    }

    fn of(configs: &[Value], results: Option<tempfile::TempDir>) -> Result<Self> {
        let config = json!({"shops": configs});
        let service = Service::node("played Shopify", "edge/fake-shopify/main.mjs", &config)?;
        let line = service.next_line()?;
        Ok(Self {
            origin: listening(&line, "origin")?,
            url: listening(&line, "listening")?,
            _service: service,
            _results: results,
        })
    }

    /// Has Shopify send webhooks of `shop`, signed: `{"from", "to", "step", "reversed"}` of all that it ever fired. Returns
    /// what was sent, all of it accepted.
    ///
    /// # Errors
    /// When one was not accepted.
    pub async fn deliver(&self, shop: &str, which: &Value) -> Result<Vec<Delivery>> {
        let url = format!("{}/control/{shop}/deliver", self.url);
        let response = reqwest::Client::new().post(url).json(which).send().await?;
        if !response.status().is_success() {
            return Err(failed(format!("a webhook of {shop} was not accepted")));
        }
        let sent: Vec<Value> = serde_json::from_str(&response.text().await?)?;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let deliveries = sent.iter().map(|one| Delivery {
            topic: text(one, "topic"),
            shop_domain: shop.to_owned(),
            webhook_id: text(one, "webhook_id"),
            triggered_at: text(one, "triggered_at"),
            body: text(one, "body").into_bytes(),
        });
        Ok(deliveries.collect())
    }
}

/// What the fake is told of `shop`, but for what happens in it.
fn configuration(shop: &Shop) -> Value {
    json!({"domain": shop.domain, "token": ACCESS_TOKEN, "currency": shop.currency, "zone": shop.zone})
}

/// Of the lines of a result the ids of its roots, as the queries for ids have them.
fn ids_of(root: &str, lines: Vec<BulkLine>) -> Vec<BulkLine> {
    let roots = lines.into_iter().filter(|line| line.parent.is_none());
    let id = |line: BulkLine| BulkLine {
        node: line
            .node
            .into_iter()
            .filter(|(name, _)| name == "id")
            .chain([("__typename".to_owned(), root.into())])
            .collect(),
        parent: None,
    };
    roots.map(id).collect()
}

/// A running sync Worker.
pub struct SyncWorker {
    /// Base address.
    pub url: String,
    client: reqwest::Client,
    service: Service,
}

impl SyncWorker {
    /// Starts the Worker for `shops`, reading from `shopify`, writing to `postgres` and sending to `lake`.
    ///
    /// # Errors
    /// When the Worker is not built (`make build`) or workerd does not become ready.
    pub fn start(postgres: &str, lake: &str, shops: &[&str], shopify: &FakeShopify) -> Result<Self> {
        let tokens: serde_json::Map<_, _> = shops
            .iter()
            .map(|shop| ((*shop).to_owned(), Value::from(ACCESS_TOKEN)))
            .collect();
        let config = json!({
            "postgres": postgres, "lake": lake, "token": TOKEN, "shops": shops, "internalToken": INTERNAL_TOKEN,
            "persist": null, "sync": {"shopifyOrigin": shopify.origin, "accessTokens": tokens, "pollMillis": 100},
        });
        let service = Service::node("sync Worker", "edge/local/local.mjs", &config)?;
        Ok(Self {
            url: listening(&service.next_line()?, "sync")?,
            client: one_request_each().build()?,
            service,
        })
    }

    /// Starts `workflow` with `body` and waits for its end. Returns what the run gave back.
    ///
    /// # Errors
    /// When the run fails or does not end in time; the message has the Worker's log.
    pub async fn run(&self, workflow: &str, body: &Value) -> Result<Value> {
        let started = self.post(&format!("/internal/workflows/{workflow}"), body).await?;
        let id = started["instance_id"]
            .as_str()
            .ok_or_else(|| failed(format!("{workflow} was not started: {started}")))?;
        self.end(workflow, id).await
    }

    /// Waits for the end of the run `id` of `workflow`. Returns what it gave back.
    ///
    /// # Errors
    /// As [`SyncWorker::run`].
    pub async fn end(&self, workflow: &str, id: &str) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(RUN_SECONDS);
        loop {
            let state = self.get(&format!("/internal/workflows/{workflow}/{id}")).await?;
            if state["status"] == "complete" {
                return Ok(state["output"].clone());
            }
            if state["status"] == "errored" || Instant::now() > deadline {
                return Err(failed(format!(
                    "{id}: {state}; the Worker's log:\n{}",
                    self.service.log()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Watermarks, their moves, and the newest steps of `shop`'s runs.
    ///
    /// # Errors
    /// When the Worker cannot be reached.
    pub async fn status(&self, shop: &str) -> Result<Value> {
        self.get(&format!("/internal/status?shop={shop}")).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url));
        let response = request.bearer_auth(INTERNAL_TOKEN).send().await?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        let response = request.bearer_auth(INTERNAL_TOKEN).send().await?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }
}
