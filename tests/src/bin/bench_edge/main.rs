//! `scripts/bench.sh edge`: webhooks that the commerce Worker accepts per second beside a plain JavaScript Worker, and how
//! fast a backlog drains into PostgreSQL and the lake.
//!
//! - [`drain`]: a backlog, and the memory it takes while it is drained
//! - [`load`]: the sender, kept light: prepared requests over kept-alive connections
//! - [`memory`]: resident memory of the workerd under test
//!
//! Accepting: both Workers run in a workerd of their own, with the same queue, no consumer and no counters, and take turns
//! round by round, so that whatever else the machine does falls on both alike. Draining: the whole stack, real PostgreSQL
//! and `weir serve`, with every delivery known to PostgreSQL and every event counted in the lake before the clock stops; then
//! twice and four times as much, each beside the JavaScript Worker that takes as long, for the memory that either needs.
//!
//! usage: `bench_edge [requests of a round] [rounds] [deliveries to drain]` (default 3000 8 2000). Asserts nothing about time.

mod drain;
mod load;
mod memory;

use load::{Load, Outcome};
use memory::Memory;
use serde_json::{json, Value};
use weir_tests::service::Service;
use weir_tests::shop::{Delivery, Shop};
use weir_tests::workerd::SECRETS;
use weir_tests::{failed, Result};

const NOW: &str = "2031-03-31T12:00:00Z";
const CONNECTIONS: usize = 32;

#[tokio::main]
async fn main() -> Result<()> {
    let argument = |index: usize, default: usize| {
        std::env::args().nth(index).map_or(Ok(default), |text| {
            text.replace('_', "")
                .parse()
                .map_err(|_| failed(format!("{text}: expected a number")))
        })
    };
    let (requests, rounds, backlog) = (argument(1, 3000)?, argument(2, 8)?, argument(3, 2000)?);
    println!(
        "load average before: {}",
        std::fs::read_to_string("/proc/loadavg")?.trim()
    );
    accepting(requests, rounds).await?;
    drain::measure(backlog).await?;
    println!(
        "load average after: {}",
        std::fs::read_to_string("/proc/loadavg")?.trim()
    );
    Ok(())
}

/// A Worker under test.
struct Contender {
    name: &'static str,
    load: Load,
    memory: Memory,
    outcomes: Vec<Outcome>,
    _service: Service,
}

impl Contender {
    fn start(name: &'static str, shop: &Shop, deliveries: &[Delivery]) -> Result<Self> {
        let config = json!({"contender": name, "secrets": SECRETS.join(","), "shops": [shop.domain]});
        let service = Service::node("Worker under test", "edge/bench/serve.mjs", &config)?;
        let line: Value = serde_json::from_str(&service.next_line()?)?;
        let url = line["listening"].as_str().unwrap_or_default();
        Ok(Self {
            name,
            load: Load::new(url, deliveries),
            memory: Memory::of_child(service.pid)?,
            outcomes: vec![],
            _service: service,
        })
    }
}

async fn accepting(requests: usize, rounds: usize) -> Result<()> {
    let shop = Shop::paris();
    let deliveries = shop.history(NOW.parse()?).deliveries;
    let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    println!(
        "\naccepting: {rounds} rounds of {requests} requests each, {CONNECTIONS} connections, bodies of {} bytes on average",
        bytes / deliveries.len()
    );
    let mut contenders = Vec::new();
    for name in ["commerce", "plain"] {
        let contender = Contender::start(name, &shop, &deliveries)?;
        contender.load.send(requests / 2, CONNECTIONS).await?; // Warm.
        contenders.push(contender);
    }
    for round in 0..rounds {
        // Whoever is first in one round is second in the next.
        let turn = round % 2;
        for index in [turn, 1 - turn] {
            let contender = &mut contenders[index];
            let outcome = contender.load.send(requests, CONNECTIONS).await?;
            contender.outcomes.push(outcome);
        }
    }
    println!(
        "{:<10} {:>12} {:>12} {:>10} {:>10} {:>12} {:>9}",
        "Worker", "median/s", "best/s", "p50 ms", "p99 ms", "CPU us each", "RSS MB"
    );
    let mut medians = Vec::new();
    for contender in &contenders {
        let mut rates: Vec<f64> = contender.outcomes.iter().map(Outcome::per_second).collect();
        rates.sort_by(f64::total_cmp);
        let latency = Outcome::merged(&contender.outcomes);
        let sent = (requests * rounds + requests / 2) as f64;
        println!(
            "{:<10} {:>12.0} {:>12.0} {:>10.2} {:>10.2} {:>12.0} {:>9}",
            contender.name,
            rates[rates.len() / 2],
            rates[rates.len() - 1],
            latency.percentile(50),
            latency.percentile(99),
            contender.memory.cpu_seconds()? * 1e6 / sent,
            contender.memory.resident_megabytes()?
        );
        medians.push(rates[rates.len() / 2]);
    }
    println!("commerce / plain: {:.2} of the median rate", medians[0] / medians[1]);
    Ok(())
}
