//! Facts of whole orders and products from the lines of an operation.

use super::Part;
use crate::money::Currency;
use crate::order_state::{Agreement, OrderSnapshot, Product, Raw};
use crate::shopify::json::minor_units;
use crate::shopify::Fact;

/// A node that one operation has read, with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Number of its id.
    pub id: i64,
    /// What its line said; `None` for a line that could not be read.
    pub part: Option<Part>,
    /// Customer of an order, unless forgotten.
    pub customer_id: Option<i64>,
    /// A root's line without personal data, encoded to be kept; unless forgotten.
    pub raw: Raw,
    /// Nodes whose lines name this one as their parent.
    pub children: Vec<Node>,
}

impl Node {
    /// Whether this line and all below it could be read. Half an order would say that the rest is gone.
    fn is_whole(&self) -> bool {
        self.part.is_some() && self.children.iter().all(Self::is_whole)
    }
}

/// What one operation says of an order: its snapshot with transactions, or its agreements and returns. Nothing if a line of
/// the order could not be read.
#[must_use]
pub fn order_facts(root: Node) -> Vec<Fact> {
    if !root.is_whole() {
        return Vec::new();
    }
    let order_id = root.id;
    match root.part {
        Some(Part::Order(order)) => {
            let mut header = order.header;
            (header.customer_id, header.raw) = (root.customer_id, root.raw);
            let lines = root.children.into_iter().filter_map(|child| match child.part {
                Some(Part::LineItem(line)) => Some(line),
                _ => None,
            });
            let mut snapshot = OrderSnapshot {
                header,
                // The query asks for the customer's id alone.
                customer: None,
                lines: lines.collect(),
                refunds: order.refunds,
                fulfillments: order.fulfillments,
            };
            snapshot.lines.sort_by_key(|line| line.line_item_id);
            let payments = order.payments.into_iter();
            let payments = payments.map(|payment| Fact::Payment { order_id, payment });
            std::iter::once(Fact::Order(Box::new(snapshot)))
                .chain(payments)
                .collect()
        }
        Some(Part::OrderLedger { updated_at }) => {
            let mut agreements = Vec::new();
            let mut facts = Vec::new();
            for child in root.children {
                match child.part {
                    Some(Part::Agreement(agreement)) => agreements.push(with_sales(agreement, child.children)),
                    Some(Part::Return(returned)) => facts.push(Fact::Return { order_id, returned }),
                    _ => {}
                }
            }
            agreements.sort_by_key(|agreement: &Agreement| agreement.agreement_id);
            facts.push(Fact::Agreements {
                order_id,
                updated_at,
                agreements,
            });
            facts
        }
        _ => Vec::new(),
    }
}

fn with_sales(mut agreement: Agreement, children: Vec<Node>) -> Agreement {
    let sales = children.into_iter().filter_map(|child| match child.part {
        Some(Part::Sale(sale)) => Some(sale),
        _ => None,
    });
    agreement.sales = sales.collect();
    agreement.sales.sort_by_key(|sale| sale.sale_id);
    agreement
}

/// What an operation says of a product, in a shop of `currency`. Nothing if a line of the product could not be read.
#[must_use]
pub fn product_fact(root: Node, currency: Currency) -> Option<Product> {
    if !root.is_whole() {
        return None;
    }
    let Some(Part::Product(mut product)) = root.part else {
        return None;
    };
    product.raw = root.raw;
    let variants = root.children.into_iter().filter_map(|child| match child.part {
        Some(Part::Variant(mut variant)) => {
            // As in webhooks: a price that is no amount of the shop's currency does not hold up the product.
            variant.price = variant
                .price_text
                .as_deref()
                .and_then(|text| minor_units(text, currency));
            variant.price_text = variant.price_text.filter(|_| variant.price.is_none());
            Some(variant)
        }
        _ => None,
    });
    product.variants = variants.collect();
    product.variants.sort_by_key(|variant| variant.variant_id);
    Some(*product)
}
