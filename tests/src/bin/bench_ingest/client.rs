//! What a client without weir.ingest does: it parses the bodies, computes the ledgers and writes the rows itself, as one
//! statement a row or as one statement a table. It reads with weir's own domain crate, so that its rows are weir's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;

use futures_util::future::try_join_all;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{to_sql_checked, IsNull, ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use weir_domain::customer::Customer;
use weir_domain::events::{order_events, Shop};
use weir_domain::order_state::{OrderSnapshot, OrderState};
use weir_domain::sales::{self, SalesRow};
use weir_domain::shopify::json::instant;
use weir_domain::shopify::{parse, Context, Fact};
use weir_tests::{failed, Result};

use crate::orders::{shop, Delivery, RECEIVED_AT, TOPIC};

macro_rules! ingest_sql {
    ($name:literal) => {
        include_str!(concat!("../../../../sql/postgres/ingest/", $name, ".sql"))
    };
}

/// 2000-01-01 in microseconds since 1970, and in days: PostgreSQL counts from there.
const POSTGRES_EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// How many statements.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    /// A prepared insert a row, pipelined.
    Rows,
    /// One insert a table over arrays.
    Arrays,
}

/// A client with its statements, weir's own where they do what it needs.
pub struct Writer {
    shape: Shape,
    shop: Shop,
    deliveries: Statement,
    headers: Statement,
    lines_clear: Statement,
    lines: Statement,
    sales_clear: Statement,
    sales: Statement,
    customers: Statement,
    salts: Statement,
}

/// A delivery as the client has read it.
struct Told<'a> {
    webhook_id: &'a str,
    event_keys: String,
    snapshot: OrderSnapshot,
    revision: i64,
    ledger: Vec<SalesRow>,
}

impl Writer {
    /// Prepares the statements.
    pub async fn new(client: &Client, shape: Shape) -> Result<Self> {
        let deliveries = concat!(ingest_sql!("webhook_delivery_write"), "returning webhook_id");
        let prepare = async |sql: &str| {
            let sql = match shape {
                Shape::Arrays => sql.to_owned(),
                // `unnest($1::bigint[])` is an array's row, `($1::bigint)` the row itself.
                Shape::Rows => sql.replace("unnest(", "(").replace("[])", ")"),
            };
            client.prepare(&sql).await
        };
        let shop = shop();
        Ok(Self {
            shape,
            shop: Shop::new(shop.domain, shop.zone, shop.currency).map_err(failed)?,
            deliveries: prepare(deliveries).await?,
            headers: prepare(include_str!("sql/header.sql")).await?,
            lines_clear: client.prepare(ingest_sql!("order_line_item_clear")).await?,
            lines: prepare(ingest_sql!("order_line_item_write")).await?,
            sales_clear: client.prepare(ingest_sql!("sales_ledger_clear")).await?,
            sales: prepare(ingest_sql!("sales_ledger_write")).await?,
            customers: prepare(ingest_sql!("customer_write")).await?,
            salts: prepare(ingest_sql!("salts_make")).await?,
        })
    }

    /// Writes a batch; when it returns, it is committed.
    pub async fn write(&self, client: &Client, deliveries: &[Delivery]) -> Result<()> {
        let told = self.read(deliveries)?;
        let rows = told.iter().map(delivery_row).collect();
        let (_, fresh) = tokio::try_join!(
            async { Ok(client.batch_execute("begin").await?) },
            self.put(client, &self.deliveries, rows)
        )?;
        let fresh: HashSet<String> = fresh.iter().map(|row| row.get(0)).collect();
        let told: Vec<&Told<'_>> = told.iter().filter(|one| fresh.contains(one.webhook_id)).collect();
        // An order may be told twice in a batch, and a statement may touch a row once.
        let mut newest: BTreeMap<i64, &Told<'_>> = BTreeMap::new();
        for one in &told {
            let version = |one: &Told<'_>| (one.snapshot.header.updated_at, one.snapshot.header.triggered_at);
            let place = newest.entry(one.snapshot.header.order_id).or_insert(one);
            if version(one) >= version(place) {
                *place = one;
            }
        }
        let rows = newest.values().map(|one| header_row(one)).collect();
        let written = self.put(client, &self.headers, rows).await?;
        let written: HashMap<i64, bool> = written.iter().map(|row| (row.get(0), row.get(1))).collect();
        newest.retain(|order_id, _| written.contains_key(order_id));
        let known: Vec<i64> = newest.keys().filter(|order_id| !written[*order_id]).copied().collect();
        if !known.is_empty() {
            let shops = vec![shop().id; known.len()];
            client.execute(&self.lines_clear, &[&shops, &known]).await?;
            client.execute(&self.sales_clear, &[&shops, &known]).await?;
        }
        let customers = newest_customers(&told);
        let salts = customers
            .keys()
            .map(|id| vec![Cell::Int(Some(shop().id)), Cell::Int(Some(*id))]);
        tokio::try_join!(
            self.put(
                client,
                &self.lines,
                newest.values().flat_map(|one| line_rows(one)).collect()
            ),
            self.put(
                client,
                &self.sales,
                newest.values().flat_map(|one| sales_rows(one)).collect()
            ),
            self.put(client, &self.customers, customers.values().map(customer_row).collect()),
            self.put(client, &self.salts, salts.collect())
        )?;
        client.batch_execute("commit").await?;
        Ok(())
    }

