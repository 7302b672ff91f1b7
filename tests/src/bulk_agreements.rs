//! Shopify's own ledger of an order: what was agreed, as immutable sales of `agreements { sales }`.
//!
//! Worked out from webhook bodies without weir's ledger: an agreement for the order, for each edit, for each refund and for
//! a cancellation, with totals after discount and with tax, as Shopify defines them.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use crate::bulk_jsonl::{amounts, array, gid, money_bag, time, BulkLine, Order};

/// What a sale is worth, shop and presentment minor units.
#[derive(Clone, Copy, Default)]
struct Worth {
    /// Without discount and tax.
    gross: [i64; 2],
    /// Without tax.
    discount: [i64; 2],
    tax: [i64; 2],
}

/// A line of the order and what of it is still with the buyer.
struct Line<'a> {
    item: &'a Value,
    id: i64,
    quantity: i64,
    /// Of all units.
    worth: Worth,
    /// Units agreed on so far.
    sold: i64,
    open: i64,
    /// Worth after discount that was not given back.
    left: [i64; 2],
}

/// Writes the agreements of an order as bulk lines.
pub(crate) fn write(order_id: i64, order: &Order, body: &Value, lines: &mut Vec<BulkLine>) {
    let mut writer = Writer {
        order_id,
        body,
        lines,
        agreement: String::new(),
        agreement_id: 0,
        sales: 0,
    };
    let mut edits: Vec<&Value> = order.edits.iter().collect();
    edits.sort_by_key(|edit| (time(&edit["committed_at"]), edit["id"].as_i64()));
    let mut added: BTreeMap<i64, i64> = BTreeMap::new();
    for edit in &edits {
        for one in array(&edit["line_items"]["additions"]) {
            *added.entry(id(one)).or_default() += one["delta"].as_i64().expect("units");
        }
    }
    let items = array(&body["line_items"]).iter();
    let mut of_order: Vec<Line<'_>> = items.map(|item| Line::read(body, item)).collect();

    let placed = ["created_at", "processed_at", "updated_at"]
        .iter()
        .find(|name| body[**name].is_string());
    writer.agree("OrderAgreement", "ORDER", &body[*placed.expect("a time")], 0, json!({}));
    for line in &mut of_order {
        let first = line.quantity - added.get(&line.id).copied().unwrap_or(0).min(line.quantity);
        writer.sell(line, first);
    }
    for one in array(&body["shipping_lines"]) {
        let gross = amounts(body, one, "price");
        let worth = Worth {
            gross,
            ..Worth::default()
        };
        let shipping = json!({"shippingLine": {"id": one["id"].as_i64().map(|id| gid("ShippingLine", id))}});
        writer.sale("ShippingLineSale", "ORDER", "SHIPPING", 1, worth, shipping);
    }
    for (index, edit) in edits.iter().enumerate() {
        writer.agree(
            "OrderEditAgreement",
            "ORDER_EDIT",
            &edit["committed_at"],
            100 + index as i64,
            json!({}),
        );
        for line in &mut of_order {
            let units = |kind: &str| {
                let changes = array(&edit["line_items"][kind]).iter().filter(|one| id(one) == line.id);
                changes.map(|one| one["delta"].as_i64().expect("units")).sum::<i64>()
            };
            let (more, less) = (units("additions"), units("removals"));
            writer.sell(line, more.min(line.quantity - line.sold));
            writer.take_back(line, less.min(line.open), None);
        }
    }
    for (refund_id, refund) in &order.refunds {
        writer.refund(*refund_id, refund, &mut of_order);
    }
    if body["cancelled_at"].is_string() {
        writer.agree("OrderEditAgreement", "ORDER_EDIT", &body["cancelled_at"], 1, json!({}));
        for line in &mut of_order {
            writer.take_back(line, line.open, Some(line.left));
        }
    }
}

struct Writer<'a> {
    order_id: i64,
    body: &'a Value,
    lines: &'a mut Vec<BulkLine>,
    agreement: String,
    agreement_id: i64,
    sales: i64,
}

