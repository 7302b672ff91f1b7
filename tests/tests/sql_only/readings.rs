//! Random lines of bulk operations about the orders and products of [`super::bodies`], most of them right, some with one
//! thing wrong, some lost.

use serde_json::{json, Value};

use super::bodies::{break_off, id, maybe, spoil, with_plain_raw_numbers, Shop};
use crate::contract::permutation::Random;

pub const KINDS: [&str; 3] = ["orders_core", "orders_ledger", "products"];

fn gid(resource: &str, id: i64) -> Value {
    format!("gid://shopify/{resource}/{id}").into()
}

/// Times that tie with each other and with those of the webhooks.
pub fn time(random: &mut Random) -> String {
    let (day, hour) = (random.one(&["03-28", "03-29", "10-25"]), random.below(24));
    format!("2026-{day}T{hour:02}:00:0{}Z", random.below(3))
}

fn money(random: &mut Random, currency: &str, least: i64, most: i64) -> Value {
    let exponent = match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    };
    let minor = least + random.below((most - least) as u64) as i64;
    json!({"amount": weir_domain::money::format_minor(minor, exponent), "currencyCode": currency})
}

fn bag(random: &mut Random, shop: &Shop, least: i64, most: i64) -> Value {
    json!({"shopMoney": money(random, shop.currency, least, most), "presentmentMoney": money(random, shop.shown, least, most)})
}

/// A chunk's lines of an operation of `kind`, in any sequence.
pub fn lines(random: &mut Random, shop: &Shop, kind: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    for _ in 0..=random.below(3) {
        let order = 9_007_199_254_740_993 + shop.id * 1000 + random.below(7) as i64;
        match kind {
            "orders_core" => core(random, shop, order, &mut lines),
            "orders_ledger" => ledger(random, shop, order, &mut lines),
            _ => product(random, shop, &mut lines),
        }
    }
    for index in (1..lines.len()).rev() {
        lines.swap(index, random.below(index as u64 + 1) as usize);
    }
    lines
}

/// The lines as a chunk: some lost, some spoiled, some broken off, some blank.
pub fn chunk(random: &mut Random, lines: &[Value]) -> String {
    let mut chunk = String::new();
    for line in lines {
        let mut line = line.clone();
        match random.below(60) {
            0 => continue,
            1..=3 => spoil(random, &mut line),
            4 => line["__typename"] = random.one(&["Order", "Metafield", "LineItem", "ProductSale"]).into(),
            5 => line["x"] = "a\u{0}".into(),
            6 => {
                line["id"] = random
                    .one(&[
                        "gid://shopify/Order/1?a=b",
                        "gid://other/Order/1",
                        "gid://shopify/Or der/1",
                    ])
                    .into()
            }
            7 => line["deep"] = serde_json::from_str(&format!("{}{}", "[".repeat(70), "]".repeat(70))).unwrap(),
            _ => {}
        }
        let mut text = with_plain_raw_numbers(&line.to_string());
        if random.below(3) == 0 {
            // As Shopify writes it.
            text = text.replace('/', "\\/");
        }
        if random.below(60) == 0 {
            let half = text.len() / 2;
            break_off(&mut text, half);
        }
        chunk.push_str(&text);
        chunk.push_str(random.one(&["\n", "\n", "\n", "\r\n", "\n\n", "\n \u{a0}\n"]));
    }
    chunk
}

