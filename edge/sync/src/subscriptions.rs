//! Webhook subscriptions that are missing. Shopify removes one whose deliveries failed eight times in a row, without a word.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_domain::webhook::Topic;

use crate::admin::Scopes;

/// Topics that every app has without a subscription: Shopify takes their address from the app's configuration.
const MANDATORY: [Topic; 3] = [Topic::CustomersDataRequest, Topic::CustomersRedact, Topic::ShopRedact];

/// Shopify's enumeration value of `topic`: `orders/create` is `ORDERS_CREATE`.
#[must_use]
pub fn enumeration(topic: Topic) -> String {
    topic.as_str().replace('/', "_").to_uppercase()
}

/// The scope that Shopify asks for a topic beyond those without which nothing is read; a shop that has not granted it is not
/// asked for the subscription.
fn own_scope(topic: Topic) -> Option<&'static str> {
    (topic == Topic::CustomersMerge).then_some("read_customer_merge")
}

/// The topics for which `edges`, all that Shopify lists, has no subscription to `uri` in JSON, as far as the `scopes` reach.
#[must_use]
pub fn missing(edges: &[Value], uri: &str, scopes: &Scopes) -> Vec<String> {
    let there: BTreeSet<&str> = edges
        .iter()
        .map(|edge| &edge["node"])
        .filter(|node| node["uri"].as_str() == Some(uri) && node["format"].as_str() == Some("JSON"))
        .filter_map(|node| node["topic"].as_str())
        .collect();
    let wanted = Topic::ALL.iter().filter(|topic| !MANDATORY.contains(topic));
    let wanted = wanted.filter(|topic| own_scope(**topic).is_none_or(|scope| scopes.has(scope)));
    wanted
        .map(|topic| enumeration(*topic))
        .filter(|topic| !there.contains(topic.as_str()))
        .collect()
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
            super::missing(
                &edges,
                uri,
                &Scopes::read(&json!({"accessScopes": Value::Array(scopes)})),
            )
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
}
