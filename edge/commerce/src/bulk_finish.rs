//! `bulk_operations/finish` is the sync Worker's business: this is what it is told.

use serde_json::{json, Value};
use weir_domain::webhook::{Delivery, Topic};

/// Whether `delivery` says that a bulk operation has finished.
#[must_use]
pub fn is_notice(delivery: &Delivery) -> bool {
    Topic::parse(&delivery.topic) == Some(Topic::BulkOperationsFinish)
}

/// The body of the sync Worker's `POST /internal/finished`: `{"shop", "operation_id", "status"}`.
///
/// # Errors
/// The field that is missing.
pub fn notice(delivery: &Delivery) -> Result<String, &'static str> {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    let operation_id = body["admin_graphql_api_id"].as_str().ok_or("admin_graphql_api_id")?;
    Ok(json!({"shop": delivery.shop_domain, "operation_id": operation_id, "status": body["status"]}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_shop_operation_and_status() {
        let delivery = |body: &str| crate::message::delivery("w", "bulk_operations/finish", body);
        let given = delivery(r#"{"admin_graphql_api_id":"gid://shopify/BulkOperation/1","status":"completed"}"#);
        assert!(is_notice(&given));
        let told: Value = serde_json::from_str(&notice(&given).unwrap()).unwrap();
        let expected = json!({"shop": "demo.myshopify.com", "operation_id": "gid://shopify/BulkOperation/1", "status": "completed"});
        assert_eq!(told, expected);
        assert_eq!(notice(&delivery("{}")), Err("admin_graphql_api_id"));
    }
}
