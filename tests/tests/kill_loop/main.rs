//! kill -9 of every part while deliveries come in, and what must be true afterwards: every accepted delivery is in PostgreSQL
//! and its events in the lake, as if nobody had been killed; and so is every interaction of the visitors who came meanwhile
//! ([`visitors`]).
//!
//! The sender behaves as Shopify does: what was not answered 200 comes again under the same id. One thing the test makes up
//! for: miniflare keeps queues in memory, so what workerd had accepted and not consumed dies with it, where Cloudflare's queue
//! is durable before the 200. That, and only that, is sent once more at the end, and the number is printed.
//!
//! `WEIR_KILLS` sets the number of kills, `WEIR_SEED` where they fall.

mod visitors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{json, Value};
use tokio_postgres::Client;
use visitors::Visitors;
use weir_tests::shop::{DaySales, Delivery, Shop};
use weir_tests::stack::Stack;
use weir_tests::workerd::CommerceWorker;
use weir_tests::{failed, Result};

/// In the past: a body triggered after it was received counts as triggered then, and the other database would be told other times.
const NOW: &str = "2026-03-31T12:00:00Z";
/// Bounds, not measurements.
const SETTLE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// Requests that the sender has open at once.
const IN_FLIGHT: usize = 8;

/// A part to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Worker,
    PostgresProcess,
    Postmaster,
    Lake,
}

const VICTIMS: [Victim; 4] = [
    Victim::Lake,
    Victim::Worker,
    Victim::PostgresProcess,
    Victim::Postmaster,
];

