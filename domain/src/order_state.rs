//! An order as far as its deliveries tell, independent of their order.
//!
//! Deliveries come twice, late and in any sequence. [`OrderState::apply`] is a merge: whole snapshots by
//! (updated_at, triggered_at), parts by their ids, facts that cannot be undone (deleted, shipped, paid and fulfilled) as
//! minima. Applying the same set of facts in any order and any number of times gives the same state.
//!
//! All times are microseconds since 1970 in UTC, all amounts minor units.

mod origin;
mod since;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::shopify::Fact;

pub use origin::LineOrigin;
pub use since::UnitsSince;

/// An amount in the shop's currency and in the currency the buyer saw; the two are never summed with each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Minor units of the shop's currency.
    pub shop: i64,
    /// Minor units of the presentment currency.
    pub presentment: i64,
}

impl std::ops::Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        // Saturation is unreachable for amounts the parser admits; it only keeps a hostile body from a panic.
        Self {
            shop: self.shop.saturating_add(other.shop),
            presentment: self.presentment.saturating_add(other.presentment),
        }
    }
}

/// A body without personal data, in the encoding that its reader was told ([`crate::shopify::json::Encode`]). It is no part
/// of the state: states that differ only in it are equal, so that a repetition is seen to change nothing. `None` when read
/// back: then the stored one stays.
#[derive(Debug, Clone, Default)]
pub struct Raw(Option<Arc<Vec<u8>>>);

impl Raw {
    /// An encoded body. Copies share it: a state is copied wherever it is compared with what it was.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(Some(Arc::new(bytes)))
    }

    /// The encoded body, if there is one.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref().map(Vec::as_slice)
    }
}

impl PartialEq for Raw {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Raw {}

/// The order itself, replaced as a whole by a newer version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Header {
    pub order_id: i64,
    pub name: Option<String>,
    pub created_at: Option<i64>,
    pub processed_at: Option<i64>,
    pub updated_at: i64,
    /// When Shopify fired the delivery; breaks ties of the one-second `updated_at`.
    pub triggered_at: i64,
    pub cancelled_at: Option<i64>,
    pub financial_status: Option<String>,
    pub fulfillment_status: Option<String>,
    pub is_test: bool,
    /// Prices and discounts of the lines contain their tax.
    pub taxes_included: bool,
    pub currency: String,
    pub presentment_currency: String,
    pub total_price: Option<i64>,
    pub customer_id: Option<i64>,
    pub source_name: Option<String>,
    /// What the body's own note attributes say of who brought the buyer.
    pub referred_by: ReferredBy,
    /// The body without personal data; written, never read back.
    #[serde(skip)]
    pub raw: Raw,
}

/// Who brought the buyer: a publisher, through a program. Ids of the publication catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ReferredBy {
    pub publisher_id: Option<String>,
    pub program_id: Option<String>,
}

/// An attribution of an order that was recorded on its own; the newest one wins, and wins over what the order's body says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Attribution {
    // First in the order of comparison: (occurred_at, event_id) decides which attribution is the newest.
    pub occurred_at: i64,
    /// Breaks ties of `occurred_at`.
    pub event_id: String,
    pub referred_by: ReferredBy,
}

/// A line item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Line {
    pub line_item_id: i64,
    pub product_id: Option<i64>,
    pub variant_id: Option<i64>,
    pub title: Option<String>,
    pub vendor: Option<String>,
    pub is_gift_card: bool,
    /// No goods. Bulk operations do not tell it.
    #[serde(default)]
    pub is_tip: bool,
    pub quantity: i64,
    /// Units left after removals and refunds, if the body said so.
    pub current_quantity: Option<i64>,
    pub unit_price: Amount,
    /// Sum of the line's discount allocations.
    pub discount: Amount,
    /// Sum of the line's tax lines.
    pub tax: Amount,
    /// Sum of the tax rates in billionths; 0 when unknown.
    pub tax_rate: i64,
}

