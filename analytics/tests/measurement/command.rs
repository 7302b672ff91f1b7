//! The verbs as the documentation writes them, through the binary.

use std::process::Output;

use serde_json::{json, Value};
use tokio::process::Command;

use crate::common::TOKEN;
use crate::harness::{demo_events, Served, NOON};
use crate::world::{objective, SHOP};

/// Runs `weir` with the token in its environment, and the server's URL if `url` is given.
pub async fn weir(url: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(arguments)
        .env_remove("WEIR_URL")
        .env("WEIR_TOKEN", TOKEN)
        .kill_on_drop(true);
    if let Some(url) = url {
        command.env("WEIR_URL", url);
    }
    command.output().await.unwrap()
}

/// What a verb that must succeed prints.
pub async fn printed(url: &str, arguments: &[&str]) -> String {
    let output = weir(Some(url), arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server with the demo's history, refreshed by these thresholds.
pub async fn refreshed(thresholds: Value) -> Served {
    let served = Served::start().await;
    served.post("/v1/objective", &objective(thresholds)).await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    served
}

#[tokio::test]
async fn the_verbs_of_the_readme_work_as_written() {
    let served = refreshed(json!({ "threshold_30d": 19, "banana_count": 2 })).await;
    let url = served.server.url();
    let sales = printed(url, &["sales", "--shop", SHOP]).await;
    assert_eq!(sales.lines().count(), 1 + 3, "{sales}");
    let performance = printed(url, &["performance", "--shop", SHOP]).await;
    assert!(performance.contains("19 units in the last 30 days (19 units needed)"));
    let explained = printed(url, &["explain", "1", "--shop", SHOP]).await;
    assert!(
        explained.starts_with("1 - is winner on 2026-03-31 by revision 1 of objective default\n"),
        "{explained}"
    );
    let named = weir(None, &["explain", "1", "--shop", SHOP, "--url", url, "--json"]).await;
    let answer: Value = serde_json::from_slice(&named.stdout).unwrap();
    assert_eq!(answer, served.get(&format!("/v1/explain?product=1&shop={SHOP}")).await);
    served.server.stop().await.unwrap();
}

/// What follows the warning of a refresh as of [`NOON`].
fn past_is_told(told: &str) -> &str {
    let (warning, steps) = told.split_once('\n').unwrap();
    assert!(warning.contains("the labels of 2026-03-31"), "{warning}");
    steps
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let served = refreshed(json!({ "threshold_30d": 19 })).await;
    let url = served.server.url();
    let none = weir(Some(url), &["sales", "--from", "2026-03-22", "--to", "2026-03-22"]).await;
    assert!(none.status.success());
    assert!(String::from_utf8(none.stderr).unwrap().contains("no sales"));
    let unknown = weir(Some(url), &["sales", "--shop", "nope.myshopify.com"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("404: no refresh has seen nope.myshopify.com"), "{said}");
    let empty = Served::start().await;
    let nothing = weir(Some(empty.server.url()), &["performance"]).await;
    assert!(nothing.status.success());
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("no refresh"));
}

#[tokio::test]
async fn a_refresh_tells_its_steps_as_they_happen_and_json_is_left_alone() {
    let served = refreshed(json!({ "threshold_30d": 19 })).await;
    let url = served.server.url();
    served
        .ingest(&[crate::harness::demo_order(
            "c",
            1,
            &[crate::harness::sale("1", "2026-03-22", 1)],
        )])
        .await;
    let output = weir(Some(url), &["refresh", "--now", NOON]).await;
    assert!(output.status.success());
    let steps = String::from_utf8(output.stderr).unwrap();
    // One event is new; four products' labels are compared: 1, 2, 3 and no other; sales of one day and one day of three
    // products are written.
    let steps = past_is_told(&steps);
    assert_eq!(
        steps,
        "query ...\nquery: 1 rows\ncompute ...\nclassify ...\nclassify: 3 rows\nwrite ...\nwrite: 4 rows\n"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("mode              incremental"), "{table}");
    assert!(table.contains("changed_days      2026-03-22"), "{table}");
    let output = weir(Some(url), &["refresh", "--now", NOON, "--full", "--json"]).await;
    assert_eq!(past_is_told(&String::from_utf8(output.stderr).unwrap()), "");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["mode"], "full");
    let to_come = weir(Some(url), &["refresh", "--now", "2999-01-01T00:00:00Z"]).await;
    assert_eq!(to_come.status.code(), Some(2));
    let refused = weir(Some(url), &["refresh", "--since", "March"]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8(refused.stderr)
        .unwrap()
        .contains("since: \"March\" is not a day"));
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_verb_without_a_server_says_what_to_do() {
    // Port 9 is discard: nothing listens.
    let output = weir(Some("http://127.0.0.1:9"), &["sales"]).await;
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("weir serve") && said.contains("--url"), "{said}");
}
