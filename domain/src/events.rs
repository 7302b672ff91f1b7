//! From a change of state to telemetry events.
//!
//! Two steps, so that a delivery that comes again can answer with the same events: [`order_events`] and
//! [`product_event`] name what happened ([`EventKey`], kept beside the delivery), [`Renderer`] writes a key as an event
//! of stream `commerce_v1` with everything known now ([`rows`]).

mod rows;

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hex::hex;
use crate::money::Currency;
use crate::order_state::{OrderState, Product};
use crate::sales::{self, SalesRow};
use crate::telemetry::event_id;
use crate::time_zone;

/// What makes an event that event, and when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventKey {
    /// Such as `order_created`.
    pub event_type: EventType,
    /// Id of the entity at Shopify: the order, transaction, refund, fulfilment, return or product.
    pub entity_id: i64,
    /// Tells apart events of one type about one entity; empty when the fact happens once.
    pub discriminator: String,
    /// Business time, microseconds since 1970.
    pub occurred_at: i64,
    /// The order it is about, absent for products.
    pub order_id: Option<i64>,
}

/// The events of `commerce_v1` that weir makes from webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum EventType {
    OrderCreated,
    OrderCompleted,
    OrderCancelled,
    OrderUpdated,
    PaymentCaptured,
    PaymentRefunded,
    FulfillmentShipped,
    ReturnRequested,
    ProductChanged,
}

impl EventType {
    /// Name in the stream.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderCreated => "order_created",
            Self::OrderCompleted => "order_completed",
            Self::OrderCancelled => "order_cancelled",
            Self::OrderUpdated => "order_updated",
            Self::PaymentCaptured => "payment_captured",
            Self::PaymentRefunded => "payment_refunded",
            Self::FulfillmentShipped => "fulfillment_shipped",
            Self::ReturnRequested => "return_requested",
            Self::ProductChanged => "product_changed",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::OrderCreated | Self::OrderCompleted | Self::OrderCancelled | Self::OrderUpdated => "Order",
            Self::PaymentCaptured => "OrderTransaction",
            Self::PaymentRefunded => "Refund",
            Self::FulfillmentShipped => "Fulfillment",
            Self::ReturnRequested => "Return",
            Self::ProductChanged => "Product",
        }
    }
}

/// The shop as far as events and ledgers need it.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Its `myshopify.com` domain.
    pub shop_domain: String,
    /// IANA name of its time zone.
    pub time_zone: String,
    /// The zone itself.
    pub zone: TimeZone,
    /// Its currency.
    pub currency: Currency,
}

impl Shop {
    /// A shop with a known zone and currency.
    ///
    /// # Errors
    /// Names the field that is not an IANA zone or not an ISO 4217 code.
    pub fn new(shop_domain: &str, time_zone: &str, currency: &str) -> Result<Self, &'static str> {
        Ok(Self {
            shop_domain: shop_domain.to_owned(),
            time_zone: time_zone.to_owned(),
            zone: time_zone::named(time_zone).ok_or("iana_time_zone")?,
            currency: Currency::from_code(currency).map_err(|_| "currency")?,
        })
    }
}

/// What a change of an order's state means. `received_at` (microseconds) dates what has no business time of its own.
#[must_use]
pub fn order_events(
    order_id: i64,
    before: &OrderState,
    after: &OrderState,
    zone: &TimeZone,
    received_at: i64,
) -> Vec<EventKey> {
    let ledger_changed = || sales::ledger(before, zone) != sales::ledger(after, zone);
    order_events_with(order_id, before, after, ledger_changed, received_at)
}

/// The same for a caller that has the ledgers; it is asked whether they differ only where that matters.
#[must_use]
pub fn order_events_with(
    order_id: i64,
    before: &OrderState,
    after: &OrderState,
    ledger_changed: impl FnOnce() -> bool,
    received_at: i64,
) -> Vec<EventKey> {
    let mut events = Vec::new();
    let mut emit = |event_type, entity_id, occurred_at: Option<i64>, discriminator: String| {
        events.push(EventKey {
            event_type,
            entity_id,
            discriminator,
            occurred_at: occurred_at.unwrap_or(received_at),
            order_id: Some(order_id),
        });
    };
    if let Some(header) = &after.header {
        let placed = header.created_at.or(header.processed_at).or(Some(header.updated_at));
        if before.header.is_none() {
            emit(EventType::OrderCreated, order_id, placed, String::new());
        }
        let was_cancelled = before.header.as_ref().is_some_and(|old| old.cancelled_at.is_some());
        if header.cancelled_at.is_some() && !was_cancelled {
            emit(EventType::OrderCancelled, order_id, header.cancelled_at, String::new());
        }
    }
    if before.completed_at.is_none() && after.completed_at.is_some() {
        emit(EventType::OrderCompleted, order_id, after.completed_at, String::new());
    }
    for payment in after.payments.iter().filter(|payment| payment.is_captured()) {
        let known = before
            .payments
            .iter()
            .any(|old| old.payment_id == payment.payment_id && old.is_captured());
        if !known {
            let at = payment.processed_at.or(payment.created_at);
            emit(EventType::PaymentCaptured, payment.payment_id, at, String::new());
        }
    }
    for refund in &after.refunds {
        if !before.refunds.iter().any(|old| old.refund_id == refund.refund_id) {
            let at = refund.processed_at.or(refund.created_at);
            emit(EventType::PaymentRefunded, refund.refund_id, at, String::new());
        }
    }
    for shipment in after
        .fulfillments
        .iter()
        .filter(|shipment| shipment.shipped_at.is_some())
    {
        let id = shipment.fulfillment_id;
        if !before
            .fulfillments
            .iter()
            .any(|old| old.fulfillment_id == id && old.shipped_at.is_some())
        {
            emit(EventType::FulfillmentShipped, id, shipment.shipped_at, String::new());
        }
    }
    for returned in &after.returns {
        // First sight, whichever topic it is: a request may have been missed, the return exists all the same.
        if !before.returns.iter().any(|old| old.return_id == returned.return_id) {
            let at = Some(returned.requested_at);
            emit(EventType::ReturnRequested, returned.return_id, at, String::new());
        }
    }
    let deletion = before.is_deleted() != after.is_deleted();
    let attributed = after.header.is_some() && before.referred_by() != after.referred_by();
    // An order of which no body has arrived has no ledger to carry.
    if events.is_empty() && (deletion || attributed || ledger_changed()) {
        let at = if deletion {
            after.deleted_at
        } else {
            after.header.as_ref().map(|header| header.updated_at)
        };
        events.push(EventKey {
            event_type: EventType::OrderUpdated,
            entity_id: order_id,
            discriminator: after.revision.to_string(),
            occurred_at: at.unwrap_or(received_at),
            order_id: Some(order_id),
        });
    }
    events
}

