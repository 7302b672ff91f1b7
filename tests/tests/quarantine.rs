//! The quarantine by the `weir` command, over the real parts: what PostgreSQL rejects of either Worker, listed, shown, and
//! handed over again when the cause is gone.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use tokio::process::Command;
use tokio_postgres::Client;
use weir_tests::lake::{weir_binary, LakeServer};
use weir_tests::postgres::Cluster;
use weir_tests::publication::PublicationWorker;
use weir_tests::shop::Shop;
use weir_tests::workerd::{CommerceWorker, INTERNAL_TOKEN};
use weir_tests::Result;

/// Any fixed moment.
const NOW: &str = "2031-03-31T12:00:00Z";
/// How long deliveries may take through the queue. A bound, not a measurement.
const DRAIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Runs `weir quarantine` against the Worker at `url` and returns whether it succeeded, with what it printed.
async fn weir(url: &str, token: &str, arguments: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(weir_binary()?)
        .arg("quarantine")
        .args(arguments)
        .args(["--url", url, "--token", token])
        .kill_on_drop(true)
        .output()
        .await?;
    let text = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    Ok((output.status.success(), String::from_utf8(text)?))
}

async fn listed(url: &str) -> Result<Vec<Value>> {
    let (listed, text) = weir(url, INTERNAL_TOKEN, &["list", "--json"]).await?;
    assert!(listed, "{text}");
    Ok(serde_json::from_str(&text)?)
}