/// A refund: the goods that came back, whatever money moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refund {
    pub refund_id: i64,
    pub created_at: Option<i64>,
    pub processed_at: Option<i64>,
    /// How new this version is: the order's `updated_at` when embedded, else the refund's creation.
    pub observed_at: i64,
    pub triggered_at: i64,
    /// Told without lines and adjustments, as bulk operations do; a version told in full is never replaced by a brief one.
    #[serde(default)]
    pub is_brief: bool,
    pub paid_amount: Option<i64>,
    pub paid_currency: Option<String>,
    /// The return that it pays back, if any version named one.
    #[serde(default)]
    pub return_id: Option<i64>,
    pub lines: Vec<RefundLine>,
    pub adjustments: Vec<Adjustment>,
    /// The body without personal data; written, never read back.
    #[serde(skip)]
    pub raw: Raw,
}

/// Goods of one line that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RefundLine {
    pub refund_line_item_id: i64,
    pub line_item_id: Option<i64>,
    pub product_id: Option<i64>,
    pub is_gift_card: bool,
    #[serde(default)]
    pub is_tip: bool,
    pub quantity: i64,
    pub restock_type: Option<String>,
    pub subtotal: Amount,
    pub tax: Amount,
}

/// Part of a refund that belongs to no line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Adjustment {
    pub adjustment_id: i64,
    pub kind: Option<String>,
    pub amount: Amount,
    pub tax: Amount,
}

/// A transaction. Success is terminal: a retried delivery of an earlier status changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Payment {
    pub payment_id: i64,
    pub parent_id: Option<i64>,
    pub kind: Option<String>,
    pub status: Option<String>,
    pub gateway: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub is_test: bool,
    pub created_at: Option<i64>,
    pub processed_at: Option<i64>,
    pub triggered_at: i64,
    /// The body without personal data; written, never read back.
    #[serde(skip)]
    pub raw: Raw,
}

impl Payment {
    /// Whether the money moved.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.as_deref() == Some("success")
    }

    /// Whether money was taken: a successful sale or capture.
    #[must_use]
    pub fn is_captured(&self) -> bool {
        self.is_success() && matches!(self.kind.as_deref(), Some("sale" | "capture"))
    }
}

/// A shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Fulfillment {
    pub fulfillment_id: i64,
    pub status: Option<String>,
    pub tracking_company: Option<String>,
    pub created_at: Option<i64>,
    pub updated_at: i64,
    pub triggered_at: i64,
    /// Earliest `updated_at` of a version with status success; stays when the shipment is cancelled afterwards.
    pub shipped_at: Option<i64>,
    /// What it carries; fixed at Shopify once the shipment is made, absent in some bodies.
    pub lines: Vec<FulfillmentLine>,
}

/// Units of one line in a shipment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FulfillmentLine {
    pub line_item_id: i64,
    pub quantity: i64,
}

/// What one committed order edit did to one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EditLine {
    pub edit_id: i64,
    pub line_item_id: i64,
    pub committed_at: i64,
    /// Units added.
    pub added: i64,
    /// Units removed.
    pub removed: i64,
}

/// A return of goods, from its request on. Its bodies carry no time of their own: the delivery's decides which is newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Return {
    pub return_id: i64,
    /// Such as `#1001-R1`; fixed for good, absent in the bodies of some topics.
    pub name: Option<String>,
    /// requested, open, closed, canceled or declined.
    pub status: Option<String>,
    /// Earliest delivery about it.
    pub requested_at: i64,
    pub triggered_at: i64,
    /// The body without personal data; written, never read back.
    #[serde(skip)]
    pub raw: Raw,
}

/// What shop and buyer agreed on at one moment, from Shopify's own ledger. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Agreement {
    pub agreement_id: i64,
    pub happened_at: i64,
    /// order, order_edit, refund, return or unknown.
    pub reason: String,
    pub refund_id: Option<i64>,
    pub return_id: Option<i64>,
    pub sales: Vec<Sale>,
}

