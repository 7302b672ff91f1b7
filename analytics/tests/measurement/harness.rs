//! A running server for the tests that go through HTTP, and the history they start from.

use serde_json::{json, Value};
use tempfile::TempDir;
use weir_analytics::measurement::tables;
use weir_analytics::server::Server;

use crate::common::{config, TOKEN};
use crate::world::{order, product, Entry, SHOP, ZONE};

/// Noon in Tokyo on 2026-03-31.
pub const NOON: &str = "2026-03-31T03:00:00Z";

/// A server over its own warehouse, gone with it.
pub struct Served {
    pub server: Server,
    pub client: reqwest::Client,
    pub warehouse: TempDir,
}

impl Served {
    pub async fn start() -> Self {
        let warehouse = tempfile::tempdir().unwrap();
        let server = Server::start(config(warehouse.path())).await.unwrap();
        Self {
            server,
            client: reqwest::Client::new(),
            warehouse,
        }
    }

    pub async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// Status of a `GET` whose body may be plain text.
    pub async fn status(&self, path: &str) -> u16 {
        let request = self.client.get(self.address(path)).bearer_auth(TOKEN);
        request.send().await.unwrap().status().as_u16()
    }

    /// A body byte for byte.
    pub async fn text(&self, path: &str) -> String {
        let request = self.client.get(self.address(path)).bearer_auth(TOKEN);
        request.send().await.unwrap().text().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.answer(self.client.get(self.address(path))).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn try_post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.answer(self.client.post(self.address(path)).json(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_post(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub async fn ingest(&self, events: &[Value]) {
        let verdicts = self.post("/v1/streams/commerce_v1", &json!(events)).await;
        assert_eq!(verdicts["accepted"], events.len(), "{verdicts}");
        self.post("/v1/flush", &json!({})).await;
    }

    pub async fn ingest_interactions(&self, events: &[Value]) {
        let verdicts = self.post("/v1/streams/publication_v1", &json!(events)).await;
        assert_eq!(verdicts["accepted"], events.len(), "{verdicts}");
        self.post("/v1/flush", &json!({})).await;
    }

    pub async fn refresh(&self, now: &str) -> Value {
        self.post("/v1/refresh", &json!({ "now": now })).await
    }

    pub async fn snapshots(&self) -> [Option<i64>; 2] {
        let lake = &self.server.app().lake;
        let current = |table| async move { lake.current_snapshot(&table).await.unwrap() };
        [current(tables::sales()).await, current(tables::performance()).await]
    }
}

pub fn sale<'a>(product: &'a str, day: &'a str, units: i64) -> Entry<'a> {
    (product, day, "sale", units, 0, units * 100, 0)
}

pub fn demo_order(id: &str, revision: i64, ledger: &[Entry]) -> Value {
    order(SHOP, ZONE, id, revision, "2026-03-20T00:00:00.000Z", ledger)
}

pub fn demo_events() -> Vec<Value> {
    vec![
        product(
            SHOP,
            ZONE,
            "2",
            "2026-03-01T00:00:00.000Z",
            json!({ "product_is_active": false, "product_title": "Two" }),
        ),
        demo_order("a", 1, &[sale("1", "2026-03-20", 20), sale("3", "2026-03-21", 2)]),
        demo_order("b", 1, &[("1", "2026-03-25", "return", 0, 1, 0, 100)]),
    ]
}
