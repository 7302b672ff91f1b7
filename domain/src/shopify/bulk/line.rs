//! One line of a bulk result.

use serde::{Deserialize, Serialize};

use super::super::json::{encode_text, fault, Json, Node};
use super::super::{BodyError, Reason};
use super::fields::{
    agreement, gid_of, line_item, order, product, required_gid, required_time, returned, sale, variant,
};
use super::BulkKind;
use crate::order_state::{Agreement, Fulfillment, Header, Line, Payment, Product, Refund, Return, Sale, Variant};

/// A global id, such as `gid://shopify/Order/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gid {
    /// The resource's name in the id, such as `Order`.
    pub resource: String,
    /// The number.
    pub id: i64,
}

impl Gid {
    /// Reads a global id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (resource, id) = text.strip_prefix("gid://shopify/")?.split_once('/')?;
        let is_name = !resource.is_empty() && resource.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // Some ids carry a query, such as `?inventory_item_id=1`.
        let id = id.split('?').next()?.parse().ok()?;
        is_name.then(|| Self {
            resource: resource.to_owned(),
            id,
        })
    }
}

/// What an order's own line says beyond its header. Refunds are told in brief: bulk refuses their lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OrderPart {
    pub header: Header,
    pub refunds: Vec<Refund>,
    pub payments: Vec<Payment>,
    pub fulfillments: Vec<Fulfillment>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// An order, without its line items.
    Order(Box<OrderPart>),
    /// A line item.
    LineItem(Line),
    /// An order whose agreements were read as of its `updated_at`, microseconds since 1970.
    OrderLedger { updated_at: i64 },
    /// A sales agreement, without its sales.
    Agreement(Agreement),
    /// A sale of an agreement.
    Sale(Sale),
    /// A return.
    Return(Return),
    /// A product, without its variants.
    Product(Box<Product>),
    /// A variant.
    Variant(Variant),
    /// A node of the query that weir keeps nothing of: shipping lines, lines of a return.
    Nothing,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkLine {
    /// The node; `None` where Shopify gives none (a shipping line), for [`Part::Nothing`] only.
    pub gid: Option<Gid>,
    /// The node it belongs to; `None` for a root.
    pub parent: Option<Gid>,
    /// What it says.
    pub part: Part,
    /// Customer of an order, kept apart so that it can be forgotten.
    pub customer_id: Option<i64>,
    /// A root's own line, without personal data.
    pub raw: Option<String>,
}

/// When the operation was created at Shopify, microseconds since 1970: how new its lines are.
pub(super) type ReadAt = i64;

impl BulkLine {
    /// Reads a line of an operation of `kind` that was created at `read_at` (microseconds since 1970).
    ///
    /// # Errors
    /// [`BodyError`] with the path of the first fault.
    pub fn read(kind: BulkKind, text: &str, read_at: ReadAt) -> Result<Self, BodyError> {
        let json = Json::parse(text)?;
        let node = Node::root(&json, encode_text)?;
        let parent = gid_of(&node, "__parentId")?;
        let typename = match node.text("__typename")? {
            Some(typename) => typename,
            None => required_gid(&node, "id")?.resource,
        };
        let mut line = Self {
            gid: gid_of(&node, "id")?,
            parent,
            part: Part::Nothing,
            customer_id: None,
            raw: None,
        };
        let is_root = matches!(typename.as_str(), "Order" | "Product");
        if !is_root && line.parent.is_none() {
            return Err(fault(
                Reason::MissingField,
                "__parentId",
                "a nested node names its parent",
            ));
        }
        if typename == "ShippingLine" && kind == BulkKind::OrdersCore {
            return Ok(line);
        }
        let gid = required_gid(&node, "id")?;
        line.part = part(kind, &typename, &node, read_at)?;
        // Under another kind of id the same line item could be told twice, as two nodes of one order, and a product with an
        // order's id would be read as that order.
        if (is_root || typename == "LineItem") && gid.resource != typename {
            return Err(node.mismatch("id", "expected an id of the node's own type"));
        }
        if is_root {
            line.raw = Some(node.to_text());
            line.customer_id = match node.object("customer")? {
                Some(customer) => Some(required_gid(&customer, "id")?.id),
                None => None,
            };
        }
        Ok(line)
    }

    /// A root's line without what leads to its customer; the rest is exactly what it was. Of the attributes that buyers may
    /// write those stay that say who brought the buyer: whoever reads the line again finds the order as it was.
    ///
    /// # Errors
    /// [`BodyError`] when the line is not JSON.
    pub fn without_customer(text: &str) -> Result<String, BodyError> {
        Ok(Json::parse(text)?.to_text_without_person())
    }

    /// The parent that an unreadable line names, found in its text alone.
    #[must_use]
    pub fn parent_in(text: &str) -> Option<Gid> {
        let (_, after) = text.split_once("\"__parentId\":")?;
        let value = after.trim_start().strip_prefix('"')?.split('"').next()?;
        Gid::parse(&value.replace("\\/", "/"))
    }

    /// The node that a line is whose fields are not readable.
    #[must_use]
    pub fn gid_in(text: &str) -> Option<Gid> {
        let json: serde_json::Value = serde_json::from_str(text).ok()?;
        Gid::parse(json.get("id")?.as_str()?)
    }
}

fn part(kind: BulkKind, typename: &str, node: &Node<'_>, read_at: ReadAt) -> Result<Part, BodyError> {
    Ok(match (kind, typename) {
        (BulkKind::OrdersCore, "Order") => Part::Order(Box::new(order(node, read_at)?)),
        (BulkKind::OrdersCore, "LineItem") => Part::LineItem(line_item(node)?),
        (BulkKind::OrdersLedger, "Order") => Part::OrderLedger {
            updated_at: required_time(node, "updatedAt")?,
        },
        (BulkKind::OrdersLedger, "Return") => Part::Return(returned(node, read_at)?),
        (BulkKind::OrdersLedger, "ReturnLineItem" | "UnverifiedReturnLineItem") => Part::Nothing,
        // Agreements and sales come as many types, of which new ones may be added.
        (BulkKind::OrdersLedger, name) if name.ends_with("Agreement") => Part::Agreement(agreement(node)?),
        (BulkKind::OrdersLedger, name) if name.ends_with("Sale") => Part::Sale(sale(node)?),
        (BulkKind::Products, "Product") => Part::Product(Box::new(product(node, read_at)?)),
        (BulkKind::Products, "ProductVariant") => Part::Variant(variant(node)?),
        _ => {
            return Err(fault(
                Reason::TypeMismatch,
                "__typename",
                "expected a node of the operation's query",
            ))
        }
    })
}
