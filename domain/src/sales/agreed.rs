//! The ledger from Shopify's own agreements, and what webhooks told since they were read.
//!
//! A sale's base is totalAmount - totalTaxAmount, already after its discount; gross is base plus the discount without tax.
//! Agreements replace the provisional ledger as a whole up to the order's `updated_at` at which they were read. What a newer
//! body or refund tells beyond them is put on top, measured against what they account for, until they are read again.

use std::collections::BTreeMap;

use super::{
    is_agreed_otherwise, is_goods, line_value, minus, placed_at, product_of, refunded_at, since, spans, without_tax,
    Kind, Ledger, Value,
};
use crate::order_state::{Agreement, Amount, Header, Line, OrderState, Refund, RefundLine, Sale};

/// What the agreements and newer refunds account for of one line.
#[derive(Default)]
struct Booked {
    sold: i64,
    /// When units came back, and how many.
    reversals: Vec<(i64, i64)>,
    gross: Amount,
    discount: Amount,
    returns: Amount,
}

impl Ledger<'_> {
    /// Books the order by its agreements, read as of `read_at`.
    pub(super) fn agreed(&mut self, state: &OrderState, header: &Header, read_at: i64) {
        let mut booked: BTreeMap<i64, Booked> = BTreeMap::new();
        for agreement in &state.agreements {
            for sale in &agreement.sales {
                self.sale(state, header, agreement, sale, &mut booked);
            }
        }
        let newer: Vec<&Refund> = state
            .refunds
            .iter()
            .filter(|refund| is_newer(state, refund, read_at))
            .collect();
        for refund in newer {
            let goods: Vec<&RefundLine> = refund
                .lines
                .iter()
                .filter(|item| !is_booked(state, refund, item))
                .collect();
            self.refund(state, header, refund, &goods);
            for item in goods {
                let Some(line_item_id) = item.line_item_id else {
                    continue;
                };
                let line = booked.entry(line_item_id).or_default();
                line.reversals.push((refunded_at(refund), item.quantity));
                line.returns = line.returns + without_tax(item.subtotal, item.tax, header.taxes_included);
            }
        }
        if header.updated_at > read_at {
            for line in state.lines.iter().filter(|line| is_goods(line)) {
                let id = Some(line.line_item_id);
                if is_agreed_otherwise(state, id) {
                    continue;
                }
                let known = booked.remove(&line.line_item_id).unwrap_or_default();
                let product_id = product_of(state, id);
                self.since(
                    state,
                    header,
                    &Line {
                        product_id,
                        ..line.clone()
                    },
                    &known,
                    read_at,
                );
            }
        }
    }

    fn sale(
        &mut self,
        state: &OrderState,
        header: &Header,
        agreement: &Agreement,
        sale: &Sale,
        booked: &mut BTreeMap<i64, Booked>,
    ) {
        let base = minus(sale.total, sale.tax);
        let at = match agreement.reason.as_str() {
            "order" => placed_at(header),
            _ => agreement.happened_at,
        };
        match sale.line_type.as_str() {
            "product" => {}
            // Paid more or less than the goods, and whatever Shopify has not classified: of no product, still of the shop.
            "adjustment" | "unknown" => {
                self.reverse(None, at, Kind::Adjustment, 0, minus(Amount::default(), base));
                return;
            }
            // Gift cards, shipping, tips, duties and fees are no sales.
            _ => return,
        }
        let product_id = sale.product_id.or_else(|| product_of(state, sale.line_item_id));
        let known = booked.entry(sale.line_item_id.unwrap_or_default()).or_default();
        let units = sale.quantity.abs();
        if sale.action_type == "return" {
            let returns = minus(Amount::default(), base);
            known.reversals.push((at, units));
            known.returns = known.returns + returns;
            self.reverse(product_id, at, reversal(header, agreement), units, returns);
            return;
        }
        // An update changes the price of what was sold before; it sells no units.
        let units = if sale.action_type == "order" { units } else { 0 };
        let value = Value {
            gross: base + sale.discount,
            discount: sale.discount,
        };
        known.sold += units;
        known.gross = known.gross + value.gross;
        known.discount = known.discount + value.discount;
        let kind = match agreement.reason.as_str() {
            "order" => Kind::Sale,
            _ => Kind::Edit,
        };
        self.sell(product_id, at, kind, units, value);
    }

    /// What the newer body says of a line beyond what is booked.
    fn since(&mut self, state: &OrderState, header: &Header, line: &Line, booked: &Booked, read_at: i64) {
        let is_new = |at: i64| read_at < at && at <= header.updated_at;
        let edits = state.edits.iter().filter(|edit| edit.line_item_id == line.line_item_id);
        let mut edits: Vec<_> = edits.filter(|edit| is_new(edit.committed_at)).collect();
        edits.sort_by_key(|edit| (edit.committed_at, edit.edit_id));

        let value = line_value(line, header.taxes_included);
        let more = line.quantity - booked.sold;
        if more > 0 {
            let rest = Value {
                gross: minus(value.gross, booked.gross),
                discount: minus(value.discount, booked.discount),
            };
            let dates: Vec<_> = edits.iter().map(|edit| (edit.committed_at, edit.added)).collect();
            let known = since(&state.quantity_since, line).collect::<Vec<_>>();
            let always = (state.first_updated_at.unwrap_or(header.updated_at), line.quantity);
            let points = if known.is_empty() { vec![always] } else { known };
            // What the agreements do not know was added after they were read.
            let points = points.into_iter().map(|(at, units)| (at.max(read_at), units));
            for (at, from, to) in spans(more, &dates, points, |_| booked.sold, header.updated_at) {
                let share = super::share(rest, from, to, more);
                self.sell(line.product_id, at, Kind::Edit, to - from, share);
            }
        }
        let net = minus(value.gross, value.discount);
        let (open, reversed) = self.take_out(state, header, line, &edits, &booked.reversals, net);
        if let Some(cancelled_at) = header.cancelled_at.filter(|at| *at > read_at && open > 0) {
            let rest = minus(minus(net, booked.returns), reversed);
            self.reverse(line.product_id, cancelled_at, Kind::Cancellation, open, rest);
        }
    }
}

