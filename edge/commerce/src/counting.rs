//! What is counted: one point per shop, topic and outcome of a delivery.
//!
//! Blobs: `received` or `consumed`, topic, outcome, reason class. Double: how many. An unsigned request is counted without
//! its shop and topic: anybody can make them up.

use weir_domain::webhook::Delivery;
use weir_edge_shared::counters::Counters;
use weir_edge_shared::decision::Decision;

use crate::admission::Refusal;

/// Counts the answer to a request: taken, or refused for `reason`.
#[must_use]
pub fn received(outcome: Result<&Delivery, &Refusal>) -> Counters {
    let mut counters = Counters::default();
    match outcome {
        Ok(delivery) => counters.count(
            &delivery.shop_domain,
            &["received", &delivery.topic, "accepted", ""],
            &[],
        ),
        Err(refusal) => counters.count("refused", &["received", "", "refused", refusal.reason], &[]),
    }
    counters
}

/// Counts the decision on a consumed delivery.
pub fn consumed(counters: &mut Counters, delivery: &Delivery, decision: &Decision) {
    let (outcome, reason) = match decision {
        Decision::Acknowledge => ("acknowledged", ""),
        Decision::Retry { .. } => ("retried", ""),
        Decision::Quarantine { reason, .. } => ("quarantined", reason.as_str()),
    };
    counters.count(
        &delivery.shop_domain,
        &["consumed", &delivery.topic, outcome, reason],
        &[],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(topic: &str) -> Delivery {
        crate::message::delivery("w", topic, "{}")
    }

    #[test]
    fn a_batch_is_counted_by_topic_and_outcome() {
        let mut counters = Counters::default();
        let quarantine = Decision::quarantine("missing_field", "id");
        for (topic, decision) in [
            ("orders/create", &Decision::Acknowledge),
            ("orders/create", &Decision::Acknowledge),
            ("orders/create", &quarantine),
            ("refunds/create", &Decision::Retry { cause: "down".into() }),
        ] {
            consumed(&mut counters, &delivery(topic), decision);
        }
        let points: Vec<_> = counters
            .points()
            .into_iter()
            .map(|point| (point.blobs.join(" "), point.doubles))
            .collect();
        assert_eq!(
            points,
            [
                ("consumed orders/create acknowledged ".to_owned(), vec![2.0]),
                ("consumed orders/create quarantined missing_field".to_owned(), vec![1.0]),
                ("consumed refunds/create retried ".to_owned(), vec![1.0]),
            ]
        );
    }

    #[test]
    fn a_refused_request_is_counted_without_what_it_claims() {
        let point = &received(Err(&Refusal::too_large(5))).points()[0];
        assert_eq!(
            (point.indexes[0].as_str(), point.blobs[3].as_str()),
            ("refused", "too_large")
        );
        let point = &received(Ok(&delivery("orders/create"))).points()[0];
        assert_eq!(
            (point.indexes[0].as_str(), point.blobs[2].as_str()),
            ("demo.myshopify.com", "accepted")
        );
    }
}
