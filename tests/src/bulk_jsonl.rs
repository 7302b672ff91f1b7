//! The same shop as Shopify's bulk operations tell of it: what webhooks told, as JSONL lines of the queries in
//! `domain/src/shopify/queries`.
//!
//! [`BulkShop`] listens to webhook deliveries and answers as the Admin API would afterwards: the newest body of each order,
//! its transactions, refunds, fulfilments and returns, and Shopify's own ledger of sales agreements
//! ([`agreements`](crate::bulk_agreements)). Nothing here comes from weir's own ledger: the two are compared in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use serde_json::{json, Map, Value};
use weir_domain::money::{format_minor, parse_minor, Currency};

use crate::bulk_agreements;
use crate::shop::Delivery;

/// One line of a bulk result: a node without its nested connections, and the node it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkLine {
    /// The node's fields as the query asks for them.
    pub node: Map<String, Value>,
    /// Global id of the parent; `None` for a root.
    pub parent: Option<String>,
}

impl BulkLine {
    pub(crate) fn new(node: Value, parent: Option<&str>) -> Self {
        let Value::Object(node) = node else {
            panic!("a node is an object: {node}")
        };
        Self {
            node,
            parent: parent.map(str::to_owned),
        }
    }

    /// As Shopify writes it: `\/` and `\u0026`, `__parentId` last.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string(&self.node).expect("a JSON object");
        if let Some(parent) = &self.parent {
            text.pop();
            text.push_str(&format!(",\"__parentId\":{}}}", Value::from(parent.as_str())));
        }
        // These occur inside of strings only.
        let text = text.replace('/', "\\/").replace('&', "\\u0026");
        text.replace('<', "\\u003c").replace('>', "\\u003e")
    }
}

/// Sequence of the lines of a file. Shopify promises none unless `groupObjects` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Children right after their parents.
    Grouped,
    /// Any, the same for the same seed.
    Shuffled(u64),
}

/// A bulk result file.
#[must_use]
pub fn jsonl(mut lines: Vec<BulkLine>, sequence: Sequence) -> String {
    if let Sequence::Shuffled(seed) = sequence {
        let mut state = seed;
        for index in (1..lines.len()).rev() {
            lines.swap(index, (split_mix(&mut state) % (index as u64 + 1)) as usize);
        }
    }
    lines.iter().map(|line| line.to_text() + "\n").collect()
}

/// SplitMix64: small, seeded, the same everywhere.
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What webhooks told of one order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    pub body: Option<(Timestamp, Timestamp, Value)>,
    pub refunds: BTreeMap<i64, Value>,
    pub payments: BTreeMap<i64, Value>,
    pub fulfillments: BTreeMap<i64, (Timestamp, Value)>,
    /// Earliest and newest delivery, newest body.
    pub returns: BTreeMap<i64, (Timestamp, Timestamp, Value)>,
    pub edits: Vec<Value>,
}

/// A shop as the Admin API knows it once these deliveries were fired.
#[derive(Clone, Debug, Default)]
pub struct BulkShop {
    orders: BTreeMap<i64, Order>,
    products: BTreeMap<i64, (Timestamp, Timestamp, Value)>,
    deleted_orders: BTreeSet<i64>,
    deleted_products: BTreeSet<i64>,
}

impl BulkShop {
    /// After all of these deliveries.
    #[must_use]
    pub fn of(deliveries: &[Delivery]) -> Self {
        let mut shop = Self::default();
        for delivery in deliveries {
            let body = serde_json::from_slice(&delivery.body).expect("a webhook body is JSON");
            let fired = delivery.triggered_at.parse().expect("an RFC 3339 time");
            shop.tell(&delivery.topic, fired, &body);
        }
        shop
    }

    /// Takes one more delivery into account; the sequence does not matter.
    pub fn tell(&mut self, topic: &str, triggered_at: Timestamp, body: &Value) {
        let id = |name: &str| body[name].as_i64().expect("an id");
        match topic {
            "orders/delete" => _ = self.deleted_orders.insert(id("id")),
            "products/delete" => _ = self.deleted_products.insert(id("id")),
            "products/create" | "products/update" => {
                let version = (time(&body["updated_at"]), triggered_at, body.clone());
                newest(&mut self.products, id("id"), version);
            }
            "refunds/create" => _ = self.order(id("order_id")).refunds.insert(id("id"), body.clone()),
            "order_transactions/create" => _ = self.order(id("order_id")).payments.insert(id("id"), body.clone()),
            "fulfillments/create" | "fulfillments/update" => self.order(id("order_id")).fulfill(body),
            "orders/edited" => {
                let edit = &body["order_edit"];
                let order = self.order(edit["order_id"].as_i64().expect("an id"));
                order.edits.retain(|known| known["id"] != edit["id"]);
                order.edits.push(edit.clone());
            }
            _ if topic.starts_with("returns/") && topic != "returns/update" => {
                let order = body["order"]["id"].as_i64().unwrap_or_else(|| id("order_id"));
                self.order(order).give_back(id("id"), triggered_at, body);
            }
            _ if topic.starts_with("orders/") => self.order(id("id")).describe(triggered_at, body),
            _ => {}
        }
    }