/// One row of an agreement. Units and amounts of what goes back are negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sale {
    pub sale_id: i64,
    /// order, return, update or unknown.
    pub action_type: String,
    /// product, gift_card, shipping, tip, duty, fee, additional_fee, adjustment or unknown.
    pub line_type: String,
    pub quantity: i64,
    pub line_item_id: Option<i64>,
    pub product_id: Option<i64>,
    pub variant_id: Option<i64>,
    /// After discounts, with tax.
    pub total: Amount,
    /// Without tax.
    pub discount: Amount,
    pub tax: Amount,
}

/// An order's body: the header and all that it embeds.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct OrderSnapshot {
    pub header: Header,
    /// Kept apart from the order.
    pub customer: Option<Customer>,
    pub lines: Vec<Line>,
    pub refunds: Vec<Refund>,
    pub fulfillments: Vec<Fulfillment>,
}

impl OrderSnapshot {
    /// Takes out who bought, and every body in which more of them might be.
    pub fn forget_customer(&mut self) {
        self.header.customer_id = None;
        self.header.raw = Raw::default();
        self.customer = None;
        for refund in &mut self.refunds {
            refund.raw = Raw::default();
        }
    }
}

/// All that is known of one order. Vectors are sorted by their ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OrderState {
    /// The newest body; `None` while only parts of the order have arrived.
    pub header: Option<Header>,
    /// Lines of the newest body, with what any body said that they are for good.
    pub lines: Vec<Line>,
    /// The same of lines that the newest body does not have; almost always none.
    #[serde(default)]
    pub absent_lines: Vec<LineOrigin>,
    /// `updated_at` of the earliest body.
    #[serde(default)]
    pub first_updated_at: Option<i64>,
    /// Since when lines have their quantity, over all bodies. None for a line that all bodies since the first have told as
    /// the newest does; a line that vanished keeps its points, for it may come back.
    #[serde(default)]
    pub quantity_since: Vec<UnitsSince>,
    /// Since when units of lines are removed (quantity less current quantity), by refund, return or edit; likewise, but
    /// never left out.
    #[serde(default)]
    pub removed_since: Vec<UnitsSince>,
    /// Newest version of each refund.
    pub refunds: Vec<Refund>,
    /// Newest version of each transaction.
    pub payments: Vec<Payment>,
    /// Newest version of each shipment.
    pub fulfillments: Vec<Fulfillment>,
    /// Line changes of committed edits.
    pub edits: Vec<EditLine>,
    /// Newest version of each return.
    pub returns: Vec<Return>,
    /// Newest attribution, which may be known before the order.
    pub attribution: Option<Attribution>,
    /// Shopify's own ledger as far as it was read; empty while it was not.
    #[serde(default)]
    pub agreements: Vec<Agreement>,
    /// `updated_at` of the order when its agreements were read in full; `None` while they were not.
    #[serde(default)]
    pub agreements_updated_at: Option<i64>,
    /// Earliest `updated_at` of a version that was paid, fulfilled and not cancelled.
    pub completed_at: Option<i64>,
    /// When the order was deleted; terminal.
    pub deleted_at: Option<i64>,
    /// Strictly increasing with every change; bookkeeping, not part of the merge. 0 before the first.
    pub revision: i64,
}

/// What [`OrderState::apply`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The state changed.
    Changed,
    /// The delivery repeats what is known.
    Unchanged,
    /// The delivery is older than what is known, or its order is deleted.
    Stale,
}

impl OrderState {
    /// Merges one fact and, if it changed anything, advances the revision to at least the header's `updated_at` and the
    /// deletion.
    /// A fact about something else is none of the order's business and changes nothing.
    pub fn apply(&mut self, fact: &Fact) -> Applied {
        let before = self.clone();
        let mut stale = false;
        match fact {
            Fact::Order(snapshot) => stale = !self.apply_snapshot(snapshot),
            Fact::OrderDeleted { at, .. } => self.deleted_at = earliest(self.deleted_at, Some(*at)),
            Fact::Refund { refund, .. } => stale = !self.apply_refund(refund),
            Fact::Payment { payment, .. } => {
                stale = !merge(&mut self.payments, payment, |p| p.payment_id, payment_version);
            }
            Fact::Fulfillment { fulfillment, .. } => stale = !self.apply_fulfillment(fulfillment),
            Fact::Edit { lines, .. } => {
                for line in lines {
                    let version = |l: &EditLine| (l.committed_at, l.added, l.removed);
                    merge(&mut self.edits, line, |l| (l.edit_id, l.line_item_id), version);
                }
            }
            Fact::Agreements {
                updated_at, agreements, ..
            } => stale = !self.apply_agreements(*updated_at, agreements),
            Fact::Return { returned, .. } => stale = !self.apply_return(returned),
            _ => {}
        }
        self.settle(&before, stale)
    }

