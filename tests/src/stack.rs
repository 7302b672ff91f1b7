//! All real parts together: PostgreSQL, `weir serve`, the commerce Worker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::gate::Gate;
use crate::lake::LakeServer;
use crate::postgres::{Cluster, Database};
use crate::shop::{DaySales, Delivery, Shop};
use crate::workerd::CommerceWorker;
use crate::{failed, Result};

/// How long accepted deliveries may take to reach PostgreSQL and the stream. A bound, not a measurement.
const DRAIN_SECONDS: u64 = 120;
const POLL: Duration = Duration::from_millis(50);

/// The running stack. Fields are dropped in order: the Worker first, PostgreSQL last.
pub struct Stack {
    /// The commerce Worker.
    pub worker: CommerceWorker,
    /// The lake.
    pub lake: LakeServer,
    /// A superuser connection to the stack's database.
    pub admin: Client,
    /// The stack's database.
    pub database: Database,
    /// The cluster of the database.
    pub cluster: Cluster,
    /// Between Worker and lake, in a stack for fault tests.
    pub gate: Option<Gate>,
    _warehouse: tempfile::TempDir,
    _objects: Option<tempfile::TempDir>,
}

/// What a stack is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Run,
    Faults,
    Memory,
}

impl Stack {
    /// Starts everything, registers `shops` and publishes each shop's objective specification to PostgreSQL and the lake.
    /// `progress` is told what is being started.
    ///
    /// # Errors
    /// When a part does not start; the message says which and what to do.
    pub async fn start(shops: &[Shop], progress: impl FnMut(&str)) -> Result<Self> {
        Self::assemble(shops, progress, Purpose::Run).await
    }

    /// The same for fault tests: R2 survives the Worker, and a [`Gate`] stands between Worker and lake.
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_to_be_killed(shops: &[Shop]) -> Result<Self> {
        Self::assemble(shops, |_| {}, Purpose::Faults).await
    }

    /// The same with a Worker that says how much memory its isolate holds ([`CommerceWorker::heap_bytes`]).
    ///
    /// # Errors
    /// As [`Stack::start`].
    pub async fn start_to_be_measured(shops: &[Shop]) -> Result<Self> {
        Self::assemble(shops, |_| {}, Purpose::Memory).await
    }

    async fn assemble(shops: &[Shop], mut progress: impl FnMut(&str), purpose: Purpose) -> Result<Self> {
        progress("PostgreSQL 15 with the extension");
        let cluster = Cluster::start().await?;
        let database = cluster.database().await?;
        let admin = database.admin().await?;
        progress("weir serve: Iceberg catalog, streams, measurement");
        let warehouse = tempfile::Builder::new().prefix("weir-lake-").tempdir()?;
        let lake = LakeServer::start(warehouse.path().to_path_buf())?;
        let (mut gate, mut objects) = (None, None);
        if purpose == Purpose::Faults {
            gate = Some(Gate::start(&lake.url).await?);
            objects = Some(tempfile::Builder::new().prefix("weir-r2-").tempdir()?);
        }
        progress("commerce Worker in workerd");
        let domains: Vec<&str> = shops.iter().map(|shop| shop.domain).collect();
        let stream = gate.as_ref().map_or(&lake.url, |gate| &gate.url);
        let persist = objects.as_ref().map(tempfile::TempDir::path);
        let is_inspected = purpose == Purpose::Memory;
        let worker = CommerceWorker::start_with(&database.edge_url, stream, &domains, persist, is_inspected)?;
        let stack = Self {
            worker,
            lake,
            admin,
            database,
            cluster,
            gate,
            _warehouse: warehouse,
            _objects: objects,
        };
        for shop in shops {
            stack.register(shop).await?;
        }
        Ok(stack)
    }

    async fn register(&self, shop: &Shop) -> Result<()> {
        let register = shop.registration().to_string();
        self.admin
            .query_one("select weir.register_shop($1::text::json)::text", &[&register])
            .await?;
        let objective = shop.objective().to_string();
        let row = self
            .admin
            .query_one("select weir.publish_objective($1::text::json)::text", &[&objective])
            .await?;
        let published: serde_json::Value = serde_json::from_str(row.get(0))?;
        self.lake.post("/v1/objective", &published).await?;
        Ok(())
    }

    /// Sends deliveries, a few at a time, in their order; every one must be accepted (200).
    ///
    /// # Errors
    /// At the first delivery that is not.
    pub async fn deliver_all(&self, deliveries: &[Delivery], mut progress: impl FnMut(usize)) -> Result<()> {
        const IN_FLIGHT: usize = 16;
        for (index, chunk) in deliveries.chunks(IN_FLIGHT).enumerate() {
            let calls = chunk.iter().map(|delivery| self.worker.deliver(delivery));
            for (delivery, result) in chunk.iter().zip(futures_util::future::join_all(calls).await) {
                let (status, body) = result?;
                if status != 200 {
                    return Err(failed(format!("{} answered {status}: {body}", delivery.topic)));
                }
            }
            progress(index * IN_FLIGHT + chunk.len());
        }
        Ok(())
    }

