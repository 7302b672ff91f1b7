//! The ways of writing a batch of orders.

use tokio_postgres::{Client, Statement};
use weir_domain::webhook::{batch_text, Headers};
use weir_tests::postgres::{Cluster, Database, Install};
use weir_tests::process::Process;
use weir_tests::{failed, Result};

use crate::client::{Shape, Writer};
use crate::orders::{shop, Delivery, RECEIVED_AT, TOPIC};
use crate::tables::Content;

/// A way of writing orders.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    /// `weir.ingest` of the extension.
    Extension,
    /// `weir.ingest` of the SQL-only install.
    SqlOnly,
    /// One statement over `jsonb_to_recordset`.
    JsonbRecordset,
    /// Parsed by the client, a prepared insert a row, pipelined in one transaction.
    ClientRows,
    /// Parsed by the client, one insert a table over arrays, in one transaction.
    ClientArrays,
}

impl Way {
    /// In the order in which they are shown; weir's first.
    pub const ALL: [Self; 5] = [
        Self::Extension,
        Self::SqlOnly,
        Self::JsonbRecordset,
        Self::ClientRows,
        Self::ClientArrays,
    ];

    /// As shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Extension => "weir.ingest, extension",
            Self::SqlOnly => "weir.ingest, SQL only",
            Self::JsonbRecordset => "one jsonb_to_recordset statement",
            Self::ClientRows => "client rows, pipelined",
            Self::ClientArrays => "client arrays",
        }
    }
}

/// A way with a database and a connection of its own.
pub struct Contender {
    pub way: Way,
    pub client: Client,
    backend: i32,
    method: Method,
    _database: Database,
}

enum Method {
    Ingest(Statement),
    Jsonb(Statement),
    Client(Box<Writer>),
}

impl Contender {
    /// A fresh database with the shop registered, and the way's statements prepared.
    pub async fn new(cluster: &Cluster, way: Way) -> Result<Self> {
        let install = match way {
            Way::SqlOnly => Install::SqlOnly,
            _ => Install::Extension,
        };
        let database = cluster.database_with(install).await?;
        let client = database.admin().await?;
        // Room for the sorts and the intermediate rows of a batch, for everybody: the jsonb statement would spill them.
        client.batch_execute("set work_mem = '64MB'").await?;
        client
            .execute(
                "select weir.register_shop($1::text::json)",
                &[&shop().registration().to_string()],
            )
            .await?;
        let method = match way {
            Way::Extension | Way::SqlOnly => Method::Ingest(client.prepare("select weir.ingest($1::text)").await?),
            Way::JsonbRecordset => Method::Jsonb(client.prepare(include_str!("sql/jsonb_recordset.sql")).await?),
            Way::ClientRows => Method::Client(Box::new(Writer::new(&client, Shape::Rows).await?)),
            Way::ClientArrays => Method::Client(Box::new(Writer::new(&client, Shape::Arrays).await?)),
        };
        let backend: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
        Ok(Self {
            way,
            client,
            backend,
            method,
            _database: database,
        })
    }

    /// Writes a batch of deliveries; when it returns, they are committed.
    pub async fn write(&self, deliveries: &[Delivery]) -> Result<()> {
        match &self.method {
            Method::Ingest(statement) => self.ingest(statement, deliveries).await,
            Method::Jsonb(statement) => self.jsonb(statement, deliveries).await,
            Method::Client(writer) => writer.write(&self.client, deliveries).await,
        }
    }

    async fn ingest(&self, statement: &Statement, deliveries: &[Delivery]) -> Result<()> {
        let batch: Vec<(Headers<'_>, &str)> = deliveries
            .iter()
            .map(|delivery| {
                let headers = Headers {
                    webhook_id: &delivery.webhook_id,
                    topic: TOPIC,
                    shop_domain: shop().domain,
                    triggered_at: None,
                    api_version: Some("2026-10"),
                    received_at: RECEIVED_AT,
                    source: None,
                };
                (headers, delivery.body.as_str())
            })
            .collect();
        let text = batch_text(&batch)?;
        let row = self.client.query_one(statement, &[&text]).await?;
        let answer: String = row.get(0);
        let accepted = answer.matches(r#""accepted""#).count();
        if accepted == deliveries.len() {
            return Ok(());
        }
        Err(failed(format!(
            "{accepted} of {} orders were accepted",
            deliveries.len()
        )))
    }

    async fn jsonb(&self, statement: &Statement, deliveries: &[Delivery]) -> Result<()> {
        let batch: Vec<String> = deliveries
            .iter()
            .map(|Delivery { webhook_id, body }| {
                format!(
                    r#"{{"webhook_id":"{webhook_id}","triggered_at":"{RECEIVED_AT}","received_at":"{RECEIVED_AT}","body":{body}}}"#
                )
            })
            .collect();
        let text = format!("[{}]", batch.join(","));
        self.client.execute(statement, &[&text, &shop().id]).await?;
        Ok(())
    }

    /// The rows it has left.
    pub async fn content(&self) -> Result<Content> {
        Content::read(self.way.name(), &self.client).await
    }

    /// The connection's backend, which has one thread.
    pub fn backend(&self) -> Process {
        Process(self.backend)
    }
}
