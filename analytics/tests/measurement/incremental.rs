//! What a refresh that builds on the last one writes is what one from all of telemetry would: after every step of random
//! histories, row for row and in every column.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures::{stream, StreamExt};
use jiff::civil::{date, Date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{json, Value};
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::measurement::as_of::AsOf;
use weir_analytics::measurement::base::{self, Base, ShopBefore};
use weir_analytics::measurement::engine;
use weir_analytics::measurement::inputs::Outcome;
use weir_analytics::measurement::plan::plan;
use weir_analytics::measurement::reads::json_rows;
use weir_analytics::measurement::refresh::{How, Request};
use weir_analytics::measurement::steps::Progress;
use weir_analytics::measurement::tables;

use crate::harness::{demo_events, demo_order, sale, Served, NOON};
use crate::random::Random;
use crate::world::{interaction, objective, order, product, Entry, SHOP};

const STEPS: u64 = 9;

/// The second shop of a history.
const ABROAD: &str = "abroad.myshopify.com";

/// Rows of one relation in their order, as JSON texts.
type Rows = Vec<Value>;

fn rows(connection: &duckdb::Connection, relation: &str, order: &str) -> Rows {
    let query = format!("select to_json(t) from (select * from {relation} order by {order}) as t");
    json_rows(connection, &query, []).unwrap()
}

const BY_DAY: &str = "day, shop_domain, product_id, currency";
const BY_PRODUCT: &str = "computed_on, shop_domain, product_id";

/// What a full refresh would write, without writing it: all sales, and the days of performance; and the shops' own days.
async fn anew(served: &Served, now: &str) -> (Rows, Rows, Vec<ShopBefore>) {
    anew_as_of(served, now, None).await
}

/// The same as of other days than those at `now`.
async fn anew_as_of(served: &Served, now: &str, as_of: Option<AsOf>) -> (Rows, Rows, Vec<ShopBefore>) {
    let lake = &served.server.app().lake;
    let request = Request {
        now: now.parse().unwrap(),
        how: How::Full,
    };
    let mut plan = plan(lake, request).await.unwrap();
    if let Some(as_of) = as_of {
        plan.inputs.as_of = as_of;
    }
    tokio::task::spawn_blocking(move || {
        let connection = engine::open(&std::env::temp_dir()).unwrap();
        let Outcome::Done(computed) =
            engine::compute(&connection, &plan.inputs, &Progress::default(), &mut |_| ()).unwrap()
        else {
            panic!("a full refresh needs nothing else");
        };
        (
            rows(&connection, "sales_written", BY_DAY),
            rows(&connection, "performance_day", BY_PRODUCT),
            computed.shops,
        )
    })
    .await
    .unwrap()
}

/// What the tables hold: all sales that readers see, and these days of performance.
async fn held(served: &Served, days: Vec<Date>) -> (Rows, Rows) {
    let lake = &served.server.app().lake;
    let snapshot = base::sales_snapshot(lake).await.unwrap();
    let sales = lake.duckdb_relation(&tables::sales(), snapshot).await.unwrap();
    let performance = lake.duckdb_relation(&tables::performance(), None).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let connection = engine::open(&std::env::temp_dir()).unwrap();
        let days: Vec<_> = days.iter().map(|day| format!("'{day}'::date")).collect();
        let of_days = format!("{performance} where computed_on in ({})", days.join(", "));
        (
            rows(&connection, &sales, BY_DAY),
            rows(&connection, &of_days, BY_PRODUCT),
        )
    })
    .await
    .unwrap()
}

async fn assert_as_anew(served: &Served, now: &str, context: &str) {
    let (sales, performance, shops) = anew(served, now).await;
    assert_newest_days(served, &performance, &shops, context).await;
    let days = shops.iter().map(|shop| shop.computed_on).collect();
    let (held_sales, held_performance) = held(served, days).await;
    for (what, expected, actual) in [
        ("sales", sales, held_sales),
        ("performance", performance, held_performance),
    ] {
        let differs = expected.iter().zip(&actual).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{context}: {what}, left is anew");
        assert_eq!(expected.len(), actual.len(), "{context}: {what}");
    }
}

