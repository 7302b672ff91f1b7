//! What was said day by day.

use serde_json::json;

use crate::command::{printed, refreshed, weir};
use crate::harness::{demo_order, sale};
use crate::world::{objective, order, SHOP};

#[tokio::test]
async fn a_history_tells_each_day_as_it_was_said_and_where_the_label_turned() {
    let served = refreshed(json!({ "threshold_30d": 19 })).await;
    let url = served.server.url();
    // 20 - 2 = 18 < 19 from the next day on; the day after, the threshold falls to 18.
    served
        .ingest(&[demo_order("b", 2, &[("1", "2026-03-25", "return", 0, 2, 0, 200)])])
        .await;
    served.refresh("2026-04-01T03:00:00Z").await;
    let lower = json!({ "threshold_30d": 18, "revision": 2 });
    served.post("/v1/objective", &objective(lower)).await;
    served.refresh("2026-04-02T03:00:00Z").await;

    let answer = served.get("/v1/history?product=1").await;
    let days: Vec<_> = answer["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| {
            json!([
                day["computed_on"],
                day["nominal_classification"],
                day["previous_classification"],
                day["sales_last_30_days"],
                day["objective_spec_revision"]
            ])
        })
        .collect();
    assert_eq!(
        days,
        [
            json!(["2026-03-31", "winner", null, 19, 1]),
            json!(["2026-04-01", "none", "winner", 18, 1]),
            json!(["2026-04-02", "winner", "none", 18, 2]),
        ]
    );
    // A narrower span still knows the label before it.
    let one = served.get("/v1/history?product=1&from=2026-04-01&to=2026-04-01").await;
    assert_eq!(one["history"], json!([answer["history"][1]]));

    let table = printed(url, &["history", "1", "--shop", SHOP]).await;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    let second: Vec<_> = lines[2].split_whitespace().collect();
    assert_eq!(second[..4], ["2026-04-01", "none", "winner", "1"], "{table}");

    // The same id in another shop: one must be named.
    let theirs = order(
        "la.myshopify.com",
        "America/Los_Angeles",
        "z",
        1,
        "2026-03-20T00:00:00.000Z",
        &[sale("1", "2026-03-20", 1)],
    );
    served.ingest(&[theirs]).await;
    served.refresh("2026-04-03T03:00:00Z").await;
    for (arguments, said) in [
        (vec!["history", "1"], "several shops have this product id"),
        (vec!["history", "77"], "no performance of product 77"),
        (vec!["history", "1", "--from", "monday"], "from: must be a day"),
    ] {
        let output = weir(Some(url), &arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(said),
            "{arguments:?}: {error}"
        );
    }
    served.server.stop().await.unwrap();
}
