//! Shopify's inbound shapes: from the raw body of a webhook to one fact.
//!
//! - [`json`]: exact JSON (numbers stay text), personal data removed, NUL refused
//! - [`order`], [`product`], [`customer`]: bodies by topic
//! - [`bulk`]: queries and result lines of bulk operations, told as the same facts
//!
//! Every field is optional and unknown fields are ignored: Shopify's published schemas reject real deliveries. Only the
//! resource's id and values of an impossible type make a delivery unreadable.

pub mod bulk;
mod customer;
pub mod json;
mod order;
mod product;

use crate::customer::Customer;
use crate::money::Currency;
use crate::order_state::{Agreement, EditLine, Fulfillment, OrderSnapshot, Payment, Product, Raw, Refund, Return};
use json::{Encode, Json};

/// Why a delivery cannot be read; names as in verdicts and quarantine records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A field without which the resource has no identity is absent.
    MissingField,
    /// A value is of another type, or does not fit its unit.
    TypeMismatch,
    /// The text is not JSON.
    ParseFailure,
    /// A field without which the resource has no identity is null.
    NullValue,
    /// A string holds U+0000, which PostgreSQL cannot store.
    InvalidText,
}

impl Reason {
    /// The name used in verdicts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "missing_field",
            Self::TypeMismatch => "type_mismatch",
            Self::ParseFailure => "parse_failure",
            Self::NullValue => "null_value",
            Self::InvalidText => "invalid_text",
        }
    }
}

/// What is wrong with a body, and where. Carries no value of it: it may go to a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {path}: {detail}", reason.as_str())]
pub struct BodyError {
    /// Class of the fault.
    pub reason: Reason,
    /// Path such as `line_items[0].price`; empty for the body itself.
    pub path: String,
    /// What was expected.
    pub detail: &'static str,
}

impl BodyError {
    /// `path: what was expected`, or only the latter where it is about the body itself.
    #[must_use]
    pub fn place(&self) -> String {
        match self.path.as_str() {
            "" => self.detail.to_owned(),
            path => format!("{path}: {}", self.detail),
        }
    }
}

/// What a delivery says happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A whole order with what is embedded in it.
    Order(Box<OrderSnapshot>),
    /// The order is gone at Shopify; `at` in microseconds since 1970.
    OrderDeleted { order_id: i64, at: i64 },
    /// Goods came back.
    Refund { order_id: i64, refund: Refund },
    /// A transaction of the order.
    Payment { order_id: i64, payment: Payment },
    /// A shipment of the order.
    Fulfillment { order_id: i64, fulfillment: Fulfillment },
    /// The line changes of one committed order edit.
    Edit { order_id: i64, lines: Vec<EditLine> },
    /// A return was requested or changed its status.
    Return { order_id: i64, returned: Return },
    /// Shopify's own ledger of the order, complete as of `updated_at` (microseconds since 1970).
    Agreements {
        order_id: i64,
        updated_at: i64,
        agreements: Vec<Agreement>,
    },
    /// Lines of a return changed. The body names neither the order nor a status, and what comes back is told by refunds:
    /// it changes nothing that weir keeps.
    ReturnLinesChanged,
    /// A customer, or the deletion of one at Shopify.
    Customer(Box<Customer>),
    /// A customer was merged `into` another and is gone since `at` (microseconds since 1970).
    CustomerMerged { customer_id: i64, into: i64, at: i64 },
    /// A merge of customers that was asked for, is under way or failed: nothing has changed.
    CustomerMergeOpen,
    /// Shopify asks to forget a customer, and what these orders keep of them. Somebody without an account has no id and is
    /// known by their orders alone; never neither.
    CustomerRedacted { customer_id: Option<i64>, orders: Vec<i64> },
    /// A customer asks what is kept of them. `request_id` is Shopify's number of the request.
    CustomerDataRequested { customer_id: i64, request_id: i64 },
    /// Shopify asks to forget the shop.
    ShopRedacted,
    /// A whole product.
    Product(Box<Product>),
    /// The product is gone at Shopify; `at` in microseconds since 1970.
    ProductDeleted { product_id: i64, at: i64 },
}

impl Fact {
    /// The order it is about, if any.
    #[must_use]
    pub fn order_id(&self) -> Option<i64> {
        match self {
            Self::Order(snapshot) => Some(snapshot.header.order_id),
            Self::OrderDeleted { order_id, .. }
            | Self::Refund { order_id, .. }
            | Self::Payment { order_id, .. }
            | Self::Fulfillment { order_id, .. }
            | Self::Edit { order_id, .. }
            | Self::Agreements { order_id, .. }
            | Self::Return { order_id, .. } => Some(*order_id),
            _ => None,
        }
    }

    /// Whether it is about what is kept of persons, and not about commerce.
    #[must_use]
    pub fn is_about_privacy(&self) -> bool {
        matches!(
            self,
            Self::CustomerRedacted { .. } | Self::CustomerDataRequested { .. } | Self::ShopRedacted
        )
    }