    fn read<'a>(&self, deliveries: &'a [Delivery]) -> Result<Vec<Told<'a>>> {
        let received_at = instant(RECEIVED_AT).ok_or_else(|| failed("RECEIVED_AT is no time"))?;
        let context = Context {
            currency: self.shop.currency,
            triggered_at: received_at,
        };
        let read = |delivery: &'a Delivery| {
            let Some(fact) = parse(TOPIC, &delivery.body, context)? else {
                return Err(failed("the topic is not read"));
            };
            let mut state = OrderState::default();
            state.apply(&fact);
            let order_id = fact.order_id().unwrap_or_default();
            let keys = order_events(order_id, &OrderState::default(), &state, &self.shop.zone, received_at);
            let Fact::Order(snapshot) = fact else {
                return Err(failed("the body is no order"));
            };
            Ok(Told {
                webhook_id: &delivery.webhook_id,
                event_keys: serde_json::to_string(&keys)?,
                snapshot: *snapshot,
                revision: state.revision,
                ledger: sales::ledger(&state, &self.shop.zone),
            })
        };
        deliveries.iter().map(read).collect()
    }

    async fn put(&self, client: &Client, statement: &Statement, rows: Vec<Vec<Cell<'_>>>) -> Result<Vec<Row>> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        if self.shape == Shape::Arrays {
            let columns: Vec<Vec<Cell<'_>>> = (0..first.len())
                .map(|column| rows.iter().map(|row| row[column]).collect())
                .collect();
            let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
            return Ok(client.query(statement, &columns).await?);
        }
        let answers = try_join_all(rows.iter().map(|row| async move {
            let row: Vec<&(dyn ToSql + Sync)> = row.iter().map(|cell| cell as _).collect();
            client.query(statement, &row).await
        }));
        Ok(answers.await?.into_iter().flatten().collect())
    }
}

