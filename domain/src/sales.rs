//! The order's sales ledger.
//!
//! Definitions are those of Shopify's sales reports: gross = quantity x original unit price; net = gross - discounts -
//! returns; tax, shipping, tips and duties are no sales; selling a gift card is no sale. A tip is a line item all the same. A sale counts on the day the
//! order was placed, a reversal on the day of the reversal, both in the shop's time zone. All amounts are minor units.
//!
//! Two sources: webhook bodies give a provisional ledger; Shopify's own agreements, once read, replace it ([`agreed`]).

mod agreed;
mod spans;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use self::spans::{since, spans};
use crate::order_state::{Amount, EditLine, Header, Line, LineOrigin, OrderState, Refund, RefundLine, Sale};

/// Product of amounts that belong to none, so that the shop's totals still match.
pub const UNKNOWN_PRODUCT: &str = "unknown";

/// Raised with every change by which the same facts give another ledger, here and in `sql/postgres/sql_only/06_ledger.sql`; also
/// by other time zone data, which is compiled in.
/// Orders keep the version that wrote their stored ledger: one of another version is read, for it may differ from what these
/// rules would say, and written anew.
pub const LEDGER_VERSION: i16 = 1;

/// What moved the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The order was placed.
    Sale,
    /// Goods of a refund.
    Return,
    /// The order was cancelled.
    Cancellation,
    /// An order edit added or removed units.
    Edit,
    /// A refund paid more or less than its goods.
    Adjustment,
}

impl Kind {
    /// The name in telemetry and in PostgreSQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Return => "return",
            Self::Cancellation => "cancellation",
            Self::Edit => "edit",
            Self::Adjustment => "adjustment",
        }
    }
}

/// One row of the ledger, unique by (product, day, kind).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SalesRow {
    /// Decimal product id, or [`UNKNOWN_PRODUCT`].
    pub product_id: String,
    /// `yyyy-mm-dd` in the shop's time zone.
    pub day: String,
    pub kind: Kind,
    pub units_sold: i64,
    pub units_returned: i64,
    pub gross_sales: i64,
    pub discounts: i64,
    pub returns: i64,
    pub net_sales: i64,
    pub presentment_gross_sales: i64,
    pub presentment_discounts: i64,
    pub presentment_returns: i64,
    pub presentment_net_sales: i64,
}

/// A line's value without tax.
#[derive(Debug, Clone, Copy)]
struct Value {
    gross: Amount,
    discount: Amount,
}

#[derive(Default)]
struct Sums {
    units_sold: i64,
    units_returned: i64,
    gross: Amount,
    discounts: Amount,
    returns: Amount,
}

struct Ledger<'a> {
    zone: &'a TimeZone,
    rows: BTreeMap<(String, String, Kind), Sums>,
}

/// The complete ledger of an order, sorted by (product, day, kind). Empty while no body of the order has arrived, and
/// for test and deleted orders.
#[must_use]
pub fn ledger(state: &OrderState, zone: &TimeZone) -> Vec<SalesRow> {
    let Some(header) = &state.header else { return Vec::new() };
    if header.is_test || state.is_deleted() {
        return Vec::new();
    }
    let mut ledger = Ledger {
        zone,
        rows: BTreeMap::new(),
    };
    if let Some(read_at) = state.agreements_updated_at {
        ledger.agreed(state, header, read_at);
        return ledger.into_rows();
    }
    for line in state.lines.iter().filter(|line| is_goods(line)) {
        ledger.line(state, header, line);
    }
    for refund in &state.refunds {
        let goods: Vec<&RefundLine> = refund.lines.iter().collect();
        ledger.refund(state, header, refund, &goods);
    }
    ledger.into_rows()
}