    /// Takes out who bought, and the body in which more of them might be: the order it is about was redacted.
    pub fn forget_customer(&mut self) {
        match self {
            Self::Order(snapshot) => snapshot.forget_customer(),
            Self::Refund { refund, .. } => refund.raw = Raw::default(),
            Self::Payment { payment, .. } => payment.raw = Raw::default(),
            Self::Return { returned, .. } => returned.raw = Raw::default(),
            _ => {}
        }
    }

    /// The product it is about, if it is a fact about a product.
    #[must_use]
    pub fn product_id(&self) -> Option<i64> {
        match self {
            Self::Product(product) => Some(product.product_id),
            Self::ProductDeleted { product_id, .. } => Some(*product_id),
            _ => None,
        }
    }
}

/// What a body does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The shop's currency, used where the body names none.
    pub currency: Currency,
    /// `X-Shopify-Triggered-At`, or when the delivery was received; microseconds since 1970.
    pub triggered_at: i64,
}

/// Whether weir reads this topic.
#[must_use]
pub fn is_supported(topic: &str) -> bool {
    matches!(
        topic,
        "orders/create"
            | "orders/updated"
            | "orders/paid"
            | "orders/fulfilled"
            | "orders/partially_fulfilled"
            | "orders/cancelled"
            | "orders/edited"
            | "orders/delete"
            | "refunds/create"
            | "order_transactions/create"
            | "fulfillments/create"
            | "fulfillments/update"
            | "returns/request"
            | "returns/approve"
            | "returns/update"
            | "returns/cancel"
            | "returns/close"
            | "returns/decline"
            | "returns/reopen"
            | "customers/create"
            | "customers/update"
            | "customers/enable"
            | "customers/disable"
            | "customers/delete"
            | "customers/merge"
            | "customers/data_request"
            | "customers/redact"
            | "shop/redact"
            | "products/create"
            | "products/update"
            | "products/delete"
    )
}

/// The topic that says how a shop is set up.
pub const SHOP_UPDATE: &str = "shop/update";

/// What a body of [`SHOP_UPDATE`] says of how the shop's days and amounts are read; `None` where it says nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct ToldShop {
    /// The IANA name of its time zone.
    pub time_zone: Option<String>,
    /// The code of its currency.
    pub currency: Option<String>,
}

/// Reads a body of [`SHOP_UPDATE`].
///
/// # Errors
/// [`BodyError`] with the path of the first fault.
pub fn told_shop(body: &str) -> Result<ToldShop, BodyError> {
    let json = Json::parse(body)?;
    let node = json::Node::root(&json, json::encode_text)?;
    Ok(ToldShop {
        time_zone: node.text("iana_timezone")?,
        currency: node.text("currency")?,
    })
}

/// Reads a body; what is kept of it is JSON text. `None` for a topic that weir does not read.
///
/// # Errors
/// [`BodyError`] with the path of the first fault.
pub fn parse(topic: &str, body: &str, context: Context) -> Result<Option<Fact>, BodyError> {
    parse_encoding(topic, body, context, json::encode_text)
}

/// The same; what is kept of the body is encoded by `encode`.
///
/// # Errors
/// [`BodyError`] with the path of the first fault.
pub fn parse_encoding(topic: &str, body: &str, context: Context, encode: Encode) -> Result<Option<Fact>, BodyError> {
    if !is_supported(topic) {
        return Ok(None);
    }
    let json = Json::parse(body)?;
    let root = json::Node::root(&json, encode)?;
    let fact = match topic {
        "orders/delete" => Fact::OrderDeleted {
            order_id: root.id("id")?,
            at: context.triggered_at,
        },
        "products/delete" => Fact::ProductDeleted {
            product_id: root.id("id")?,
            at: context.triggered_at,
        },
        "orders/edited" => order::edit(&root)?,
        "refunds/create" => Fact::Refund {
            order_id: root.id("order_id")?,
            refund: order::refund(&root, None, context)?,
        },
        "order_transactions/create" => Fact::Payment {
            order_id: root.id("order_id")?,
            payment: order::payment(&root, context)?,
        },
        "fulfillments/create" | "fulfillments/update" => Fact::Fulfillment {
            order_id: root.id("order_id")?,
            fulfillment: order::fulfillment(&root, context)?,
        },
        "customers/create" | "customers/update" | "customers/enable" | "customers/disable" => {
            Fact::Customer(Box::new(customer::customer(&root, context)?))
        }
        "customers/merge" => customer::merge(&root, context)?,
        "customers/delete" => Fact::Customer(Box::new(Customer::deleted(root.id("id")?, context.triggered_at))),
        "customers/redact" => customer::redaction(&root)?,
        "customers/data_request" => Fact::CustomerDataRequested {
            customer_id: root.required_object("customer")?.id("id")?,
            request_id: root.required_object("data_request")?.id("id")?,
        },
        "shop/redact" => Fact::ShopRedacted,
        "returns/update" => Fact::ReturnLinesChanged,
        "returns/request" | "returns/approve" | "returns/cancel" | "returns/close" | "returns/decline"
        | "returns/reopen" => order::returned(&root, context)?,
        "products/create" | "products/update" => Fact::Product(Box::new(product::product(&root, context)?)),
        _ => Fact::Order(Box::new(order::order(&root, context)?)),
    };
    Ok(Some(fact))
}