/// Days that were over before this refresh are as one from all of telemetry would have them as of their end. How many there
/// were, of all shops.
async fn assert_ended_as_anew(served: &Served, now: &str, as_of: AsOf, context: &str) -> u64 {
    let (mut shops, days) = (as_of.ended_shops().clone(), as_of.ended_days());
    if days.is_empty() {
        return 0;
    }
    // One that has moved to another zone may have that day again.
    let after = Base::read(&served.server.app().lake).await.unwrap().unwrap();
    shops.retain(|name, day| {
        after
            .shops
            .iter()
            .all(|shop| shop.shop_domain != *name || shop.computed_on > *day)
    });
    let (_, expected, _) = anew_as_of(served, now, Some(as_of)).await;
    let (_, actual) = held(served, days).await;
    let is_ended = |row: &&Value| {
        let day = row["shop_domain"].as_str().and_then(|shop| shops.get(shop));
        day.is_some_and(|day| row["computed_on"] == day.to_string())
    };
    let of_ended = |rows: &Rows| rows.iter().filter(is_ended).cloned().collect::<Rows>();
    let (actual, expected) = (of_ended(&actual), of_ended(&expected));
    let differs = expected.iter().zip(&actual).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{context}: days that are over, left is anew");
    assert_eq!(expected.len(), actual.len(), "{context}: days that are over");
    shops.len() as u64
}

/// Who asks for no day is told each shop's own, whatever days were computed before.
async fn assert_newest_days(served: &Served, performance: &Rows, shops: &[ShopBefore], context: &str) {
    let own_day = |row: &Value| {
        shops
            .iter()
            .any(|shop| row["shop_domain"] == *shop.shop_domain && row["computed_on"] == shop.computed_on.to_string())
    };
    let named = |row: &Value| {
        ["shop_domain", "computed_on", "product_id", "nominal_classification"].map(|column| row[column].to_string())
    };
    let expected: BTreeSet<_> = performance.iter().filter(|row| own_day(row)).map(named).collect();
    let told = served.get("/v1/performance").await;
    let told: BTreeSet<_> = told["performance"].as_array().unwrap().iter().map(named).collect();
    assert_eq!(told, expected, "{context}: what readers see");
}

/// Shops whose history is made up as it goes: one, and another that is always a day or half a day behind.
struct History {
    random: Random,
    /// The moment of the next refresh.
    now: Timestamp,
    zone: &'static str,
    /// Revision told last, by shop and order. Two shops may have an order of one id, and a product.
    orders: BTreeMap<(&'static str, u64), i64>,
    objective_revision: i64,
    /// All specifications, to be ended.
    objectives: Vec<Value>,
    /// Everything told so far, to be told again.
    told: Vec<Value>,
    seen: Vec<Value>,
}

impl History {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now: "2026-03-31T03:00:00Z".parse().unwrap(),
            zone: "Asia/Tokyo",
            orders: BTreeMap::new(),
            objective_revision: 0,
            objectives: Vec::new(),
            told: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// A shop and its zone.
    fn shop(&mut self) -> (&'static str, &'static str) {
        match self.random.below(4) {
            0 => (ABROAD, "Pacific/Honolulu"),
            _ => (SHOP, self.zone),
        }
    }

    fn day(&mut self) -> String {
        let today = self.now.to_zoned(TimeZone::UTC).date();
        today
            .saturating_add((2 - self.random.number(10) * 5).days())
            .to_string()
    }

    fn moment(&mut self) -> String {
        // On few days: every hour of publication is a partition of its own. Whose clock is wrong tells of days to come.
        let hours = match self.random.below(12) {
            0 => -3 * 24,
            _ => self.random.number(6) * 11 * 24 + self.random.number(2),
        };
        format!("{:.3}", self.now.saturating_sub(hours.hours()).unwrap())
    }

