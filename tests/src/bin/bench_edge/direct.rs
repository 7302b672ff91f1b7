//! Accepting without miniflare: what the Workers themselves take.
//!
//! Each contender has a workerd of its own, all of which run at the same time and take short turns, so that what else the
//! machine does falls on all alike. Single turns scatter by a fifth: V8 gives back the platform's objects of some thousand
//! requests at once, which stops the Worker for 50 ms and more. So the steadier figure is that of all turns of a set of processes
//! together. There are several sets: two processes of the same Worker differ by some hundredths, which `--beside` a copy of the
//! Worker shows; a smaller difference is none.

use weir_tests::shop::{Delivery, Shop};
use weir_tests::Result;

use crate::contender::{Contender, Running, Runtime, Sample};
use crate::load::Outcome;
use crate::statistics::Values;
use crate::CONNECTIONS;

const SETS: usize = 8;
const TURNS: usize = 24;
const TURN_REQUESTS: usize = 1000;

/// Turns of one contender, in one process after the other.
struct Turns {
    contender: Contender,
    /// The first requests of each process.
    first: Vec<Sample>,
    /// Of each process, the turns after them.
    sets: Vec<Vec<Sample>>,
}

/// Measures `contenders`, each process of which takes `requests` before its turns.
///
/// # Errors
/// When a Worker does not start or does not answer 200.
pub async fn measure(contenders: Vec<Contender>, shop: &Shop, deliveries: &[Delivery], requests: usize) -> Result<()> {
    println!("\naccepting, workerd alone with a queue that answers at once: {SETS} sets of processes, {CONNECTIONS} connections");
    let mut all: Vec<Turns> = contenders.into_iter().map(Turns::of).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    for _ in 0..SETS {
        let start = |turns: &Turns| turns.contender.start(Runtime::Direct, shop, deliveries);
        let running: Vec<Running> = all.iter().map(start).collect::<Result<_>>()?;
        for &index in &order {
            all[index].first.push(running[index].sample(requests).await?);
            all[index].sets.push(vec![]);
        }
        for _ in 0..TURNS {
            for &index in &order {
                let sample = running[index].sample(TURN_REQUESTS).await?;
                all[index].sets.last_mut().expect("begun above").push(sample);
            }
            // Whoever is first in one turn is last in the next.
            order.rotate_left(1);
        }
        order.rotate_left(1);
    }
    println!("\nan isolate's first {requests} requests:");
    report(&all, |turns| turns.first.iter().collect());
    println!("\nafter them, in {TURNS} turns of {TURN_REQUESTS}:");
    report(&all, |turns| turns.sets.iter().flatten().collect());
    println!("\nall turns of a set together: rate of plain, CPU of plain (median of the sets, lowest to highest)");
    for turns in &all[1..] {
        let beside = |whole: fn(&[Sample]) -> f64| {
            let sets = turns.sets.iter().zip(&all[0].sets);
            spread(
                &Values::of(sets.map(|(set, plain)| whole(set) / whole(plain))),
                [0.0, 1.0],
            )
        };
        println!(
            "{:>24} {:>24}  {}",
            beside(rate_of_all),
            beside(cpu_of_all),
            turns.contender.label()
        );
    }
    Ok(())
}

impl Turns {
    fn of(contender: Contender) -> Self {
        let (first, sets) = (vec![], vec![]);
        Self { contender, first, sets }
    }
}

fn rate_of_all(samples: &[Sample]) -> f64 {
    Outcome::merged(samples.iter().map(|sample| &sample.outcome)).per_second()
}

/// Of samples with as many requests each.
fn cpu_of_all(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.cpu_micros).sum::<f64>() / samples.len() as f64
}

fn spread(values: &Values, parts: [f64; 2]) -> String {
    let [low, high] = parts.map(|part| values.quantile(part));
    format!("{:.3} ({low:.3}-{high:.3})", values.median())
}

/// A line for each of `all`, of which the first is the plain one.
fn report(all: &[Turns], samples: fn(&Turns) -> Vec<&Sample>) {
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>24} {:>24}  Worker",
        "median/s", "p50 ms", "p99 ms", "CPU us", "rate of plain (quarters)", "CPU of plain (quarters)"
    );
    let plain = samples(&all[0]);
    for turns in all {
        let own = samples(turns);
        let beside = |measure: fn(&Sample) -> f64| {
            let pairs = own.iter().zip(&plain);
            let ratios = pairs.map(|(sample, plain)| measure(sample) / measure(plain));
            spread(&Values::of(ratios), [0.25, 0.75])
        };
        let latency = Outcome::merged(own.iter().map(|sample| &sample.outcome));
        println!(
            "{:>9.0} {:>9.2} {:>9.2} {:>9.0} {:>24} {:>24}  {}{}",
            Values::of(own.iter().map(|sample| sample.per_second())).median(),
            latency.percentile(50),
            latency.percentile(99),
            Values::of(own.iter().map(|sample| sample.cpu_micros)).median(),
            beside(Sample::per_second),
            beside(|sample| sample.cpu_micros),
            turns.contender.label(),
            latency.repetitions()
        );
    }
}