    fn order(&mut self, id: i64) -> &mut Order {
        self.orders.entry(id).or_default()
    }

    fn orders_in(&self, window: &Range<Timestamp>) -> impl Iterator<Item = (i64, &Order, &Value)> {
        let window = window.clone();
        self.orders.iter().filter_map(move |(id, order)| {
            let (updated_at, _, body) = order.body.as_ref()?;
            (window.contains(updated_at) && !self.deleted_orders.contains(id)).then_some((*id, order, body))
        })
    }

    /// Result of `orders_core.graphql`: orders updated in the window, each with its lines.
    #[must_use]
    pub fn orders_core(&self, window: Range<Timestamp>) -> Vec<BulkLine> {
        let mut lines = Vec::new();
        for (id, order, body) in self.orders_in(&window) {
            let gid = gid("Order", id);
            lines.push(BulkLine::new(order.core(id, body), None));
            for item in array(&body["line_items"]) {
                lines.push(BulkLine::new(line_item(body, item), Some(&gid)));
            }
            for item in array(&body["shipping_lines"]) {
                let set = bag(body, item, "price");
                let node = json!({"__typename": "ShippingLine", "id": item["id"].as_i64().map(|id| self::gid("ShippingLine", id)),
                    "title": item["title"], "code": item["code"], "isRemoved": item["is_removed"] == true,
                    "originalPriceSet": set, "discountedPriceSet": set});
                lines.push(BulkLine::new(node, Some(&gid)));
            }
        }
        lines
    }

    /// Result of `orders_ledger.graphql`: sales agreements with their sales, and returns.
    #[must_use]
    pub fn orders_ledger(&self, window: Range<Timestamp>) -> Vec<BulkLine> {
        let mut lines = Vec::new();
        for (id, order, body) in self.orders_in(&window) {
            let gid = gid("Order", id);
            let root = json!({"__typename": "Order", "id": gid, "updatedAt": body["updated_at"],
                "test": body["test"] == true});
            lines.push(BulkLine::new(root, None));
            bulk_agreements::write(id, order, body, &mut lines);
            for (return_id, (first, _, returned)) in &order.returns {
                let closed = returned["status"] == "closed";
                let node = json!({"__typename": "Return", "id": self::gid("Return", *return_id), "name": returned["name"],
                    "status": upper(&returned["status"]), "createdAt": first.to_string(), "requestApprovedAt": null,
                    "closedAt": closed.then(|| first.to_string()), "totalQuantity": 1});
                lines.push(BulkLine::new(node, Some(&gid)));
            }
        }
        lines
    }

    /// Result of `products.graphql`: products updated in the window, each with its variants.
    #[must_use]
    pub fn products(&self, window: Range<Timestamp>) -> Vec<BulkLine> {
        let mut lines = Vec::new();
        for (id, (updated_at, _, body)) in &self.products {
            if !window.contains(updated_at) || self.deleted_products.contains(id) {
                continue;
            }
            let gid = gid("Product", *id);
            let node = json!({"__typename": "Product", "id": gid, "legacyResourceId": id.to_string(),
                "handle": body["handle"], "title": body["title"], "status": upper(&body["status"]),
                "vendor": body["vendor"], "productType": body["product_type"], "tags": [], "isGiftCard": false,
                "createdAt": body["created_at"], "updatedAt": body["updated_at"], "publishedAt": body["published_at"],
                "totalInventory": 75, "tracksInventory": true, "category": null});
            lines.push(BulkLine::new(node, None));
            for variant in array(&body["variants"]) {
                let id = variant["id"].as_i64().expect("an id");
                let node = json!({"__typename": "ProductVariant", "id": self::gid("ProductVariant", id),
                    "legacyResourceId": id.to_string(), "title": variant["title"], "sku": variant["sku"],
                    "barcode": variant["barcode"], "position": 1, "price": variant["price"], "compareAtPrice": null,
                    "taxable": true, "inventoryQuantity": variant["inventory_quantity"], "inventoryPolicy": "DENY",
                    "createdAt": variant["created_at"], "updatedAt": variant["updated_at"],
                    "inventoryItem": {"id": self::gid("InventoryItem", id), "unitCost": null}, "selectedOptions": []});
                lines.push(BulkLine::new(node, Some(&gid)));
            }
        }
        lines
    }
}

