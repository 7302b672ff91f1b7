//! `scripts/bench.sh edge`: webhooks that the commerce Worker accepts per second beside a plain JavaScript Worker, and how
//! fast a backlog drains into PostgreSQL and the lake.
//!
//! - [`drain`]: a backlog, and the memory it takes while it is drained
//! - [`load`]: the sender, kept light: prepared requests over kept-alive connections
//! - [`memory`]: resident memory of the workerd under test
//!
//! Accepting: the Workers, with the same queue, no consumer and no counters, take turns round by round, so that whatever else
//! the machine does falls on all alike; the ratios are medians over the rounds. Each turn has a workerd of its own: two processes
//! of the same Worker differ more than two rounds of one process. Two figures are told of it: of the first requests that an
//! isolate takes, while V8 compiles its code better and better, and of as many after them. A round is long, because the local
//! runtime stops for tenths of a second now and then, and one stop more or less decides a short one. Draining:
//! the whole stack, real PostgreSQL and `weir serve`, with every delivery known to PostgreSQL and every event counted in the
//! lake before the clock stops; then twice and four times as much, each beside the JavaScript Worker that takes as long, for
//! the memory that either needs.
//!
//! usage: `bench_edge [--beside EDGE]... [requests of a round] [rounds] [deliveries to drain]` (default 8000 8 2000; 0 drains
//! nothing). EDGE is the `edge` folder of another checkout, whose built commerce Worker takes part. Asserts nothing about time.

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

/// What is to be measured.
struct Arguments {
    /// `edge` folders of other checkouts.
    beside: Vec<String>,
    requests: usize,
    rounds: usize,
    backlog: usize,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let (mut beside, mut numbers) = (vec![], vec![]);
        while let Some(text) = given.next() {
            if text == "--beside" {
                let edge = given
                    .next()
                    .ok_or_else(|| failed("--beside: expected an `edge` folder"))?;
                beside.push(std::path::absolute(edge)?.display().to_string());
            } else {
                let number = text.replace('_', "").parse();
                numbers.push(number.map_err(|_| failed(format!("{text}: expected a number")))?);
            }
        }
        let number = |index: usize, default: usize| numbers.get(index).copied().unwrap_or(default);
        Ok(Self {
            beside,
            requests: number(0, 8000),
            rounds: number(1, 8).max(1),
            backlog: number(2, 2000),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    println!(
        "load average before: {}",
        std::fs::read_to_string("/proc/loadavg")?.trim()
    );
    accepting(&arguments).await?;
    if arguments.backlog > 0 {
        drain::measure(arguments.backlog).await?;
    }
    println!(
        "load average after: {}",
        std::fs::read_to_string("/proc/loadavg")?.trim()
    );
    Ok(())
}

/// A Worker under test.
struct Contender {
    name: &'static str,
    /// `edge` folder that it is built in, if not the one of this checkout.
    edge: Option<String>,
    rounds: Vec<Round>,
}

/// What became of a round.
struct Round {
    /// The first requests of the isolate.
    first: Sample,
    /// As many when it was warm.
    warm: Sample,
    resident_megabytes: f64,
}

/// Requests that were measured.
struct Sample {
    outcome: Outcome,
    /// Processor time of workerd for each request, in microseconds.
    cpu_micros: f64,
}

impl Sample {
    async fn of(load: &Load, memory: &Memory, requests: usize) -> Result<Self> {
        let before = memory.cpu_seconds()?;
        let outcome = load.send(requests, CONNECTIONS).await?;
        let cpu_micros = (memory.cpu_seconds()? - before) * 1e6 / requests as f64;
        Ok(Self { outcome, cpu_micros })
    }
}

impl Contender {
    fn new(name: &'static str, edge: Option<String>) -> Self {
        let rounds = vec![];
        Self { name, edge, rounds }
    }

    /// Starts the Worker and sends `deliveries` until `requests` are taken, twice.
    async fn round(&mut self, shop: &Shop, deliveries: &[Delivery], requests: usize) -> Result<()> {
        let config =
            json!({"contender": self.name, "edge": self.edge, "secrets": SECRETS.join(","), "shops": [shop.domain]});
        let service = Service::node("Worker under test", "edge/bench/serve.mjs", &config)?;
        let line: Value = serde_json::from_str(&service.next_line()?)?;
        let load = Load::new(line["listening"].as_str().unwrap_or_default(), deliveries);
        let memory = Memory::of_child(service.pid)?;
        let sampled = async {
            Ok(Round {
                first: Sample::of(&load, &memory, requests).await?,
                warm: Sample::of(&load, &memory, requests).await?,
                resident_megabytes: memory.resident_megabytes()? as f64,
            })
        };
        let round: Result<Round> = sampled.await;
        let named = |error| failed(format!("{}: {error}\n{}", self.label(), service.log()));
        self.rounds.push(round.map_err(named)?);
        Ok(())
    }

    fn label(&self) -> &str {
        self.edge.as_deref().unwrap_or(self.name)
    }

    /// Median of the ratio of `measure` to that of `other` in the same round.
    fn ratio(&self, other: &Self, measure: impl Fn(&Round) -> f64) -> f64 {
        let pairs = self.rounds.iter().zip(&other.rounds);
        median(pairs.map(|(round, other)| measure(round) / measure(other)))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

async fn accepting(arguments: &Arguments) -> Result<()> {
    let Arguments { requests, rounds, .. } = *arguments;
    let shop = Shop::paris();
    let deliveries = shop.history(NOW.parse()?).deliveries;
    let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    println!(
        "\naccepting: {rounds} rounds of {requests} requests each, {CONNECTIONS} connections, bodies of {} bytes on average",
        bytes / deliveries.len()
    );
    let mut contenders = vec![Contender::new("plain", None), Contender::new("commerce", None)];
    contenders.extend(
        arguments
            .beside
            .iter()
            .map(|edge| Contender::new("commerce", Some(edge.clone()))),
    );
    for _ in 0..rounds {
        for contender in &mut contenders {
            contender.round(&shop, &deliveries, requests).await?;
        }
        // Whoever is first in one round is last in the next.
        contenders.rotate_left(1);
    }
    contenders.sort_by_key(|contender| contender.name != "plain");
    println!("\nan isolate's first {requests} requests:");
    report(&contenders, |round| &round.first);
    println!("\nits next {requests} requests:");
    report(&contenders, |round| &round.warm);
    Ok(())
}

/// A line for each of `contenders`, of which the first is the plain one.
fn report(contenders: &[Contender], sample: fn(&Round) -> &Sample) {
    let rate = |round: &Round| sample(round).outcome.per_second();
    let cpu = |round: &Round| sample(round).cpu_micros;
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9} {:>13} {:>13} {:>7}  Worker",
        "median/s", "best/s", "p50 ms", "p99 ms", "CPU us", "rate of plain", "CPU of plain", "RSS MB"
    );
    let plain = &contenders[0];
    for contender in contenders {
        let rounds = &contender.rounds;
        let latency = Outcome::merged(rounds.iter().map(|round| &sample(round).outcome));
        println!(
            "{:>9.0} {:>9.0} {:>9.2} {:>9.2} {:>9.0} {:>13.3} {:>13.3} {:>7.0}  {}",
            median(rounds.iter().map(rate)),
            rounds.iter().map(rate).fold(0.0, f64::max),
            latency.percentile(50),
            latency.percentile(99),
            median(rounds.iter().map(cpu)),
            contender.ratio(plain, rate),
            contender.ratio(plain, cpu),
            median(rounds.iter().map(|round| round.resident_megabytes)),
            contender.label()
        );
    }
}
