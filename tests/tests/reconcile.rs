//! `weir reconcile` over PostgreSQL and `weir serve`: what the two agree on, and what one of them lacks or has otherwise.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_postgres::Client;
use weir_tests::lake::{weir_binary, LakeServer, TOKEN};
use weir_tests::postgres::{Cluster, Database};
use weir_tests::shop::{Delivery, Shop};
use weir_tests::Result;

/// Any fixed moment.
const NOW: &str = "2031-03-31T12:00:00Z";

/// Both sides, and nothing between them but what the test hands over.
struct Sides {
    shop: Shop,
    lake: LakeServer,
    admin: Client,
    database: Database,
    _warehouse: tempfile::TempDir,
    _cluster: Cluster,
}

impl Sides {
    async fn start() -> Result<Self> {
        let cluster = Cluster::start().await?;
        let database = cluster.database().await?;
        let admin = database.admin().await?;
        let warehouse = tempfile::Builder::new().prefix("weir-lake-").tempdir()?;
        let lake = LakeServer::start(warehouse.path().to_path_buf())?;
        let shop = Shop::paris();
        let register = shop.registration().to_string();
        admin
            .query_one("select weir.register_shop($1::text::json)::text", &[&register])
            .await?;
        admin
            .batch_execute("create role ledger_reader login password 'secret' in role weir_reader")
            .await?;
        Ok(Self {
            shop,
            lake,
            admin,
            database,
            _warehouse: warehouse,
            _cluster: cluster,
        })
    }

