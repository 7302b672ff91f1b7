//! Accepting through miniflare, whose own Worker and queue are most of what it takes.
//!
//! The Workers take turns round by round, so that whatever else the machine does falls on all alike; the ratios are medians
//! over the rounds. Each turn has a workerd of its own: two processes of the same Worker differ more than two rounds of one
//! process. Two figures are told of it: of the first requests that an isolate takes, while V8 compiles its code better and
//! better, and of as many after them. A round is long, because miniflare stops for tenths of a second now and then, and
//! one stop more or less decides a short one.

use weir_tests::shop::{Delivery, Shop};
use weir_tests::Result;

use crate::contender::{Contender, Runtime, Sample};
use crate::load::Outcome;
use crate::statistics::Values;
use crate::CONNECTIONS;

/// A contender and what became of it.
struct Rounds {
    contender: Contender,
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

impl Rounds {
    /// Starts the Worker and sends `deliveries` until `requests` are taken, twice.
    async fn round(&mut self, shop: &Shop, deliveries: &[Delivery], requests: usize) -> Result<()> {
        let running = self.contender.start(Runtime::Miniflare, shop, deliveries)?;
        self.rounds.push(Round {
            first: running.sample(requests).await?,
            warm: running.sample(requests).await?,
            resident_megabytes: running.resident_megabytes()?,
        });
        Ok(())
    }

    /// Median of the ratio of `measure` to that of `other` in the same round.
    fn ratio(&self, other: &Self, measure: impl Fn(&Round) -> f64) -> f64 {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Values::of(pairs.map(|(round, other)| measure(round) / measure(other))).median()
    }
}

/// Measures `contenders` in `rounds` rounds of twice `requests`.
///
/// # Errors
/// When a Worker does not start or does not answer 200.
pub async fn measure(
    contenders: Vec<Contender>,
    shop: &Shop,
    deliveries: &[Delivery],
    requests: usize,
    rounds: usize,
) -> Result<()> {
    println!("\naccepting through miniflare: {rounds} rounds of {requests} requests each, {CONNECTIONS} connections");
    let of = |contender| Rounds {
        contender,
        rounds: vec![],
    };
    let mut all: Vec<Rounds> = contenders.into_iter().map(of).collect();
    for number in 0..rounds {
        for turn in 0..all.len() {
            // Whoever is first in one round is last in the next.
            let index = (number + turn) % all.len();
            all[index].round(shop, deliveries, requests).await?;
        }
    }
    println!("\nan isolate's first {requests} requests:");
    report(&all, |round| &round.first);
    println!("\nits next {requests} requests:");
    report(&all, |round| &round.warm);
    Ok(())
}

/// A line for each of `all`, of which the first is the plain one.
fn report(all: &[Rounds], sample: fn(&Round) -> &Sample) {
    let rate = |round: &Round| sample(round).per_second();
    let cpu = |round: &Round| sample(round).cpu_micros;
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9} {:>13} {:>13} {:>7}  Worker",
        "median/s", "best/s", "p50 ms", "p99 ms", "CPU us", "rate of plain", "CPU of plain", "RSS MB"
    );
    let plain = &all[0];
    for contender in all {
        let rounds = &contender.rounds;
        let latency = Outcome::merged(rounds.iter().map(|round| &sample(round).outcome));
        let rates = Values::of(rounds.iter().map(rate));
        println!(
            "{:>9.0} {:>9.0} {:>9.2} {:>9.2} {:>9.0} {:>13.3} {:>13.3} {:>7.0}  {}{}",
            rates.median(),
            rates.quantile(1.0),
            latency.percentile(50),
            latency.percentile(99),
            Values::of(rounds.iter().map(cpu)).median(),
            contender.ratio(plain, rate),
            contender.ratio(plain, cpu),
            Values::of(rounds.iter().map(|round| round.resident_megabytes)).median(),
            contender.contender.label(),
            latency.repetitions()
        );
    }
}
