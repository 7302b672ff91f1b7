//! Orders and all their parts.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;
use serde::de::DeserializeOwned;
use serde::Serialize;
use weir_domain::order_state::{
    Adjustment, Agreement, EditLine, Fulfillment, FulfillmentLine, Line, OrderState, Payment, Refund, RefundLine,
    Return, Sale,
};
use weir_domain::sales::{SalesRow, LEDGER_VERSION};

use super::columns::Columns;
use super::plans::execute_referring;
use super::references::Referred;
use super::write::{anchor, Parts};
use super::{cell, key_arrays, run_kept, write, Key};
use crate::jsonb;
use crate::report;

macro_rules! ingest_sql {
    ($name:literal) => {
        include_str!(concat!("../../../sql/postgres/ingest/", $name, ".sql"))
    };
}

/// Anchors and locks the orders in key order; returns those that were there before.
pub fn lock(client: &mut SpiClient<'_>, keys: &BTreeSet<Key>) -> BTreeSet<Key> {
    anchor(client, ingest_sql!("order_header_lock"), keys)
}

/// Locks the orders, sorted by key; those that are new are created as they are in `orders`, in the same pass. Returns those
/// that were there before.
pub fn create(client: &mut SpiClient<'_>, orders: &[(Key, &OrderState)], referred: &Referred) -> BTreeSet<Key> {
    let mut known: BTreeSet<Key> = orders.iter().map(|(key, _)| *key).collect();
    if !orders.is_empty() {
        let columns = header_columns(Columns::of(orders)).build();
        for created in execute_referring(client, ingest_sql!("order_header_create"), &columns, referred) {
            known.remove(&created);
        }
    }
    known
}

/// Orders as they are stored.
#[derive(Default)]
pub struct StoredOrders {
    pub states: BTreeMap<Key, OrderState>,
    /// The ledgers as they are stored of those whose ledger other rules have written ([`LEDGER_VERSION`]).
    pub old_ledgers: BTreeMap<Key, Vec<SalesRow>>,
}

/// What is known of the orders.
pub fn read(client: &mut SpiClient<'_>, keys: &BTreeSet<Key>) -> StoredOrders {
    let mut orders = StoredOrders::default();
    if keys.is_empty() {
        return orders;
    }
    let [shop_ids, order_ids] = key_arrays(keys.iter().copied());
    let arguments = [shop_ids, order_ids, DatumWithOid::from(LEDGER_VERSION)];
    for row in run_kept(client, ingest_sql!("orders_read"), &arguments) {
        let key = (cell(&row, 1), cell(&row, 2));
        let old_ledger: Option<String> = row.get(4).ok().flatten();
        orders.states.insert(key, stored(&cell::<String>(&row, 3)));
        orders.old_ledgers.extend(old_ledger.map(|rows| (key, stored(&rows))));
    }
    orders
}

fn stored<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text)
        .unwrap_or_else(|error| report::internal("a stored order is not readable", &error.to_string()))
}

/// An order that a call changed.
pub struct ChangedOrder<'a> {
    pub key: Key,
    pub before: &'a OrderState,
    pub after: &'a OrderState,
    /// Its ledger, if another one is stored: what is written is as of [`LEDGER_VERSION`].
    pub ledger: Option<&'a [SalesRow]>,
    /// Whether ledger rows are stored.
    pub had_ledger: bool,
    /// Whether this call created its row, already as it is in `after`.
    pub is_created: bool,
}

type Child<'a, T> = (Key, &'a T);

/// The items of `part` in orders where it changed, sorted by key.
fn children<'a, T: PartialEq>(
    changed: &'a [ChangedOrder<'a>],
    part: impl Fn(&'a OrderState) -> &'a Vec<T>,
) -> Vec<Child<'a, T>> {
    let other = changed.iter().filter(|row| part(row.before) != part(row.after));
    other
        .flat_map(|row| part(row.after).iter().map(|item| (row.key, item)))
        .collect()
}

