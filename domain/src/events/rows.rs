//! Events as rows of stream `commerce_v1`, written as JSON text without a tree of values in between: they are a good part
//! of what a batch costs.

use serde::{Serialize, Serializer};
use serde_json::value::{to_raw_value, RawValue};

use super::{customer_key, exponent, wire_time, EventKey, EventType, Provenance, Renderer};
use crate::order_state::{Header, Line, OrderState, Product};
use crate::sales::SalesRow;

/// Version of the rows of `commerce_v1`.
const SCHEMA_VERSION: i32 = 1;

/// The JSON text of a row.
pub(super) fn json_text<R: Serialize>(row: &R) -> Box<RawValue> {
    to_raw_value(row).expect("texts, numbers and lists of them are JSON")
}

/// An id, which is text in the stream: a JavaScript number must never hold one.
#[derive(Clone, Copy)]
struct Id(i64);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What all rows say.
#[derive(Serialize)]
struct Envelope<'a> {
    event_id: String,
    event_type: &'a str,
    schema_version: i32,
    event_date: String,
    event_hour: i32,
    occurred_at: String,
    received_at: String,
    source: &'a str,
    shop_domain: &'a str,
    shop_time_zone: &'a str,
}

impl<'a> Envelope<'a> {
    fn new(renderer: &Renderer<'a>, key: &EventKey, provenance: &'a Provenance) -> Self {
        let occurred_at = wire_time(key.occurred_at);
        Self {
            event_id: renderer.id(key),
            event_type: key.event_type.as_str(),
            schema_version: SCHEMA_VERSION,
            event_date: occurred_at[..10].to_owned(),
            event_hour: occurred_at[11..13].parse().unwrap_or_default(),
            occurred_at,
            received_at: wire_time(provenance.received_at),
            source: &provenance.source,
            shop_domain: &renderer.shop.shop_domain,
            shop_time_zone: &renderer.shop.time_zone,
        }
    }
}

/// An event about an order. What is not known is left out.
#[derive(Serialize)]
pub(super) struct OrderRow<'a> {
    #[serde(flatten)]
    envelope: Envelope<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Id>,
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program_id: Option<&'a str>,
    // Without the order's body there is no ledger: measurement must not take such a row for the order's newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales: Option<&'a [SalesRow]>,
    currency: &'a str,
    currency_exponent: u8,
    #[serde(flatten)]
    header: Option<HeaderPart<'a>>,
    #[serde(flatten)]
    subject: SubjectPart<'a>,
}

impl<'a> OrderRow<'a> {
    pub fn new(
        renderer: &'a Renderer<'a>,
        key: &'a EventKey,
        state: &'a OrderState,
        ledger: &'a [SalesRow],
        provenance: &'a Provenance,
    ) -> Self {
        let has_ledger = state.header.is_some() || state.is_deleted();
        let referred_by = state.referred_by();
        let header = state.header.as_ref();
        let currency = header.map_or(renderer.shop.currency.code(), |header| &header.currency);
        Self {
            envelope: Envelope::new(renderer, key, provenance),
            order_id: key.order_id.map(Id),
            is_deleted: state.is_deleted(),
            publisher_id: referred_by.and_then(|by| by.publisher_id.as_deref()),
            program_id: referred_by.and_then(|by| by.program_id.as_deref()),
            order_revision: has_ledger.then_some(state.revision),
            sales: has_ledger.then_some(ledger),
            currency,
            currency_exponent: exponent(currency),
            header: header.map(|header| HeaderPart::new(renderer, header, state)),
            subject: SubjectPart::new(key, state),
        }
    }
}

/// What the order's body says.
#[derive(Serialize)]
struct HeaderPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order_name: Option<&'a str>,
    order_updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_processed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_cancelled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    financial_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfillment_status: Option<&'a str>,
    is_test: bool,
    presentment_currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_price: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_key: Option<String>,
    lines: Vec<LineRow<'a>>,
}

impl<'a> HeaderPart<'a> {
    fn new(renderer: &'a Renderer<'a>, header: &'a Header, state: &'a OrderState) -> Self {
        let salted = header
            .customer_id
            .and_then(|id| renderer.salts.get(&id).map(|salt| (id, salt)));
        Self {
            order_name: header.name.as_deref(),
            order_updated_at: wire_time(header.updated_at),
            order_processed_at: header.processed_at.map(wire_time),
            order_cancelled_at: header.cancelled_at.map(wire_time),
            financial_status: header.financial_status.as_deref(),
            fulfillment_status: header.fulfillment_status.as_deref(),
            is_test: header.is_test,
            presentment_currency: &header.presentment_currency,
            total_price: header.total_price,
            source_name: header.source_name.as_deref(),
            customer_key: salted.map(|(id, salt)| customer_key(salt, &renderer.shop.shop_domain, id)),
            lines: state.lines.iter().map(|line| LineRow::new(renderer, line)).collect(),
        }
    }
}