impl Ledger<'_> {
    fn row(&mut self, product_id: Option<i64>, at: i64, kind: Kind) -> &mut Sums {
        let product = product_id.map_or_else(|| UNKNOWN_PRODUCT.to_owned(), |id| id.to_string());
        self.rows.entry((product, day(at, self.zone), kind)).or_default()
    }

    fn sell(&mut self, product_id: Option<i64>, at: i64, kind: Kind, units: i64, value: Value) {
        let row = self.row(product_id, at, kind);
        row.units_sold += units;
        row.gross = row.gross + value.gross;
        row.discounts = row.discounts + value.discount;
    }

    fn reverse(&mut self, product_id: Option<i64>, at: i64, kind: Kind, units: i64, returns: Amount) {
        let row = self.row(product_id, at, kind);
        row.units_returned += units;
        row.returns = row.returns + returns;
    }

    fn line(&mut self, state: &OrderState, header: &Header, line: &Line) {
        let placed_at = placed_at(header);
        let value = line_value(line, header.taxes_included);
        let net = minus(value.gross, value.discount);
        // An edit the body does not know yet tells of units that are not among its lines.
        let mut edits: Vec<_> = state
            .edits
            .iter()
            .filter(|edit| edit.line_item_id == line.line_item_id && edit.committed_at <= header.updated_at)
            .collect();
        edits.sort_by_key(|edit| (edit.committed_at, edit.edit_id));

        // Units are sold in time: first those of the order, then those of each edit. `sold` units have taken their
        // share of the line's value; taking shares cumulatively leaves no rounding rest.
        let added: i64 = edits.iter().map(|edit| edit.added).sum::<i64>().min(line.quantity);
        let mut sold = line.quantity - added;
        if sold > 0 {
            self.sell(
                line.product_id,
                placed_at,
                Kind::Sale,
                sold,
                share(value, 0, sold, line.quantity),
            );
        }
        for edit in &edits {
            let units = edit.added.min(line.quantity - sold);
            if units > 0 {
                let value = share(value, sold, sold + units, line.quantity);
                self.sell(line.product_id, edit.committed_at, Kind::Edit, units, value);
                sold += units;
            }
        }

        let (mut reversals, mut returned) = (Vec::new(), Amount::default());
        for refund in &state.refunds {
            for item in &refund.lines {
                if item.line_item_id == Some(line.line_item_id) {
                    reversals.push((refunded_at(refund), item.quantity));
                    returned = returned + without_tax(item.subtotal, item.tax, header.taxes_included);
                }
            }
        }
        let (open, reversed) = self.take_out(state, header, line, &edits, &reversals, net);

        if let Some(cancelled_at) = header.cancelled_at.filter(|_| open > 0) {
            let rest = minus(minus(net, returned), reversed);
            self.reverse(line.product_id, cancelled_at, Kind::Cancellation, open, rest);
        }
    }

    /// Reverses the units of a line that its body no longer has although only those of `reversals` (when, how many) are told
    /// to have come back: dated by the edits, in their sequence, what is left by the first body that lacked more than
    /// `reversals` and edits tell of until then. `net` is what the whole line is worth. Returns the units that are open after
    /// that, and what was reversed.
    fn take_out(
        &mut self,
        state: &OrderState,
        header: &Header,
        line: &Line,
        edits: &[&EditLine],
        reversals: &[(i64, i64)],
        net: Amount,
    ) -> (i64, Amount) {
        let reversed: i64 = reversals.iter().map(|(_, units)| units).sum();
        let removed: i64 = edits.iter().map(|edit| edit.removed).sum();
        let open = (line.quantity - reversed).max(0);
        let told = |at: i64| -> i64 {
            reversals
                .iter()
                .filter(|(of, _)| *of <= at)
                .map(|(_, units)| units)
                .sum()
        };
        let gone = match (header.cancelled_at, line.current_quantity) {
            (None, Some(current)) => (line.quantity - current - reversed).clamp(0, open),
            // A cancelled order's current quantity is 0 whatever was removed before; the edits tell, and earlier bodies.
            (Some(cancelled_at), _) => {
                let before = since(&state.removed_since, line).filter(|(at, _)| *at < cancelled_at);
                let lacked = before.map(|(at, units)| units - told(at)).max();
                removed.max(lacked.unwrap_or(0)).min(open)
            }
            (None, None) => 0,
        };
        let mut worth = Amount::default();
        let dates: Vec<_> = edits.iter().map(|edit| (edit.committed_at, edit.removed)).collect();
        let points = since(&state.removed_since, line);
        for (at, from, to) in spans(gone, &dates, points, told, header.updated_at) {
            let returns = minus(part(net, to, line.quantity), part(net, from, line.quantity));
            self.reverse(line.product_id, at, Kind::Edit, to - from, returns);
            worth = worth + returns;
        }
        (open - gone, worth)
    }

    /// Books a refund, of its lines `goods` alone.
    fn refund(&mut self, state: &OrderState, header: &Header, refund: &Refund, goods: &[&RefundLine]) {
        let at = refunded_at(refund);
        for item in goods {
            let line = state
                .lines
                .iter()
                .find(|line| Some(line.line_item_id) == item.line_item_id);
            let was_tip = || absent(state, item.line_item_id).is_some_and(|line| line.is_tip);
            if !line.map_or_else(|| !item.is_gift_card && !item.is_tip && !was_tip(), is_goods)
                || is_agreed_otherwise(state, item.line_item_id)
            {
                continue;
            }
            let product_id = product_of(state, item.line_item_id).or(item.product_id);
            let returns = without_tax(item.subtotal, item.tax, header.taxes_included);
            self.reverse(product_id, at, Kind::Return, item.quantity, returns);
        }
        for adjustment in &refund.adjustments {
            // Other kinds (shipping_refund) are about what is no sale.
            if adjustment.kind.as_deref() == Some("refund_discrepancy") {
                let amount = without_tax(adjustment.amount, adjustment.tax, header.taxes_included);
                self.reverse(None, at, Kind::Adjustment, 0, minus(Amount::default(), amount));
            }
        }
    }

    fn into_rows(self) -> Vec<SalesRow> {
        let is_empty = |sums: &Sums| {
            let zero = Amount::default();
            (sums.units_sold, sums.units_returned) == (0, 0)
                && [sums.gross, sums.discounts, sums.returns] == [zero, zero, zero]
        };
        let rows = self.rows.into_iter().filter(|(_, sums)| !is_empty(sums));
        rows.map(|((product_id, day, kind), sums)| {
            let net = minus(minus(sums.gross, sums.discounts), sums.returns);
            SalesRow {
                product_id,
                day,
                kind,
                units_sold: sums.units_sold,
                units_returned: sums.units_returned,
                gross_sales: sums.gross.shop,
                discounts: sums.discounts.shop,
                returns: sums.returns.shop,
                net_sales: net.shop,
                presentment_gross_sales: sums.gross.presentment,
                presentment_discounts: sums.discounts.presentment,
                presentment_returns: sums.returns.presentment,
                presentment_net_sales: net.presentment,
            }
        })
        .collect()
    }
}