/// `product_changed`, if title, vendor, type, status, publication or activity changed.
#[must_use]
pub fn product_event(before: Option<&Product>, after: &Product) -> Option<EventKey> {
    let facts = |product: &Product| {
        let texts = [&product.title, &product.vendor, &product.product_type, &product.status].map(Clone::clone);
        (texts, product.published_at, product.is_active(), product.deleted_at)
    };
    if before.is_some_and(|before| facts(before) == facts(after)) {
        return None;
    }
    let newly_deleted = after
        .deleted_at
        .filter(|_| before.is_none_or(|before| before.deleted_at.is_none()));
    let at = newly_deleted
        .or(after.updated_at)
        .or(after.deleted_at)
        .unwrap_or_default();
    Some(EventKey {
        event_type: EventType::ProductChanged,
        entity_id: after.product_id,
        discriminator: if newly_deleted.is_some() {
            "deleted".to_owned()
        } else {
            wire_time(at)
        },
        occurred_at: at,
        order_id: None,
    })
}

/// Keyed hash that stands for a customer outside PostgreSQL; deleting the salt severs it for good.
#[must_use]
pub fn customer_key(salt: &str, shop_domain: &str, customer_id: i64) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{shop_domain}\u{1f}{customer_id}").as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// An instant (microseconds since 1970) as on the wire: RFC 3339 UTC with milliseconds.
#[must_use]
pub fn wire_time(at: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.div_euclid(1000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{instant:.3}")
}

/// The same with microseconds: what PostgreSQL reads without loss under every DateStyle.
#[must_use]
pub fn exact_time(at: i64) -> String {
    let whole = wire_time(at.div_euclid(1_000_000) * 1_000_000);
    format!("{}.{:06}Z", &whole[..19], at.rem_euclid(1_000_000))
}

/// What a delivery says about itself.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// When the edge took it in, microseconds since 1970.
    pub received_at: i64,
    /// `webhook`, `bulk_sync`, `backfill` or `replay`.
    pub source: String,
}

/// Writes events from the state after a call.
#[derive(Debug)]
pub struct Renderer<'a> {
    /// The shop.
    pub shop: &'a Shop,
    /// Products of the orders' lines and of the call, by id.
    pub products: &'a BTreeMap<i64, Product>,
    /// Salts by customer id; a customer without one gets no key.
    pub salts: &'a BTreeMap<i64, String>,
}

impl Renderer<'_> {
    /// The deterministic id of a key.
    #[must_use]
    pub fn id(&self, key: &EventKey) -> String {
        let gid = format!("gid://shopify/{}/{}", key.event_type.resource(), key.entity_id);
        event_id(
            &self.shop.shop_domain,
            key.event_type.as_str(),
            &gid,
            &key.discriminator,
        )
    }

    /// An event about an order, with the order's complete ledger.
    #[must_use]
    pub fn order(&self, key: &EventKey, state: &OrderState, provenance: &Provenance) -> Box<RawValue> {
        self.order_with(key, state, &sales::ledger(state, &self.shop.zone), provenance)
    }

    /// The same for a caller that has the ledger.
    #[must_use]
    pub fn order_with(
        &self,
        key: &EventKey,
        state: &OrderState,
        ledger: &[SalesRow],
        provenance: &Provenance,
    ) -> Box<RawValue> {
        rows::json_text(&rows::OrderRow::new(self, key, state, ledger, provenance))
    }

    /// A `product_changed` event.
    #[must_use]
    pub fn product(&self, key: &EventKey, product: &Product, provenance: &Provenance) -> Box<RawValue> {
        rows::json_text(&rows::ProductRow::new(self, key, product, provenance))
    }
}

fn exponent(code: &str) -> u8 {
    Currency::from_code(code).map_or(2, |currency| currency.exponent())
}

#[cfg(test)]
mod tests;
