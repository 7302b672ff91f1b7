//! Webhook subscriptions that are missing, and those to an address of before. Shopify removes one whose deliveries failed eight
//! times in a row, without a word.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_domain::webhook::Topic;

use crate::admin::Scopes;
use crate::scopes::of_topic;

/// Shopify's enumeration value of `topic`: `orders/create` is `ORDERS_CREATE`.
#[must_use]
pub fn enumeration(topic: Topic) -> String {
    topic.as_str().replace('/', "_").to_uppercase()
}

/// Topics of which a shop that has not granted their scope is not asked: no order and no sale depends on them.
const OPTIONAL: [Topic; 1] = [Topic::CustomersMerge];

/// The topics for which `edges`, all that Shopify lists, has no subscription to `uri` in JSON, as far as the `scopes` reach.
#[must_use]
pub fn missing(edges: &[Value], uri: &str, scopes: &Scopes) -> Vec<Topic> {
    let there: BTreeSet<&str> = edges
        .iter()
        .map(|edge| &edge["node"])
        .filter(|node| node["uri"].as_str() == Some(uri) && node["format"].as_str() == Some("JSON"))
        .filter_map(|node| node["topic"].as_str())
        .collect();
    let wanted = Topic::ALL.iter().filter(|topic| !Topic::MANDATORY.contains(topic));
    let granted = |topic: &Topic| of_topic(*topic).is_none_or(|scope| scopes.has(scope));
    let wanted = wanted.filter(|topic| !OPTIONAL.contains(topic) || granted(topic));
    wanted
        .copied()
        .filter(|topic| !there.contains(enumeration(*topic).as_str()))
        .collect()
}

/// The ids of those of `edges` that deliver to one of `addresses` other than `uri`: what weir itself once made, before its
/// WEBHOOK_URL was corrected. One to an address that weir never had is somebody else's.
#[must_use]
pub fn outdated<'a>(edges: &'a [Value], uri: &str, addresses: &Value) -> Vec<&'a str> {
    let addresses: Vec<&str> = addresses
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let nodes = edges.iter().map(|edge| &edge["node"]);
    let old = nodes.filter(|node| {
        let to = node["uri"].as_str();
        to != Some(uri) && to.is_some_and(|to| addresses.contains(&to))
    });
    old.filter_map(|node| node["id"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subscription_to_another_address_is_none() {
        let uri = "https://weir.example/webhooks/shopify";
        let node =
            |topic: &str, uri: &str, format: &str| json!({"node": {"topic": topic, "uri": uri, "format": format}});
        let edges = [
            node("ORDERS_CREATE", uri, "JSON"),
            node("ORDERS_UPDATED", "https://old.example/", "JSON"),
            node("REFUNDS_CREATE", uri, "XML"),
        ];
        let missing_with = |handles: &[&str]| {
            let scopes = handles.iter().map(|handle| json!({"handle": handle})).collect();
            let scopes = Scopes::read(&json!({"accessScopes": Value::Array(scopes)}));
            let topics = super::missing(&edges, uri, &scopes);
            topics.into_iter().map(enumeration).collect::<Vec<_>>()
        };
        let missing = missing_with(&["read_orders"]);
        assert!(!missing.contains(&"CUSTOMERS_MERGE".to_owned()));
        assert!(missing_with(&["write_customer_merge"]).contains(&"CUSTOMERS_MERGE".to_owned()));
        assert!(!missing.contains(&"ORDERS_CREATE".to_owned()));
        for topic in [
            "ORDERS_UPDATED",
            "REFUNDS_CREATE",
            "BULK_OPERATIONS_FINISH",
            "ORDER_TRANSACTIONS_CREATE",
        ] {
            assert!(missing.contains(&topic.to_owned()), "{topic}");
        }
        assert!(!missing.iter().any(|topic| topic.contains("REDACT")));
    }

    #[test]
    fn only_what_was_made_for_an_address_of_before_is_outdated() {
        let node = |id: &str, uri: &str| json!({"node": {"id": id, "uri": uri, "topic": "ORDERS_CREATE"}});
        let edges = [
            node("1", "https://new.example/"),
            node("2", "https://old.example/"),
            node("3", "https://stranger.example/"),
        ];
        let addresses = json!(["https://new.example/", "https://old.example/"]);
        assert_eq!(outdated(&edges, "https://new.example/", &addresses), ["2"]);
        assert!(outdated(&edges, "https://new.example/", &json!(null)).is_empty());
    }
}