fn is_goods(line: &Line) -> bool {
    !line.is_gift_card && !line.is_tip
}

/// The sales of a line in the agreements.
fn sales_of(state: &OrderState, line_item_id: Option<i64>) -> impl Iterator<Item = &Sale> {
    let sales = state.agreements.iter().flat_map(|agreement| &agreement.sales);
    sales.filter(move |sale| line_item_id.is_some() && sale.line_item_id == line_item_id)
}

/// Whether agreements sell a line as something that is no goods, such as a tip, which bulk operations do not call one.
fn is_agreed_otherwise(state: &OrderState, line_item_id: Option<i64>) -> bool {
    let mut sales = sales_of(state, line_item_id).peekable();
    sales.peek().is_some() && sales.all(|sale| sale.line_type != "product")
}

/// What is known of a line that the newest body lacks.
fn absent(state: &OrderState, line_item_id: Option<i64>) -> Option<&LineOrigin> {
    let mut lines = state.absent_lines.iter();
    lines.find(|line| Some(line.line_item_id) == line_item_id)
}

/// The product of a line. Shopify no longer names one that was deleted; a body or an agreement of before may have.
fn product_of(state: &OrderState, line_item_id: Option<i64>) -> Option<i64> {
    let line = state.lines.iter().find(|line| Some(line.line_item_id) == line_item_id);
    line.and_then(|line| line.product_id)
        .or_else(|| absent(state, line_item_id)?.product_id)
        .or_else(|| sales_of(state, line_item_id).filter_map(|sale| sale.product_id).max())
}