/// Keys of the orders that have stored rows of a `part` that changed.
fn keys<T: PartialEq>(changed: &[ChangedOrder<'_>], part: impl Fn(&OrderState) -> &Vec<T>) -> Vec<Key> {
    changed
        .iter()
        .filter(|row| !part(row.before).is_empty() && part(row.before) != part(row.after))
        .map(|row| row.key)
        .collect()
}

/// Writes changed orders, sorted by key, which this transaction has created or locked; parts that did not change are left
/// alone.
pub fn write(client: &mut SpiClient<'_>, changed: &[ChangedOrder<'_>], referred: &Referred) {
    if changed.is_empty() {
        return;
    }
    headers(client, changed);
    let parts = &mut Parts::new(client, referred);
    lines(parts, changed);
    refunds(parts, changed);
    movements(parts, changed);
    agreements(parts, changed);
    ledgers(parts, changed);
    let deleted = changed
        .iter()
        .filter_map(|row| row.after.deleted_at.map(|at| (row.key, at)));
    write::tombstones(client, "order", &deleted.collect::<Vec<_>>());
}

fn headers(client: &mut SpiClient<'_>, changed: &[ChangedOrder<'_>]) {
    let open = changed.iter().filter(|row| !row.is_created);
    let rows: Vec<Child<'_, OrderState>> = open.map(|row| (row.key, row.after)).collect();
    write::put(client, ingest_sql!("order_header_write"), &rows, |columns| {
        header_columns(columns)
    });
}

fn header_columns<'a, 's: 'a>(columns: Columns<'a, Child<'s, OrderState>>) -> Columns<'a, Child<'s, OrderState>> {
    columns
        .int(|row| Some(row.0 .0))
        .int(|row| Some(row.0 .1))
        .text(|row| row.1.header.as_ref()?.name.as_deref())
        .time(|row| row.1.header.as_ref()?.created_at)
        .time(|row| row.1.header.as_ref()?.processed_at)
        .time(|row| Some(row.1.header.as_ref()?.updated_at))
        .time(|row| Some(row.1.header.as_ref()?.triggered_at))
        .time(|row| row.1.header.as_ref()?.cancelled_at)
        .time(|row| row.1.completed_at)
        .text(|row| row.1.header.as_ref()?.financial_status.as_deref())
        .text(|row| row.1.header.as_ref()?.fulfillment_status.as_deref())
        .flag(|row| Some(row.1.header.as_ref()?.is_test))
        .flag(|row| Some(row.1.header.as_ref()?.taxes_included))
        .text(|row| Some(row.1.header.as_ref()?.currency.as_str()))
        .text(|row| Some(row.1.header.as_ref()?.presentment_currency.as_str()))
        .int(|row| row.1.header.as_ref()?.total_price)
        .int(|row| row.1.header.as_ref()?.customer_id)
        .text(|row| row.1.header.as_ref()?.source_name.as_deref())
        .int(|row| Some(row.1.revision))
        .body(|row| row.1.header.as_ref()?.raw.bytes())
        .text(|row| row.1.referred_by()?.publisher_id.as_deref())
        .text(|row| row.1.referred_by()?.program_id.as_deref())
        .text(|row| row.1.header.as_ref()?.referred_by.publisher_id.as_deref())
        .text(|row| row.1.header.as_ref()?.referred_by.program_id.as_deref())
        .time(|row| Some(row.1.attribution.as_ref()?.occurred_at))
        .text(|row| Some(row.1.attribution.as_ref()?.event_id.as_str()))
        .time(|row| {
            row.1
                .first_updated_at
                .filter(|at| *at < row.1.header.as_ref().map_or(*at, |new| new.updated_at))
        })
        .jsonb(|row| list(&row.1.quantity_since))
        .jsonb(|row| list(&row.1.removed_since))
        .jsonb(|row| list(&row.1.absent_lines))
        .same(LEDGER_VERSION)
}

/// `None` where there is nothing, as in almost every order.
fn list<T: Serialize>(items: &[T]) -> Option<Vec<u8>> {
    (!items.is_empty()).then(|| jsonb::encode_text(&report::json_text(&items, "weir.ingest")))
}

fn lines(parts: &mut Parts<'_, '_>, changed: &[ChangedOrder<'_>]) {
    // A line that vanished from the order is removed.
    parts.clear(
        ingest_sql!("order_line_item_clear"),
        &keys(changed, |state| &state.lines),
    );
    let rows: Vec<Child<'_, Line>> = children(changed, |state| &state.lines);
    parts.put(ingest_sql!("order_line_item_write"), &rows, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.line_item_id))
            .int(|row| row.1.product_id)
            .int(|row| row.1.variant_id)
            .text(|row| row.1.title.as_deref())
            .text(|row| row.1.vendor.as_deref())
            .flag(|row| Some(row.1.is_gift_card))
            .int(|row| Some(row.1.quantity))
            .int(|row| row.1.current_quantity)
            .int(|row| Some(row.1.unit_price.shop))
            .int(|row| Some(row.1.unit_price.presentment))
            .int(|row| Some(row.1.discount.shop))
            .int(|row| Some(row.1.discount.presentment))
            .int(|row| Some(row.1.tax.shop))
            .int(|row| Some(row.1.tax.presentment))
            .int(|row| Some(row.1.tax_rate))
            .flag(|row| Some(row.1.is_tip))
    });
}