/// Waits until `count` records are listed; `log` is asked for what the Worker said if they never are.
async fn listed_to_be(url: &str, count: usize, log: impl Fn() -> String) -> Result<Vec<Value>> {
    let deadline = Instant::now() + DRAIN;
    loop {
        let records = listed(url).await?;
        if records.len() == count {
            return Ok(records);
        }
        assert!(Instant::now() < deadline, "{records:?}\n{}", log());
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until `query` counts `count` rows.
async fn counted(admin: &Client, query: &str, count: usize, log: impl Fn() -> String) -> Result<()> {
    let deadline = Instant::now() + DRAIN;
    loop {
        let taken: i64 = admin.query_one(query, &[]).await?.get(0);
        if usize::try_from(taken)? == count {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{taken} taken\n{}", log());
        tokio::time::sleep(POLL).await;
    }
}

async fn register(admin: &Client, shop: &Shop) -> Result<()> {
    let registration = shop.registration().to_string();
    let register = "select weir.register_shop($1::text::json)";
    admin.execute(register, &[&registration]).await?;
    Ok(())
}

/// What holds of the command over either Worker, of which `keys` lists the quarantine.
async fn refuses_what_it_should(url: &str, keys: &[&str]) -> Result<()> {
    for (token, arguments, complaint) in [
        ("wrong", &["list"][..], "WEIR_INTERNAL_TOKEN"),
        ("wrong", &["replay", keys[0]], "WEIR_INTERNAL_TOKEN"),
        (INTERNAL_TOKEN, &["replay", "quarantine/none.json"], "404"),
        (INTERNAL_TOKEN, &["show", "none"], "not a key"),
    ] {
        let (succeeded, text) = weir(url, token, arguments).await?;
        assert!(!succeeded && text.contains(complaint), "{arguments:?}: {text}");
    }
    assert_eq!(listed(url).await?.len(), keys.len());
    Ok(())
}

async fn replay(url: &str, keys: &[&str]) -> Result<()> {
    let (replayed, text) = weir(url, INTERNAL_TOKEN, &[&["replay"], keys].concat()).await?;
    assert!(replayed, "{text}");
    assert!(keys.iter().all(|key| text.contains(key)), "{text}");
    Ok(())
}

fn keys_of(records: &[Value]) -> Vec<&str> {
    records.iter().filter_map(|record| record["key"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_deliveries_are_listed_shown_and_replayed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let database = cluster.database().await?;
    let admin = database.admin().await?;
    let warehouse = tempfile::Builder::new().prefix("weir-lake-").tempdir()?;
    let lake = LakeServer::start(warehouse.path().to_path_buf())?;
    let shop = Shop::tokyo();
    let worker = CommerceWorker::start(&database.edge_url, &lake.url, &[shop.domain])?;

    // The Worker admits the shop; PostgreSQL does not know it yet.
    let deliveries = shop.history(NOW.parse()?).deliveries;
    let deliveries = &deliveries[..3];
    for delivery in deliveries {
        assert_eq!(worker.deliver(delivery).await?.0, 200);
    }
    let records = listed_to_be(&worker.url, deliveries.len(), || worker.log()).await?;
    let keys = keys_of(&records);
    assert!(records.iter().all(|record| record["reason"] == "unknown_shop"));

    let (shown, text) = weir(&worker.url, INTERNAL_TOKEN, &["show", keys[0]]).await?;
    assert!(shown, "{text}");
    let record: Value = serde_json::from_str(&text)?;
    let original = deliveries
        .iter()
        .find(|delivery| record["delivery"]["webhook_id"] == delivery.webhook_id.as_str())
        .expect("one of those delivered");
    assert_eq!(
        record["delivery"]["body"].as_str().map(str::as_bytes),
        Some(&original.body[..])
    );
    refuses_what_it_should(&worker.url, &keys).await?;

    register(&admin, &shop).await?;
    replay(&worker.url, &keys).await?;
    let query = "select count(*) from commerce.webhook_delivery";
    counted(&admin, query, deliveries.len(), || worker.log()).await?;
    assert_eq!(listed(&worker.url).await?, [] as [Value; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_interactions_are_listed_shown_and_replayed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let database = cluster.database().await?;
    let admin = database.admin().await?;
    let warehouse = tempfile::Builder::new().prefix("weir-lake-").tempdir()?;
    let lake = LakeServer::start(warehouse.path().to_path_buf())?;
    let shop = Shop::tokyo();
    let worker = PublicationWorker::start(&database.edge_url, &lake.url, &[shop.domain])?;

    // The Worker and the stream take them; PostgreSQL does not know the shop yet.
    let conversion = |order: usize| {
        json!({"event_type": "conversion", "event_key": format!("c-{order}"), "shop_domain": shop.domain,
            "order_id": order.to_string()})
    };
    let events: Vec<Value> = (1..=3).map(conversion).collect();
    assert_eq!(worker.send(&events, false).await?.0, 202);
    let records = listed_to_be(&worker.url, events.len(), || worker.log()).await?;
    let keys = keys_of(&records);
    for record in &records {
        assert_eq!(
            (&record["reason"], &record["topic"]),
            (&json!("unknown_shop"), &json!("interactions/conversion"))
        );
    }
    let (shown, text) = weir(&worker.url, INTERNAL_TOKEN, &["show", keys[0]]).await?;
    assert!(shown, "{text}");
    let record: Value = serde_json::from_str(&text)?;
    let kept = &record["message"]["event"];
    assert_eq!(
        (&record["reason"], &kept["event_type"]),
        (&json!("unknown_shop"), &json!("conversion"))
    );
    assert!(
        events.iter().any(|event| event["order_id"] == kept["order_id"]),
        "{kept}"
    );
    refuses_what_it_should(&worker.url, &keys).await?;

    // Replayed while the cause is still there, it comes back under a key of its own.
    replay(&worker.url, &keys[..1]).await?;
    let again = listed_to_be(&worker.url, events.len(), || worker.log()).await?;
    let keys = keys_of(&again);
    assert_eq!(
        keys.iter().filter(|key| key.ends_with(".replay-1.json")).count(),
        1,
        "{keys:?}"
    );

    register(&admin, &shop).await?;
    replay(&worker.url, &keys).await?;
    let query = "select count(*) from publication.publication_telemetry";
    counted(&admin, query, events.len(), || worker.log()).await?;
    assert_eq!(listed(&worker.url).await?, [] as [Value; 0]);
    Ok(())
}
