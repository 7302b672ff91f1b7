//! Webhooks alone, the bulk sync alone, and both mixed give the same measurements: over the real PostgreSQL, the Workers in
//! workerd and the lake; only Shopify is played.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{json, Value};
use weir_tests::bulk_jsonl::Sequence;
use weir_tests::lake::weir_binary;
use weir_tests::shop::{DaySales, Delivery, History, Shop};
use weir_tests::stack::Stack;
use weir_tests::sync::{FakeShopify, SyncWorker};
use weir_tests::told_rows;
use weir_tests::workerd::INTERNAL_TOKEN;
use weir_tests::{failed, Result};

const DAILY: &str = "daily_shopify_bulk_sync";

type Sales = BTreeMap<(String, String), DaySales>;

/// A stack with both shops, and what they told until now.
struct World {
    shops: [Shop; 2],
    histories: Vec<History>,
    stack: Stack,
    now: Timestamp,
}

impl World {
    async fn start() -> Result<Self> {
        let now = Timestamp::now();
        let shops = [Shop::tokyo(), Shop::paris()];
        let histories = shops.iter().map(|shop| shop.history(now)).collect();
        let stack = Stack::start(&shops, |_| {}).await?;
        Ok(Self {
            shops,
            histories,
            stack,
            now,
        })
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.histories
            .iter()
            .flat_map(|history| history.deliveries.clone())
            .collect()
    }

    /// A sync Worker over this stack, and Shopify as it is after all deliveries.
    fn sync(&self, sequence: Sequence) -> Result<(FakeShopify, SyncWorker)> {
        let told: Vec<(&Shop, &[Delivery])> = self
            .shops
            .iter()
            .zip(&self.histories)
            .map(|(shop, history)| (shop, history.deliveries.as_slice()))
            .collect();
        let shopify = FakeShopify::start(&told, sequence)?;
        let domains: Vec<&str> = self.shops.iter().map(|shop| shop.domain).collect();
        let worker = SyncWorker::start(&self.stack.database.edge_url, &self.stack.lake.url, &domains, &shopify)?;
        Ok((shopify, worker))
    }

    /// Runs the daily sync of each shop on `date`.
    async fn synchronise(&self, worker: &SyncWorker, date: &str) -> Result<Vec<Value>> {
        let mut runs = Vec::new();
        for shop in &self.shops {
            runs.push(worker.run(DAILY, &json!({"shop": shop.domain, "date": date})).await?);
        }
        Ok(runs)
    }

    async fn measure(&self) -> Result<Vec<Sales>> {
        self.stack.lake.flush().await?;
        let now = json!({"now": self.now.to_string()});
        self.stack.lake.post("/v1/refresh", &now).await?;
        let mut measured = Vec::new();
        for shop in &self.shops {
            measured.push(self.stack.measured("duckdb", shop).await?);
        }
        Ok(measured)
    }

    fn expected(&self) -> Vec<Sales> {
        self.histories.iter().map(|history| history.sales.clone()).collect()
    }

    /// Distinct ids of the events of one type in the lake.
    async fn ids(&self, event_type: &str) -> Result<std::collections::BTreeSet<String>> {
        let rows = self.stack.lake.read_back("duckdb", "commerce.telemetry").await?;
        let of_type = rows.iter().filter(|row| row["event_type"] == event_type);
        Ok(of_type
            .filter_map(|row| row["event_id"].as_str().map(str::to_owned))
            .collect())
    }
}