    /// A revision of an order: placed anew, with other lines, deleted, a test after all, or late.
    fn order(&mut self) -> Value {
        let (shop, zone) = self.shop();
        let id = self.random.below(40);
        let newest = self.orders.entry((shop, id)).or_insert(0);
        let is_late = *newest > 2 && self.random.below(5) == 0;
        let revision = if is_late { *newest - 2 } else { *newest + 3 };
        *newest = (*newest).max(revision);
        let lines: Vec<_> = (0..=self.random.below(2))
            .map(|_| {
                (
                    self.random.below(12).to_string(),
                    self.day(),
                    self.day(),
                    self.random.number(3) + 1,
                )
            })
            .collect();
        let mut ledger: Vec<Entry> = Vec::new();
        for (line, (product, sold, back, units)) in lines.iter().enumerate() {
            // One entry for each product, day and kind, as the ledger of an order has it.
            if lines[..line].iter().any(|other| other.0 == *product) {
                continue;
            }
            ledger.push((product, sold, "sale", *units, 0, units * 100, 0));
            if units % 2 == 0 {
                ledger.push((product, back, "return", 0, 1, 0, 100));
            }
        }
        let at = self.moment();
        let mut event = order(shop, zone, &format!("o{id}"), revision, &at, &ledger);
        // Random contents of one revision would be another order's: the id tells them apart.
        event["event_id"] = format!("{id}/{revision}/{}", self.random.below(u64::MAX)).into();
        event["currency"] = self.random.pick(&["JPY", "JPY", "EUR"]).into();
        if self.random.below(4) > 0 {
            event["order_processed_at"] = format!("2026-02-{:02}T05:00:00.000Z", id % 28 + 1).into();
        }
        match self.random.below(12) {
            0 => {
                event["is_deleted"] = true.into();
                event["sales"] = Value::Null;
            }
            1 => event["is_test"] = true.into(),
            _ => {}
        }
        event
    }

    fn product(&mut self) -> Value {
        // Some products never tell of themselves; one is known by nothing else.
        let id = self.random.below(14) + 4;
        let at = self.moment();
        let launch = self.day();
        let own = json!({
            "product_title": format!("Title {}", self.random.below(100)),
            "product_type": self.random.pick(&[&json!("Shoes"), &Value::Null]),
            "product_is_active": self.random.pick(&[&json!(true), &json!(false)]),
            "product_published_at": if self.random.below(2) == 0 { Value::Null } else { json!(format!("{launch}T16:00:00.000Z")) },
        });
        let (shop, zone) = self.shop();
        let mut event = product(shop, zone, &id.to_string(), &at, own);
        // As of orders.
        event["event_id"] = format!("{id}/{at}/{}", self.random.below(u64::MAX)).into();
        event
    }

    fn interaction(&mut self) -> Value {
        let kind = self.random.pick(&["impression", "click", "view", "conversion"]);
        let id = self.random.below(20).to_string();
        let number = u32::try_from(self.random.below(1_000_000)).unwrap();
        let at = self.moment();
        let mut event = interaction(kind, &id, number, &at);
        event["is_bot"] = (self.random.below(6) == 0).into();
        event["shop_domain"] = self.shop().0.into();
        event
    }

    /// What is told before the next refresh: new facts, and old ones again.
    fn batch(&mut self) -> (Vec<Value>, Vec<Value>) {
        let mut told: Vec<_> = (0..self.random.below(12)).map(|_| self.order()).collect();
        for _ in 0..self.random.below(4) {
            told.push(self.product());
        }
        let mut seen: Vec<_> = (0..self.random.below(15)).map(|_| self.interaction()).collect();
        for (all, new) in [(&mut self.told, &mut told), (&mut self.seen, &mut seen)] {
            if !all.is_empty() {
                let again = usize::try_from(self.random.below(all.len() as u64)).unwrap();
                new.push(all[again].clone());
            }
            all.extend(new.iter().cloned());
        }
        // A sender without times of its own tells another one each time.
        for _ in 0..self.random.below(4) {
            let Some(last) = self.seen.len().checked_sub(1) else {
                break;
            };
            let mut again = self.seen[usize::try_from(self.random.below(last as u64 + 1)).unwrap()].clone();
            again["occurred_at"] = self.moment().into();
            seen.push(again);
        }
        (told, seen)
    }

