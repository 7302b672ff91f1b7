//! Through a running server: ingest, refresh, read, with the lake in between.

use serde_json::{json, Value};

use crate::harness::{demo_events, demo_order, sale, Served, NOON};
use crate::world::{objective, order, SHOP};

fn labels(answer: &Value) -> Vec<(&str, &str)> {
    let rows = answer["performance"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            (
                row["product_id"].as_str().unwrap(),
                row["nominal_classification"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_refresh_writes_once_and_says_why() {
    let served = Served::start().await;
    served
        .post(
            "/v1/objective",
            &objective(json!({ "threshold_30d": 19, "banana_count": 2 })),
        )
        .await;
    served.ingest(&demo_events()).await;
    let first = served.refresh(NOON).await;
    assert_eq!(
        first["committed_tables"],
        json!(["measurement.sales", "measurement.performance"])
    );
    // Sales: 1 on two days, 3 on one. Performance: products 1, 2, 3.
    assert_eq!(
        (&first["sales_rows"], &first["performance_rows"]),
        (&json!(3), &json!(3))
    );
    let (sales, performance) = (served.get("/v1/sales").await, served.get("/v1/performance").await);
    // 20 - 1 = 19 >= 19; 3 has the second place of two; 2 is inactive.
    assert_eq!(
        labels(&performance),
        [("1", "winner"), ("3", "banana"), ("2", "archive_candidate")]
    );
    assert_eq!(
        performance["performance"][0]["reason"],
        "19 units in the last 30 days (19 units needed)"
    );
    assert_eq!(performance["performance"][2]["reason"], "the product is not active");
    assert_eq!(
        performance["performance"][0]["matched_rules"],
        json!(["winner", "banana"])
    );

    let snapshots = served.snapshots().await;
    let second = served.refresh("2026-03-31T09:00:00Z").await;
    assert_eq!(second["refresh_id"], first["refresh_id"]);
    assert_eq!(second["committed_tables"], json!([]));
    assert_eq!(served.snapshots().await, snapshots);
    assert_eq!(served.get("/v1/sales").await, sales);
    assert_eq!(served.get("/v1/performance").await, performance);

    let explained = served.get("/v1/explain?product=3").await;
    let winner = &explained["rules"][1];
    assert_eq!((&winner["rule"], &winner["held"]), (&json!("winner"), &json!(false)));
    // 19 - 2 more units make it a winner.
    assert_eq!(winner["conditions"][0]["margin_to_flip"], 17);
    // Every step of every run tells of itself, also of the run that changed nothing.
    let flushed = served.post("/v1/flush", &json!({})).await;
    assert_eq!(flushed["committed"]["sync_v1"], 2 * 4, "{flushed}");
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn late_events_change_their_day_and_earlier_days_keep_what_was_said() {
    let served = Served::start().await;
    served
        .post("/v1/objective", &objective(json!({ "threshold_30d": 19 })))
        .await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    // A second revision of order b returns a second unit: 20 - 2 = 18 < 19.
    served
        .ingest(&[demo_order("b", 2, &[("1", "2026-03-25", "return", 0, 2, 0, 200)])])
        .await;
    let next_day = served.refresh("2026-04-01T03:00:00Z").await;
    assert_eq!(next_day["computed_on"], json!(["2026-04-01"]));
    assert_eq!(labels(&served.get("/v1/performance").await)[0], ("1", "none"));
    assert_eq!(
        labels(&served.get("/v1/performance?day=2026-03-31").await)[0],
        ("1", "winner")
    );
    let sales = served.get("/v1/sales?product=1&from=2026-03-25&to=2026-03-25").await;
    assert_eq!(sales["sales"][0]["units_returned"], 2);
    assert_eq!(sales["sales"].as_array().unwrap().len(), 1);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn shops_in_other_time_zones_keep_their_rows_of_a_shared_day() {
    let served = Served::start().await;
    let abroad = "la.myshopify.com";
    let theirs = order(
        abroad,
        "America/Los_Angeles",
        "z",
        1,
        "2026-03-20T00:00:00.000Z",
        &[sale("9", "2026-03-20", 1)],
    );
    served.ingest(&demo_events()).await;
    served.ingest(&[theirs]).await;
    // Both on 03-31; then Tokyo on 04-01 and Los Angeles still on 03-31.
    served.refresh("2026-03-31T12:00:00Z").await;
    served.refresh("2026-03-31T20:00:00Z").await;
    let day = served.get("/v1/performance?day=2026-03-31").await;
    assert_eq!(labels(&day).len(), 4, "{day}");
    let newest = served.get(&format!("/v1/performance?shop={SHOP}")).await;
    assert_eq!(newest["performance"][0]["computed_on"], "2026-04-01");
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_name() {
    let served = Served::start().await;
    let (status, body) = served
        .try_post("/v1/objective", &objective(json!({ "threshold_30d": -1 })))
        .await;
    assert_eq!(status, 422);
    assert!(
        body["error"]["message"].as_str().unwrap().starts_with("threshold_30d"),
        "{body}"
    );
    let spec = objective(json!({ "threshold_30d": 1 }));
    served.post("/v1/objective", &spec).await;
    served.post("/v1/objective", &spec).await;
    let (status, body) = served
        .try_post("/v1/objective", &objective(json!({ "threshold_30d": 2 })))
        .await;
    assert_eq!(status, 422, "{body}");
    let (status, _) = served.try_post("/v1/refresh", &json!({ "now": "noon" })).await;
    assert_eq!(status, 422);
    // An empty lake is no error: there is nothing to say yet.
    let nothing = served.refresh(NOON).await;
    assert_eq!(
        (&nothing["sales_rows"], &nothing["committed_tables"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(served.get("/v1/performance").await, json!({ "performance": [] }));
    let anonymous = served.client.get(served.address("/v1/sales")).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    let unknown = served
        .answer(served.client.get(served.address("/v1/explain?product=7")))
        .await;
    assert_eq!(unknown.0, 404);
    served.server.stop().await.unwrap();
}