    /// Into PostgreSQL. Returns the events that the lake is to be told.
    async fn ingest(&self, deliveries: &[Delivery]) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        for chunk in deliveries.chunks(100) {
            let batch = Value::Array(chunk.iter().map(Delivery::to_ingest).collect()).to_string();
            let row = self
                .admin
                .query_one("select weir.ingest($1::text::json)::text", &[&batch])
                .await?;
            let answer: Value = serde_json::from_str(row.get(0))?;
            events.extend(answer["events"].as_array().into_iter().flatten().cloned());
        }
        Ok(events)
    }

    async fn tell_lake(&self, events: &[Value]) -> Result<()> {
        for chunk in events.chunks(200) {
            let answer = self
                .lake
                .post("/v1/streams/commerce_v1", &Value::from(chunk.to_vec()))
                .await?;
            assert_eq!(answer["accepted"], chunk.len(), "{answer}");
        }
        Ok(())
    }

    /// Exit code, standard output and standard error of `weir reconcile`, as a login that may only read.
    async fn reconcile(&self, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
        let output = self
            .command()?
            .args(["--settle-seconds", "0"])
            .args(arguments)
            .output()
            .await?;
        let text = |bytes| String::from_utf8(bytes);
        Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
    }

    fn command(&self) -> Result<Command> {
        let url = self
            .database
            .admin_url
            .replace("postgres://postgres:", "postgres://ledger_reader:");
        let mut command = Command::new(weir_binary()?);
        command
            .args([
                "reconcile",
                "--url",
                &self.lake.url,
                "--token",
                TOKEN,
                "--database-url",
                &url,
            ])
            .kill_on_drop(true);
        Ok(command)
    }

    async fn differences(&self) -> Result<Value> {
        let (code, answer, said) = self.reconcile(&["--shop", self.shop.domain, "--json"]).await?;
        assert_eq!(code, Some(1), "{answer} {said}");
        assert!(said.contains("PostgreSQL and the lake differ on"), "{said}");
        Ok(serde_json::from_str(&answer)?)
    }

    async fn assert_equal(&self) -> Result<()> {
        let (code, answer, said) = self.reconcile(&["--shop", self.shop.domain]).await?;
        assert_eq!(code, Some(0), "{answer} {said}");
        assert!(answer.contains("agree on all"), "{answer}");
        Ok(())
    }

    /// The one order on which they differ: its id, and who lacks it.
    async fn only_order(&self) -> Result<(String, Value)> {
        let answer = self.differences().await?;
        assert_eq!(answer["days"].as_array().map(Vec::len), Some(1), "{answer}");
        let [order] = answer["orders"].as_array().expect("orders").as_slice() else {
            panic!("one order differs: {answer}")
        };
        let side = if order["postgresql"].is_null() {
            "lake"
        } else {
            "postgresql"
        };
        Ok((
            order[side]["order_id"].as_str().expect("an id").to_owned(),
            order["missing_in"].clone(),
        ))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_orders_that_differ_are_named_with_the_side_that_lacks_them() -> Result<()> {
    let sides = Sides::start().await?;
    let deliveries = sides.shop.history(NOW.parse()?).deliveries;
    let events = sides.ingest(&deliveries).await?;
    // The lake is told nothing of the newest order.
    let withheld = events
        .iter()
        .rev()
        .find(|event| event["event_type"] == "order_created")
        .expect("an order");
    let order_id = withheld["order_id"].as_str().expect("an id").to_owned();
    let (late, told): (Vec<_>, Vec<_>) = events
        .iter()
        .cloned()
        .partition(|event| event["order_id"] == order_id.as_str());
    sides.tell_lake(&told).await?;

    assert_eq!(sides.only_order().await?, (order_id.clone(), "lake".into()));
    let (_, table, said) = sides.reconcile(&["--shop", sides.shop.domain]).await?;
    assert!(table.contains(&order_id) && table.contains("missing"), "{table} {said}");

    // On its way, and acknowledged but not yet committed, is not missing.
    let mut command = sides.command()?;
    command.args(["--shop", sides.shop.domain, "--settle-seconds", "10"]);
    let mut asking = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(asking.stderr.take().expect("standard error")).lines();
    assert!(said.next_line().await?.expect("a line").starts_with("they differ"));
    sides.tell_lake(&late).await?;
    assert!(asking.wait().await?.success());
    sides.assert_equal().await?;

    let wrong = "update commerce.sales_ledger set units_sold = units_sold + $2 where order_id = $1::text::bigint and kind = 'sale'";
    assert!(sides.admin.execute(wrong, &[&order_id, &1_i64]).await? > 0);
    assert_eq!(sides.only_order().await?, (order_id.clone(), Value::Null));
    sides.admin.execute(wrong, &[&order_id, &-1_i64]).await?;
    sides.assert_equal().await?;

    let gone = "delete from commerce.sales_ledger where order_id = $1::text::bigint";
    assert!(sides.admin.execute(gone, &[&order_id]).await? > 0);
    assert_eq!(sides.only_order().await?, (order_id, "postgresql".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_come_meanwhile_are_on_their_way_and_one_that_is_lost_is_named() -> Result<()> {
    let sides = Sides::start().await?;
    let deliveries = sides.shop.history(NOW.parse()?).deliveries;
    let order_of = |delivery: &Delivery| -> String {
        let body: Value = serde_json::from_slice(&delivery.body).expect("a body");
        let id = if delivery.topic.starts_with("orders/") {
            &body["id"]
        } else {
            &body["order_id"]
        };
        id.to_string()
    };
    let created = deliveries
        .iter()
        .rev()
        .filter(|delivery| delivery.topic == "orders/create");
    let newest: Vec<_> = created.take(5).cloned().collect();
    let late: Vec<_> = newest.iter().map(order_of).collect();
    let rest: Vec<_> = deliveries
        .iter()
        .filter(|delivery| !late.contains(&order_of(delivery)))
        .cloned()
        .collect();
    let told = sides.ingest(&rest).await?;
    sides.tell_lake(&told).await?;
    sides.assert_equal().await?;

    let [lost, arriving @ ..] = newest.as_slice() else {
        panic!("orders")
    };
    let lost_events = sides.ingest(std::slice::from_ref(lost)).await?;
    let mut on_its_way = Vec::new();
    for (index, pair) in arriving.chunks(2).enumerate() {
        // One is on its way while both are asked first, another while they are asked again: there is always one.
        let [first, second] = pair else { panic!("two orders") };
        sides.tell_lake(&std::mem::take(&mut on_its_way)).await?;
        on_its_way = sides.ingest(std::slice::from_ref(first)).await?;
        let mut command = sides.command()?;
        command.args(["--shop", sides.shop.domain, "--settle-seconds", "5", "--json"]);
        let mut asking = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(asking.stderr.take().expect("standard error")).lines();
        assert!(said.next_line().await?.expect("a line").starts_with("they differ"));
        sides.tell_lake(&std::mem::take(&mut on_its_way)).await?;
        on_its_way = sides.ingest(std::slice::from_ref(second)).await?;
        let output = asking.wait_with_output().await?;
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        if index == 0 {
            assert_eq!(output.status.code(), Some(1), "{answer}");
            let named: Vec<_> = answer["orders"].as_array().into_iter().flatten().collect();
            assert_eq!(named.len(), 1, "{answer}");
            assert_eq!(named[0]["postgresql"]["order_id"], order_of(lost));
            assert_eq!(named[0]["missing_in"], "lake");
            sides.tell_lake(&lost_events).await?;
        } else {
            assert_eq!(
                (output.status.code(), &answer["equal"]),
                (Some(0), &true.into()),
                "{answer}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_days_asked_for_are_compared_and_bad_questions_say_what_to_do() -> Result<()> {
    let sides = Sides::start().await?;
    let history = sides.shop.history(NOW.parse()?);
    sides.ingest(&history.deliveries).await?;
    let (_, last) = history.sales.keys().max_by_key(|(_, day)| day.clone()).expect("sales");

    // The lake knows nothing: every day PostgreSQL is asked for is missing there, and no other.
    let (code, answer, said) = sides
        .reconcile(&["--shop", sides.shop.domain, "--from", last, "--to", last, "--json"])
        .await?;
    assert_eq!(code, Some(1), "{said}");
    let answer: Value = serde_json::from_str(&answer)?;
    assert_eq!(answer["days"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["days"][0]["missing_in"], "lake");
    assert_eq!(answer["days"][0]["postgresql"]["day"], last.as_str());

    for (arguments, expected) in [
        (
            ["--shop", "nobody.myshopify.com", "--from", last],
            "the shop is not registered",
        ),
        (["--shop", sides.shop.domain, "--to", "1960-01-01"], "lies before from"),
    ] {
        let (code, _, said) = sides.reconcile(&arguments).await?;
        assert_eq!(code, Some(1));
        assert!(said.contains(expected), "{said}");
    }
    let (place, parameters) = sides.database.admin_url.split_once('?').expect("parameters");
    let without = format!(
        "{}/postgres?{parameters}",
        place.rsplit_once('/').expect("a database").0
    );
    let output = Command::new(weir_binary()?)
        .args([
            "reconcile",
            "--url",
            &sides.lake.url,
            "--token",
            TOKEN,
            "--shop",
            sides.shop.domain,
        ])
        .args(["--database-url", &without])
        .output()
        .await?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("weir is not installed in this database"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_postgresql_has_forgotten_is_told_as_forgotten() -> Result<()> {
    let sides = Sides::start().await?;
    let events = sides.ingest(&sides.shop.history(NOW.parse()?).deliveries).await?;
    sides.tell_lake(&events).await?;
    sides.assert_equal().await?;
    // Orders in two currencies on one day are not added up.
    let (order, day) = {
        let row = "select order_id::text, day::text from commerce.sales_ledger where kind = 'sale' group by 1, 2, day
            having (select count(distinct other.order_id) from commerce.sales_ledger as other
                where other.day = sales_ledger.day) > 1
            limit 1";
        let row = sides.admin.query_one(row, &[]).await?;
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    for change in [
        "update commerce.order_header set currency = 'XTS' where order_id = $1::text::bigint",
        "update commerce.sales_ledger set net_sales_minor = net_sales_minor + 1 where order_id = $1::text::bigint",
    ] {
        sides.admin.execute(change, &[&order]).await?;
    }
    let (code, table, said) = sides
        .reconcile(&["--shop", sides.shop.domain, "--from", &day, "--to", &day])
        .await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(table.contains("in EUR, XTS"), "{table}");

    let forget = serde_json::json!({ "shop_domain": sides.shop.domain }).to_string();
    sides
        .admin
        .query_one("select weir.redact_shop($1::text::json)::text", &[&forget])
        .await?;
    let (code, told, said) = sides.reconcile(&["--shop", sides.shop.domain]).await?;
    assert_eq!(code, Some(0), "{told} {said}");
    assert!(told.contains("has forgotten"), "{told}");
    let (_, told, _) = sides.reconcile(&["--shop", sides.shop.domain, "--json"]).await?;
    assert_eq!(serde_json::from_str::<Value>(&told)?["is_forgotten"], true);
    Ok(())
}
