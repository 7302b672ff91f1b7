//! Webhook bodies of the shape of Shopify's, Admin API 2026-10, with invented data.

use serde_json::{json, Value};

use crate::shop::{Line, Product, Shop};

/// A money set: shop money and, at the shop's presentment rate, presentment money.
#[must_use]
pub fn money_set(shop: &Shop, minor: i64) -> Value {
    json!({
        "shop_money": {"amount": shop.amount(minor), "currency_code": shop.currency},
        "presentment_money": {
            "amount": decimal(minor * shop.presentment_rate, shop.presentment_exponent),
            "currency_code": shop.presentment_currency
        }
    })
}

/// Minor units as Shopify's decimal text.
#[must_use]
pub fn decimal(minor: i64, exponent: u8) -> String {
    weir_domain::money::format_minor(minor, exponent)
}

/// Body of products/create and products/update.
#[must_use]
pub fn product(shop: &Shop, product: &Product, published_at: &str, updated_at: &str) -> Value {
    json!({
        "admin_graphql_api_id": format!("gid://shopify/Product/{}", product.id), "id": product.id,
        "body_html": format!("<p>{}</p>", product.title), "created_at": published_at, "updated_at": updated_at,
        "published_at": published_at, "handle": product.title.to_lowercase().replace(' ', "-"), "title": product.title,
        "vendor": product.vendor, "product_type": product.product_type, "status": product.status, "tags": "weir, demo",
        "template_suffix": null, "published_scope": "web", "options": [], "images": [], "image": null, "media": [],
        "variants": [{
            "admin_graphql_api_id": format!("gid://shopify/ProductVariant/{}", product.variant_id()),
            "id": product.variant_id(), "product_id": product.id, "title": "Default Title", "sku": product.sku(),
            "price": shop.amount(product.price), "compare_at_price": null, "position": 1, "inventory_policy": "deny",
            "option1": "Default Title", "option2": null, "option3": null, "taxable": true, "barcode": null,
            "inventory_item_id": null, "inventory_quantity": 75, "old_inventory_quantity": 75,
            "created_at": published_at, "updated_at": updated_at
        }],
        "has_variants_that_requires_components": false, "category": null
    })
}

/// What the body of an order says beyond its lines.
pub struct OrderFacts<'a> {
    /// Shopify's order id.
    pub id: i64,
    /// Order number, shown as `#1001`.
    pub number: i64,
    /// When it was placed, RFC 3339 with the shop's offset.
    pub processed_at: &'a str,
    /// Shopify's updated_at.
    pub updated_at: &'a str,
    /// pending, paid, refunded, ...
    pub financial_status: &'a str,
    /// null or fulfilled.
    pub fulfillment_status: Option<&'a str>,
    /// When it was cancelled.
    pub cancelled_at: Option<&'a str>,
    /// A test order.
    pub test: bool,
    /// Refunds so far, as in refunds/create.
    pub refunds: Vec<Value>,
}

