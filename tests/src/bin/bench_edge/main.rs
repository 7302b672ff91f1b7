//! `scripts/bench.sh edge`: webhooks that the commerce Worker accepts per second beside a plain JavaScript Worker, and how
//! fast a backlog drains into PostgreSQL and the lake.
//!
//! - [`load`]: the sender, kept light: prepared requests over kept-alive connections
//! - [`memory`]: resident memory of the workerd under test
//!
//! Accepting: both Workers run in a workerd of their own, with the same queue, no consumer and no counters, and take turns
//! round by round, so that whatever else the machine does falls on both alike. Draining: the whole stack, real PostgreSQL
//! and `weir serve`, with every delivery known to PostgreSQL and every event counted in the lake before the clock stops.
//!
//! usage: `bench_edge [requests of a round] [rounds] [deliveries to drain]` (default 3000 8 2000). Asserts nothing about time.

mod load;
mod memory;

use std::time::{Duration, Instant};

use load::{Load, Outcome};
use memory::Memory;
use serde_json::{json, Value};
use weir_tests::service::Service;
use weir_tests::shop::{Delivery, Shop};
use weir_tests::stack::Stack;
use weir_tests::workerd::SECRETS;
use weir_tests::{failed, Result};

const NOW: &str = "2031-03-31T12:00:00Z";
const CONNECTIONS: usize = 32;
const SAMPLE: Duration = Duration::from_millis(500);

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
    draining(backlog).await?;
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

/// `count` different deliveries: the orders of a history, told again under other ids.
fn many(shop: &Shop, count: usize) -> Result<Vec<Delivery>> {
    let told = shop.history(NOW.parse()?).deliveries;
    let orders: Vec<&Delivery> = told
        .iter()
        .filter(|delivery| delivery.topic == "orders/create")
        .collect();
    let prefix = format!("9100{:03}", shop.id % 10);
    let again = (0..).flat_map(|copy: usize| orders.iter().map(move |order| (copy, *order)));
    again
        .take(count)
        .map(|(copy, order)| {
            let body = String::from_utf8(order.body.clone())?
                .replace(&prefix, &format!("9{:03}{:03}", 101 + copy, shop.id % 10));
            Ok(Delivery {
                webhook_id: format!("{}-{copy}", order.webhook_id),
                body: body.into_bytes(),
                ..order.clone()
            })
        })
        .collect()
}

async fn draining(count: usize) -> Result<()> {
    let shop = Shop::paris();
    let stack = Stack::start_to_be_measured(std::slice::from_ref(&shop)).await?;
    let deliveries = many(&shop, count)?;
    let memory = Memory::of_child(stack.worker.pid())?;
    let load = Load::new(&stack.worker.url, &deliveries);
    println!("\ndraining: {count} orders/create deliveries through queue, PostgreSQL and weir serve");
    println!("isolate: what V8 says the Worker holds; waiting: bodies that miniflare's queue keeps in the same process as workerd");
    println!(
        "{:>6} {:>10} {:>10} {:>11} {:>8}",
        "s", "drained", "waiting MB", "isolate MB", "RSS MB"
    );
    let body_bytes = deliveries.iter().map(|delivery| delivery.body.len()).sum::<usize>() / count.max(1);
    let began = Instant::now();
    let watch = async {
        let mut isolate = vec![];
        loop {
            let drained = drained(&stack).await?;
            let heap = stack.worker.heap_bytes().await? as f64 / 1e6;
            isolate.push(heap);
            println!(
                "{:>6.1} {drained:>10} {:>10.1} {heap:>11.1} {:>8}",
                began.elapsed().as_secs_f64(),
                load.taken().saturating_sub(drained) as f64 * body_bytes as f64 / 1e6,
                memory.resident_megabytes()?
            );
            if drained >= count {
                return Ok(isolate);
            }
            tokio::time::sleep(SAMPLE).await;
        }
    };
    let (sent, isolate) = tokio::try_join!(load.send(count, CONNECTIONS), watch)?;
    let committed = began.elapsed();
    let events = stack.drained(&deliveries, 1).await?;
    println!(
        "accepted all after {:.2} s ({:.0}/s, while draining)",
        sent.wall.as_secs_f64(),
        sent.per_second()
    );
    println!(
        "in PostgreSQL after {:.2} s: {:.0} deliveries/s end to end; {events} events in the lake, none missing, none extra",
        committed.as_secs_f64(),
        count as f64 / committed.as_secs_f64(),
    );
    let largest = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
    let (first, second) = isolate.split_at(isolate.len() / 2);
    println!(
        "isolate at most {:.1} MB in the first half of the samples, {:.1} MB in the second",
        largest(first),
        largest(second)
    );
    Ok(())
}

/// Deliveries that PostgreSQL has.
async fn drained(stack: &Stack) -> Result<usize> {
    let row = stack
        .admin
        .query_one("select count(*) from commerce.webhook_delivery", &[])
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0))?)
}
