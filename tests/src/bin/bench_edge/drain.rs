//! A backlog is drained: how fast, and what workerd holds meanwhile, at the quarters of the drain.
//!
//! The process holds more than the Worker's isolate: miniflare keeps its queues there, and the allocator does not give back
//! what they have left. So the JavaScript Worker drains the same deliveries at the same pace, and both drain backlogs of
//! several sizes: what is the Worker's own would be in one of them alone, and what it loses would grow with the backlog.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use weir_tests::service::Service;
use weir_tests::shop::{Delivery, Shop};
use weir_tests::stack::Stack;
use weir_tests::workerd::SECRETS;
use weir_tests::{failed, Result};

use crate::load::{Load, Outcome};
use crate::memory::Memory;
use crate::{CONNECTIONS, NOW};

const SAMPLE: Duration = Duration::from_millis(250);
const BACKLOGS: [usize; 3] = [1, 2, 4];

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

/// A Worker that drains.
enum Drainer {
    Commerce(Box<Stack>),
    Plain {
        url: String,
        admin: String,
        _service: Service,
    },
}

impl Drainer {
    /// The JavaScript Worker, which takes `pace` for each delivery.
    fn plain(shop: &Shop, pace: Duration) -> Result<(Self, i32)> {
        let config = json!({"contender": "plain", "secrets": SECRETS.join(","), "shops": [shop.domain],
            "drainMillis": pace.as_secs_f64() * 1e3});
        let service = Service::node("Worker under test", "edge/bench/serve.mjs", &config)?;
        let pid = service.pid;
        let line: Value = serde_json::from_str(&service.next_line()?)?;
        let address = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let (url, admin) = (address("listening"), address("admin"));
        Ok((
            Self::Plain {
                url,
                admin,
                _service: service,
            },
            pid,
        ))
    }

    fn url(&self) -> &str {
        match self {
            Self::Commerce(stack) => &stack.worker.url,
            Self::Plain { url, .. } => url,
        }
    }

    /// Deliveries that are through, and the bytes of the isolate.
    async fn sample(&self) -> Result<(usize, u64)> {
        match self {
            Self::Commerce(stack) => {
                let count = "select count(*) from commerce.webhook_delivery";
                let row = stack.admin.query_one(count, &[]).await?;
                Ok((usize::try_from(row.get::<_, i64>(0))?, stack.worker.heap_bytes().await?))
            }
            Self::Plain { url, admin, .. } => {
                let drained = reqwest::get(format!("{url}/drained")).await?.text().await?.parse()?;
                let heap: Value = serde_json::from_str(&reqwest::get(admin).await?.text().await?)?;
                let bytes = heap["bytes"].as_u64().ok_or_else(|| failed("no heap was told"))?;
                Ok((drained, bytes))
            }
        }
    }
}

/// How workerd was at one moment.
struct Sample {
    seconds: f64,
    drained: usize,
    waiting_megabytes: f64,
    isolate_megabytes: f64,
    resident_megabytes: u64,
}

/// What became of a backlog.
struct Drain {
    accepted: Outcome,
    samples: Vec<Sample>,
}

impl Drain {
    fn seconds(&self) -> f64 {
        self.samples.last().map_or(0.0, |last| last.seconds)
    }

    fn resident_megabytes(&self) -> u64 {
        let samples = self.samples.iter();
        samples
            .map(|sample| sample.resident_megabytes)
            .max()
            .unwrap_or_default()
    }

    /// A line for each quarter: the isolate at most, the rest as it was at the end of the quarter.
    fn print(&self, name: &str, count: usize) {
        let mut rest = self.samples.as_slice();
        for quarter in 1..=4 {
            let until = rest.iter().position(|one| one.drained * 4 >= count * quarter);
            let Some(until) = until else { break };
            let (done, left) = rest.split_at(until);
            let Some(end) = left.first() else { break };
            let isolate = done
                .iter()
                .chain([end])
                .map(|one| one.isolate_megabytes)
                .fold(0.0, f64::max);
            println!(
                "{name:<10} {count:>8} {:>7}% {:>8.1} {:>11.1} {isolate:>11.1} {:>8}",
                quarter * 25,
                end.seconds,
                end.waiting_megabytes,
                end.resident_megabytes
            );
            rest = left;
        }
    }
}

/// Sends `deliveries` to `drainer` and watches workerd, a child of process `parent`, until all are through.
async fn drain(drainer: &Drainer, parent: i32, deliveries: &[Delivery]) -> Result<Drain> {
    let memory = Memory::of_child(parent)?;
    let load = Load::new(drainer.url(), deliveries);
    let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    let mean_megabytes = bytes as f64 / deliveries.len().max(1) as f64 / 1e6;
    let began = Instant::now();
    let watch = async {
        let mut samples = vec![];
        loop {
            let (drained, heap) = drainer.sample().await?;
            samples.push(Sample {
                seconds: began.elapsed().as_secs_f64(),
                drained,
                waiting_megabytes: load.taken().saturating_sub(drained) as f64 * mean_megabytes,
                isolate_megabytes: heap as f64 / 1e6,
                resident_megabytes: memory.resident_megabytes()?,
            });
            if drained >= deliveries.len() {
                return Ok(samples);
            }
            tokio::time::sleep(SAMPLE).await;
        }
    };
    let (accepted, samples) = tokio::try_join!(load.send(deliveries.len(), CONNECTIONS), watch)?;
    Ok(Drain { accepted, samples })
}

/// Drains `count` deliveries, then twice and four times as many, each beside the JavaScript Worker.
///
/// # Errors
/// When a delivery is not accepted or does not arrive.
pub async fn measure(count: usize) -> Result<()> {
    let shop = Shop::paris();
    println!("\ndraining orders/create: commerce through queue, PostgreSQL and weir serve; plain at the pace of commerce, to nowhere");
    println!("isolate: at most in the quarter, as V8 says; waiting: bodies in miniflare's queue, which is in the same process");
    println!(
        "{:<10} {:>8} {:>8} {:>8} {:>11} {:>11} {:>8}",
        "Worker", "backlog", "drained", "s", "waiting MB", "isolate MB", "RSS MB"
    );
    let mut ends = vec![];
    for count in BACKLOGS.map(|times| count * times) {
        let deliveries = many(&shop, count)?;
        let stack = Stack::start_to_be_measured(std::slice::from_ref(&shop)).await?;
        let pid = stack.worker.pid();
        let drainer = Drainer::Commerce(Box::new(stack));
        let commerce = drain(&drainer, pid, &deliveries).await?;
        commerce.print("commerce", count);
        let Drainer::Commerce(stack) = drainer else { break };
        let events = stack.drained(&deliveries, 1).await?;
        drop(stack);
        let pace = Duration::from_secs_f64(commerce.seconds() / count as f64);
        let (drainer, pid) = Drainer::plain(&shop, pace)?;
        let plain = drain(&drainer, pid, &deliveries).await?;
        plain.print("plain", count);
        ends.push(format!(
            "{count}: accepted {:.0}/s while draining{}, {:.0} deliveries/s end to end, {events} events in the lake, none missing, \
             none extra; RSS at most {} MB, plain {} MB",
            commerce.accepted.per_second(),
            commerce.accepted.repetitions(),
            count as f64 / commerce.seconds(),
            commerce.resident_megabytes(),
            plain.resident_megabytes()
        ));
    }
    for end in ends {
        println!("{end}");
    }
    Ok(())
}