    /// Merges an attribution: the newest by (`occurred_at`, `event_id`) holds.
    pub fn attribute(&mut self, new: &Attribution) -> Applied {
        let before = self.clone();
        let stale = self.attribution.as_ref().is_some_and(|known| known > new);
        if !stale {
            self.attribution = Some(new.clone());
        }
        self.settle(&before, stale)
    }

    /// Who brought the buyer: as attributed, else as the order's body says.
    #[must_use]
    pub fn referred_by(&self) -> Option<&ReferredBy> {
        let told = self.header.as_ref().map(|header| &header.referred_by);
        self.attribution.as_ref().map(|one| &one.referred_by).or(told)
    }

    /// Makes a change, and its revision at least `since`: the moment at which the order's shop was registered anew after it was
    /// forgotten, 0 where it never was. What was told of the order before counted changes that nobody knows any more.
    pub fn change_since(&mut self, since: i64, change: impl FnOnce(&mut Self) -> Applied) -> Applied {
        let before = self.revision;
        let applied = change(self);
        if self.revision != before {
            self.revision = self.revision.max(since);
        }
        applied
    }

    /// Advances the revision: what is told of the order from here on is newer than what was told before. A deletion may be all
    /// that is known of the order, in a database that was restored or made anew, and is later than any body of it. `since` as in
    /// [`Self::change_since`].
    pub fn advance(&mut self, since: i64) {
        let updated_at = self.header.as_ref().map_or(0, |header| header.updated_at);
        let newest = self.deleted_at.unwrap_or(0).max(updated_at).max(since);
        self.revision = self.revision.saturating_add(1).max(newest);
    }

    /// Advances the revision if anything changed, and says what was found.
    fn settle(&mut self, before: &Self, stale: bool) -> Applied {
        // A version that only was told later says nothing new, and must not look like a change. Lines carry no version and
        // are compared first: a new order need not be copied to see that it is one.
        let is_same = || self.lines == before.lines && self.without_versions() == before.without_versions();
        if *self == *before || is_same() {
            return if stale || self.deleted_at.is_some() {
                Applied::Stale
            } else {
                Applied::Unchanged
            };
        }
        self.advance(0);
        if before.deleted_at.is_some() {
            Applied::Stale
        } else {
            Applied::Changed
        }
    }

    /// Whether the snapshot was at least as new as the state.
    fn apply_snapshot(&mut self, snapshot: &OrderSnapshot) -> bool {
        let new = &snapshot.header;
        let completed = new.financial_status.as_deref() == Some("paid")
            && new.fulfillment_status.as_deref() == Some("fulfilled")
            && new.cancelled_at.is_none();
        self.completed_at = earliest(self.completed_at, completed.then_some(new.updated_at));
        let newer = self
            .header
            .as_ref()
            .is_none_or(|old| (new.updated_at, new.triggered_at) >= (old.updated_at, old.triggered_at));
        self.note_quantities(snapshot, newer);
        self.note_removed(snapshot);
        for refund in &snapshot.refunds {
            self.apply_refund(refund);
        }
        for fulfillment in &snapshot.fulfillments {
            self.apply_fulfillment(fulfillment);
        }
        if newer {
            // An equal header keeps the body that came first.
            if self.header.as_ref() != Some(new) {
                self.header = Some(new.clone());
            }
        }
        self.take_lines(snapshot, newer);
        newer
    }