/// A line with what is known of its product; unknown is null.
#[derive(Serialize)]
struct LineRow<'a> {
    line_item_id: Id,
    product_id: Option<Id>,
    variant_id: Option<Id>,
    title: Option<&'a str>,
    product_title: Option<&'a str>,
    vendor: Option<&'a str>,
    product_type: Option<&'a str>,
    is_active: Option<bool>,
    is_gift_card: bool,
    quantity: i64,
    current_quantity: Option<i64>,
    unit_price: i64,
    discount: i64,
}

impl<'a> LineRow<'a> {
    fn new(renderer: &'a Renderer<'a>, line: &'a Line) -> Self {
        let product = line.product_id.and_then(|id| renderer.products.get(&id));
        let vendor = product
            .and_then(|product| product.vendor.as_ref())
            .or(line.vendor.as_ref());
        Self {
            line_item_id: Id(line.line_item_id),
            product_id: line.product_id.map(Id),
            variant_id: line.variant_id.map(Id),
            title: line.title.as_deref(),
            product_title: product.and_then(|product| product.title.as_deref()),
            vendor: vendor.map(String::as_str),
            product_type: product.and_then(|product| product.product_type.as_deref()),
            is_active: product.and_then(Product::is_active),
            is_gift_card: line.is_gift_card,
            quantity: line.quantity,
            current_quantity: line.current_quantity,
            unit_price: line.unit_price.shop,
            discount: line.discount.shop,
        }
    }
}

/// The payment, refund, shipment or return that the event is about.
#[derive(Serialize, Default)]
struct SubjectPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_gateway: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfillment_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfillment_tracking_company: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_status: Option<&'a str>,
}

impl<'a> SubjectPart<'a> {
    fn new(key: &EventKey, state: &'a OrderState) -> Self {
        let id = key.entity_id;
        match key.event_type {
            EventType::PaymentCaptured => {
                let payment = state.payments.iter().find(|payment| payment.payment_id == id);
                payment.map_or_else(Self::default, |payment| Self {
                    payment_id: Some(Id(id)),
                    payment_kind: payment.kind.as_deref(),
                    payment_gateway: payment.gateway.as_deref(),
                    payment_amount: Some(payment.amount),
                    payment_currency: Some(&payment.currency),
                    ..Self::default()
                })
            }
            EventType::PaymentRefunded => {
                let refund = state.refunds.iter().find(|refund| refund.refund_id == id);
                Self {
                    refund_id: Some(Id(id)),
                    payment_kind: Some("refund"),
                    payment_amount: refund.and_then(|refund| refund.paid_amount),
                    payment_currency: refund.and_then(|refund| refund.paid_currency.as_deref()),
                    ..Self::default()
                }
            }
            EventType::FulfillmentShipped => {
                let shipment = state.fulfillments.iter().find(|shipment| shipment.fulfillment_id == id);
                Self {
                    fulfillment_id: Some(Id(id)),
                    fulfillment_tracking_company: shipment.and_then(|shipment| shipment.tracking_company.as_deref()),
                    ..Self::default()
                }
            }
            EventType::ReturnRequested => {
                let returned = state.returns.iter().find(|returned| returned.return_id == id);
                Self {
                    return_id: Some(Id(id)),
                    return_status: returned.and_then(|returned| returned.status.as_deref()),
                    ..Self::default()
                }
            }
            _ => Self::default(),
        }
    }
}

/// A `product_changed` event. What is not known is left out.
#[derive(Serialize)]
pub(super) struct ProductRow<'a> {
    #[serde(flatten)]
    envelope: Envelope<'a>,
    product_id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_vendor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_published_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_is_active: Option<bool>,
    product_is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_updated_at: Option<String>,
}

impl<'a> ProductRow<'a> {
    pub fn new(
        renderer: &'a Renderer<'a>,
        key: &'a EventKey,
        product: &'a Product,
        provenance: &'a Provenance,
    ) -> Self {
        Self {
            envelope: Envelope::new(renderer, key, provenance),
            product_id: Id(product.product_id),
            product_title: product.title.as_deref(),
            product_vendor: product.vendor.as_deref(),
            product_type: product.product_type.as_deref(),
            product_status: product.status.as_deref(),
            product_published_at: product.published_at.map(wire_time),
            product_is_active: product.is_active(),
            product_is_deleted: product.deleted_at.is_some(),
            product_updated_at: product.updated_at.map(wire_time),
        }
    }
}
