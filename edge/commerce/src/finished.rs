//! `bulk_operations/finish`: which operation is over, for the run of the sync Worker that waits for it.

use serde_json::{json, Value};
use weir_domain::webhook::{Delivery, Topic};

/// What the sync Worker's `/internal/finished` is told of `delivery`, if it is about a bulk operation.
#[must_use]
pub fn of(delivery: &Delivery) -> Option<Value> {
    if Topic::parse(&delivery.topic) != Some(Topic::BulkOperationsFinish) {
        return None;
    }
    let body: Value = serde_json::from_str(&delivery.body).ok()?;
    let operation_id = body["admin_graphql_api_id"].as_str()?;
    Some(json!({"shop": delivery.shop_domain, "operation_id": operation_id}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_an_operation_wakes_a_run() {
        let delivery = |topic: &str, body: &str| Delivery {
            webhook_id: "w".into(),
            topic: topic.into(),
            shop_domain: "demo.myshopify.com".into(),
            triggered_at: None,
            api_version: None,
            received_at: String::new(),
            source: None,
            body: body.into(),
        };
        let body = r#"{"admin_graphql_api_id":"gid://shopify/BulkOperation/147595010","status":"completed"}"#;
        let expected = json!({"shop": "demo.myshopify.com", "operation_id": "gid://shopify/BulkOperation/147595010"});
        assert_eq!(of(&delivery("bulk_operations/finish", body)), Some(expected));
        assert_eq!(of(&delivery("orders/create", body)), None);
        assert_eq!(of(&delivery("bulk_operations/finish", "{}")), None);
    }
}
