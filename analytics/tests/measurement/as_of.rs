//! What was said at a moment, after everything has changed since.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use weir_analytics::lake::maintain::Upkeep;

use crate::command::{printed, refreshed, weir};
use crate::harness::{demo_order, NOON};
use crate::world::{objective, SHOP};

#[tokio::test]
async fn an_explanation_of_the_past_is_what_was_said_then_byte_for_byte() {
    let before = Timestamp::now();
    let served = refreshed(json!({ "threshold_30d": 19, "banana_count": 1 })).await;
    let url = served.server.url();
    let path = format!("/v1/explain?product=1&shop={SHOP}");
    let said = served.text(&path).await;
    let printed_then = printed(url, &["explain", "1", "--shop", SHOP]).await;
    let moment = Timestamp::now();

    // A late refund on a day already computed, other thresholds, and the same day computed again, then the next.
    served
        .ingest(&[demo_order("b", 2, &[("1", "2026-03-25", "return", 0, 5, 0, 500)])])
        .await;
    served
        .post(
            "/v1/objective",
            &objective(json!({ "threshold_30d": 7, "revision": 2 })),
        )
        .await;
    served.refresh(NOON).await;
    let same_day = Timestamp::now();
    let corrected = served.text(&path).await;
    served.refresh("2026-04-01T03:00:00Z").await;
    let newest = served.text(&path).await;
    assert!(corrected != said && newest != corrected);

    let at = |moment: Timestamp| format!("{path}&as_of={moment}");
    assert_eq!(served.text(&at(moment)).await, said);
    assert_eq!(served.text(&at(same_day)).await, corrected);
    assert_eq!(served.text(&at(Timestamp::now())).await, newest);
    let as_of = moment.to_string();
    let again = printed(url, &["explain", "1", "--shop", SHOP, "--as-of", &as_of]).await;
    assert_eq!(again, printed_then);
    // An end that is told later was not said then.
    let ended = objective(json!({ "threshold_30d": 19, "banana_count": 1, "ended_at": "2026-03-31T00:00:00Z" }));
    served.post("/v1/objective", &ended).await;
    assert_eq!(served.text(&at(moment)).await, said);
    // Merging files makes a snapshot of its own and changes nothing that was said.
    let upkeep = Upkeep {
        min_files: 2,
        ..Upkeep::default()
    };
    served.server.app().maintain(upkeep).await.unwrap();
    assert_eq!(served.text(&at(moment)).await, said);

    for (when, told) in [
        (before.to_string(), "no refresh had written by then"),
        (
            "yesterday".to_owned(),
            "as_of: \"yesterday\" is not an RFC 3339 instant",
        ),
    ] {
        let output = weir(Some(url), &["explain", "1", "--as-of", &when]).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told), "{when}: {error}");
    }

    // What is no longer kept is not made up.
    let forget = Upkeep {
        keep_for: Duration::ZERO,
        keep_last: 1,
        ..Upkeep::default()
    };
    served.server.app().maintain(forget).await.unwrap();
    let output = weir(Some(url), &["explain", "1", "--as-of", &as_of]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("its snapshot has expired"), "{error}");
    assert_eq!(served.text(&path).await, newest);
    served.server.stop().await.unwrap();
}