/// SplitMix64: the same kills for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Polls until `condition` holds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    while !condition().await? {
        if Instant::now() > deadline {
            return Err(failed(format!("not within {SETTLE:?}: {what}")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The sender's book: which deliveries were answered 200, and how many Workers had been killed by then.
#[derive(Default)]
struct Book {
    accepted: BTreeMap<String, usize>,
    workers_killed: usize,
}

impl Book {
    /// Whether `delivery` was accepted, and by the Worker that is running: then it cannot have died with a queue.
    fn is_safe(&self, delivery: &Delivery) -> bool {
        self.accepted.get(&delivery.webhook_id) == Some(&self.workers_killed)
    }
}

/// Waits until everything that the running Worker has accepted is in PostgreSQL and the lake.
async fn everything_safe_arrives(stack: &Stack, deliveries: &[Delivery], book: &Book) -> Result<()> {
    let safe: Vec<Delivery> = deliveries
        .iter()
        .filter(|delivery| book.is_safe(delivery))
        .cloned()
        .collect();
    until("what no killed Worker had accepted", async || {
        Ok(missing(stack, &safe).await?.is_empty())
    })
    .await
}

/// Sends `deliveries`; calls `strike` when `at` of them have been answered or have failed. Returns those not accepted.
async fn send(
    worker: &CommerceWorker,
    deliveries: &[Delivery],
    book: &mut Book,
    at: usize,
    strike: impl AsyncFnOnce() -> Result<()>,
) -> Result<Vec<Delivery>> {
    let (said, heard) = tokio::sync::oneshot::channel();
    let killed_before = book.workers_killed;
    let sending = async {
        let mut said = Some(said);
        let mut refused = Vec::new();
        let calls = deliveries
            .iter()
            .map(|delivery| async move { (delivery, worker.deliver(delivery).await) });
        let mut answers = futures_util::stream::iter(calls)
            .buffer_unordered(IN_FLIGHT)
            .enumerate();
        while let Some((index, (delivery, answer))) = answers.next().await {
            match answer {
                Ok((200, _)) => {
                    book.accepted.insert(delivery.webhook_id.clone(), killed_before);
                }
                Ok((503, _)) | Err(_) => refused.push(delivery.clone()),
                Ok((status, body)) => return Err(failed(format!("{}: {status} {body}", delivery.topic))),
            }
            if index + 1 >= at {
                let _ = said.take().map(|said| said.send(()));
            }
        }
        Ok(refused)
    };
    let striking = async {
        // Nothing was sent at all when the other end is gone.
        let _ = heard.await;
        strike().await
    };
    let (refused, struck) = tokio::join!(sending, striking);
    struck?;
    refused
}

/// One round: `deliveries` go out, the victim dies when `at` of them are through, and comes back; then the refused ones go
/// out again until all are accepted.
async fn round(stack: &mut Stack, deliveries: &[Delivery], book: &mut Book, victim: Victim, at: usize) -> Result<()> {
    let Stack {
        worker, lake, cluster, ..
    } = stack;
    let mut left = match victim {
        Victim::Worker => {
            let left = send(worker, deliveries, book, at, async || {
                worker.kill();
                Ok(())
            })
            .await?;
            book.workers_killed += 1;
            worker.crash_and_restart()?;
            left
        }
        Victim::Lake => send(worker, deliveries, book, at, async || lake.crash_and_come_back()).await?,
        Victim::PostgresProcess => send(worker, deliveries, book, at, async || cluster.crash_a_process().await).await?,
        Victim::Postmaster => {
            send(worker, deliveries, book, at, async || {
                cluster.crash_and_come_back().await
            })
            .await?
        }
    };
    let deadline = Instant::now() + SETTLE;
    while !left.is_empty() {
        if Instant::now() > deadline {
            return Err(failed(format!("{} deliveries are refused for good", left.len())));
        }
        left = send(worker, &left, book, usize::MAX, async || Ok(())).await?;
    }
    Ok(())
}

/// Event ids in commerce.telemetry.
async fn in_lake(stack: &Stack) -> Result<BTreeSet<String>> {
    stack.lake.flush().await?;
    let rows = stack.lake.read_back("duckdb", "commerce.telemetry").await?;
    Ok(rows
        .iter()
        .filter_map(|row| row["event_id"].as_str().map(str::to_owned))
        .collect())
}

/// The deliveries that are not in PostgreSQL, or whose events are not all in the lake.
async fn missing(stack: &Stack, deliveries: &[Delivery]) -> Result<Vec<Delivery>> {
    let rows = stack
        .admin
        .query("select webhook_id from commerce.webhook_delivery", &[])
        .await?;
    let known: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let (arrived, mut missing): (Vec<Delivery>, Vec<Delivery>) = deliveries
        .iter()
        .cloned()
        .partition(|delivery| known.contains(&delivery.webhook_id));
    let in_lake = in_lake(stack).await?;
    let events = stack.event_ids_of_each(&arrived).await?;
    let incomplete = arrived
        .into_iter()
        .zip(events)
        .filter(|(_, ids)| !ids.iter().all(|id| in_lake.contains(id)));
    missing.extend(incomplete.map(|(delivery, _)| delivery));
    Ok(missing)
}

/// The rows of commerce, without what tells of the sequence or of the time of receipt.
const CONTENT: &str = "
    select 'order_header' || (to_jsonb(t) - '{revision}'::text[])::text as row from commerce.order_header as t
    union all select 'order_line_item' || t::text from commerce.order_line_item as t
    union all select 'refund' || (to_jsonb(t) - '{observed_at}'::text[])::text from commerce.refund as t
    union all select 'refund_line_item' || t::text from commerce.refund_line_item as t
    union all select 'payment' || t::text from commerce.payment as t
    union all select 'fulfillment' || t::text from commerce.fulfillment as t
    union all select 'fulfillment_line_item' || t::text from commerce.fulfillment_line_item as t
    union all select 'sales_ledger' || t::text from commerce.sales_ledger as t
    union all select 'product' || t::text from commerce.product as t
    union all select 'product_variant' || t::text from commerce.product_variant as t
    union all select 'delivery' || t.shop_id || t.topic || t.webhook_id from commerce.webhook_delivery as t";

/// The rows of commerce where nobody was killed: a database that got `deliveries` directly, in their order.
async fn undisturbed(stack: &Stack, shops: &[Shop], deliveries: &[Delivery]) -> Result<Vec<String>> {
    let database = stack.cluster.database().await?;
    let admin = database.admin().await?;
    for shop in shops {
        let call = "select weir.register_shop($1::text::json)";
        admin.execute(call, &[&shop.registration().to_string()]).await?;
    }
    for chunk in deliveries.chunks(50) {
        let batch = Value::Array(chunk.iter().map(Delivery::to_ingest).collect()).to_string();
        admin.execute("select weir.ingest($1::text::json)", &[&batch]).await?;
    }
    let rows = admin.query(CONTENT, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// EXCEPT ALL both ways: rows of one side that the other has not, or has less often.
async fn assert_same_rows(admin: &Client, expected: &[String]) -> Result<()> {
    assert!(expected.len() > 20, "{} rows", expected.len());
    let there = format!("with here as ({CONTENT}), there as (select unnest($1::text[]) as row)");
    for (what, first, second) in [("missing", "there", "here"), ("extra", "here", "there")] {
        let sql = format!("{there} select row from {first} except all select row from {second} limit 5");
        let rows = admin.query(&sql, &[&expected]).await?;
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(rows, Vec::<String>::new(), "{what} in PostgreSQL");
    }
    Ok(())
}

/// Every event of `deliveries` is in the lake, no other is, and rows of one event say the same.
async fn assert_same_events(stack: &Stack, deliveries: &[Delivery]) -> Result<()> {
    let expected = stack.expected_event_ids(deliveries).await?;
    assert_eq!(in_lake(stack).await?, expected);
    let rows = stack.lake.read_back("pyiceberg", "commerce.telemetry").await?;
    let mut facts = BTreeMap::<String, Value>::new();
    for row in rows {
        // The order as of sending is what measurement takes the newest of; the fact itself never changes.
        let names = [
            "event_type",
            "shop_domain",
            "occurred_at",
            "event_date",
            "order_id",
            "currency",
        ];
        let fact: Value = names
            .iter()
            .map(|name| ((*name).to_owned(), row[*name].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let id = row["event_id"].as_str().unwrap_or_default().to_owned();
        let known = facts.entry(id).or_insert_with(|| fact.clone());
        assert_eq!(*known, fact);
    }
    assert_eq!(facts.len(), expected.len());
    Ok(())
}

async fn assert_measured(stack: &Stack, sales: &BTreeMap<(String, String, String), DaySales>) -> Result<()> {
    stack.lake.post("/v1/refresh", &json!({ "now": NOW })).await?;
    let mut measured = BTreeMap::new();
    for row in stack.lake.read_back("duckdb", "measurement.sales").await? {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name} in {row}"));
        let day = DaySales {
            units_sold: number("units_sold"),
            units_returned: number("units_returned"),
            gross_sales: number("gross_sales"),
            discounts: number("discounts"),
            returns: number("returns"),
        };
        let key = (text("shop_domain"), text("product_id"), text("day"));
        assert!(measured.insert(key, day).is_none(), "two rows for one key: {row}");
    }
    assert_eq!(measured, *sales);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_under_load_everything_accepted_is_there_once() -> Result<()> {
    let (kills, seed) = (number("WEIR_KILLS", 4), number("WEIR_SEED", 20_261_124));
    println!("WEIR_KILLS={kills} WEIR_SEED={seed}");
    let shops = [Shop::tokyo(), Shop::paris()];
    let histories: Vec<_> = shops
        .iter()
        .map(|shop| shop.history(NOW.parse().expect("a time")))
        .collect();
    let deliveries: Vec<Delivery> = histories
        .iter()
        .flat_map(|history| history.deliveries.clone())
        .collect();
    let mut stack = Stack::start_to_be_killed(&shops).await?;
    let mut visitors = Visitors::start(&stack, &shops[1])?;

    let (mut random, mut book) = (Random(seed), Book::default());
    let first = random.below(VICTIMS.len());
    let rounds = usize::try_from(kills)?.max(1);
    for (index, chunk) in deliveries.chunks(deliveries.len().div_ceil(rounds)).enumerate() {
        // Each once in every four, so that few rounds kill everyone.
        let victim = VICTIMS[(index + first) % VICTIMS.len()];
        let at = 1 + random.below(chunk.len());
        if victim == Victim::Worker {
            // What other kills have hit has to arrive by itself before this one takes the queue away.
            everything_safe_arrives(&stack, &deliveries, &book).await?;
        }
        println!(
            "round {index}: {victim:?} dies after {at} of {} deliveries",
            chunk.len()
        );
        let is_over = AtomicBool::new(false);
        let dying = async {
            let outcome = round(&mut stack, chunk, &mut book, victim, at).await;
            is_over.store(true, Ordering::Relaxed);
            outcome
        };
        let (died, visited) = tokio::join!(dying, visitors.visit(&is_over));
        died.and(visited)?;
        stack.admin = stack.database.admin().await?;
    }
    assert_eq!(book.accepted.len(), deliveries.len());

    everything_safe_arrives(&stack, &deliveries, &book).await?;
    let risked: Vec<Delivery> = deliveries
        .iter()
        .filter(|delivery| !book.is_safe(delivery))
        .cloned()
        .collect();
    let lost = missing(&stack, &risked).await?;
    println!(
        "{} of {} died in miniflare's memory and are sent again",
        lost.len(),
        deliveries.len()
    );
    stack.deliver_all(&lost, |_| {}).await?;
    until("what was sent again", async || {
        Ok(missing(&stack, &lost).await?.is_empty())
    })
    .await?;

    assert_same_rows(&stack.admin, &undisturbed(&stack, &shops, &deliveries).await?).await?;
    assert_same_events(&stack, &deliveries).await?;
    let quarantined = stack.worker.quarantine().await?;
    assert!(quarantined.is_empty(), "{quarantined:?}");
    let mut sales = BTreeMap::new();
    for (shop, history) in shops.iter().zip(histories) {
        let of_shop = history.sales.into_iter();
        sales.extend(of_shop.map(|((product, day), sales)| ((shop.domain.to_owned(), product, day), sales)));
    }
    assert_measured(&stack, &sales).await?;
    visitors.assert_all_are_there(&stack).await
}

/// Deliveries that fit one batch of the queue, so that it is clear how far each has come.
fn one_batch(shop: &Shop) -> Vec<Delivery> {
    shop.history(NOW.parse().expect("a time")).deliveries.split_off(20)[..20].to_vec()
}

async fn known(stack: &Stack) -> Result<usize> {
    let row = stack
        .admin
        .query_one("select count(*) from commerce.webhook_delivery", &[])
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_dies_after_the_commit_and_before_the_stream_has_the_events() -> Result<()> {
    let shop = Shop::tokyo();
    let mut stack = Stack::start_to_be_killed(std::slice::from_ref(&shop)).await?;
    let deliveries = one_batch(&shop);
    let requests = std::sync::Arc::clone(&stack.gate.as_ref().expect("a gate").requests);
    requests.close();
    stack.deliver_all(&deliveries, |_| {}).await?;
    until("a commit, and events on their way", async || {
        Ok(known(&stack).await? > 0 && requests.held() > 0)
    })
    .await?;
    stack.worker.crash_and_restart()?;
    requests.open();
    assert!(in_lake(&stack).await?.is_empty());

    stack.deliver_all(&deliveries, |_| {}).await?;
    stack.drained(&deliveries, 1).await?;
    assert_same_rows_of(&stack, &shop, &deliveries).await?;
    assert_same_events(&stack, &deliveries).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_dies_after_the_stream_has_the_events_and_before_the_acknowledgement() -> Result<()> {
    let shop = Shop::tokyo();
    let mut stack = Stack::start_to_be_killed(std::slice::from_ref(&shop)).await?;
    let deliveries = one_batch(&shop);
    let answers = std::sync::Arc::clone(&stack.gate.as_ref().expect("a gate").answers);
    answers.close();
    stack.deliver_all(&deliveries, |_| {}).await?;
    until("an answer of the stream", async || Ok(answers.held() > 0)).await?;
    stack.worker.crash_and_restart()?;
    answers.open();
    let before = in_lake(&stack).await?;
    assert!(!before.is_empty());

    stack.deliver_all(&deliveries, |_| {}).await?;
    stack.drained(&deliveries, 1).await?;
    assert_same_rows_of(&stack, &shop, &deliveries).await?;
    assert_same_events(&stack, &deliveries).await
}

async fn assert_same_rows_of(stack: &Stack, shop: &Shop, deliveries: &[Delivery]) -> Result<()> {
    let expected = undisturbed(stack, std::slice::from_ref(shop), deliveries).await?;
    assert_same_rows(&stack.admin, &expected).await
}