    fn apply_refund(&mut self, new: &Refund) -> bool {
        let id = new.refund_id;
        let known = self.refunds.iter().find(|known| known.refund_id == id);
        // Whichever version is newer: earlier API versions do not name it.
        let return_id = new.return_id.max(known.and_then(|known| known.return_id));
        let version = |r: &Refund| (!r.is_brief, r.observed_at, r.triggered_at);
        let newer = merge(&mut self.refunds, new, |r| r.refund_id, version);
        if let Some(stored) = self.refunds.iter_mut().find(|stored| stored.refund_id == id) {
            stored.return_id = return_id;
        }
        newer
    }

    fn apply_fulfillment(&mut self, new: &Fulfillment) -> bool {
        let id = new.fulfillment_id;
        let known = self.fulfillments.iter().find(|known| known.fulfillment_id == id);
        let shipped_at = earliest(new.shipped_at, known.and_then(|known| known.shipped_at));
        // A list before none, whichever version is newer; two lists do not differ at Shopify.
        let lines = known.map_or(&new.lines, |known| (&known.lines).max(&new.lines)).clone();
        let version = |f: &Fulfillment| (f.updated_at, f.triggered_at);
        let newer = merge(&mut self.fulfillments, new, |f| f.fulfillment_id, version);
        if let Some(stored) = self.fulfillments.iter_mut().find(|stored| stored.fulfillment_id == id) {
            stored.shipped_at = shipped_at;
            stored.lines = lines;
        }
        newer
    }

    fn apply_return(&mut self, new: &Return) -> bool {
        let id = new.return_id;
        let known = self.returns.iter().find(|known| known.return_id == id);
        // Both are merged on their own, whichever version is newer: the earliest sight, and a name where one was given.
        let requested_at = known.map_or(new.requested_at, |known| known.requested_at.min(new.requested_at));
        let name = known.and_then(|known| known.name.clone()).max(new.name.clone());
        let newer = merge(&mut self.returns, new, |r| r.return_id, |r| r.triggered_at);
        if let Some(stored) = self.returns.iter_mut().find(|stored| stored.return_id == id) {
            stored.requested_at = requested_at;
            stored.name = name;
        }
        newer
    }

    /// Agreements are immutable and only added; the newest reading counts.
    fn apply_agreements(&mut self, updated_at: i64, agreements: &[Agreement]) -> bool {
        for agreement in agreements {
            let known = self
                .agreements
                .binary_search_by_key(&agreement.agreement_id, |known| known.agreement_id);
            if let Err(at) = known {
                self.agreements.insert(at, agreement.clone());
            }
        }
        let newer = self.agreements_updated_at.is_none_or(|known| updated_at >= known);
        self.agreements_updated_at = self.agreements_updated_at.max(Some(updated_at));
        newer
    }

    /// The facts without what only says when they were told.
    fn without_versions(&self) -> Self {
        let mut facts = self.clone();
        // It only dates what the first body has beyond the agreements ([`crate::sales`]).
        let read_at = facts.agreements_updated_at;
        facts.first_updated_at = read_at.map(|at| facts.first_updated_at.unwrap_or(at).max(at));
        if let Some(header) = &mut facts.header {
            header.triggered_at = 0;
        }
        for refund in &mut facts.refunds {
            refund.triggered_at = 0;
            // It dates a refund that has no time of its own.
            if refund.processed_at.or(refund.created_at).is_some() {
                refund.observed_at = 0;
            }
        }
        facts.payments.iter_mut().for_each(|payment| payment.triggered_at = 0);
        facts.fulfillments.iter_mut().for_each(|one| one.triggered_at = 0);
        facts.returns.iter_mut().for_each(|one| one.triggered_at = 0);
        facts
    }

    /// Whether the order was deleted at Shopify.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }
}

/// Success first, then the newest delivery.
fn payment_version(payment: &Payment) -> (bool, i64) {
    (payment.is_success(), payment.triggered_at)
}

