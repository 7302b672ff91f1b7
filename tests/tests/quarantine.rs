//! The quarantine by the `weir` command, over the real parts: deliveries that PostgreSQL rejects, listed, shown, and handed
//! over again when the cause is gone.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use weir_tests::lake::{weir_binary, LakeServer};
use weir_tests::postgres::Cluster;
use weir_tests::shop::Shop;
use weir_tests::workerd::{CommerceWorker, INTERNAL_TOKEN};
use weir_tests::Result;

/// Any fixed moment.
const NOW: &str = "2031-03-31T12:00:00Z";
/// How long deliveries may take through the queue. A bound, not a measurement.
const DRAIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Runs `weir quarantine` and returns whether it succeeded, with what it printed.
async fn weir(worker: &CommerceWorker, token: &str, arguments: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(weir_binary()?)
        .arg("quarantine")
        .args(arguments)
        .args(["--url", &worker.url, "--token", token])
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

async fn listed(worker: &CommerceWorker) -> Result<Vec<Value>> {
    let (listed, text) = weir(worker, INTERNAL_TOKEN, &["list", "--json"]).await?;
    assert!(listed, "{text}");
    Ok(serde_json::from_str(&text)?)
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
    let deadline = Instant::now() + DRAIN;
    let records = loop {
        let records = listed(&worker).await?;
        if records.len() == deliveries.len() {
            break records;
        }
        assert!(Instant::now() < deadline, "{records:?}\n{}", worker.log());
        tokio::time::sleep(POLL).await;
    };
    let keys: Vec<&str> = records.iter().filter_map(|record| record["key"].as_str()).collect();
    assert!(records.iter().all(|record| record["reason"] == "unknown_shop"));

    let (shown, text) = weir(&worker, INTERNAL_TOKEN, &["show", keys[0]]).await?;
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

    for (token, arguments, complaint) in [
        ("wrong", &["list"][..], "WEIR_INTERNAL_TOKEN"),
        ("wrong", &["replay", keys[0]], "WEIR_INTERNAL_TOKEN"),
        (INTERNAL_TOKEN, &["replay", "quarantine/none.json"], "404"),
        (INTERNAL_TOKEN, &["show", "none"], "not a key"),
    ] {
        let (succeeded, text) = weir(&worker, token, arguments).await?;
        assert!(!succeeded && text.contains(complaint), "{arguments:?}: {text}");
    }
    assert_eq!(listed(&worker).await?.len(), deliveries.len());

    let registration = shop.registration().to_string();
    admin
        .execute("select weir.register_shop($1::text::json)", &[&registration])
        .await?;
    let mut replay = vec!["replay"];
    replay.extend(&keys);
    let (replayed, text) = weir(&worker, INTERNAL_TOKEN, &replay).await?;
    assert!(replayed, "{text}");
    assert!(keys.iter().all(|key| text.contains(key)), "{text}");
    loop {
        let query = "select count(*) from commerce.webhook_delivery";
        let taken: i64 = admin.query_one(query, &[]).await?.get(0);
        if usize::try_from(taken)? == deliveries.len() {
            break;
        }
        assert!(Instant::now() < deadline, "{taken} taken\n{}", worker.log());
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(listed(&worker).await?, [] as [Value; 0]);
    Ok(())
}
