//! Generated deliveries of orders/create: 8 KB with three lines, in euros for a buyer who sees dollars.

use serde_json::{json, Value};
use weir_tests::shop::{Line, Shop};
use weir_tests::shopify_body::{self, money_set, OrderFacts};

/// When the edge took in every delivery, and Shopify triggered it.
pub const RECEIVED_AT: &str = "2026-11-20T09:00:06.000Z";
/// The topic of every delivery.
pub const TOPIC: &str = "orders/create";

/// The shop of all orders.
pub fn shop() -> Shop {
    Shop::paris()
}

/// One webhook.
pub struct Delivery {
    pub webhook_id: String,
    pub body: String,
}

/// `count` deliveries from the `first`-th on.
pub fn deliveries(first: usize, count: usize) -> Vec<Delivery> {
    let shop = shop();
    let delivery = |index: usize| Delivery {
        webhook_id: format!("b54557e4-bdd9-4b37-8a5f-{index:012}"),
        body: body(&shop, index).to_string(),
    };
    (first..first + count).map(delivery).collect()
}

fn body(shop: &Shop, index: usize) -> Value {
    let products = shop.products();
    let number = i64::try_from(index).expect("a small number") + 1;
    let lines: Vec<Line> = (0..3)
        .map(|place| Line {
            product: products[(index + place) % 6].clone(),
            quantity: 1 + place as i64,
            discount: if place == 1 { 100 } else { 0 },
        })
        .collect();
    let (hour, minute) = (index / 60 % 24, index % 60);
    let (placed, updated) = (
        format!("2026-11-20T{hour:02}:{minute:02}:00+01:00"),
        format!("2026-11-20T{hour:02}:{minute:02}:05+01:00"),
    );
    let facts = OrderFacts {
        id: 9_100_000_000_000_000 + number * 100,
        number: number + 1000,
        processed_at: &placed,
        updated_at: &updated,
        financial_status: "paid",
        fulfillment_status: None,
        cancelled_at: None,
        test: false,
        refunds: vec![],
    };
    let mut body = shopify_body::order(shop, &facts, &lines);
    add_what_shopify_says_besides(shop, &mut body, &lines, &updated);
    body
}

/// Members of a real body that no test needs: with them an order of three lines has its usual 8 KB.
fn add_what_shopify_says_besides(shop: &Shop, body: &mut Value, lines: &[Line], updated_at: &str) {
    for (item, line) in body["line_items"].as_array_mut().into_iter().flatten().zip(lines) {
        let tax = (line.quantity * line.product.price - line.discount) / 5;
        item["tax_lines"] = json!([{
            "channel_liable": false, "price": shop.amount(tax), "price_set": money_set(shop, tax), "rate": 0.2,
            "title": "TVA"
        }]);
        item["attributed_staffs"] = json!([]);
        item["sales_line_item_group_id"] = json!(null);
    }
    body["customer"]["created_at"] = "2025-03-01T12:00:00+01:00".into();
    body["customer"]["updated_at"] = updated_at.into();
    body["customer"]["tax_exempt"] = false.into();
    body["customer"]["email_marketing_consent"] = json!({
        "state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": updated_at
    });
    body["client_details"] = json!({
        "accept_language": "fr-FR", "browser_height": null, "browser_ip": "203.0.113.7", "browser_width": null,
        "session_hash": null, "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    });
    body["landing_site"] = "/collections/all?utm_source=newsletter".into();
    for name in ["current_total_discounts_set", "current_total_tax_set"] {
        body[name] = money_set(shop, 100);
    }
    for name in [
        "original_total_duties_set",
        "current_total_duties_set",
        "location_id",
        "device_id",
        "po_number",
    ] {
        body[name] = json!(null);
    }
    body["discount_applications"] = json!([{
        "target_type": "line_item", "type": "manual", "value": "1.0", "value_type": "fixed_amount",
        "allocation_method": "each", "target_selection": "explicit", "title": "Loyalty", "description": "Loyalty"
    }]);
}