impl Order {
    fn describe(&mut self, triggered_at: Timestamp, body: &Value) {
        let version = (time(&body["updated_at"]), triggered_at);
        for refund in array(&body["refunds"]) {
            let id = refund["id"].as_i64().expect("an id");
            self.refunds.entry(id).or_insert_with(|| refund.clone());
        }
        for fulfillment in array(&body["fulfillments"]) {
            self.fulfill(fulfillment);
        }
        if self.body.as_ref().is_none_or(|known| (known.0, known.1) <= version) {
            self.body = Some((version.0, version.1, body.clone()));
        }
    }

    fn fulfill(&mut self, body: &Value) {
        let (id, at) = (body["id"].as_i64().expect("an id"), time(&body["updated_at"]));
        if self.fulfillments.get(&id).is_none_or(|known| known.0 <= at) {
            self.fulfillments.insert(id, (at, body.clone()));
        }
    }

    fn give_back(&mut self, id: i64, at: Timestamp, body: &Value) {
        let known = self.returns.entry(id).or_insert_with(|| (at, at, body.clone()));
        known.0 = known.0.min(at);
        let name = [&known.2["name"], &body["name"]]
            .into_iter()
            .find(|name| name.is_string());
        let name = name.cloned().unwrap_or_default();
        if known.1 <= at {
            (known.1, known.2) = (at, body.clone());
        }
        known.2["name"] = name;
    }

    fn core(&self, id: i64, body: &Value) -> Value {
        let transactions = self.payments.values().map(|one| transaction(body, one));
        let refunds = self.refunds.iter().map(|(id, one)| refund(body, *id, one));
        let fulfillments = self.fulfillments.iter().map(|(id, (_, one))| {
            json!({"id": gid("Fulfillment", *id), "name": one["name"], "status": upper(&one["status"]),
                "displayStatus": null, "createdAt": one["created_at"], "updatedAt": one["updated_at"],
                "inTransitAt": null, "deliveredAt": null, "totalQuantity": 1,
                "trackingInfo": [{"company": one["tracking_company"], "number": null, "url": null}]})
        });
        let attributes = array(&body["note_attributes"]).iter();
        let attributes = attributes.map(|one| json!({"key": one["name"], "value": one["value"]}));
        let customer = body["customer"]["id"].as_i64();
        let fulfillment_status = match body["fulfillment_status"].as_str() {
            None => "UNFULFILLED".to_owned(),
            Some("partial") => "PARTIALLY_FULFILLED".to_owned(),
            Some(status) => status.to_uppercase(),
        };
        json!({"__typename": "Order", "id": gid("Order", id), "legacyResourceId": id.to_string(),
            "name": body["name"], "number": body["order_number"], "test": body["test"] == true, "confirmed": true,
            "createdAt": body["created_at"], "processedAt": body["processed_at"], "updatedAt": body["updated_at"],
            "cancelledAt": body["cancelled_at"], "cancelReason": null, "closedAt": body["closed_at"],
            "currencyCode": currency(body).code(), "presentmentCurrencyCode": presentment(body).code(),
            "taxesIncluded": body["taxes_included"] == true,
            "displayFinancialStatus": upper(&body["financial_status"]), "displayFulfillmentStatus": fulfillment_status,
            "returnStatus": "NO_RETURN", "edited": !self.edits.is_empty(), "sourceName": body["source_name"],
            "app": null, "customer": customer.map(|id| json!({"id": gid("Customer", id)})),
            "customerLocale": body["customer_locale"], "tags": ["a & b", "</tag>"], "discountCodes": [],
            "customAttributes": attributes.collect::<Vec<_>>(),
            "paymentGatewayNames": body["payment_gateway_names"], "totalPriceSet": body["total_price"].is_string().then(|| bag(body, body, "total_price")),
            "transactions": transactions.collect::<Vec<_>>(), "refunds": refunds.collect::<Vec<_>>(),
            "fulfillments": fulfillments.collect::<Vec<_>>()})
    }
}

fn line_item(body: &Value, item: &Value) -> Value {
    let gid_of = |resource, id: &Value| id.as_i64().map(|id| json!({"id": gid(resource, id)}));
    let allocations = array(&item["discount_allocations"]).iter().map(|one| {
        json!({"allocatedAmountSet": bag(body, one, "amount"), "discountApplication": {"index": 0,
            "targetType": "LINE_ITEM", "allocationMethod": "ACROSS", "targetSelection": "ALL"}})
    });
    let taxes = array(&item["tax_lines"])
        .iter()
        .map(|one| json!({"title": one["title"], "rate": one["rate"], "priceSet": bag(body, one, "price")}));
    json!({"__typename": "LineItem", "id": gid("LineItem", item["id"].as_i64().expect("an id")), "name": item["name"],
        "title": item["title"], "variantTitle": null, "sku": item["sku"], "vendor": item["vendor"],
        "quantity": item["quantity"], "currentQuantity": item["current_quantity"], "refundableQuantity": 0,
        "unfulfilledQuantity": 0, "nonFulfillableQuantity": 0, "isGiftCard": item["gift_card"] == true,
        "requiresShipping": true, "taxable": true, "product": gid_of("Product", &item["product_id"]),
        "variant": gid_of("ProductVariant", &item["variant_id"]), "originalUnitPriceSet": bag(body, item, "price"),
        "discountAllocations": allocations.collect::<Vec<_>>(), "taxLines": taxes.collect::<Vec<_>>()})
}

