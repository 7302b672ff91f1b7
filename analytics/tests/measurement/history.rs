//! What was said day by day.

use std::sync::Arc;

use serde_json::{json, Value};
use weir_analytics::measurement::refresh::{run, How, Request};

use crate::command::{printed, refreshed, weir};
use crate::harness::{demo_order, sale, Served};
use crate::world::{objective, order, SHOP};

/// Each day of a product, as `[day, label, revision, 7 days, 30 days]`.
async fn told(served: &Served) -> Vec<Value> {
    let answer = served.get("/v1/history?product=1").await;
    let of_day = |day: &Value| {
        json!([
            day["computed_on"],
            day["nominal_classification"],
            day["objective_spec_revision"],
            day["sales_last_7_days"],
            day["sales_last_30_days"],
        ])
    };
    answer["history"].as_array().unwrap().iter().map(of_day).collect()
}

#[tokio::test]
async fn a_day_that_is_over_is_told_once_more_as_of_its_end() {
    let served = Served::start().await;
    served
        .post("/v1/objective", &objective(json!({ "threshold_30d": 10 })))
        .await;
    let sold = |id: &str, day: &str, units: i64| demo_order(id, 1, &[sale("1", day, units)]);
    served.ingest(&[sold("a", "2026-03-29", 8)]).await;
    // Half past eleven in the evening in Tokyo.
    served.refresh("2026-03-30T14:30:00Z").await;
    assert_eq!(told(&served).await, [json!(["2026-03-30", "none", 1, 8, 8])]);

    // Sold in the last half hour; and after midnight, when the threshold is another.
    served
        .ingest(&[sold("b", "2026-03-30", 2), sold("c", "2026-03-31", 5)])
        .await;
    let later = json!({ "threshold_30d": 100, "revision": 2, "valid_from": "2026-03-31T00:00:00+09:00" });
    served.post("/v1/objective", &objective(later)).await;
    let outcome = served.refresh("2026-03-30T15:10:00Z").await;
    assert_eq!(
        [
            &outcome["mode"],
            &outcome["computed_on"],
            &outcome["ended_on"],
            &outcome["event_count"]
        ],
        [
            &json!("incremental"),
            &json!(["2026-03-31"]),
            &json!(["2026-03-30"]),
            &json!(2)
        ]
    );
    assert_eq!(outcome["changed_days"], json!(["2026-03-30", "2026-03-31"]));
    let ended = json!(["2026-03-30", "winner", 1, 10, 10]);
    assert_eq!(
        told(&served).await,
        [ended.clone(), json!(["2026-03-31", "none", 2, 15, 15])]
    );

    // Four steps of the refresh, and of the pass before it.
    let flushed = served.post("/v1/flush", &json!({})).await;
    assert_eq!(flushed["committed"]["sync_v1"], 2 * 4, "{flushed}");

    // For some hours it is told what comes late, and readers see it with the next day.
    let again = served.refresh("2026-03-30T16:10:00Z").await;
    assert_eq!(again["ended_on"], json!(["2026-03-30"]));
    assert_eq!(again["committed_tables"], json!([]));
    served.ingest(&[sold("d", "2026-03-30", 1)]).await;
    let outcome = served.refresh("2026-03-30T20:59:00Z").await;
    assert_eq!(
        [&outcome["mode"], &outcome["ended_on"], &outcome["event_count"]],
        [&json!("incremental"), &json!(["2026-03-30"]), &json!(1)]
    );
    let ended = json!(["2026-03-30", "winner", 1, 11, 11]);
    assert_eq!(
        told(&served).await,
        [ended.clone(), json!(["2026-03-31", "none", 2, 16, 16])]
    );
    assert_eq!(
        served.refresh("2026-03-30T20:59:30Z").await["committed_tables"],
        json!([])
    );

    // What is told of it later still is of the days that come.
    served.ingest(&[sold("e", "2026-03-30", 1)]).await;
    let outcome = served.refresh("2026-03-30T21:00:00Z").await;
    assert_eq!(outcome["ended_on"], json!([]));
    assert_eq!(told(&served).await, [ended, json!(["2026-03-31", "none", 2, 17, 17])]);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn between_the_passes_of_a_refresh_readers_see_what_they_saw_before() {
    let served = Served::start().await;
    let sold = |id: &str, day: &str| demo_order(id, 1, &[sale("1", day, 1)]);
    served.ingest(&[sold("a", "2026-03-30")]).await;
    served.refresh("2026-03-30T14:30:00Z").await;
    let lake = &served.server.app().lake;
    let seen = async || [served.get("/v1/performance").await, served.get("/v1/sales").await];
    let newest = async || served.get("/v1/performance").await["performance"][0]["computed_on"].clone();
    // The first time a day is over, and once more when another one has begun.
    for (id, now) in [("b", "2026-03-30T15:10:00Z"), ("c", "2026-03-30T16:10:00Z")] {
        served.ingest(&[sold(id, "2026-03-30")]).await;
        let before = seen().await;
        let request = Request {
            now: now.parse().unwrap(),
            how: How::EndedDays,
        };
        for _ in 0..2 {
            let outcome = run(lake, request, &Arc::default()).await.unwrap();
            assert_eq!(outcome.ended_on, ["2026-03-30"]);
            assert_eq!(seen().await, before);
        }
        served.refresh(now).await;
        assert_eq!(newest().await, "2026-03-31");
    }
    let units = told(&served).await.iter().map(|day| day[4].clone()).collect::<Vec<_>>();
    assert_eq!(units, [3, 3]);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_day_takes_in_what_is_late_also_when_another_shops_day_is_over_meanwhile() {
    let served = Served::start().await;
    let abroad = "abroad.myshopify.com";
    let at = "2026-03-20T00:00:00.000Z";
    let theirs = order(abroad, "Asia/Kathmandu", "a", 1, at, &[sale("9", "2026-03-30", 1)]);
    served
        .ingest(&[demo_order("a", 1, &[sale("1", "2026-03-30", 1)]), theirs])
        .await;
    // Midnight in Tokyo is at 15:00, in Kathmandu at 18:15.
    for now in ["2026-03-30T14:30:00Z", "2026-03-30T15:10:00Z", "2026-03-30T18:20:00Z"] {
        served.refresh(now).await;
    }
    let day_before = json!(["2026-03-30", "none", 0, 1, 1]);
    assert_eq!(told(&served).await[0], day_before);
    served
        .ingest(&[demo_order("b", 1, &[sale("1", "2026-03-30", 1)])])
        .await;
    served.refresh("2026-03-30T18:50:00Z").await;
    let both = [
        json!(["2026-03-30", "none", 0, 2, 2]),
        json!(["2026-03-31", "none", 0, 2, 2]),
    ];
    assert_eq!(told(&served).await, both);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_shop_that_has_the_same_day_again_in_another_zone_is_seen_as_it_is_then() {
    let served = Served::start().await;
    served
        .ingest(&[demo_order("a", 1, &[sale("1", "2026-03-30", 1)])])
        .await;
    served.refresh("2026-03-30T14:30:00Z").await;
    let moved = order(
        SHOP,
        "Pacific/Honolulu",
        "b",
        1,
        "2026-03-30T14:50:00.000Z",
        &[sale("1", "2026-03-30", 1)],
    );
    served.ingest(&[moved]).await;
    // In Tokyo that day is over; in Honolulu it is five in the morning.
    let outcome = served.refresh("2026-03-30T15:10:00Z").await;
    assert_eq!(outcome["computed_on"], json!(["2026-03-30"]));
    let seen = served.get("/v1/performance").await;
    assert_eq!(seen["performance"][0]["sales_last_30_days"], 2);
    assert_eq!(told(&served).await, [json!(["2026-03-30", "none", 0, 2, 2])]);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_history_tells_each_day_as_it_was_said_and_where_the_label_turned() {
    let served = refreshed(json!({ "threshold_30d": 19 })).await;
    let url = served.server.url();
    served.refresh("2026-04-01T00:00:00Z").await;
    // 20 - 2 = 18 < 19 from this day on: the one before is over. The day after, the threshold falls to 18.
    served
        .ingest(&[demo_order("b", 2, &[("1", "2026-03-25", "return", 0, 2, 0, 200)])])
        .await;
    served.refresh("2026-04-01T03:00:00Z").await;
    let lower = json!({ "threshold_30d": 18, "revision": 2, "valid_from": "2026-04-02T00:00:00+09:00" });
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
