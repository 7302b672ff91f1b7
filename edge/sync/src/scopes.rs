//! Which access scope of Shopify's what needs, and what is to be said when a shop has not granted it.

use jiff::{SignedDuration, Timestamp};
use weir_domain::shopify::bulk::BulkKind;
use weir_domain::watermark::text;
use weir_domain::webhook::Topic;

use crate::admin::Scopes;
use crate::step::StepError;

/// Without it a shop shows the orders of the last [`DAYS_READABLE`] days only, and says nothing.
pub const ALL_ORDERS: &str = "read_all_orders";

/// Days of orders that an app without [`ALL_ORDERS`] sees, by Shopify's documentation of `Order`.
pub const DAYS_READABLE: i64 = 60;

/// The scope that a subscription to `topic` needs; none for what is the app's or the shop's own.
#[must_use]
pub fn of_topic(topic: Topic) -> Option<&'static str> {
    let (resource, _) = topic.as_str().split_once('/')?;
    match resource {
        _ if topic == Topic::CustomersMerge => Some("read_customer_merge"),
        "orders" | "order_transactions" | "refunds" => Some("read_orders"),
        "fulfillments" => Some("read_fulfillments"),
        "returns" => Some("read_returns"),
        "products" => Some("read_products"),
        "customers" => Some("read_customers"),
        _ => None,
    }
}

/// The scopes that the bulk query `kind` needs, by what it selects: one without which a single field is closed ends the whole
/// operation as ACCESS_DENIED. edge/fake-shopify/schema.graphql has what Shopify asks for; the fake refuses by it.
#[must_use]
pub fn of_kind(kind: BulkKind) -> &'static [&'static str] {
    match kind {
        // `customer { id }`, `product { id }` of a line, `return { id }` of a refund.
        BulkKind::OrdersCore => &["read_orders", "read_customers", "read_products", "read_returns"],
        BulkKind::OrdersLedger => &["read_orders", "read_products", "read_returns"],
        BulkKind::Products => &["read_products"],
    }
}

/// Checks that `granted` by `shop` is enough to read it.
///
/// # Errors
/// `missing_scope`, naming all that are missing.
pub fn enough(shop: &str, granted: &Scopes) -> Result<(), StepError> {
    let mut absent: Vec<&str> = Vec::new();
    for scope in BulkKind::ALL.into_iter().flat_map(of_kind) {
        if !granted.has(scope) && !absent.contains(scope) {
            absent.push(scope);
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{shop} has not granted {}; install the app again with them",
        absent.join(", ")
    );
    Err(StepError::lasting("missing_scope", detail))
}

/// Checks that orders since `from` can be read at `now`, where only those of the last `days` can.
///
/// # Errors
/// `missing_scope`: what lies before would be counted as read, and nobody has read it.
pub fn all_readable(shop: &str, from: Timestamp, now: Timestamp, days: Option<i64>) -> Result<(), StepError> {
    let oldest = days.map(|days| now - SignedDuration::from_hours(24 * days));
    match oldest {
        Some(oldest) if from < oldest => {
            let detail = format!(
                "{shop} has not granted {ALL_ORDERS}: orders before {} cannot be read; grant it, or begin there instead of {}",
                text(oldest),
                text(from)
            );
            Err(StepError::lasting("missing_scope", detail))
        }
        _ => Ok(()),
    }
}

/// What a refused subscription to `topic` of `shop` is told as.
#[must_use]
pub fn refusal(topic: Topic, shop: &str, message: &str) -> String {
    let grant = of_topic(topic).map_or_else(String::new, |scope| format!("; grant {scope}"));
    format!("{} at {shop}: {message}{grant}", topic.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    fn scopes(handles: &[&str]) -> Scopes {
        let list: Value = handles.iter().map(|handle| json!({"handle": handle})).collect();
        Scopes::read(&json!({"accessScopes": list}))
    }

    #[test]
    fn all_scopes_that_are_missing_are_named_at_once() {
        assert!(enough(
            "s",
            &scopes(&["read_orders", "write_products", "read_customers", "write_returns"])
        )
        .is_ok());
        let error = enough("s", &scopes(&["read_orders"])).unwrap_err();
        assert_eq!(error.kind, "missing_scope");
        assert!(
            error
                .detail
                .contains("s has not granted read_customers, read_products, read_returns;"),
            "{}",
            error.detail
        );
    }

    #[test]
    fn each_topic_about_a_resource_of_the_shop_has_a_scope() {
        for topic in Topic::ALL {
            let none = of_topic(*topic).is_none();
            let own = ["app/", "shop/", "bulk_operations/"]
                .iter()
                .any(|prefix| topic.as_str().starts_with(prefix));
            assert_eq!(none, own, "{}", topic.as_str());
        }
        let refusal = refusal(Topic::ReturnsRequest, "s", "no");
        assert_eq!(refusal, "returns/request at s: no; grant read_returns");
    }

    #[test]
    fn what_a_shop_hides_is_not_read() {
        let [from, now] = ["2026-09-20T00:00:00Z", "2026-11-24T00:00:00Z"].map(|text| text.parse().unwrap());
        assert!(all_readable("s", from, now, None).is_ok());
        assert!(all_readable("s", from, now, Some(70)).is_ok());
        let error = all_readable("s", from, now, Some(DAYS_READABLE)).unwrap_err();
        assert_eq!(error.kind, "missing_scope");
        assert!(
            error.detail.contains("read_all_orders") && error.detail.contains("2026-09-25"),
            "{}",
            error.detail
        );
    }
}