/// When the order was placed, microseconds since 1970.
fn placed_at(header: &Header) -> i64 {
    header.processed_at.or(header.created_at).unwrap_or(header.updated_at)
}

/// When goods and money of a refund went back, microseconds since 1970.
fn refunded_at(refund: &Refund) -> i64 {
    refund.processed_at.or(refund.created_at).unwrap_or(refund.observed_at)
}

fn minus(a: Amount, b: Amount) -> Amount {
    Amount {
        shop: a.shop.saturating_sub(b.shop),
        presentment: a.presentment.saturating_sub(b.presentment),
    }
}

fn without_tax(amount: Amount, tax: Amount, taxes_included: bool) -> Amount {
    if taxes_included {
        minus(amount, tax)
    } else {
        amount
    }
}

/// `amount * numerator / denominator`, half rounded up; 0 for a denominator of 0.
fn scaled(amount: i64, numerator: i64, denominator: i64) -> i64 {
    if denominator == 0 {
        return 0;
    }
    let (sign, denominator) = (i128::from(denominator.signum()), i128::from(denominator).abs());
    let doubled = (2 * i128::from(amount)).saturating_mul(i128::from(numerator) * sign);
    let doubled = doubled.saturating_add(denominator);
    clamped(doubled.div_euclid(2 * denominator))
}

/// As 64 bits. No order that is read comes near the ends; lines that earlier versions stored may.
fn clamped(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// The share of the first `units` of `quantity`.
fn part(amount: Amount, units: i64, quantity: i64) -> Amount {
    Amount {
        shop: scaled(amount.shop, units, quantity),
        presentment: scaled(amount.presentment, units, quantity),
    }
}

fn share(value: Value, from: i64, to: i64, quantity: i64) -> Value {
    let between = |amount| minus(part(amount, to, quantity), part(amount, from, quantity));
    Value {
        gross: between(value.gross),
        discount: between(value.discount),
    }
}

/// A line's discount without its tax, if its prices contain tax. Beyond all measure where next to nothing was paid and the tax
/// is far more than that.
#[must_use]
pub(crate) fn net_discount(line: &Line) -> Amount {
    line_value(line, true).discount
}

fn line_value(line: &Line, taxes_included: bool) -> Value {
    let one = |price: i64, discount: i64, tax: i64| {
        let listed = price.saturating_mul(line.quantity);
        if !taxes_included {
            return (listed, discount);
        }
        let paid = listed.saturating_sub(discount);
        let net = paid.saturating_sub(tax);
        let discount = if paid == 0 {
            // Nothing was paid, so no tax shows what part of the discount was tax; the rates tell, if known.
            scaled(discount, 1_000_000_000, 1_000_000_000 + line.tax_rate)
        } else {
            scaled(discount, net, paid)
        };
        (net.saturating_add(discount), discount)
    };
    let (gross, discount) = one(line.unit_price.shop, line.discount.shop, line.tax.shop);
    let (shown_gross, shown_discount) = one(
        line.unit_price.presentment,
        line.discount.presentment,
        line.tax.presentment,
    );
    Value {
        gross: Amount {
            shop: gross,
            presentment: shown_gross,
        },
        discount: Amount {
            shop: discount,
            presentment: shown_discount,
        },
    }
}

/// `yyyy-mm-dd` of an instant (microseconds since 1970) in `zone`.
#[must_use]
pub fn day(at: i64, zone: &TimeZone) -> String {
    // The parser only admits instants that jiff can hold.
    let instant = jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    zone.to_datetime(instant).date().to_string()
}

#[cfg(test)]
mod agreed_tests;
#[cfg(test)]
mod tests;
