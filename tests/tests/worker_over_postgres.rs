//! The commerce Worker in workerd over a real PostgreSQL with the extension: this starts the one, makes a database, and
//! runs the Worker's own tests against it.

use serde_json::json;
use tokio::process::Command;
use weir_tests::postgres::Cluster;

/// The shop that edge/commerce/test/world.mjs delivers for.
const SHOP: &str = "demo.myshopify.com";
/// A bound on one Node test, in milliseconds: starting workerd takes a second or two, an outage under test less than ten.
const TEST_TIMEOUT_MILLIS: &str = "120000";

/// The number that the TAP summary gives for `name`, such as `# pass 1`.
fn summary(tap: &str, name: &str) -> Option<u32> {
    tap.lines()
        .find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_tests_pass_over_postgres() {
    let cluster = Cluster::start().await.expect("PostgreSQL with the extension");
    let database = cluster.database().await.unwrap();
    let shop = json!({"shop_id": 1, "shop_domain": SHOP, "iana_time_zone": "Asia/Tokyo", "currency": "EUR"});
    database
        .admin()
        .await
        .unwrap()
        .execute("select weir.register_shop($1::text::json)", &[&shop.to_string()])
        .await
        .unwrap();

    let root = weir_tests::workspace_root().unwrap();
    let node = std::env::var("WEIR_NODE").expect("WEIR_NODE; use `make test`, or source scripts/env.sh");
    let output = Command::new(node)
        .args(["--test", "--test-reporter=tap", "--test-timeout", TEST_TIMEOUT_MILLIS])
        .arg(root.join("edge/commerce/test/postgres/with_postgres.test.mjs"))
        .env("WEIR_TEST_POSTGRES", &database.edge_url)
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