/// The newest version of each customer that a batch tells of.
fn newest_customers(told: &[&Told<'_>]) -> BTreeMap<i64, Customer> {
    let mut customers: BTreeMap<i64, Customer> = BTreeMap::new();
    for new in told.iter().filter_map(|one| one.snapshot.customer.clone()) {
        let merged = match customers.remove(&new.customer_id) {
            Some(known) => Customer::merged(known, new),
            None => new,
        };
        customers.insert(merged.customer_id, merged);
    }
    customers
}

fn delivery_row<'a>(told: &'a Told<'_>) -> Vec<Cell<'a>> {
    vec![
        Cell::Int(Some(shop().id)),
        Cell::Text(Some(TOPIC)),
        Cell::Text(Some(told.webhook_id)),
        Cell::Time(instant(RECEIVED_AT)),
        Cell::Text(Some(&told.event_keys)),
    ]
}

fn header_row<'a>(told: &'a Told<'_>) -> Vec<Cell<'a>> {
    let header = &told.snapshot.header;
    vec![
        Cell::Int(Some(shop().id)),
        Cell::Int(Some(header.order_id)),
        Cell::Text(header.name.as_deref()),
        Cell::Time(header.created_at),
        Cell::Time(header.processed_at),
        Cell::Time(Some(header.updated_at)),
        Cell::Time(Some(header.triggered_at)),
        Cell::Time(header.cancelled_at),
        Cell::Text(header.financial_status.as_deref()),
        Cell::Text(header.fulfillment_status.as_deref()),
        Cell::Flag(header.is_test),
        Cell::Flag(header.taxes_included),
        Cell::Text(Some(&header.currency)),
        Cell::Text(Some(&header.presentment_currency)),
        Cell::Int(header.total_price),
        Cell::Int(header.customer_id),
        Cell::Text(header.source_name.as_deref()),
        Cell::Int(Some(told.revision)),
        Cell::Body(header.raw.bytes().unwrap_or(b"null")),
    ]
}

fn line_rows<'a>(told: &'a Told<'_>) -> impl Iterator<Item = Vec<Cell<'a>>> {
    let order_id = told.snapshot.header.order_id;
    told.snapshot.lines.iter().map(move |line| {
        vec![
            Cell::Int(Some(shop().id)),
            Cell::Int(Some(order_id)),
            Cell::Int(Some(line.line_item_id)),
            Cell::Int(line.product_id),
            Cell::Int(line.variant_id),
            Cell::Text(line.title.as_deref()),
            Cell::Text(line.vendor.as_deref()),
            Cell::Flag(line.is_gift_card),
            Cell::Int(Some(line.quantity)),
            Cell::Int(line.current_quantity),
            Cell::Int(Some(line.unit_price.shop)),
            Cell::Int(Some(line.unit_price.presentment)),
            Cell::Int(Some(line.discount.shop)),
            Cell::Int(Some(line.discount.presentment)),
            Cell::Int(Some(line.tax.shop)),
            Cell::Int(Some(line.tax.presentment)),
            Cell::Int(Some(line.tax_rate)),
            Cell::Flag(line.is_tip),
        ]
    })
}

fn sales_rows<'a>(told: &'a Told<'_>) -> impl Iterator<Item = Vec<Cell<'a>>> {
    let order_id = told.snapshot.header.order_id;
    told.ledger.iter().map(move |row| {
        vec![
            Cell::Int(Some(shop().id)),
            Cell::Int(Some(order_id)),
            Cell::Text(Some(&row.product_id)),
            Cell::Day(&row.day),
            Cell::Text(Some(row.kind.as_str())),
            Cell::Int(Some(row.units_sold)),
            Cell::Int(Some(row.units_returned)),
            Cell::Int(Some(row.gross_sales)),
            Cell::Int(Some(row.discounts)),
            Cell::Int(Some(row.returns)),
            Cell::Int(Some(row.net_sales)),
            Cell::Int(Some(row.presentment_gross_sales)),
            Cell::Int(Some(row.presentment_discounts)),
            Cell::Int(Some(row.presentment_returns)),
            Cell::Int(Some(row.presentment_net_sales)),
        ]
    })
}

fn customer_row(customer: &Customer) -> Vec<Cell<'_>> {
    vec![
        Cell::Int(Some(shop().id)),
        Cell::Int(Some(customer.customer_id)),
        Cell::Time(customer.created_at),
        Cell::Time(customer.updated_at),
        Cell::Flag(customer.is_whole),
        Cell::Time(Some(customer.triggered_at)),
        Cell::Text(customer.state.as_deref()),
        Cell::Flag(customer.is_email_verified),
        Cell::Flag(customer.is_tax_exempt),
        Cell::Text(customer.email_consent.as_deref()),
        Cell::Text(customer.sms_consent.as_deref()),
        Cell::Text(customer.currency.as_deref()),
        Cell::Time(customer.deleted_at),
    ]
}

/// A value of a row, in PostgreSQL's binary form on the wire.
#[derive(Debug, Clone, Copy)]
enum Cell<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Flag(bool),
    /// Microseconds since 1970.
    Time(Option<i64>),
    /// `yyyy-mm-dd`
    Day(&'a str),
    /// JSON text of a jsonb.
    Body(&'a [u8]),
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Int(value) => return value.to_sql(ty, out),
            Self::Flag(value) => return value.to_sql(ty, out),
            Self::Text(None) | Self::Time(None) => return Ok(IsNull::Yes),
            Self::Text(Some(text)) => out.extend_from_slice(text.as_bytes()),
            Self::Time(Some(at)) => out.extend_from_slice(&(at - POSTGRES_EPOCH_MICROSECONDS).to_be_bytes()),
            Self::Day(text) => {
                let day: jiff::civil::Date = text.parse()?;
                let since = day.since(jiff::civil::date(2000, 1, 1))?.get_days();
                out.extend_from_slice(&since.to_be_bytes());
            }
            Self::Body(text) => {
                out.extend_from_slice(&[1]); // Version of the wire format.
                out.extend_from_slice(text);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