fn core(random: &mut Random, shop: &Shop, order: i64, lines: &mut Vec<Value>) {
    let list = |random: &mut Random, make: &dyn Fn(&mut Random) -> Value| -> Value {
        (0..random.below(3)).map(|_| make(random)).collect()
    };
    let refunds = list(random, &|random| {
        json!({"id": gid("Refund", id(random, 600, 3)), "createdAt": maybe(random, |random| time(random).into()),
            "processedAt": maybe(random, |random| time(random).into()),
            "return": maybe(random, |random| json!({"id": gid("Return", id(random, 800, 3))})),
            "totalRefundedSet": maybe(random, |random| bag(random, shop, 0, 3))})
    });
    let payments = list(random, &|random| {
        json!({"id": gid("OrderTransaction", id(random, 700, 4)), "kind": random.one(&["SALE", "CAPTURE", "REFUND"]),
            "status": random.one(&["SUCCESS", "SUCCESS", "PENDING"]), "gateway": maybe(random, |_| "card".into()),
            "test": false, "createdAt": time(random), "processedAt": maybe(random, |random| time(random).into()),
            "amountSet": bag(random, shop, 1, 90_000),
            "parentTransaction": maybe(random, |random| json!({"id": gid("OrderTransaction", id(random, 700, 4))}))})
    });
    let shipments = list(random, &|random| {
        json!({"id": gid("Fulfillment", id(random, 900, 3)), "status": random.one(&["SUCCESS", "CANCELLED"]),
            "createdAt": time(random), "updatedAt": time(random),
            "trackingInfo": maybe(random, |_| json!([{"company": "Weir Post"}, {"company": 5}]))})
    });
    lines.push(json!({"__typename": "Order", "id": gid("Order", order), "name": "#1001", "test": random.below(20) == 0,
        "createdAt": time(random), "processedAt": maybe(random, |random| time(random).into()), "updatedAt": time(random),
        "cancelledAt": if random.below(6) == 0 { json!(time(random)) } else { Value::Null },
        "currencyCode": shop.currency, "presentmentCurrencyCode": shop.shown, "taxesIncluded": random.below(2) == 0,
        "displayFinancialStatus": random.one(&["PAID", "PENDING"]), "sourceName": maybe(random, |_| "web".into()),
        "displayFulfillmentStatus": random.one(&["FULFILLED", "PARTIALLY_FULFILLED", "RESTOCKED", "UNFULFILLED"]),
        "customer": maybe(random, |random| json!({"id": gid("Customer", id(random, 1, 8))})),
        "customAttributes": [{"key": "weir_publisher", "value": random.one(&["p1", "no id"])}], "note": "private",
        "totalPriceSet": maybe(random, |random| bag(random, shop, 0, 90_000)), "refunds": refunds,
        "transactions": payments, "fulfillments": shipments}));
    for _ in 0..random.below(4) {
        let quantity = random.below(5);
        let discounts = list(
            random,
            &|random| json!({"allocatedAmountSet": bag(random, shop, 0, 700)}),
        );
        let taxes = list(
            random,
            &|random| json!({"rate": 0.08, "priceSet": bag(random, shop, 0, 900)}),
        );
        lines.push(
            json!({"__typename": "LineItem", "id": gid("LineItem", id(random, 1, 6)), "title": "Lamp",
            "vendor": maybe(random, |_| "Weir".into()), "quantity": quantity, "isGiftCard": random.below(7) == 0,
            "currentQuantity": maybe(random, |random| random.below(quantity + 1).into()),
            "product": maybe(random, |random| json!({"id": gid("Product", id(random, 10, 6))})),
            "variant": maybe(random, |_| json!({"id": "gid://shopify/ProductVariant/1"})),
            "originalUnitPriceSet": bag(random, shop, 0, 20_000), "discountAllocations": discounts, "taxLines": taxes,
            "__parentId": gid("Order", order)}),
        );
    }
    if random.below(3) == 0 {
        lines.push(json!({"__typename": "ShippingLine", "id": null, "__parentId": gid("Order", order)}));
    }
}