impl Writer<'_> {
    fn agree(&mut self, typename: &str, reason: &str, at: &Value, tag: i64, more: Value) {
        self.agreement_id = stable_id(self.order_id, tag);
        self.agreement = gid("SalesAgreement", self.agreement_id);
        self.sales = 0;
        let mut node = json!({"__typename": typename, "id": self.agreement, "happenedAt": at, "reason": reason});
        extend(&mut node, more);
        self.lines.push(BulkLine::new(node, Some(&gid("Order", self.order_id))));
    }

    fn sale(&mut self, typename: &str, action: &str, line_type: &str, quantity: i64, worth: Worth, more: Value) {
        let base = minus(worth.gross, worth.discount);
        self.sales += 1;
        let mut node = json!({
            "__typename": typename, "id": gid("Sale", stable_id(self.agreement_id, self.sales)),
            "actionType": action, "lineType": line_type, "quantity": quantity,
            "totalAmount": money_bag(self.body, plus(base, worth.tax)),
            "totalDiscountAmountBeforeTaxes": money_bag(self.body, worth.discount),
            "totalDiscountAmountAfterTaxes": money_bag(self.body, worth.discount),
            "totalTaxAmount": money_bag(self.body, worth.tax)});
        extend(&mut node, more);
        let agreement = self.agreement.clone();
        self.lines.push(BulkLine::new(node, Some(&agreement)));
    }

    fn goods(&mut self, line: &Line<'_>, action: &str, quantity: i64, worth: Worth) {
        let card = line.item["gift_card"] == true;
        let (typename, line_type) = if card {
            ("GiftCardSale", "GIFT_CARD")
        } else {
            ("ProductSale", "PRODUCT")
        };
        let of = |resource, name: &str| line.item[name].as_i64().map(|id| json!({"id": gid(resource, id)}));
        let item = json!({"lineItem": {"id": gid("LineItem", line.id), "product": of("Product", "product_id"),
            "variant": of("ProductVariant", "variant_id")}});
        self.sale(typename, action, line_type, quantity, worth, item);
    }

    fn sell(&mut self, line: &mut Line<'_>, units: i64) {
        if units <= 0 {
            return;
        }
        let share = |whole: [i64; 2]| {
            let upto = |units: i64| whole.map(|amount| part(amount, units, line.quantity));
            minus(upto(line.sold + units), upto(line.sold))
        };
        let worth = Worth {
            gross: share(line.worth.gross),
            discount: share(line.worth.discount),
            tax: share(line.worth.tax),
        };
        self.goods(line, "ORDER", units, worth);
        line.sold += units;
        line.open += units;
        line.left = plus(line.left, minus(worth.gross, worth.discount));
    }

    /// Takes units back at their share of what the line is worth, or at `net`.
    fn take_back(&mut self, line: &mut Line<'_>, units: i64, net: Option<[i64; 2]>) {
        if units <= 0 {
            return;
        }
        let whole = minus(line.worth.gross, line.worth.discount);
        let net = net.unwrap_or_else(|| whole.map(|amount| part(amount, units, line.quantity)));
        let tax = line.worth.tax.map(|amount| -part(amount, units, line.quantity));
        let worth = Worth {
            gross: net.map(|amount| -amount),
            discount: [0, 0],
            tax,
        };
        self.goods(line, "RETURN", -units, worth);
        line.open -= units;
        line.left = minus(line.left, net);
    }

    fn refund(&mut self, refund_id: i64, refund: &Value, of_order: &mut [Line<'_>]) {
        let at = if refund["processed_at"].is_string() {
            "processed_at"
        } else {
            "created_at"
        };
        let named = json!({"refund": {"id": gid("Refund", refund_id)}});
        self.agree("RefundAgreement", "REFUND", &refund[at], 10_000 + refund_id, named);
        for one in array(&refund["refund_line_items"]) {
            let Some(line) = of_order
                .iter_mut()
                .find(|line| Some(line.id) == one["line_item_id"].as_i64())
            else {
                continue;
            };
            let (subtotal, tax) = (
                amounts(self.body, one, "subtotal"),
                amounts(self.body, one, "total_tax"),
            );
            let included = self.body["taxes_included"] == true;
            let net = if included { minus(subtotal, tax) } else { subtotal };
            let units = one["quantity"].as_i64().expect("units");
            let worth = Worth {
                gross: net.map(|one| -one),
                discount: [0, 0],
                tax: tax.map(|one| -one),
            };
            self.goods(line, "RETURN", -units, worth);
            line.open -= units;
            line.left = minus(line.left, net);
        }
        for one in array(&refund["order_adjustments"]) {
            let (amount, tax) = (amounts(self.body, one, "amount"), amounts(self.body, one, "tax_amount"));
            let discrepancy = one["kind"] == "refund_discrepancy";
            let (typename, line_type) = if discrepancy {
                ("AdjustmentSale", "ADJUSTMENT")
            } else {
                ("ShippingLineSale", "SHIPPING")
            };
            let worth = Worth {
                gross: minus(amount, tax),
                discount: [0, 0],
                tax,
            };
            self.sale(
                typename,
                if discrepancy { "UPDATE" } else { "RETURN" },
                line_type,
                0,
                worth,
                json!({}),
            );
        }
    }
}

impl<'a> Line<'a> {
    fn read(body: &Value, item: &'a Value) -> Self {
        let quantity = item["quantity"].as_i64().unwrap_or(0);
        let listed = amounts(body, item, "price").map(|price| price * quantity);
        let sum = |list: &str, name: &str| {
            let parts = array(&item[list]).iter().map(|one| amounts(body, one, name));
            parts.fold([0, 0], plus)
        };
        let (discount, tax) = (sum("discount_allocations", "amount"), sum("tax_lines", "price"));
        let worth = if body["taxes_included"] == true {
            let paid = minus(listed, discount);
            let net = minus(paid, tax);
            let bare = [0, 1].map(|at| part(discount[at], net[at], paid[at]));
            Worth {
                gross: plus(net, bare),
                discount: bare,
                tax,
            }
        } else {
            Worth {
                gross: listed,
                discount,
                tax,
            }
        };
        Self {
            item,
            id: id(item),
            quantity,
            worth,
            sold: 0,
            open: 0,
            left: [0, 0],
        }
    }
}

fn id(node: &Value) -> i64 {
    node["id"].as_i64().expect("an id")
}

fn extend(node: &mut Value, more: Value) {
    if let (Value::Object(node), Value::Object(more)) = (node, more) {
        node.extend(more);
    }
}

fn plus(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

fn minus(a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

/// `amount * units / of`, half rounded up.
fn part(amount: i64, units: i64, of: i64) -> i64 {
    if of == 0 {
        return 0;
    }
    let doubled = 2 * i128::from(amount) * i128::from(units) + i128::from(of);
    i64::try_from(doubled.div_euclid(2 * i128::from(of))).expect("an amount")
}

/// An id that is the same whenever the shop is asked, above 2^53 and unlike all others.
fn stable_id(of: i64, tag: i64) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in of.to_le_bytes().into_iter().chain(tag.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    i64::try_from(hash >> 2 | 1 << 60).expect("62 bits")
}
