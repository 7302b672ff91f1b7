//! Texts too long for an index of PostgreSQL.

use serde_json::json;

use super::permutation::Random;
use super::{delivery, ingest, ledger, order, shop, verdicts};

/// Text that does not compress: PostgreSQL would put a long one of equal letters into an index all the same.
fn random_text(length: usize) -> String {
    let mut random = Random(54_000);
    (0..length)
        .map(|_| char::from_digit(random.below(36) as u32, 36).unwrap())
        .collect()
}

#[tokio::test]
async fn a_webhook_id_too_long_for_a_key_is_refused_alone() {
    let (database, edge) = shop().await;
    let long = random_text(4000);
    let batch = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery(&long, "orders/create", &order(8, 1, "")),
        delivery("b", "orders/create", &order(9, 1, "")),
    ];
    let answer = ingest(&edge, &batch).await;
    assert_eq!(verdicts(&answer), ["accepted", "rejected", "accepted"]);
    let refused = &answer["deliveries"][1];
    assert_eq!(
        (&refused["webhook_id"], &refused["reason"], &refused["detail"]),
        (
            &json!(long),
            &json!("type_mismatch"),
            &json!("webhook_id: expected at most 1024 bytes, found 4000")
        )
    );
    assert_eq!(
        [
            ledger(&database, 7).await.len(),
            ledger(&database, 8).await.len(),
            ledger(&database, 9).await.len()
        ],
        [1, 0, 1]
    );
    // Under an id that fits the same body is taken.
    let again = ingest(&edge, &[delivery("c", "orders/create", &order(8, 1, ""))]).await;
    assert_eq!(verdicts(&again), ["accepted"]);
}

#[tokio::test]
async fn the_longest_webhook_id_is_remembered_and_bytes_count() {
    let (_database, edge) = shop().await;
    let longest = random_text(1024);
    // 513 letters of two bytes.
    let accented = "\u{e9}".repeat(513);
    let batch = |first: &str| {
        [
            delivery(first, "orders/create", &order(7, 1, "")),
            delivery(&accented, "orders/create", &order(8, 1, "")),
        ]
    };
    let answer = ingest(&edge, &batch(&longest)).await;
    assert_eq!(verdicts(&answer), ["accepted", "rejected"]);
    assert_eq!(
        answer["deliveries"][1]["detail"],
        "webhook_id: expected at most 1024 bytes, found 1026"
    );
    assert_eq!(
        verdicts(&ingest(&edge, &batch(&longest)).await),
        ["duplicate", "rejected"]
    );
    // No other text of a delivery is part of a key before it is known: a topic or shop of any length is answered.
    let mut stranger = delivery("s", "orders/create", &order(9, 1, ""));
    stranger["shop_domain"] = random_text(4000).into();
    let unread = delivery("t", &random_text(4000), "{}");
    let answer = ingest(&edge, &[stranger, unread]).await;
    assert_eq!(verdicts(&answer), ["rejected", "ignored"]);
}