/// Body of every orders/* topic.
#[must_use]
pub fn order(shop: &Shop, facts: &OrderFacts<'_>, lines: &[Line]) -> Value {
    let gross: i64 = lines.iter().map(|line| line.quantity * line.product.price).sum();
    let discount: i64 = lines.iter().map(|line| line.discount).sum();
    let (net, shipping) = (gross - discount, shop.shipping);
    let total = net + shipping;
    json!({
        "id": facts.id, "admin_graphql_api_id": format!("gid://shopify/Order/{}", facts.id), "app_id": 580_111,
        "browser_ip": "203.0.113.7", "buyer_accepts_marketing": false, "cancelled_at": facts.cancelled_at,
        "cancel_reason": facts.cancelled_at.map(|_| "customer"), "cart_token": null, "checkout_token": null,
        "client_details": null, "closed_at": null, "confirmation_number": format!("W{}", facts.number),
        "confirmed": true, "contact_email": "buyer@example.com", "created_at": facts.processed_at,
        "currency": shop.currency, "presentment_currency": shop.presentment_currency,
        "current_subtotal_price": shop.amount(net), "current_total_price": shop.amount(total),
        "current_total_price_set": money_set(shop, total), "current_total_discounts": shop.amount(discount),
        "customer_locale": "en", "discount_codes": [], "email": "buyer@example.com", "estimated_taxes": false,
        "financial_status": facts.financial_status, "fulfillment_status": facts.fulfillment_status,
        "name": format!("#{}", facts.number), "note": null, "note_attributes": [], "number": facts.number - 1000,
        "order_number": facts.number, "order_status_url": "https://shop.example/orders/status", "phone": null,
        "payment_gateway_names": ["bogus"], "processed_at": facts.processed_at, "source_name": "web",
        "subtotal_price": shop.amount(net), "subtotal_price_set": money_set(shop, net), "tags": "", "tax_exempt": false,
        "tax_lines": [], "taxes_included": false, "test": facts.test, "token": format!("token-{}", facts.id),
        "total_discounts": shop.amount(discount), "total_discounts_set": money_set(shop, discount),
        "total_line_items_price": shop.amount(gross), "total_line_items_price_set": money_set(shop, gross),
        "total_outstanding": "0", "total_price": shop.amount(total), "total_price_set": money_set(shop, total),
        "total_shipping_price_set": money_set(shop, shipping), "total_tax": "0", "total_tax_set": money_set(shop, 0),
        "total_tip_received": "0", "total_weight": 0, "updated_at": facts.updated_at, "user_id": null,
        "billing_address": address(), "shipping_address": address(),
        "customer": {
            "id": shop.customer_id(facts.number), "email": "buyer@example.com", "first_name": "Bea", "last_name": "Buyer",
            "state": "disabled", "verified_email": true, "phone": null, "currency": shop.currency,
            "default_address": address()
        },
        "discount_applications": [], "fulfillments": [], "refunds": facts.refunds, "returns": [], "line_item_groups": [],
        "payment_terms": null,
        "line_items": lines.iter().map(|line| line_item(shop, facts, line)).collect::<Vec<_>>(),
        "shipping_lines": [{
            "id": facts.id + 7, "code": "standard", "title": "Standard", "price": shop.amount(shipping),
            "price_set": money_set(shop, shipping), "discounted_price": shop.amount(shipping),
            "discounted_price_set": money_set(shop, shipping), "is_removed": false, "source": "shopify",
            "tax_lines": [], "discount_allocations": []
        }]
    })
}

fn line_item(shop: &Shop, facts: &OrderFacts<'_>, line: &Line) -> Value {
    let product = &line.product;
    let allocations = if line.discount == 0 {
        json!([])
    } else {
        json!([{
            "amount": shop.amount(line.discount), "amount_set": money_set(shop, line.discount),
            "discount_application_index": 0
        }])
    };
    json!({
        "id": line.id(facts.id), "admin_graphql_api_id": format!("gid://shopify/LineItem/{}", line.id(facts.id)),
        "current_quantity": line.quantity, "fulfillable_quantity": line.quantity, "fulfillment_service": "manual",
        "fulfillment_status": facts.fulfillment_status, "gift_card": product.gift_card, "grams": 100,
        "name": product.title, "price": shop.amount(product.price), "price_set": money_set(shop, product.price),
        "product_exists": true, "product_id": product.id, "properties": [], "quantity": line.quantity,
        "requires_shipping": !product.gift_card, "sku": product.sku(), "taxable": true, "title": product.title,
        // Shopify's total_discount does not include order-level discounts: never a source of the ledger.
        "total_discount": "0.00", "total_discount_set": money_set(shop, 0), "variant_id": product.variant_id(),
        "variant_inventory_management": "shopify", "variant_title": null, "vendor": product.vendor, "tax_lines": [],
        "duties": [], "discount_allocations": allocations
    })
}

