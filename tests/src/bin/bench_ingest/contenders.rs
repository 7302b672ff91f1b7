//! The ways of writing a batch of orders.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::json;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use weir_tests::postgres::{Cluster, Database, Install};
use weir_tests::{failed, Result};

use crate::orders::{minor, shop, LineItem, Order};

/// Clock ticks of `/proc/*/stat` a second; fixed at 100 on every Linux that Rust's std runs on.
const TICKS_PER_SECOND: u32 = 100;

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
    client: Client,
    backend: u32,
    statements: Vec<Statement>,
    _database: Database,
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
        client
            .execute(
                "select weir.register_shop($1::text::json)",
                &[&shop().registration().to_string()],
            )
            .await?;
        let texts: &[&str] = match way {
            Way::Extension | Way::SqlOnly => &["select weir.ingest($1::text)"],
            Way::JsonbRecordset => &[include_str!("sql/jsonb_recordset.sql")],
            Way::ClientRows => &[include_str!("sql/header_row.sql"), include_str!("sql/line_row.sql")],
            Way::ClientArrays => &[
                include_str!("sql/header_arrays.sql"),
                include_str!("sql/line_arrays.sql"),
            ],
        };
        let mut statements = Vec::new();
        for text in texts {
            statements.push(client.prepare(text).await?);
        }
        let backend: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
        Ok(Self {
            way,
            client,
            backend: backend.unsigned_abs(),
            statements,
            _database: database,
        })
    }

    /// Writes a batch of bodies; when it returns, they are committed.
    pub async fn write(&self, bodies: &[String]) -> Result<()> {
        match self.way {
            Way::Extension | Way::SqlOnly => self.ingest(bodies).await,
            Way::JsonbRecordset => self.jsonb(bodies).await,
            Way::ClientRows => self.rows(&parse(bodies)?, bodies).await,
            Way::ClientArrays => self.arrays(&parse(bodies)?, bodies).await,
        }
    }

    async fn ingest(&self, bodies: &[String]) -> Result<()> {
        let deliveries: Vec<_> = bodies
            .iter()
            .map(|body| {
                // The number of the order makes the webhook id unique, as Shopify's are.
                let id = &body[body.find("\"token-").unwrap_or(0)..][..24];
                json!({
                    "webhook_id": id, "topic": "orders/create", "shop_domain": shop().domain,
                    "received_at": "2026-11-20T09:00:06.000Z", "triggered_at": null, "api_version": "2026-10", "body": body
                })
            })
            .collect();
        let text = serde_json::to_string(&deliveries)?;
        let row = self.client.query_one(&self.statements[0], &[&text]).await?;
        let answer: String = row.get(0);
        let accepted = answer.matches(r#""accepted""#).count();
        if accepted == bodies.len() {
            return Ok(());
        }
        Err(failed(format!("{accepted} of {} orders were accepted", bodies.len())))
    }

    async fn jsonb(&self, bodies: &[String]) -> Result<()> {
        let text = format!("[{{\"body\":{}}}]", bodies.join("},{\"body\":"));
        self.client.execute(&self.statements[0], &[&text, &shop().id]).await?;
        Ok(())
    }

    async fn rows(&self, orders: &[Order], bodies: &[String]) -> Result<()> {
        self.client.batch_execute("begin").await?;
        let (shop_id, mut values) = (shop().id, Vec::new());
        for (order, body) in orders.iter().zip(bodies) {
            values.push((
                order,
                body,
                minor(&order.total_price),
                order.line_items.iter().map(Numbers::new).collect::<Vec<_>>(),
            ));
        }
        // Headers before lines: the pipeline keeps the order in which the statements are first polled.
        try_join_all(values.iter().map(|(order, body, total, _)| async move {
            let row: [&(dyn ToSql + Sync); 17] = [
                &shop_id,
                &order.id,
                &order.name,
                &order.created_at,
                &order.processed_at,
                &order.updated_at,
                &order.cancelled_at,
                &order.financial_status,
                &order.fulfillment_status,
                &order.test,
                &order.taxes_included,
                &order.currency,
                &order.presentment_currency,
                total,
                &order.customer.id,
                &order.source_name,
                body,
            ];
            self.client.execute(&self.statements[0], &row).await
        }))
        .await?;
        let lines = values
            .iter()
            .flat_map(|(order, _, _, numbers)| order.line_items.iter().zip(numbers).map(move |line| (*order, line)));
        try_join_all(lines.map(|(order, (line, n))| async move {
            let row: [&(dyn ToSql + Sync); 17] = [
                &shop_id,
                &order.id,
                &line.id,
                &line.product_id,
                &line.variant_id,
                &line.title,
                &line.vendor,
                &line.gift_card,
                &line.quantity,
                &line.current_quantity,
                &n.price.0,
                &n.price.1,
                &n.discount.0,
                &n.discount.1,
                &n.tax.0,
                &n.tax.1,
                &n.rate,
            ];
            self.client.execute(&self.statements[1], &row).await
        }))
        .await?;
        self.client.batch_execute("commit").await?;
        Ok(())
    }

    async fn arrays(&self, orders: &[Order], bodies: &[String]) -> Result<()> {
        fn column<'a, T, R>(rows: &'a [T], value: impl Fn(&'a T) -> R) -> Vec<R> {
            rows.iter().map(value).collect()
        }
        let shop_id = shop().id;
        let lines: Vec<(&Order, &LineItem, Numbers)> = orders
            .iter()
            .flat_map(|order| {
                order
                    .line_items
                    .iter()
                    .map(move |line| (order, line, Numbers::new(line)))
            })
            .collect();
        self.client.batch_execute("begin").await?;
        let headers: [&(dyn ToSql + Sync); 17] = [
            &shop_id,
            &column(orders, |order| order.id),
            &column(orders, |order| &order.name),
            &column(orders, |order| &order.created_at),
            &column(orders, |order| &order.processed_at),
            &column(orders, |order| &order.updated_at),
            &column(orders, |order| &order.cancelled_at),
            &column(orders, |order| &order.financial_status),
            &column(orders, |order| &order.fulfillment_status),
            &column(orders, |order| order.test),
            &column(orders, |order| order.taxes_included),
            &column(orders, |order| &order.currency),
            &column(orders, |order| &order.presentment_currency),
            &column(orders, |order| minor(&order.total_price)),
            &column(orders, |order| order.customer.id),
            &column(orders, |order| &order.source_name),
            &bodies,
        ];
        let lines: [&(dyn ToSql + Sync); 17] = [
            &shop_id,
            &column(&lines, |line| line.0.id),
            &column(&lines, |line| line.1.id),
            &column(&lines, |line| line.1.product_id),
            &column(&lines, |line| line.1.variant_id),
            &column(&lines, |line| &line.1.title),
            &column(&lines, |line| &line.1.vendor),
            &column(&lines, |line| line.1.gift_card),
            &column(&lines, |line| line.1.quantity),
            &column(&lines, |line| line.1.current_quantity),
            &column(&lines, |line| line.2.price.0),
            &column(&lines, |line| line.2.price.1),
            &column(&lines, |line| line.2.discount.0),
            &column(&lines, |line| line.2.discount.1),
            &column(&lines, |line| line.2.tax.0),
            &column(&lines, |line| line.2.tax.1),
            &column(&lines, |line| line.2.rate),
        ];
        self.client.execute(&self.statements[0], &headers).await?;
        self.client.execute(&self.statements[1], &lines).await?;
        self.client.batch_execute("commit").await?;
        Ok(())
    }

    /// Rows written: headers, lines, sums of the amounts. Equal for every way.
    pub async fn counts(&self) -> Result<(i64, i64, i64, i64)> {
        let row = self
            .client
            .query_one(
                "select (select count(*) from commerce.order_header),
                    (select sum(total_price_minor)::bigint from commerce.order_header), count(*),
                    sum(unit_price_minor * quantity - discount_minor + presentment_unit_price_minor)::bigint
                from commerce.order_line_item",
                &[],
            )
            .await?;
        Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
    }

    /// CPU time of the connection's backend so far.
    pub fn server_cpu(&self) -> Result<Duration> {
        cpu_of(self.backend)
    }

    /// Most memory the backend has had resident, MB (shared buffers it touched included).
    pub fn server_peak_mb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.backend))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kib.ok_or_else(|| failed("no VmHWM in /proc/*/status"))? / 1024)
    }
}

/// A line's amounts in minor units, shop and presentment, and its tax rate in billionths.
struct Numbers {
    price: (i64, i64),
    discount: (i64, i64),
    tax: (i64, i64),
    rate: i64,
}

impl Numbers {
    fn new(line: &LineItem) -> Self {
        Self {
            price: (minor(&line.price), minor(&line.price_set.presentment_money.amount)),
            discount: line.discount(),
            tax: line.tax(),
            rate: line.tax_rate(),
        }
    }
}

fn parse(bodies: &[String]) -> Result<Vec<Order>> {
    let parsed: Result<Vec<Order>, _> = bodies.iter().map(|body| serde_json::from_str(body)).collect();
    Ok(parsed?)
}

/// User and system time of a process so far.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the command in brackets and may hold blanks; utime and stime are the 12th and 13th after it.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u32 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    Ok(Duration::from_secs(ticks.into()) / TICKS_PER_SECOND)
}