    /// Waits until every delivery is in PostgreSQL and every event it leads to is in the Iceberg table, as an independent
    /// reader sees it, and nothing else is. `times` is how often all of them have been delivered so far: each event is sent
    /// again by each repetition, so that a repetition still in the queue is waited for. Returns the number of distinct
    /// events.
    ///
    /// # Errors
    /// When that does not happen in time, the message says what is missing and has the Worker's log; at once when the
    /// table has an event that no delivery leads to.
    pub async fn drained(&self, deliveries: &[Delivery], times: usize) -> Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(DRAIN_SECONDS);
        self.in_postgres(deliveries, deadline).await?;
        let expected = self.expected_event_ids(deliveries).await?;
        loop {
            self.lake.flush().await?;
            let rows = self.lake.read_back("duckdb", "commerce.telemetry").await?;
            let mut found = BTreeMap::<&str, usize>::new();
            for id in rows.iter().filter_map(|row| row["event_id"].as_str()) {
                *found.entry(id).or_default() += 1;
            }
            if let Some(extra) = found.keys().find(|id| !expected.contains(**id)) {
                return Err(failed(format!("event {extra} is in the lake and of no delivery")));
            }
            let seen = |id: &String| found.get(id.as_str()).copied().unwrap_or_default();
            let missing = expected.iter().filter(|id| seen(id) < times).count();
            if missing == 0 {
                return Ok(expected.len());
            }
            self.still_time(deadline, || {
                format!("{missing} of {} events are not in the lake", expected.len())
            })?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until every delivery is in PostgreSQL and each of its events in the Iceberg table, whatever else is there.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn settled(&self, deliveries: &[Delivery]) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(DRAIN_SECONDS);
        self.in_postgres(deliveries, deadline).await?;
        let expected = self.expected_event_ids(deliveries).await?;
        loop {
            self.lake.flush().await?;
            let rows = self.lake.read_back("duckdb", "commerce.telemetry").await?;
            let found: BTreeSet<&str> = rows.iter().filter_map(|row| row["event_id"].as_str()).collect();
            let missing = expected.iter().filter(|id| !found.contains(id.as_str())).count();
            if missing == 0 {
                return Ok(());
            }
            self.still_time(deadline, || {
                format!("{missing} of {} events are not in the lake", expected.len())
            })?;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn in_postgres(&self, deliveries: &[Delivery], deadline: Instant) -> Result<()> {
        let ids: Vec<&str> = deliveries.iter().map(|delivery| delivery.webhook_id.as_str()).collect();
        let distinct: BTreeSet<_> = deliveries
            .iter()
            .map(|d| (&d.shop_domain, &d.topic, &d.webhook_id))
            .collect();
        loop {
            let sql = "select count(*) from commerce.webhook_delivery where webhook_id = any($1)";
            let row = self.admin.query_one(sql, &[&ids]).await?;
            let seen = usize::try_from(row.get::<_, i64>(0))?;
            if seen >= distinct.len() {
                return Ok(());
            }
            self.still_time(deadline, || {
                format!("{seen} of {} deliveries are in PostgreSQL", distinct.len())
            })?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// The ids of the events that the deliveries lead to.
    ///
    /// # Errors
    /// As [`Stack::event_ids_of_each`].
    pub async fn expected_event_ids(&self, deliveries: &[Delivery]) -> Result<BTreeSet<String>> {
        Ok(self
            .event_ids_of_each(deliveries)
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// The ids of the events that each delivery leads to: one that PostgreSQL has seen returns its events again, one that it
    /// has not seen is taken.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn event_ids_of_each(&self, deliveries: &[Delivery]) -> Result<Vec<Vec<String>>> {
        let mut ids = Vec::with_capacity(deliveries.len());
        for chunk in deliveries.chunks(100) {
            let batch = serde_json::Value::Array(chunk.iter().map(Delivery::to_ingest).collect()).to_string();
            let row = self
                .admin
                .query_one("select weir.ingest($1::text::json)::text", &[&batch])
                .await?;
            let answer: serde_json::Value = serde_json::from_str(row.get(0))?;
            for verdict in answer["deliveries"].as_array().into_iter().flatten() {
                let of_verdict = verdict["event_ids"].as_array().into_iter().flatten();
                ids.push(of_verdict.filter_map(|id| id.as_str().map(str::to_owned)).collect());
            }
        }
        Ok(ids)
    }

    /// measurement.sales of one shop as an independent reader (`pyiceberg` or `duckdb`) sees it: (product, day) -> sales.
    ///
    /// # Errors
    /// When the reader fails, or a row is not what the table's schema says.
    pub async fn measured(&self, reader: &str, shop: &Shop) -> Result<BTreeMap<(String, String), DaySales>> {
        let mut sales = BTreeMap::new();
        let rows = self.lake.read_back(reader, "measurement.sales").await?;
        for row in rows.iter().filter(|row| row["shop_domain"] == shop.domain) {
            let wrong = || failed(format!("measurement.sales has {row}"));
            let number = |name: &str| row[name].as_i64().ok_or_else(wrong);
            let text = |name: &str| row[name].as_str().map(str::to_owned).ok_or_else(wrong);
            let day = DaySales {
                units_sold: number("units_sold")?,
                units_returned: number("units_returned")?,
                gross_sales: number("gross_sales")?,
                discounts: number("discounts")?,
                returns: number("returns")?,
            };
            let net_sales = day.gross_sales - day.discounts - day.returns;
            let key = (text("product_id")?, text("day")?);
            if row["currency"] != shop.currency || number("net_sales")? != net_sales || sales.insert(key, day).is_some()
            {
                return Err(wrong());
            }
        }
        Ok(sales)
    }

    fn still_time(&self, deadline: Instant, what: impl Fn() -> String) -> Result<()> {
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(failed(format!(
            "after {DRAIN_SECONDS} s {}; the Worker's log:\n{}",
            what(),
            self.worker.log()
        )))
    }
}