/// Body of refunds/create: `quantity` of one line is returned.
#[must_use]
pub fn refund(shop: &Shop, id: i64, order_id: i64, line: &Line, quantity: i64, processed_at: &str) -> Value {
    let subtotal = (line.quantity * line.product.price - line.discount) * quantity / line.quantity;
    json!({
        "id": id, "admin_graphql_api_id": format!("gid://shopify/Refund/{id}"), "order_id": order_id,
        "created_at": processed_at, "processed_at": processed_at, "note": null, "user_id": null, "restock": true,
        "duties": [], "order_adjustments": [], "refund_shipping_lines": [], "return": null,
        "total_duties_set": money_set(shop, 0),
        "refund_line_items": [{
            "id": id + 1, "line_item_id": line.id(order_id), "quantity": quantity, "location_id": null,
            "restock_type": "return",
            // Shopify writes these two as JSON numbers, while every *_set carries strings.
            "subtotal": json_number(&shop.amount(subtotal)), "total_tax": 0,
            "subtotal_set": money_set(shop, subtotal), "total_tax_set": money_set(shop, 0)
        }],
        "transactions": [{
            "id": id + 2, "admin_graphql_api_id": format!("gid://shopify/OrderTransaction/{}", id + 2),
            "order_id": order_id, "kind": "refund", "status": "success", "gateway": "bogus", "test": false,
            "amount": shop.amount(subtotal), "currency": shop.currency, "created_at": processed_at,
            "processed_at": processed_at, "parent_id": null, "payment_id": format!("#{order_id}.2"),
            "total_unsettled_set": {
                "presentment_money": {"amount": "0.0", "currency": shop.presentment_currency},
                "shop_money": {"amount": "0.0", "currency": shop.currency}
            }
        }]
    })
}

/// Body of order_transactions/create: the whole order is paid at once.
#[must_use]
pub fn payment(shop: &Shop, id: i64, order_id: i64, lines: &[Line], processed_at: &str) -> Value {
    let paid = lines
        .iter()
        .map(|line| line.quantity * line.product.price - line.discount)
        .sum::<i64>()
        + shop.shipping;
    json!({
        "id": id, "admin_graphql_api_id": format!("gid://shopify/OrderTransaction/{id}"), "order_id": order_id,
        "kind": "sale", "status": "success", "gateway": "bogus", "message": null, "test": false, "authorization": "1001",
        "amount": shop.amount(paid), "currency": shop.currency, "created_at": processed_at, "processed_at": processed_at,
        "parent_id": null, "error_code": null, "source_name": "web", "receipt": {}, "location_id": null, "user_id": null,
        "device_id": null, "payment_id": format!("#{order_id}.1"), "manual_payment_gateway": false,
        // Shopify names this currency `currency`, not `currency_code` as everywhere else.
        "total_unsettled_set": {
            "presentment_money": {"amount": "0.0", "currency": shop.presentment_currency},
            "shop_money": {"amount": "0.0", "currency": shop.currency}
        }
    })
}

/// Body of fulfillments/create: the whole order is shipped.
#[must_use]
pub fn fulfillment(shop: &Shop, id: i64, facts: &OrderFacts<'_>, lines: &[Line], shipped_at: &str) -> Value {
    json!({
        "id": id, "admin_graphql_api_id": format!("gid://shopify/Fulfillment/{id}"), "order_id": facts.id,
        "status": "success", "created_at": shipped_at, "updated_at": shipped_at, "service": "manual",
        "tracking_company": "Weir Post", "tracking_number": null, "tracking_numbers": [], "tracking_url": null,
        "tracking_urls": [], "shipment_status": null, "location_id": null, "origin_address": null, "receipt": {},
        "email": "buyer@example.com", "destination": address(), "name": format!("#{}.1", facts.number),
        "line_items": lines.iter().map(|line| line_item(shop, facts, line)).collect::<Vec<_>>()
    })
}

fn address() -> Value {
    json!({
        "first_name": "Bea", "last_name": "Buyer", "name": "Bea Buyer", "address1": "1 Example Street", "address2": null,
        "city": "Exampleton", "zip": "00000", "province": null, "country": "France", "country_code": "FR",
        "province_code": null, "company": null, "phone": "555-0100", "latitude": null, "longitude": null
    })
}

/// A JSON number with exactly this text would need arbitrary precision; the amounts made here are small enough that the
/// shortest float text is the amount, which is also how Shopify's own numbers come about.
fn json_number(text: &str) -> Value {
    serde_json::from_str(text).expect("a decimal is a JSON number")
}
