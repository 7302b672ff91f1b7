//! A Worker under test: how it is started, what is measured of it, and how two are compared.

use serde_json::{json, Value};
use weir_tests::service::Service;
use weir_tests::shop::{Delivery, Shop};
use weir_tests::workerd::SECRETS;
use weir_tests::Result;

use crate::load::{Load, Outcome};
use crate::memory::Memory;
use crate::CONNECTIONS;

/// What a Worker runs in.
#[derive(Clone, Copy)]
pub enum Runtime {
    /// workerd alone, and a queue that answers at once (`edge/bench/direct.mjs`).
    Direct,
    /// Miniflare, with its own Worker in front and its broker behind.
    Miniflare,
}

/// A Worker under test.
pub struct Contender {
    name: &'static str,
    /// `edge` folder that it is built in, if not the one of this checkout.
    edge: Option<String>,
}

impl Contender {
    /// The plain JavaScript Worker, the commerce Worker of this checkout, and those of the checkouts with the folders `edges`.
    pub fn all(edges: &[String]) -> Vec<Self> {
        let of = |name, edge| Self { name, edge };
        let mut all = vec![of("plain", None), of("commerce", None)];
        all.extend(edges.iter().map(|edge| of("commerce", Some(edge.clone()))));
        all
    }

    /// What it is called in a report.
    pub fn label(&self) -> &str {
        self.edge.as_deref().unwrap_or(self.name)
    }

    /// Starts it for `shop`, to be sent `deliveries`.
    ///
    /// # Errors
    /// When it is not built or does not become ready.
    pub fn start(&self, runtime: Runtime, shop: &Shop, deliveries: &[Delivery]) -> Result<Running> {
        let config = json!({"contender": self.name, "edge": self.edge, "secrets": SECRETS.join(","), "shops": [shop.domain],
            "direct": matches!(runtime, Runtime::Direct)});
        let service = Service::node("Worker under test", "edge/bench/serve.mjs", &config)?;
        let line: Value = serde_json::from_str(&service.next_line()?)?;
        let load = Load::new(line["listening"].as_str().unwrap_or_default(), deliveries);
        let memory = Memory::of_child(service.pid)?;
        Ok(Running { load, memory, service })
    }
}

/// A Worker that runs.
pub struct Running {
    load: Load,
    memory: Memory,
    service: Service,
}

impl Running {
    /// Sends `requests` and measures them.
    ///
    /// # Errors
    /// When one is not answered 200; with the Worker's log.
    pub async fn sample(&self, requests: usize) -> Result<Sample> {
        let measured = async {
            let before = self.memory.cpu_seconds()?;
            let outcome = self.load.send(requests, CONNECTIONS).await?;
            let cpu_micros = (self.memory.cpu_seconds()? - before) * 1e6 / requests as f64;
            Ok(Sample { outcome, cpu_micros })
        };
        let measured: Result<Sample> = measured.await;
        measured.map_err(|error| weir_tests::failed(format!("{error}\n{}", self.service.log())))
    }

    /// Resident memory of its workerd in MB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_megabytes(&self) -> Result<f64> {
        Ok(self.memory.resident_megabytes()? as f64)
    }
}

/// Requests that were measured.
pub struct Sample {
    /// What became of them.
    pub outcome: Outcome,
    /// Processor time of workerd for each request, in microseconds.
    pub cpu_micros: f64,
}

impl Sample {
    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        self.outcome.per_second()
    }
}
