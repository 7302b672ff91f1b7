//! The publication Worker in workerd, and the catalogue of a made-up publisher who writes about a shop.

use serde_json::{json, Value};

use crate::lake::{listening, TOKEN};
use crate::service::Service;
use crate::shop::Shop;
use crate::workerd::{one_request_each, INTERNAL_TOKEN};
use crate::{failed, Result};

/// Publisher, item, program and link of [`catalogue`].
pub const PUBLISHER: &str = "daily-lamp";
/// An article of the publisher.
pub const ITEM: &str = "ten-lamps";
/// What the publisher is paid by.
pub const PROGRAM: &str = "autumn";
/// Code of the link in the article.
pub const LINK: &str = "x7";

/// Argument of `weir.publish_catalogue` for `shop`: one publisher with an article, a program and a link to `goal`.
#[must_use]
pub fn catalogue(shop: &Shop, goal: &str) -> Value {
    json!({
        "shop_domain": shop.domain,
        "publishers": {PUBLISHER: {"name": "The Daily Lamp"}},
        "items": {ITEM: {"publisher_id": PUBLISHER, "title": "Ten lamps"}},
        "programs": {PROGRAM: {"name": "Autumn", "publisher_id": PUBLISHER}},
        "links": {LINK: {"url": goal, "publisher_id": PUBLISHER, "item_id": ITEM, "program_id": PROGRAM}},
    })
}

/// A running publication Worker.
pub struct PublicationWorker {
    /// Base address.
    pub url: String,
    client: reqwest::Client,
    service: Service,
}

impl PublicationWorker {
    /// Starts the Worker for `shops`, writing to `postgres` and sending to the streams at `lake`.
    ///
    /// # Errors
    /// When the Worker is not built (`make build`) or workerd does not become ready.
    pub fn start(postgres: &str, lake: &str, shops: &[&str]) -> Result<Self> {
        let config = json!({
            "postgres": postgres, "lake": lake, "token": TOKEN, "shops": shops, "internalToken": INTERNAL_TOKEN,
            "publication": {"visitorSecret": "weir_test_visitor_secret", "linkSecrets": "weir_test_link_secret"},
        });
        let service = Service::node("publication Worker", "edge/local/local.mjs", &config)?;
        // A redirect is looked at, not followed.
        let client = one_request_each().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self {
            url: listening(&service.next_line()?, "publication")?,
            client,
            service,
        })
    }

    /// Takes the catalogue of `shop` from PostgreSQL to KV. Returns its revision and sizes.
    ///
    /// # Errors
    /// As [`PublicationWorker::link`].
    pub async fn refresh_catalogue(&self, shop: &str) -> Result<Value> {
        self.internal("catalogue", &json!({ "shop_domain": shop })).await
    }

    /// The path of the signed link `code` of `shop`.
    ///
    /// # Errors
    /// When the Worker refuses or cannot be reached; the message has its log.
    pub async fn link(&self, shop: &str, code: &str) -> Result<String> {
        let answer = self
            .internal("links", &json!({"shop_domain": shop, "code": code}))
            .await?;
        let path = answer["path"].as_str();
        path.map(str::to_owned)
            .ok_or_else(|| failed(format!("no path in {answer}")))
    }

    /// Sends `events`, with the token of a trusted sender if `trusted`. Returns status and answer.
    ///
    /// # Errors
    /// When the Worker cannot be reached.
    pub async fn send(&self, events: &[Value], trusted: bool) -> Result<(u16, Value)> {
        let mut request = self.client.post(format!("{}/v1/events", self.url)).json(events);
        if trusted {
            request = request.bearer_auth(INTERNAL_TOKEN);
        }
        let response = request.header("user-agent", BROWSER).send().await?;
        let (status, text) = (response.status().as_u16(), response.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Gets `path` as a visitor's browser does, on `page`. Returns status and where it leads.
    ///
    /// # Errors
    /// When the Worker cannot be reached.
    pub async fn visit(&self, path: &str, page: &str) -> Result<(u16, Option<String>)> {
        let request = self.client.get(format!("{}{path}", self.url));
        let response = request
            .header("user-agent", BROWSER)
            .header("referer", page)
            .send()
            .await?;
        let location = response.headers().get("location");
        let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((response.status().as_u16(), location))
    }

    /// What the Worker and workerd wrote to their log.
    #[must_use]
    pub fn log(&self) -> String {
        self.service.log()
    }

    async fn internal(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}/internal/{path}", self.url)).json(body);
        let response = request.bearer_auth(INTERNAL_TOKEN).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            return Err(failed(format!("{path} answered {status}: {text}\n{}", self.log())));
        }
        Ok(serde_json::from_str(&text)?)
    }
}

/// A browser that is no bot.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
