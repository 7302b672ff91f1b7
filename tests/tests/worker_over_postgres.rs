//! The Workers in workerd over a real PostgreSQL with the extension: this starts the one, makes a database, and runs the
//! Workers' own tests against it.

use serde_json::json;
use tokio::process::Command;
use weir_tests::postgres::Cluster;

/// The shop that edge/*/test/world.mjs delivers for.
const SHOP: &str = "demo.myshopify.com";
/// A bound on one Node test, in milliseconds: starting workerd takes a second or two, an outage under test less than ten.
const TEST_TIMEOUT_MILLIS: &str = "120000";

/// The number that the TAP summary gives for `name`, such as `# pass 1`.
fn summary(tap: &str, name: &str) -> Option<u32> {
    tap.lines()
        .find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commerce_workers_tests_pass_over_postgres() {
    passes("commerce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publication_workers_tests_pass_over_postgres() {
    passes("publication").await;
}

/// Runs the tests of `worker` that need a database, in one with a shop and its catalogue.
async fn passes(worker: &str) {
    let cluster = Cluster::start().await.expect("PostgreSQL with the extension");
    let database = cluster.database().await.unwrap();
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "EUR"});
    let catalogue = json!({
        "shop_domain": SHOP,
        "publishers": {"daily-lamp": {"name": "The Daily Lamp"}},
        "items": {"ten-lamps": {"publisher_id": "daily-lamp", "title": "Ten lamps"}},
        "programs": {"autumn": {"name": "Autumn"}},
        "links": {"x7": {"url": "https://shop.example/lamp", "item_id": "ten-lamps", "program_id": "autumn"}},
    });
    let admin = database.admin().await.unwrap();
    for (function, argument) in [("register_shop", shop), ("publish_catalogue", catalogue)] {
        let call = format!("select weir.{function}($1::text::json)");
        admin.execute(&call, &[&argument.to_string()]).await.unwrap();
    }

    let root = weir_tests::workspace_root().unwrap();
    let node = std::env::var("WEIR_NODE").expect("WEIR_NODE; use `make test`, or source scripts/env.sh");
    let output = Command::new(node)
        .args(["--test", "--test-reporter=tap", "--test-timeout", TEST_TIMEOUT_MILLIS])
        .arg(root.join(format!("edge/{worker}/test/postgres/with_postgres.test.mjs")))
        .env("WEIR_TEST_POSTGRES", &database.edge_url)
        .env("WEIR_TEST_POSTGRES_ADMIN", &database.admin_url)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let tap = String::from_utf8_lossy(&output.stdout);
    let report = format!("{tap}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    // Node also succeeds when it found no test or skipped them all.
    assert!(summary(&tap, "pass ").is_some_and(|count| count >= 1), "{report}");
    for not_run in ["fail ", "skipped ", "todo ", "cancelled "] {
        assert_eq!(summary(&tap, not_run), Some(0), "{report}");
    }
}