    /// A specification, for all products or for those of one type, or the end of an earlier one.
    fn objective(&mut self) -> Value {
        // Valid and ended before this day, on it, or on a day to come.
        let hours = [-200, -30, -2, 30][usize::try_from(self.random.below(4)).unwrap()];
        let moment = self.now.saturating_add(hours.hours()).unwrap().to_string();
        if !self.objectives.is_empty() && self.random.below(3) == 0 {
            let ended = usize::try_from(self.random.below(self.objectives.len() as u64)).unwrap();
            let mut told = self.objectives[ended].clone();
            told["ended_at"] = moment.into();
            return told;
        }
        self.objective_revision += 1;
        let product_type = self.random.pick(&[&Value::Null, &json!("Shoes")]).clone();
        let told = objective(json!({
            "objective_spec_id": product_type.as_str().map_or("default", |_| "shoes"), "product_type": product_type,
            "shop_domain": self.shop().0, "revision": self.objective_revision, "measure": self.random.pick(&["net_units", "net_sales", "gross_sales"]),
            "threshold_7d": self.random.number(4), "threshold_14d": self.random.number(5),
            "threshold_30d": self.random.number(9), "banana_count": self.random.number(6),
            "stale_after_days": self.random.number(40) + 1,
            "engagement_weights": { "clicks": self.random.number(3000), "views": self.random.number(700) },
            "valid_from": self.random.pick(&["2020-01-01T00:00:00Z", moment.as_str()]),
        }));
        self.objectives.push(told.clone());
        told
    }
}

/// How each refresh of a history ran, by its mode or the reason it was a full one.
async fn live(seed: u64) -> BTreeMap<String, u64> {
    let served = Served::start().await;
    let mut history = History::new(seed);
    let mut modes = BTreeMap::new();
    for step in 0..STEPS {
        let context = format!("seed {seed}, step {step}");
        let (told, seen) = history.batch();
        served.ingest(&told).await;
        served.ingest_interactions(&seen).await;
        for _ in 0..history.random.below(3) {
            let spec = history.objective();
            served.post("/v1/objective", &spec).await;
        }
        match step {
            // The day after, at one in the morning in Tokyo and at four.
            1 => {
                let one = history.now.to_zoned(TimeZone::UTC).date().at(16, 0, 0, 0);
                let today = one.to_zoned(TimeZone::UTC).unwrap().timestamp();
                let hours = if today > history.now { 0 } else { 24 };
                history.now = today.saturating_add(hours.hours()).unwrap();
            }
            2 => history.now = history.now.saturating_add(3.hours()).unwrap(),
            3 => history.zone = history.random.pick(&["Asia/Kathmandu", "America/Los_Angeles"]),
            6 => history.now = history.now.saturating_add((40 * 24).hours()).unwrap(),
            _ if history.random.below(8) == 0 => history.now = history.now.saturating_sub(30.hours()).unwrap(),
            // Over midnight, or on for some hours of a day.
            _ if history.random.below(3) > 0 => {
                let hours = if history.random.below(2) == 0 { 20 } else { 3 };
                history.now = history.now.saturating_add(hours.hours()).unwrap();
            }
            _ => {}
        }
        // Merged files and, once, a history that is no longer kept.
        if step == 2 || step == 5 {
            let upkeep = Upkeep {
                min_files: 2,
                keep_for: Duration::ZERO,
                keep_last: if step == 5 { 1 } else { 100 },
                ..Upkeep::default()
            };
            served.server.app().maintain(upkeep).await.unwrap();
        }
        let now = history.now.to_string();
        let performance = served.server.app().lake.state(&tables::performance()).await.unwrap();
        let ended = Base::ended(&performance, history.now).unwrap();
        let outcome = served.refresh(&now).await;
        let how = outcome["reason"].as_str().unwrap_or(outcome["mode"].as_str().unwrap());
        // Reasons name the shop, table and days.
        let how = ["time zone", "expired", "not within", "incremental", "no earlier"]
            .into_iter()
            .find(|part| how.contains(part))
            .unwrap_or(how);
        *modes.entry(how.to_owned()).or_insert(0) += 1;
        assert_as_anew(&served, &now, &context).await;
        // What is late is let be where nothing can be built on what was said before.
        let ended = ended.filter(|_| outcome["ended_on"] != json!([]));
        if let Some((base, as_of)) = ended {
            let is_late = Base::seen(&performance).unwrap().unwrap().performance != base.performance;
            let what = if is_late {
                "late for days that were over"
            } else {
                "days that were over"
            };
            *modes.entry(what.to_owned()).or_insert(0) += assert_ended_as_anew(&served, &now, as_of, &context).await;
        }
        if step == 4 {
            let snapshots = served.snapshots().await;
            assert_eq!(served.refresh(&now).await["committed_tables"], json!([]), "{context}");
            assert_eq!(served.snapshots().await, snapshots, "{context}");
        }
    }
    served.server.stop().await.unwrap();
    modes
}

#[tokio::test(flavor = "multi_thread")]
async fn incremental_equals_full_after_every_step_of_random_histories() {
    let histories = std::env::var("WEIR_HISTORIES").map_or(3, |count| count.parse().expect("a number"));
    let mut modes = BTreeMap::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lived = stream::iter(1..=histories).map(live).buffer_unordered(cores);
    while let Some(told) = lived.next().await {
        for (how, count) in told {
            *modes.entry(how).or_insert(0) += count;
        }
    }
    // Histories that never build on the last refresh, or never have to begin anew, would prove little.
    assert!(modes["incremental"] > 3 * histories, "{modes:?}");
    for reason in ["no earlier", "time zone", "expired", "not within"] {
        assert!(modes.contains_key(reason), "{modes:?}");
    }
    assert!(modes["days that were over"] > 2 * histories, "{modes:?}");
    assert!(modes["late for days that were over"] >= histories, "{modes:?}");
}

#[tokio::test]
async fn a_newest_sale_that_is_taken_back_is_not_the_newest_any_more() {
    let served = Served::start().await;
    served
        .post("/v1/objective", &objective(json!({ "measure": "net_sales" })))
        .await;
    let told = |id: &str, revision: i64, currency: &str, ledger: &[Entry]| {
        let mut order = demo_order(id, revision, ledger);
        order["currency"] = currency.into();
        order
    };
    let events = [
        told(
            "a",
            1,
            "USD",
            &[sale("1", "2026-01-10", 3), ("1", "2026-03-25", "return", 0, 1, 0, 100)],
        ),
        told("b", 1, "EUR", &[sale("1", "2026-03-10", 5)]),
        told("c", 1, "JPY", &[sale("unknown", "2026-03-25", 2)]),
    ];
    served.ingest(&events).await;
    served.refresh(NOON).await;
    let money = |row: &Value| (row["currency"].clone(), row["sales_last_30_days"].clone());
    let first = served.get("/v1/explain?product=1").await;
    assert_eq!(money(&first), (json!("JPY"), json!(0)));
    // On its day the return of another order is left. It was of no product, whose newest sale would be looked for too.
    served.ingest(&[told("c", 2, "JPY", &[])]).await;
    assert_eq!(served.refresh(NOON).await["mode"], "incremental");
    let then = served.get("/v1/explain?product=1").await;
    assert_eq!(money(&then), (json!("EUR"), json!(500)));
    assert_as_anew(&served, NOON, "after the last sale has gone").await;
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_newer_revision_takes_its_sales_from_a_day_and_nothing_else_is_written() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    // Order a sold product 1 on 03-20 and product 3 on 03-21; now only product 1, and on 03-22.
    served
        .ingest(&[demo_order("a", 2, &[sale("1", "2026-03-22", 20)])])
        .await;
    let outcome = served.refresh(NOON).await;
    assert_eq!(outcome["mode"], "incremental");
    assert_eq!(
        (&outcome["event_count"], &outcome["order_count"]),
        (&json!(1), &json!(1))
    );
    // 03-25 has the return of order b, which nobody told anything of.
    assert_eq!(
        outcome["changed_days"],
        json!(["2026-03-20", "2026-03-21", "2026-03-22"])
    );
    let sales = served.get("/v1/sales").await;
    let days: Vec<_> = sales["sales"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["day"])
        .collect();
    assert_eq!(days, ["2026-03-22", "2026-03-25"]);
    assert_as_anew(&served, NOON, "after the revision").await;
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn orders_placed_at_one_time_take_each_others_place_and_are_counted_one_by_one() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    // What order a sold is what order c sells now: no row of sales is another.
    let ledger = [sale("1", "2026-03-20", 20), sale("3", "2026-03-21", 2)];
    let steps = [
        (vec![demo_order("a", 2, &[]), demo_order("c", 1, &ledger)], json!([])),
        // Three equal entries come, one more and one less of other amounts, then one of the three goes.
        (
            ["d", "e", "f"]
                .map(|id| demo_order(id, 1, &[sale("1", "2026-03-20", 1)]))
                .to_vec(),
            json!(["2026-03-20"]),
        ),
        (
            vec![demo_order("d", 2, &[sale("1", "2026-03-20", 3)])],
            json!(["2026-03-20"]),
        ),
        (vec![demo_order("e", 2, &[])], json!(["2026-03-20"])),
    ];
    for (n, (events, changed_days)) in steps.into_iter().enumerate() {
        served.ingest(&events).await;
        let outcome = served.refresh(NOON).await;
        assert_eq!(
            (&outcome["mode"], &outcome["changed_days"]),
            (&json!("incremental"), &changed_days),
            "step {n}"
        );
        assert_as_anew(&served, NOON, &format!("after step {n}")).await;
    }
    let row = &served.get("/v1/sales?product=1").await["sales"][0];
    assert_eq!(
        (&row["order_count"], &row["units_sold"]),
        (&json!(3), &json!(24)),
        "{row}"
    );
    served.server.stop().await.unwrap();
}

/// The Parquet files of a table of `measurement`.
fn data_files(served: &Served, table: &str) -> BTreeSet<PathBuf> {
    let data = served
        .warehouse
        .path()
        .join("lake/measurement")
        .join(table)
        .join("data");
    let days = std::fs::read_dir(&data).unwrap().map(|day| day.unwrap().path());
    days.flat_map(|day| std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path()))
        .collect()
}

