//! `make bench`, the extension's part: `weir.ingest` beside what a user would write without it, in one run.
//!
//! - [`orders`]: generated deliveries of orders/create, 8 KB each
//! - [`contenders`]: each way of getting them into the same tables, over one connection of its own; [`client`]: those
//!   that parse for themselves
//! - [`tables`]: all of them must have left the same rows in every table, which the run asserts
//!
//! The contenders take turns batch by batch, so that whatever else the machine does falls on all of them alike. All dedupe
//! deliveries, keep only newer versions, and write the ledger; only weir's two also take every topic, in any sequence, with
//! refunds and edits, and return the events.
//!
//! usage: `bench_ingest [orders]` (default 10,000 for batches of 500; a tenth of it for batches of 1). The extension should
//! be a release build: `scripts/bench.sh ingest` sees to it.

mod client;
mod contenders;
mod orders;
mod tables;

use std::time::Duration;

use contenders::{Contender, Way};
use orders::Delivery;
use weir_tests::postgres::Cluster;
use weir_tests::process::Process;
use weir_tests::{failed, Result};

/// What one contender used over all its batches.
#[derive(Default, Clone, Copy)]
struct Used {
    wall: Duration,
    server_cpu: Duration,
    client_cpu: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let orders = match std::env::args().nth(1) {
        Some(text) => text.replace('_', "").parse().map_err(|_| {
            failed(format!(
                "{text}: expected a number of orders, for example bench_ingest 10000"
            ))
        })?,
        None => 10_000,
    };
    let cluster = Cluster::start().await?;
    run(&cluster, orders, 500).await?;
    run(&cluster, (orders / 10).max(1), 1).await
}

async fn run(cluster: &Cluster, total: usize, batch: usize) -> Result<()> {
    let mut contenders = Vec::new();
    for way in Way::ALL {
        contenders.push((Contender::new(cluster, way).await?, Used::default()));
    }
    let (mut first, mut bytes, mut round) = (0, 0, 0);
    while first < total {
        let deliveries = orders::deliveries(first, batch.min(total - first));
        bytes += deliveries.iter().map(|delivery| delivery.body.len()).sum::<usize>();
        first += deliveries.len();
        // Whoever comes first finds the caches full of the making of the deliveries: so each does in its turn.
        let count = contenders.len();
        for turn in 0..count {
            let (contender, used) = &mut contenders[(round + turn) % count];
            measure(contender, &deliveries, used).await?;
        }
        round += 1;
    }
    let (weir, _) = &contenders[0];
    let rows = weir.content().await?;
    for (other, _) in &contenders[1..] {
        let other_rows = other.content().await?;
        rows.assert_same(&other_rows, &weir.client, &other.client).await?;
    }
    println!("\nall contenders left the same {} rows", rows.count());
    print(&contenders, total, batch, bytes).await
}

async fn measure(contender: &Contender, deliveries: &[Delivery], used: &mut Used) -> Result<()> {
    let own = Process(std::process::id().cast_signed());
    // The kernel books a running thread's time when it yields: what came before is none of the contender's.
    std::thread::yield_now();
    let (server, client) = (contender.backend().only_threads_cpu()?, own.only_threads_cpu()?);
    let begin = std::time::Instant::now();
    contender.write(deliveries).await?;
    used.wall += begin.elapsed();
    std::thread::yield_now();
    used.server_cpu += contender.backend().only_threads_cpu()? - server;
    used.client_cpu += own.only_threads_cpu()? - client;
    Ok(())
}

async fn print(contenders: &[(Contender, Used)], total: usize, batch: usize, bytes: usize) -> Result<()> {
    let per = |time: Duration| time.as_secs_f64() * 1e6 / total as f64;
    println!(
        "{total} orders of {:.1} KB with 3 lines each, batches of {batch}, one connection, fsync off",
        bytes as f64 / 1024.0 / total as f64
    );
    println!(
        "{:<34} {:>9} {:>14} {:>14} {:>12} {:>12}",
        "", "orders/s", "server us/order", "client us/order", "weir is x", "peak MB"
    );
    let weir = contenders[0].1.wall.as_secs_f64();
    for (contender, used) in contenders {
        println!(
            "{:<34} {:>9.0} {:>14.0} {:>14.0} {:>12.2} {:>12}",
            contender.way.name(),
            total as f64 / used.wall.as_secs_f64(),
            per(used.server_cpu),
            per(used.client_cpu),
            used.wall.as_secs_f64() / weir,
            contender.backend().peak_mb()?,
        );
    }
    Ok(())
}