/// The earlier of two instants, where there are two.
fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Puts `item` into the sorted `items` unless a newer version of it is there; an equal version is replaced.
/// Whether it was put.
fn merge<T: Clone, I: Ord, V: Ord>(
    items: &mut Vec<T>,
    item: &T,
    id: impl Fn(&T) -> I,
    version: impl Fn(&T) -> V,
) -> bool {
    match items.binary_search_by(|known| id(known).cmp(&id(item))) {
        Ok(at) if version(item) >= version(&items[at]) => items[at] = item.clone(),
        Ok(_) => return false,
        Err(at) => items.insert(at, item.clone()),
    }
    true
}

/// A variant of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Variant {
    pub variant_id: i64,
    pub title: Option<String>,
    pub sku: Option<String>,
    /// Minor units of the shop's currency.
    pub price: Option<i64>,
    /// The price as sent, where it is no amount of the shop's currency; else absent.
    pub price_text: Option<String>,
    /// How new the body is that told the variant, where the product's newest only names it; 0 where none has told it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_updated_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_triggered_at: Option<i64>,
}

impl Variant {
    /// A variant of which only the id is known.
    #[must_use]
    pub fn named(variant_id: i64) -> Self {
        Self {
            variant_id,
            title: None,
            sku: None,
            price: None,
            price_text: None,
            told_updated_at: Some(0),
            told_triggered_at: Some(0),
        }
    }

    /// How new it is in a version of its product.
    fn version(&self, product: &Product) -> (Option<i64>, Option<i64>) {
        match self.told_updated_at {
            Some(_) => (self.told_updated_at, self.told_triggered_at),
            None => (product.updated_at, product.triggered_at),
        }
    }
}

/// A product, replaced as a whole by a newer version, save variants that this names and does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Product {
    pub product_id: i64,
    pub title: Option<String>,
    pub vendor: Option<String>,
    pub product_type: Option<String>,
    pub status: Option<String>,
    pub created_at: Option<i64>,
    pub published_at: Option<i64>,
    /// `None` while only the deletion is known.
    pub updated_at: Option<i64>,
    pub triggered_at: Option<i64>,
    /// When it was deleted; terminal.
    pub deleted_at: Option<i64>,
    pub variants: Vec<Variant>,
    /// The body without personal data; written, never read back.
    #[serde(skip)]
    pub raw: Raw,
}

impl Product {
    /// A product of which only the deletion is known.
    #[must_use]
    pub fn deleted(product_id: i64, at: i64) -> Self {
        Self {
            product_id,
            title: None,
            vendor: None,
            product_type: None,
            status: None,
            created_at: None,
            published_at: None,
            updated_at: None,
            triggered_at: None,
            deleted_at: Some(at),
            variants: Vec::new(),
            raw: Raw::default(),
        }
    }

    /// On sale, by a link alone if it is unlisted, and not deleted; `None` when the status is unknown.
    #[must_use]
    pub fn is_active(&self) -> Option<bool> {
        if self.deleted_at.is_some() {
            return Some(false);
        }
        self.status
            .as_ref()
            .map(|status| matches!(status.as_str(), "active" | "unlisted"))
    }

    /// The newer of two versions; a deletion stays, whatever comes after it. A webhook tells 100 variants and names all: those
    /// that the newer one only names are taken from the older one, if that has them newer. Those that it does not name are gone.
    #[must_use]
    pub fn merged(known: Option<&Self>, new: &Self) -> Self {
        let Some(known) = known else { return new.clone() };
        let newer = (new.updated_at, new.triggered_at) >= (known.updated_at, known.triggered_at);
        let (mut merged, older) = if newer {
            (new.clone(), known)
        } else {
            (known.clone(), new)
        };
        for variant in merged.variants.iter_mut().filter(|one| one.told_updated_at.is_some()) {
            let found = older
                .variants
                .binary_search_by_key(&variant.variant_id, |one| one.variant_id);
            let Some(other) = found.ok().map(|at| &older.variants[at]) else {
                continue;
            };
            let version = other.version(older);
            if version > (variant.told_updated_at, variant.told_triggered_at) {
                *variant = other.clone();
                (variant.told_updated_at, variant.told_triggered_at) = version;
            }
        }
        merged.deleted_at = earliest(known.deleted_at, new.deleted_at);
        merged
    }
}