/// Whether a refund is told in full and is none of those that the agreements book.
fn is_newer(state: &OrderState, refund: &Refund, read_at: i64) -> bool {
    let mut agreements = state.agreements.iter();
    if refund.is_brief || agreements.any(|agreement| agreement.refund_id == Some(refund.refund_id)) {
        return false;
    }
    // Where an agreement of a return has booked the goods, a refund made before the reading only moved the money. In the
    // second of the reading itself both are possible.
    let at = refunded_at(refund);
    let by_return = state.agreements.iter().any(|agreement| agreement.return_id.is_some());
    at > read_at || at == read_at && !by_return
}

/// Whether a return that a refund pays back has booked these goods, on the day they were given back: then the refund only
/// moved the money.
fn is_booked(state: &OrderState, refund: &Refund, item: &RefundLine) -> bool {
    let of_return = |agreement: &&Agreement| refund.return_id.is_some() && agreement.return_id == refund.return_id;
    let sales = state
        .agreements
        .iter()
        .filter(of_return)
        .flat_map(|agreement| &agreement.sales);
    let mut sales = sales.filter(|sale| item.line_item_id.is_some() && sale.line_item_id == item.line_item_id);
    sales.any(|sale| sale.action_type == "return" && sale.line_type == "product")
}

fn reversal(header: &Header, agreement: &Agreement) -> Kind {
    let names_goods = agreement.refund_id.is_some() || agreement.return_id.is_some();
    let cancelled = header.cancelled_at.is_some_and(|at| agreement.happened_at >= at);
    match agreement.reason.as_str() {
        _ if cancelled && !names_goods => Kind::Cancellation,
        "order_edit" => Kind::Edit,
        _ => Kind::Return,
    }
}