#[tokio::test]
async fn a_refresh_that_fails_after_its_sales_are_written_takes_their_files_away() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let before = (data_files(&served, "sales"), served.snapshots().await);
    assert!(!before.0.is_empty());
    // Each day holds its amount, and no window the sum of two.
    let most = |day| ("9", day, "sale", 1, 0, i64::MAX, 0);
    let days = ["2026-03-26", "2026-03-27"].map(most);
    served
        .ingest(&[demo_order("d", 1, &days[..1]), demo_order("e", 1, &days[1..])])
        .await;
    let (status, answer) = served.try_post("/v1/refresh", &json!({ "now": NOON })).await;
    assert_eq!(status, 500, "{answer}");
    assert_eq!((data_files(&served, "sales"), served.snapshots().await), before);
    // The order is corrected, and everything goes on.
    served
        .ingest(&[demo_order("e", 2, &[sale("9", "2026-03-27", -1)])])
        .await;
    let outcome = served.refresh(NOON).await;
    assert_eq!(outcome["changed_days"], json!(["2026-03-26", "2026-03-27"]));
    assert_as_anew(&served, NOON, "after the correction").await;
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_refresh_gives_the_same_bytes_and_one_since_a_day_mends_what_differs() {
    let served = Served::start().await;
    served
        .post("/v1/objective", &objective(json!({ "threshold_30d": 19 })))
        .await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    served
        .ingest(&[demo_order("c", 1, &[sale("3", "2026-03-20", 1)])])
        .await;
    served.refresh(NOON).await;
    let paths = ["/v1/sales", "/v1/performance"];
    let incremental = [served.text(paths[0]).await, served.text(paths[1]).await];
    let full = served.post("/v1/refresh", &json!({ "now": NOON, "full": true })).await;
    assert_eq!(
        (&full["mode"], &full["committed_tables"]),
        (&json!("full"), &json!(["measurement.sales", "measurement.performance"]))
    );
    let again = served.post("/v1/refresh", &json!({ "now": NOON, "full": true })).await;
    assert_eq!(again["committed_tables"], json!([]));
    assert_eq!([served.text(paths[0]).await, served.text(paths[1]).await], incremental);

    // Another writer empties the table; days from 03-25 on are asked for, 03-20 and 03-21 differ.
    let lake = &served.server.app().lake;
    let properties = [(weir_analytics::lake::COMMIT_ID.to_owned(), "other".to_owned())].into();
    let whole = weir_analytics::lake::Scope::WholeTable;
    lake.overwrite(&tables::sales(), Vec::new(), whole, properties)
        .await
        .unwrap();
    let since = served
        .post("/v1/refresh", &json!({ "now": NOON, "since": "2026-03-25" }))
        .await;
    assert_eq!(since["changed_days"], json!(["2026-03-20", "2026-03-21", "2026-03-25"]));
    assert_eq!([served.text(paths[0]).await, served.text(paths[1]).await], incremental);
    let earlier = json!({ "now": NOON, "since": "2026-03-21" });
    let since = served.post("/v1/refresh", &earlier).await;
    assert_eq!(
        (&since["mode"], &since["changed_days"]),
        (&json!("since"), &json!(["2026-03-21", "2026-03-25"]))
    );
    // What it says that it replaced it has written; only the same once more is nothing new.
    assert_eq!(since["committed_tables"], full["committed_tables"]);
    assert_eq!(
        served.post("/v1/refresh", &earlier).await["committed_tables"],
        json!([])
    );

    for (wrong, said) in [
        (json!({ "full": true, "since": "2026-03-25" }), "full and since"),
        (json!({ "since": "March" }), "since: \"March\" is not a day"),
    ] {
        let (status, body) = served.try_post("/v1/refresh", &wrong).await;
        assert_eq!(status, 422);
        assert!(body["error"]["message"].as_str().unwrap().starts_with(said), "{body}");
    }
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn another_writers_change_of_performance_hides_no_sales_and_is_not_built_upon() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    assert_eq!(served.get("/v1/sales").await, json!({ "sales": [] }));
    served.refresh(NOON).await;
    let sales = served.text("/v1/sales").await;
    let performance = served.text("/v1/performance").await;
    let lake = &served.server.app().lake;
    let properties = [(weir_analytics::lake::COMMIT_ID.to_owned(), "other".to_owned())].into();
    let long_ago = weir_analytics::lake::Scope::PartitionDays(vec![0]);
    lake.overwrite(&tables::performance(), Vec::new(), long_ago, properties)
        .await
        .unwrap();
    assert_eq!(served.text("/v1/sales").await, sales);
    // Nothing tells the day of the last refresh now: it is the latest there is.
    assert_eq!(served.text("/v1/performance").await, performance);
    let outcome = served.refresh(NOON).await;
    assert!(
        outcome["reason"].as_str().unwrap().contains("another writer"),
        "{outcome}"
    );
    // Sales are already those of this telemetry; only performance is written again.
    assert_eq!(outcome["committed_tables"], json!(["measurement.performance"]));
    assert_eq!(served.text("/v1/sales").await, sales);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_product_that_was_looked_at_long_before_it_is_known_keeps_that_day() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    // 59 days before: out of every window, and no product yet.
    served
        .ingest_interactions(&[interaction("view", "77", 1, "2026-01-31T03:00:00.000Z")])
        .await;
    served.refresh(NOON).await;
    let known = product(
        SHOP,
        "Asia/Tokyo",
        "77",
        "2026-03-30T00:00:00.000Z",
        json!({ "product_is_active": true }),
    );
    served.ingest(&[known]).await;
    assert_eq!(served.refresh(NOON).await["mode"], "incremental");
    let explained = served.get("/v1/explain?product=77").await;
    assert_eq!(explained["last_engagement_on"], date(2026, 1, 31).to_string());
    assert_as_anew(&served, NOON, "a newcomer").await;
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn an_interaction_told_again_long_after_its_first_time_counts_anew_in_either_way() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served
        .ingest_interactions(&[interaction("view", "1", 1, "2026-02-19T03:00:00.000Z")])
        .await;
    served.refresh("2026-02-19T04:00:00Z").await;
    // 40 days later: another look, of which a refresh that builds on the last one does not read the first.
    served
        .ingest_interactions(&[interaction("view", "1", 1, "2026-03-31T02:00:00.000Z")])
        .await;
    served.refresh("2026-03-20T03:00:00Z").await;
    assert_eq!(served.refresh(NOON).await["mode"], "incremental");
    let explained = served.get("/v1/explain?product=1").await;
    assert_eq!(explained["last_engagement_on"], date(2026, 3, 31).to_string());
    assert_as_anew(&served, NOON, "told again").await;
    served.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_begins_before_the_files_of_expired_snapshots_are_deleted_misses_none() {
    let served = Served::start().await;
    for (number, event) in demo_events().into_iter().enumerate() {
        served.ingest(&[event]).await;
        served.refresh(NOON).await;
        assert!(served.snapshots().await[1].is_some(), "{number}");
    }
    let upkeep = Upkeep {
        keep_for: Duration::ZERO,
        keep_last: 1,
        ..Upkeep::default()
    };
    let app = served.server.app();
    let mut expired = Vec::new();
    for table in &app.tables {
        expired.push(app.lake.expire_snapshots(table, upkeep).await.unwrap());
    }
    served
        .ingest(&[demo_order("c", 1, &[sale("1", "2026-03-22", 5)])])
        .await;
    assert_eq!(served.refresh(NOON).await["mode"], "incremental");
    let mut deleted = 0;
    for expired in expired {
        deleted += expired.delete_files().await.unwrap().1;
    }
    assert!(deleted > 0);
    assert_as_anew(&served, NOON, "after expiry").await;
}