fn refunds(parts: &mut Parts<'_, '_>, changed: &[ChangedOrder<'_>]) {
    let refunds: Vec<Child<'_, Refund>> = children(changed, |state| &state.refunds);
    parts.put(ingest_sql!("refund_write"), &refunds, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.refund_id))
            .time(|row| row.1.created_at)
            .time(|row| row.1.processed_at)
            .time(|row| Some(row.1.observed_at))
            .time(|row| Some(row.1.triggered_at))
            .int(|row| row.1.paid_amount)
            .text(|row| row.1.paid_currency.as_deref())
            .flag(|row| Some(row.1.is_brief))
            .body(|row| row.1.raw.bytes())
            .int(|row| row.1.return_id)
    });
    let other = keys(changed, |state| &state.refunds);
    parts.clear(ingest_sql!("refund_line_item_clear"), &other);
    let items = refunds
        .iter()
        .flat_map(|(key, refund)| refund.lines.iter().map(|item| (*key, refund.refund_id, item)));
    let items: Vec<(Key, i64, &RefundLine)> = items.collect();
    parts.put(ingest_sql!("refund_line_item_write"), &items, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1))
            .int(|row| Some(row.2.refund_line_item_id))
            .int(|row| row.2.line_item_id)
            .int(|row| row.2.product_id)
            .flag(|row| Some(row.2.is_gift_card))
            .int(|row| Some(row.2.quantity))
            .text(|row| row.2.restock_type.as_deref())
            .int(|row| Some(row.2.subtotal.shop))
            .int(|row| Some(row.2.subtotal.presentment))
            .int(|row| Some(row.2.tax.shop))
            .int(|row| Some(row.2.tax.presentment))
            .flag(|row| Some(row.2.is_tip))
    });
    parts.clear(ingest_sql!("refund_adjustment_clear"), &other);
    let items = refunds
        .iter()
        .flat_map(|(key, refund)| refund.adjustments.iter().map(|item| (*key, refund.refund_id, item)));
    let items: Vec<(Key, i64, &Adjustment)> = items.collect();
    parts.put(ingest_sql!("refund_adjustment_write"), &items, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1))
            .int(|row| Some(row.2.adjustment_id))
            .text(|row| row.2.kind.as_deref())
            .int(|row| Some(row.2.amount.shop))
            .int(|row| Some(row.2.amount.presentment))
            .int(|row| Some(row.2.tax.shop))
            .int(|row| Some(row.2.tax.presentment))
    });
}

fn movements(parts: &mut Parts<'_, '_>, changed: &[ChangedOrder<'_>]) {
    let payments: Vec<Child<'_, Payment>> = children(changed, |state| &state.payments);
    parts.put(ingest_sql!("payment_write"), &payments, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.payment_id))
            .int(|row| row.1.parent_id)
            .text(|row| row.1.kind.as_deref())
            .text(|row| row.1.status.as_deref())
            .text(|row| row.1.gateway.as_deref())
            .int(|row| Some(row.1.amount))
            .text(|row| Some(row.1.currency.as_str()))
            .flag(|row| Some(row.1.is_test))
            .time(|row| row.1.created_at)
            .time(|row| row.1.processed_at)
            .time(|row| Some(row.1.triggered_at))
            .body(|row| row.1.raw.bytes())
    });
    let shipments: Vec<Child<'_, Fulfillment>> = children(changed, |state| &state.fulfillments);
    parts.put(ingest_sql!("fulfillment_write"), &shipments, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.fulfillment_id))
            .text(|row| row.1.status.as_deref())
            .text(|row| row.1.tracking_company.as_deref())
            .time(|row| row.1.created_at)
            .time(|row| Some(row.1.updated_at))
            .time(|row| Some(row.1.triggered_at))
            .time(|row| row.1.shipped_at)
    });
    let other = keys(changed, |state| &state.fulfillments);
    parts.clear(ingest_sql!("fulfillment_line_item_clear"), &other);
    let items = shipments
        .iter()
        .flat_map(|(key, shipment)| shipment.lines.iter().map(|item| (*key, shipment.fulfillment_id, item)));
    let items: Vec<(Key, i64, &FulfillmentLine)> = items.collect();
    parts.put(ingest_sql!("fulfillment_line_item_write"), &items, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1))
            .int(|row| Some(row.2.line_item_id))
            .int(|row| Some(row.2.quantity))
    });
    let edits: Vec<Child<'_, EditLine>> = children(changed, |state| &state.edits);
    parts.put(ingest_sql!("order_edit_line_write"), &edits, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.edit_id))
            .int(|row| Some(row.1.line_item_id))
            .time(|row| Some(row.1.committed_at))
            .int(|row| Some(row.1.added))
            .int(|row| Some(row.1.removed))
    });
    let returns: Vec<Child<'_, Return>> = children(changed, |state| &state.returns);
    parts.put(ingest_sql!("order_return_write"), &returns, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.return_id))
            .text(|row| row.1.name.as_deref())
            .text(|row| row.1.status.as_deref())
            .time(|row| Some(row.1.requested_at))
            .time(|row| Some(row.1.triggered_at))
            .body(|row| row.1.raw.bytes())
    });
}

