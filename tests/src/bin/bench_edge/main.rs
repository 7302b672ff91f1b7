//! `scripts/bench.sh edge`: webhooks that the commerce Worker accepts per second beside a plain JavaScript Worker, and how
//! fast a backlog drains into PostgreSQL and the lake.
//!
//! - [`direct`]: accepting, workerd alone with a queue that answers at once
//! - [`accept`]: accepting through miniflare, with its queue
//! - [`drain`]: a backlog, and the memory it takes while it is drained
//! - [`contender`]: a Worker under test
//! - [`load`]: the sender, kept light: prepared requests over kept-alive connections
//! - [`memory`]: resident memory and processor time of the workerd under test
//! - [`statistics`]: medians and quartiles
//!
//! Accepting: all Workers have the same queue, no consumer and no counters. Draining:
//! the whole stack, real PostgreSQL and `weir serve`, with every delivery known to PostgreSQL and every event counted in the
//! lake before the clock stops; then twice and four times as much, each beside the JavaScript Worker that takes as long, for
//! the memory that either needs.
//!
//! usage: `bench_edge [--beside EDGE]... [requests of a round] [rounds] [deliveries to drain]` (default 8000 8 2000; 0 drains
//! nothing, and 0 rounds leave miniflare out). EDGE is the `edge` folder of another checkout, whose built commerce Worker takes
//! part. Asserts nothing about time.

mod accept;
mod contender;
mod direct;
mod drain;
mod load;
mod memory;
mod statistics;

use contender::Contender;
use weir_tests::shop::Shop;
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
            rounds: number(1, 8),
            backlog: number(2, 2000),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let load_average = || std::fs::read_to_string("/proc/loadavg");
    println!("load average before: {}", load_average()?.trim());
    accepting(&arguments).await?;
    if arguments.backlog > 0 {
        drain::measure(arguments.backlog).await?;
    }
    println!("load average after: {}", load_average()?.trim());
    Ok(())
}

async fn accepting(arguments: &Arguments) -> Result<()> {
    let &Arguments { requests, rounds, .. } = arguments;
    let shop = Shop::paris();
    let deliveries = shop.history(NOW.parse()?).deliveries;
    let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    println!("bodies of {} bytes on average", bytes / deliveries.len());
    let contenders = || Contender::all(&arguments.beside);
    direct::measure(contenders(), &shop, &deliveries, requests).await?;
    if rounds > 0 {
        accept::measure(contenders(), &shop, &deliveries, requests, rounds).await?;
    }
    Ok(())
}