/// What a verb of the `weir` command prints.
async fn weir(worker: &SyncWorker, arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new(weir_binary()?)
        .args(arguments)
        .args(["--url", &worker.url, "--token", INTERNAL_TOKEN])
        .output()
        .await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        return Ok(text(output.stdout));
    }
    Err(failed(text(output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bulk_sync_alone_gives_the_sales() -> Result<()> {
    let world = World::start().await?;
    let (_shopify, worker) = world.sync(Sequence::Shuffled(7))?;
    let runs = world.synchronise(&worker, "2026-11-24").await?;
    for (run, shop) in runs.iter().zip(&world.shops) {
        let totals = &run["totals"];
        assert_eq!(totals["rejected"], 0, "{run}");
        let status = worker.status(shop.domain).await?;
        assert_eq!(
            status["watermarks"][0]["value_json"]["ts"], run["window"]["to"],
            "{status}"
        );
    }
    assert_eq!(world.measure().await?, world.expected());
    // Once more, over whatever the overlap has again: nothing moves.
    world.synchronise(&worker, "2026-11-25").await?;
    assert_eq!(world.measure().await?, world.expected());
    let watermark = weir(&worker, &["sync", "watermark", "--shop", world.shops[0].domain]).await?;
    assert!(
        watermark.contains("orders_last_watermark") && watermark.contains("2026-11-25"),
        "{watermark}"
    );
    let status = weir(&worker, &["sync", "status", "--shop", world.shops[0].domain]).await?;
    assert!(status.contains("complete") && status.contains("advance"), "{status}");
    let (shop, run) = (world.shops[0].domain, "daily_shopify_bulk_sync-weir-tokyo-2026-11-25");
    let stopped = weir(&worker, &["sync", "stop", "--shop", shop, run]).await?;
    assert!(stopped.contains("complete"), "what is over stays as it is: {stopped}");
    let second = weir(&worker, &["sync", "start", "--shop", "stranger.myshopify.com"]).await;
    assert!(second.unwrap_err().to_string().contains("not registered"));
    let archive = format!("archive/{0}/2026-11-24/", world.shops[0].domain);
    let replay = weir(
        &worker,
        &["replay", "--json", "--shop", world.shops[0].domain, &archive],
    )
    .await?;
    let replay: Value = serde_json::from_str(&replay)?;
    let replayed = worker
        .end("replay", replay["instance_id"].as_str().unwrap_or_default())
        .await?;
    assert_eq!(
        (&replayed["read"], &replayed["unchanged"]),
        (&runs[0]["totals"]["read"], &runs[0]["totals"]["read"]),
        "the same operations again: {replayed}"
    );
    let backfill = ["backfill", "--shop", world.shops[0].domain, "--from", "last year"];
    let refused = weir(&worker, &backfill).await.unwrap_err().to_string();
    assert!(refused.contains("yyyy-mm-dd"), "{refused}");
    assert_eq!(world.measure().await?, world.expected());
    let telemetry = world.stack.lake.read_back("duckdb", "sync.telemetry").await?;
    let told = |step: &str| {
        telemetry
            .iter()
            .any(|row| row["step"] == step && row["status"] == "succeeded")
    };
    assert!(told("advance") && told("preflight"), "{telemetry:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_and_the_bulk_sync_mixed_give_the_same_sales_and_the_same_events() -> Result<()> {
    let world = World::start().await?;
    let all = world.deliveries();
    // Every other webhook is lost for ever; the bulk sync finds what they would have said.
    let some: Vec<Delivery> = all.iter().step_by(2).cloned().collect();
    let (early, late) = some.split_at(some.len() / 2);
    world.stack.deliver_all(early, |_| {}).await?;
    world.stack.drained(early, 1).await?;
    let (_shopify, worker) = world.sync(Sequence::Grouped)?;
    world.synchronise(&worker, "2026-11-24").await?;
    world.stack.deliver_all(late, |_| {}).await?;
    world.stack.settled(late).await?;
    assert_eq!(world.measure().await?, world.expected());

    let (created, payments) = (world.ids("order_created").await?, world.ids("payment_captured").await?);
    let alone = World::start().await?;
    alone.stack.deliver_all(&all, |_| {}).await?;
    alone.stack.drained(&all, 1).await?;
    assert_eq!(alone.measure().await?, alone.expected());
    assert_eq!(alone.ids("order_created").await?, created);
    assert_eq!(alone.ids("payment_captured").await?, payments);
    Ok(())
}

/// What one telling of a shop's life led to.
struct Told {
    rows: Vec<String>,
    events: std::collections::BTreeSet<String>,
    sales: Sales,
}

/// How the life of a shop is told.
#[derive(Debug, Clone, Copy)]
enum Telling {
    Webhooks,
    Bulk,
    /// Every other webhook, the newest first; bulk; then all of them.
    HalfThenBulk,
    /// Bulk, then every webhook, the newest first.
    BulkThenBackwards,
    /// The webhooks but the last three, which say what was deleted; then the workflows that look for that.
    WithoutDeletions,
}

/// Tells the life of a shop that the played Shopify alone knows.
async fn told(telling: Telling, history: &Value) -> Result<Told> {
    let shop = Shop::paris();
    let stack = Stack::start(std::slice::from_ref(&shop), |_| {}).await?;
    let shopify = FakeShopify::alive(&shop, history, &stack.worker.url)?;
    let worker = SyncWorker::start(&stack.database.edge_url, &stack.lake.url, &[shop.domain], &shopify)?;
    let deliver = async |which: Value| {
        let sent = shopify.deliver(shop.domain, &which).await?;
        stack.settled(&sent).await
    };
    let run = async |workflow: &str| {
        let body = json!({"shop": shop.domain, "date": "2026-11-24"});
        worker.run(workflow, &body).await
    };
    match telling {
        Telling::Webhooks => deliver(json!({})).await?,
        Telling::Bulk => _ = run(DAILY).await?,
        Telling::HalfThenBulk => {
            deliver(json!({"step": 2, "reversed": true})).await?;
            run(DAILY).await?;
            deliver(json!({})).await?;
        }
        Telling::BulkThenBackwards => {
            run(DAILY).await?;
            deliver(json!({"reversed": true})).await?;
        }
        Telling::WithoutDeletions => {
            deliver(json!({"to": -3})).await?;
            assert_eq!(run(DAILY).await?["deleted_products"], 1);
            let found = run("deletion_reconcile").await?;
            assert_eq!(
                (&found["order_ids"], &found["product_ids"]["absent"]),
                (&json!({"there": 28, "absent": 2, "deleted": 2}), &json!(0)),
                "{found}"
            );
        }
    }
    stack.lake.flush().await?;
    let now = json!({"now": Timestamp::now().to_string()});
    stack.lake.post("/v1/refresh", &now).await?;
    let events = stack.lake.read_back("duckdb", "commerce.telemetry").await?;
    // Revisions count the changes of one database.
    let facts = events.iter().filter(|event| event["event_type"] != "order_updated");
    Ok(Told {
        rows: told_rows::read(&stack.admin, false).await?,
        events: facts
            .map(|event| format!("{} {}", event["event_type"], event["event_id"]))
            .collect(),
        sales: stack.measured("duckdb", &shop).await?,
    })
}

/// Fails unless both tellings led to the same.
fn same(one: &Told, other: &Told, telling: Telling) {
    let only = |one: &Told, other: &Told| one.rows.iter().find(|row| !other.rows.contains(row)).cloned();
    assert_eq!((only(one, other), only(other, one)), (None, None), "{telling:?}");
    let differing: Vec<&String> = one.events.symmetric_difference(&other.events).collect();
    assert!(differing.is_empty(), "{telling:?}: {differing:?}");
    assert_eq!(one.sales, other.sales, "{telling:?}");
}

fn history(deletions: bool) -> Value {
    let start = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 40);
    json!({"seed": 7, "orders": 30, "start": start.as_millisecond(), "deletions": deletions})
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shop_told_by_webhooks_by_bulk_or_by_both_in_any_order_is_one_shop() -> Result<()> {
    let history = history(false);
    let webhooks = told(Telling::Webhooks, &history).await?;
    assert!(webhooks.rows.len() > 200 && webhooks.events.len() > 80 && webhooks.sales.len() > 20);
    for telling in [Telling::Bulk, Telling::HalfThenBulk, Telling::BulkThenBackwards] {
        same(&webhooks, &told(telling, &history).await?, telling);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_without_a_webhook_is_deleted_as_with_one() -> Result<()> {
    let history = history(true);
    let (mut webhooks, telling) = (told(Telling::Webhooks, &history).await?, Telling::WithoutDeletions);
    let mut found = told(telling, &history).await?;
    // Nobody says when an order was deleted: it is noticed later.
    for told in [&mut webhooks, &mut found] {
        let tombstone = |row: &mut String| {
            if row.starts_with("tombstone(7000000002,order,") {
                row.truncate(row.rfind(',').unwrap_or_default());
            }
        };
        told.rows.iter_mut().for_each(tombstone);
    }
    assert_eq!(found.rows.iter().filter(|row| row.starts_with("tombstone")).count(), 3);
    same(&webhooks, &found, telling);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_was_forgotten_and_comes_back_is_read_from_its_first_order() -> Result<()> {
    let shop = Shop::paris();
    let start = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 160);
    let history = json!({"seed": 7, "orders": 60, "start": start.as_millisecond(), "deletions": false});
    let stack = Stack::start(std::slice::from_ref(&shop), |_| {}).await?;
    let shopify = FakeShopify::alive(&shop, &history, &stack.worker.url)?;
    let worker = SyncWorker::start(&stack.database.edge_url, &stack.lake.url, &[shop.domain], &shopify)?;
    // What docs/deploy.md, 9, says to do, the second time as the first.
    let first_run = async || {
        worker
            .run(DAILY, &json!({"shop": shop.domain, "date": "2026-11-24"}))
            .await?;
        let body = json!({"shop": shop.domain, "from": start.to_string()});
        let run = worker.run("full_backfill", &body).await?;
        assert_eq!(run["complete"], true, "{run}");
        told_rows::read(&stack.admin, false).await
    };
    let before = first_run().await?;
    let floor = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 128);
    let orders = "select count(*) from commerce.order_header where updated_at < $1::text::timestamptz";
    let older: i64 = stack.admin.query_one(orders, &[&floor.to_string()]).await?.get(0);
    assert!(older > 10, "{older} orders that the daily run does not see");

    let forget = json!({"shop_domain": shop.domain}).to_string();
    let sql = "select weir.redact_shop($1::text::json)::text";
    stack.admin.query_one(sql, &[&forget]).await?;
    let watermarks = worker.status(shop.domain).await?["watermarks"].clone();
    let late = json!({"shop": shop.domain, "date": "2026-11-25"});
    let refused = worker.run(DAILY, &late).await.unwrap_err().to_string();
    assert!(refused.contains("shop_forgotten"), "{refused}");
    assert_eq!(worker.status(shop.domain).await?["watermarks"], watermarks);
    assert!(told_rows::read(&stack.admin, false).await?.is_empty());

    let register = shop.registration().to_string();
    let sql = "select weir.register_shop($1::text::json)::text";
    stack.admin.query_one(sql, &[&register]).await?;
    let after = first_run().await?;
    let missing = before.iter().find(|row| !after.contains(row));
    assert_eq!((missing, after.len()), (None, before.len()));
    Ok(())
}