fn transaction(body: &Value, one: &Value) -> Value {
    let parent = one["parent_id"].as_i64();
    // A webhook says what was paid in the currency it was paid in, and no other.
    let paid = json!({"amount": one["amount"], "currencyCode": currency(if one["currency"].is_string() { one } else { body }).code()});
    json!({"id": gid("OrderTransaction", one["id"].as_i64().expect("an id")), "kind": upper(&one["kind"]),
        "status": upper(&one["status"]), "test": one["test"] == true, "createdAt": one["created_at"],
        "processedAt": one["processed_at"], "gateway": one["gateway"], "errorCode": null,
        "paymentId": one["payment_id"], "amountSet": {"shopMoney": paid, "presentmentMoney": paid},
        "parentTransaction": parent.map(|id| json!({"id": gid("OrderTransaction", id)}))})
}

fn refund(body: &Value, id: i64, one: &Value) -> Value {
    let moved = array(&one["transactions"])
        .iter()
        .filter(|moved| moved["status"] == "success" && moved["kind"] == "refund");
    let moved: Vec<&Value> = moved.collect();
    let paid_in = moved.first().map_or(presentment(body), |first| currency(first));
    let sum = moved.iter().map(|one| minor(&one["amount"], paid_in)).sum::<i64>();
    let total = json!({"amount": format_minor(sum, paid_in.exponent()), "currencyCode": paid_in.code()});
    json!({"id": gid("Refund", id), "createdAt": one["created_at"], "processedAt": one["processed_at"],
        "updatedAt": one["created_at"], "note": null, "totalRefundedSet": {"shopMoney": total, "presentmentMoney": total},
        "return": null})
}

/// Keeps the version with the newest (updated_at, triggered_at).
fn newest(versions: &mut BTreeMap<i64, (Timestamp, Timestamp, Value)>, id: i64, new: (Timestamp, Timestamp, Value)) {
    if versions
        .get(&id)
        .is_none_or(|known| (known.0, known.1) <= (new.0, new.1))
    {
        versions.insert(id, new);
    }
}

/// Global id of a resource.
#[must_use]
pub fn gid(resource: &str, id: i64) -> String {
    format!("gid://shopify/{resource}/{id}")
}

pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("an RFC 3339 time")
}

fn upper(value: &Value) -> Option<String> {
    value.as_str().map(str::to_uppercase)
}

/// Currency of the shop money of a body.
pub(crate) fn currency(body: &Value) -> Currency {
    Currency::from_code(body["currency"].as_str().unwrap_or("USD")).expect("an ISO 4217 code")
}

/// Currency that the buyer saw.
pub(crate) fn presentment(body: &Value) -> Currency {
    let code = body["presentment_currency"].as_str();
    code.map_or(currency(body), |code| {
        Currency::from_code(code).expect("an ISO 4217 code")
    })
}

/// Minor units of a decimal text or number.
pub(crate) fn minor(amount: &Value, currency: Currency) -> i64 {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    parse_minor(&text, currency).expect("an amount of the currency")
}

/// Shop and presentment amounts of `<name>_set`, or of `<name>` where there is no set.
pub(crate) fn amounts(body: &Value, node: &Value, name: &str) -> [i64; 2] {
    let set = &node[format!("{name}_set")];
    let of = |money: &str, currency: Currency| {
        let amount = &set[money]["amount"];
        let told = [amount, &node[name]].into_iter().find(|amount| !amount.is_null());
        told.map_or(0, |amount| minor(amount, currency))
    };
    [
        of("shop_money", currency(body)),
        of("presentment_money", presentment(body)),
    ]
}

/// A `MoneyBag` of minor units in the currencies of an order.
pub(crate) fn money_bag(body: &Value, [shop, shown]: [i64; 2]) -> Value {
    let money = |minor, currency: Currency| json!({"amount": format_minor(minor, currency.exponent()), "currencyCode": currency.code()});
    json!({"shopMoney": money(shop, currency(body)), "presentmentMoney": money(shown, presentment(body))})
}

fn bag(body: &Value, node: &Value, name: &str) -> Value {
    money_bag(body, amounts(body, node, name))
}