fn agreements(parts: &mut Parts<'_, '_>, changed: &[ChangedOrder<'_>]) {
    let agreements: Vec<Child<'_, Agreement>> = children(changed, |state| &state.agreements);
    parts.put(ingest_sql!("sales_agreement_write"), &agreements, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1.agreement_id))
            .time(|row| Some(row.1.happened_at))
            .text(|row| Some(row.1.reason.as_str()))
            .int(|row| row.1.refund_id)
            .int(|row| row.1.return_id)
    });
    let sales = agreements
        .iter()
        .flat_map(|(key, agreement)| agreement.sales.iter().map(|sale| (*key, agreement.agreement_id, sale)));
    let sales: Vec<(Key, i64, &Sale)> = sales.collect();
    parts.put(ingest_sql!("agreement_sale_write"), &sales, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .int(|row| Some(row.1))
            .int(|row| Some(row.2.sale_id))
            .text(|row| Some(row.2.action_type.as_str()))
            .text(|row| Some(row.2.line_type.as_str()))
            .int(|row| Some(row.2.quantity))
            .int(|row| row.2.line_item_id)
            .int(|row| row.2.product_id)
            .int(|row| row.2.variant_id)
            .int(|row| Some(row.2.total.shop))
            .int(|row| Some(row.2.total.presentment))
            .int(|row| Some(row.2.discount.shop))
            .int(|row| Some(row.2.discount.presentment))
            .int(|row| Some(row.2.tax.shop))
            .int(|row| Some(row.2.tax.presentment))
    });
    let readings = changed
        .iter()
        .filter(|row| row.before.agreements_updated_at != row.after.agreements_updated_at)
        .filter_map(|row| Some((row.key, row.after.agreements_updated_at?)));
    let readings: Vec<(Key, i64)> = readings.collect();
    parts.put(ingest_sql!("agreement_reading_write"), &readings, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .time(|row| Some(row.1))
    });
}

fn ledgers(parts: &mut Parts<'_, '_>, changed: &[ChangedOrder<'_>]) {
    let stored = |row: &&ChangedOrder<'_>| row.ledger.is_some() && row.had_ledger;
    let other: Vec<Key> = changed.iter().filter(stored).map(|row| row.key).collect();
    parts.clear(ingest_sql!("sales_ledger_clear"), &other);
    let rows = changed
        .iter()
        .flat_map(|order| order.ledger.unwrap_or_default().iter().map(|row| (order.key, row)));
    let rows: Vec<Child<'_, SalesRow>> = rows.collect();
    parts.put(ingest_sql!("sales_ledger_write"), &rows, |columns| {
        columns
            .int(|row| Some(row.0 .0))
            .int(|row| Some(row.0 .1))
            .text(|row| Some(row.1.product_id.as_str()))
            .text(|row| Some(row.1.day.as_str()))
            .text(|row| Some(row.1.kind.as_str()))
            .int(|row| Some(row.1.units_sold))
            .int(|row| Some(row.1.units_returned))
            .int(|row| Some(row.1.gross_sales))
            .int(|row| Some(row.1.discounts))
            .int(|row| Some(row.1.returns))
            .int(|row| Some(row.1.net_sales))
            .int(|row| Some(row.1.presentment_gross_sales))
            .int(|row| Some(row.1.presentment_discounts))
            .int(|row| Some(row.1.presentment_returns))
            .int(|row| Some(row.1.presentment_net_sales))
    });
}