fn ledger(random: &mut Random, shop: &Shop, order: i64, lines: &mut Vec<Value>) {
    lines.push(json!({"__typename": "Order", "id": gid("Order", order), "updatedAt": time(random), "test": false}));
    for _ in 0..random.below(3) {
        // Agreements never change; the same number tells the same moment.
        let number = id(random, 300, 5);
        let (resource, reason) = match number {
            300 => ("OrderAgreement", "ORDER"),
            301 => ("OrderEditAgreement", "ORDER_EDIT"),
            302 => ("RefundAgreement", "REFUND"),
            303 => ("ReturnAgreement", "RETURN"),
            _ => ("OrderAgreement", "SOMETHING_NEW"),
        };
        let mut agreement = json!({"__typename": resource, "id": gid("SalesAgreement", order * 10 + number - 300),
            "happenedAt": time(random), "reason": reason, "__parentId": gid("Order", order)});
        match number {
            302 => agreement["refund"] = json!({"id": gid("Refund", id(random, 600, 3))}),
            303 => agreement["return"] = json!({"id": gid("Return", id(random, 800, 3))}),
            _ => {}
        }
        lines.push(agreement);
        for _ in 0..random.below(4) {
            let back = random.below(3) == 0;
            let (least, most) = if back { (-20_000, 1) } else { (0, 20_000) };
            let (resource, line_type) = match random.below(12) {
                0 => ("GiftCardSale", "GIFT_CARD"),
                1 => ("ShippingLineSale", "SHIPPING"),
                2 => ("AdjustmentSale", "ADJUSTMENT"),
                3 => ("UnknownSale", "UNKNOWN"),
                4 => ("TipSale", "TIP"),
                _ => ("ProductSale", "PRODUCT"),
            };
            lines.push(json!({"__typename": resource, "id": gid("Sale", order * 100 + id(random, 0, 9)),
                "actionType": if back { "RETURN" } else { random.one(&["ORDER", "ORDER", "UPDATE"]) },
                "lineType": line_type, "quantity": maybe(random, |random| json!(random.below(4) as i64 * if back { -1 } else { 1 })),
                "totalAmount": bag(random, shop, least, most), "totalDiscountAmountBeforeTaxes": bag(random, shop, 0, 500),
                "totalTaxAmount": bag(random, shop, least / 10, most / 10 + 1),
                "lineItem": maybe(random, |random| json!({"id": gid("LineItem", id(random, 1, 6)),
                    "product": maybe(random, |random| json!({"id": gid("Product", id(random, 10, 6))}))})),
                "__parentId": gid("SalesAgreement", order * 10 + number - 300)}));
        }
    }
    for _ in 0..random.below(5) / 3 {
        let number = id(random, 800, 3);
        lines.push(json!({"__typename": "Return", "id": gid("Return", number), "name": maybe(random, |_| "#1-R1".into()),
            "status": random.one(&["REQUESTED", "OPEN", "CLOSED"]), "createdAt": time(random), "__parentId": gid("Order", order)}));
        lines.push(
            json!({"__typename": "ReturnLineItem", "id": "gid://shopify/ReturnLineItem/1",
            "__parentId": gid("Return", number)}),
        );
    }
}

fn product(random: &mut Random, shop: &Shop, lines: &mut Vec<Value>) {
    let number = id(random, 10, 6);
    lines.push(
        json!({"__typename": "Product", "id": gid("Product", number), "title": random.one(&["Lamp", "灯"]),
        "vendor": maybe(random, |_| "Weir".into()), "productType": maybe(random, |_| "Light".into()),
        "status": random.one(&["ACTIVE", "DRAFT", "ARCHIVED"]), "createdAt": time(random),
        "publishedAt": maybe(random, |random| time(random).into()), "updatedAt": time(random)}),
    );
    for _ in 0..random.below(3) {
        let price = match random.below(5) {
            0 => json!("1.23456"),
            1 => Value::Null,
            _ => money(random, shop.currency, 0, 99_999)["amount"].clone(),
        };
        lines.push(
            json!({"id": gid("ProductVariant", id(random, 1, 6)), "title": maybe(random, |_| "Small".into()),
            "sku": maybe(random, |_| "S-1".into()), "price": price, "__parentId": gid("Product", number)}),
        );
    }
}
