//! Bodies of `orders/*`, `refunds/create`, `order_transactions/create`, `fulfillments/*` and `returns/*`.

use std::collections::BTreeMap;

use super::json::{Json, Node};
use super::{customer, BodyError, Context, Fact};
use crate::money::Currency;
use crate::order_state::{
    Adjustment, Amount, EditLine, Fulfillment, FulfillmentLine, Header, Line, OrderSnapshot, Payment, ReferredBy,
    Refund, RefundLine, Return,
};
use crate::publication::is_catalogue_id;
use crate::sales::net_discount;

/// Most units of one line that are believed. Keeps quantity x price inside i64.
const MAX_QUANTITY: i64 = 1_000_000;
/// Largest value of one line in minor units; sums over any order stay inside i64.
const MAX_LINE_VALUE: i64 = 1_000_000_000_000_000;
/// Tax rates are kept in billionths: `0.0825` is 82 500 000.
const RATE_DIGITS: usize = 9;

pub(super) fn order(node: &Node<'_>, context: Context) -> Result<OrderSnapshot, BodyError> {
    let currency = node.currency("currency")?.unwrap_or(context.currency);
    let presentment = node.currency("presentment_currency")?.unwrap_or(currency);
    let context = Context { currency, ..context };
    let updated_at = node
        .time("updated_at")?
        .or(node.time("created_at")?)
        .unwrap_or(context.triggered_at);
    let customer = match node.object("customer")? {
        Some(customer) => customer::embedded(&customer, context)?,
        None => None,
    };
    let header = Header {
        order_id: node.id("id")?,
        name: node.text("name")?,
        created_at: node.time("created_at")?,
        processed_at: node.time("processed_at")?,
        updated_at,
        triggered_at: context.triggered_at,
        cancelled_at: node.time("cancelled_at")?,
        financial_status: node.text("financial_status")?,
        fulfillment_status: node.text("fulfillment_status")?,
        is_test: node.bool("test")?,
        taxes_included: node.bool("taxes_included")?,
        currency: currency.code().to_owned(),
        presentment_currency: presentment.code().to_owned(),
        total_price: node.money("total_price", currency)?,
        customer_id: customer.as_ref().map(|customer| customer.customer_id),
        source_name: node.text("source_name")?,
        referred_by: referred_by(node, "note_attributes", "name"),
        raw: node.raw(),
    };
    let mut lines = Vec::new();
    for item in node.objects("line_items")? {
        lines.push(line(&item, currency, presentment)?);
    }
    lines.sort_by_key(|line| line.line_item_id);
    lines.dedup_by_key(|line| line.line_item_id);
    let refunds = node.objects("refunds")?;
    let refunds = refunds
        .iter()
        .map(|item| refund(item, Some((updated_at, presentment)), context));
    let fulfillments = node.objects("fulfillments")?;
    let fulfillments = fulfillments.iter().map(|item| fulfillment(item, context));
    Ok(OrderSnapshot {
        header,
        customer,
        lines,
        refunds: refunds.collect::<Result<_, _>>()?,
        fulfillments: fulfillments.collect::<Result<_, _>>()?,
    })
}

/// Who brought the buyer, as the attributes of an order's `list` say; they are named by their member `name`. A cart's
/// attributes are the buyer's to write: what is no id of the publication catalogue is none of ours, and no reason to refuse
/// the order.
pub(super) fn referred_by(node: &Node<'_>, list: &str, name: &str) -> ReferredBy {
    let value = |wanted: &str| {
        let is_wanted = |item: &&Json<'_>| matches!(item.member(name), Some(Json::String(text)) if text == wanted);
        match node.list(list).iter().find(is_wanted)?.member("value") {
            Some(Json::String(id)) if is_catalogue_id(id) => Some(id.clone().into_owned()),
            _ => None,
        }
    };
    ReferredBy {
        publisher_id: value("weir_publisher"),
        program_id: value("weir_program"),
    }
}

fn line(node: &Node<'_>, currency: Currency, presentment: Currency) -> Result<Line, BodyError> {
    let quantity = quantity(node, "quantity")?;
    let unit_price = amount(node, ["price", "price_set"], currency, Some(presentment))?;
    value_fits(node, unit_price, quantity)?;
    let mut discount = Amount::default();
    for allocation in node.objects("discount_allocations")? {
        discount = discount + amount(&allocation, ["amount", "amount_set"], currency, Some(presentment))?;
    }
    let (mut tax, mut tax_rate) = (Amount::default(), 0_i64);
    for tax_line in node.objects("tax_lines")? {
        tax = tax + amount(&tax_line, ["price", "price_set"], currency, Some(presentment))?;
        tax_rate = tax_rate.saturating_add(rate(&tax_line)?);
    }
    let current_quantity = match node.int("current_quantity")? {
        Some(_) => Some(self::quantity(node, "current_quantity")?),
        None => None,
    };
    let (line_item_id, product_id, variant_id) = (node.id("id")?, node.int("product_id")?, node.int("variant_id")?);
    let line = Line {
        line_item_id,
        product_id,
        variant_id,
        title: node.text("title")?,
        vendor: node.text("vendor")?,
        is_gift_card: node.bool("gift_card")?,
        is_tip: is_tip(node, product_id.or(variant_id)),
        quantity,
        current_quantity,
        unit_price,
        discount,
        tax,
        tax_rate,
    };
    discount_fits(node, "discount_allocations", &line)?;
    Ok(line)
}

/// Whether a line is a tip: no goods, and so of no product. Only tips have the members that say how they were paid, which may be
/// null; a line of a `product` is believed to be goods all the same.
fn is_tip(node: &Node<'_>, product: Option<i64>) -> bool {
    let says_how_paid = || node.has("tip_payment_gateway") || node.has("tip_payment_method");
    node.has_object("tip") || product.is_none() && says_how_paid()
}

/// Refuses a line whose value is beyond belief.
pub(super) fn value_fits(node: &Node<'_>, unit_price: Amount, quantity: i64) -> Result<(), BodyError> {
    let fits = |value: i64| {
        value
            .checked_mul(quantity)
            .is_some_and(|value| value.abs() <= MAX_LINE_VALUE)
    };
    if fits(unit_price.shop) && fits(unit_price.presentment) {
        Ok(())
    } else {
        Err(node.mismatch("quantity", "expected a line value below 10^15 minor units"))
    }
}

/// Refuses a line whose discount or tax is beyond belief. `name` is the member that lists the discounts.
pub(super) fn discount_fits(node: &Node<'_>, name: &str, line: &Line) -> Result<(), BodyError> {
    let fits = |amount: Amount| {
        amount.shop.unsigned_abs() <= MAX_LINE_VALUE.unsigned_abs()
            && amount.presentment.unsigned_abs() <= MAX_LINE_VALUE.unsigned_abs()
    };
    // Prices may contain tax, which a bulk operation does not say in the line.
    if [line.discount, line.tax, net_discount(line)].into_iter().all(fits) {
        Ok(())
    } else {
        Err(node.mismatch(name, "expected a discount and a tax below 10^15 minor units"))
    }
}

pub(super) fn quantity(node: &Node<'_>, name: &str) -> Result<i64, BodyError> {
    let units = node.int(name)?.unwrap_or(0);
    if (0..=MAX_QUANTITY).contains(&units) {
        Ok(units)
    } else {
        Err(node.mismatch(name, "expected a quantity from 0 to 1000000"))
    }
}

/// A tax rate in billionths. It only matters for a line discounted to nothing, so a rate that is not a plain decimal
/// (Shopify sends numbers such as `6e-2` too) counts as unknown, 0.
pub(super) fn rate(node: &Node<'_>) -> Result<i64, BodyError> {
    let Some(text) = node.decimal("rate")? else {
        return Ok(0);
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(RATE_DIGITS)
        .collect();
    let rate = format!("{whole}{digits}").parse::<i64>().unwrap_or(0);
    Ok(rate.clamp(0, 10_000_000_000))
}

/// `<name>` and `<name>_set` as one amount. The set wins, since it says both currencies; where only the plain amount is
/// given, the presentment amount equals it if the currencies do.
fn amount(
    node: &Node<'_>,
    [name, set_name]: [&str; 2],
    currency: Currency,
    presentment: Option<Currency>,
) -> Result<Amount, BodyError> {
    let set = node.object(set_name)?;
    let (mut shop, mut shown) = (None, None);
    if let Some(set) = set {
        if let Some(money) = set.object("shop_money")? {
            shop = money.money("amount", money.currency("currency_code")?.unwrap_or(currency))?;
        }
        if let Some(money) = set.object("presentment_money")? {
            shown = money.money(
                "amount",
                money.currency("currency_code")?.or(presentment).unwrap_or(currency),
            )?;
        }
    }
    let shop = match shop {
        Some(shop) => shop,
        None => node.money(name, currency)?.unwrap_or(0),
    };
    if shown.is_none() && shop != 0 && presentment.is_some_and(|presentment| presentment != currency) {
        // Guessing an exchange rate would falsify the presentment ledger.
        return Err(super::json::fault(
            super::Reason::MissingField,
            &node.path(set_name),
            "an order in two currencies needs the amount in both",
        ));
    }
    Ok(Amount {
        shop,
        presentment: shown.unwrap_or(shop),
    })
}

/// `embedded`: the order's updated_at and presentment currency, when the refund is part of an order's body.
pub(super) fn refund(
    node: &Node<'_>,
    embedded: Option<(i64, Currency)>,
    context: Context,
) -> Result<Refund, BodyError> {
    let currency = context.currency;
    let presentment = embedded.map(|(_, presentment)| presentment);
    let created_at = node.time("created_at")?;
    let mut lines = Vec::new();
    for item in node.objects("refund_line_items")? {
        let sold = item.object("line_item")?;
        let (product_id, is_gift_card, is_tip) = match &sold {
            Some(sold) => {
                let product_id = sold.int("product_id")?;
                (product_id, sold.bool("gift_card")?, is_tip(sold, product_id))
            }
            None => (None, false, false),
        };
        lines.push(RefundLine {
            refund_line_item_id: item.id("id")?,
            line_item_id: item.int("line_item_id")?,
            product_id,
            is_gift_card,
            is_tip,
            quantity: quantity(&item, "quantity")?,
            restock_type: item.text("restock_type")?,
            subtotal: amount(&item, ["subtotal", "subtotal_set"], currency, presentment)?,
            tax: amount(&item, ["total_tax", "total_tax_set"], currency, presentment)?,
        });
    }
    lines.sort_by_key(|line| line.refund_line_item_id);
    lines.dedup_by_key(|line| line.refund_line_item_id);
    let mut adjustments = Vec::new();
    for item in node.objects("order_adjustments")? {
        adjustments.push(Adjustment {
            adjustment_id: item.id("id")?,
            kind: item.text("kind")?,
            amount: amount(&item, ["amount", "amount_set"], currency, presentment)?,
            tax: amount(&item, ["tax_amount", "tax_amount_set"], currency, presentment)?,
        });
    }
    adjustments.sort_by_key(|adjustment| adjustment.adjustment_id);
    adjustments.dedup_by_key(|adjustment| adjustment.adjustment_id);
    let return_id = match node.object("return")? {
        Some(returned) => returned.int("id")?,
        None => None,
    };
    let mut paid: Option<(i64, Currency)> = None;
    for item in node.objects("transactions")? {
        let moved = payment(&item, context)?;
        let moved_currency = Currency::from_code(&moved.currency).unwrap_or(currency);
        if moved.is_success() && moved.kind.as_deref() == Some("refund") {
            // Transactions of one refund share a currency; one that does not is left to order_transactions/create.
            match &mut paid {
                Some((sum, paid_currency)) if *paid_currency == moved_currency => {
                    *sum = sum.saturating_add(moved.amount);
                }
                Some(_) => {}
                None => paid = Some((moved.amount, moved_currency)),
            }
        }
    }
    Ok(Refund {
        refund_id: node.id("id")?,
        created_at,
        processed_at: node.time("processed_at")?,
        // An embedded refund is as new as its order; the refund's own delivery tells of the moment it was made.
        observed_at: embedded
            .map(|(at, _)| at)
            .or(created_at)
            .unwrap_or(context.triggered_at),
        triggered_at: context.triggered_at,
        is_brief: false,
        paid_amount: paid.map(|(sum, _)| sum),
        paid_currency: paid.map(|(_, currency)| currency.code().to_owned()),
        return_id,
        lines,
        adjustments,
        raw: node.raw(),
    })
}

pub(super) fn payment(node: &Node<'_>, context: Context) -> Result<Payment, BodyError> {
    let currency = node.currency("currency")?.unwrap_or(context.currency);
    Ok(Payment {
        payment_id: node.id("id")?,
        parent_id: node.int("parent_id")?,
        kind: node.text("kind")?,
        status: node.text("status")?,
        gateway: node.text("gateway")?,
        amount: node.money("amount", currency)?.unwrap_or(0),
        currency: currency.code().to_owned(),
        is_test: node.bool("test")?,
        created_at: node.time("created_at")?,
        processed_at: node.time("processed_at")?,
        triggered_at: context.triggered_at,
        raw: node.raw(),
    })
}

pub(super) fn fulfillment(node: &Node<'_>, context: Context) -> Result<Fulfillment, BodyError> {
    let created_at = node.time("created_at")?;
    let status = node.text("status")?;
    let updated_at = node.time("updated_at")?.or(created_at).unwrap_or(context.triggered_at);
    let mut lines = Vec::new();
    for item in node.objects("line_items")? {
        lines.push(FulfillmentLine {
            line_item_id: item.id("id")?,
            quantity: quantity(&item, "quantity")?,
        });
    }
    lines.sort_unstable();
    lines.dedup_by_key(|line| line.line_item_id);
    Ok(Fulfillment {
        fulfillment_id: node.id("id")?,
        shipped_at: (status.as_deref() == Some("success")).then_some(updated_at),
        status,
        tracking_company: node.text("tracking_company")?,
        created_at,
        updated_at,
        triggered_at: context.triggered_at,
        lines,
    })
}

/// The order is an object in some topics and a plain id in others.
pub(super) fn returned(node: &Node<'_>, context: Context) -> Result<Fact, BodyError> {
    let order_id = match node.object("order")? {
        Some(order) => order.id("id")?,
        None => node.id("order_id")?,
    };
    Ok(Fact::Return {
        order_id,
        returned: Return {
            return_id: node.id("id")?,
            name: node.text("name")?,
            status: node.text("status")?,
            requested_at: context.triggered_at,
            triggered_at: context.triggered_at,
            raw: node.raw(),
        },
    })
}

pub(super) fn edit(root: &Node<'_>) -> Result<Fact, BodyError> {
    let Some(node) = root.object("order_edit")? else {
        return Err(super::json::fault(
            super::Reason::MissingField,
            "order_edit",
            "an order edit is required",
        ));
    };
    let edit_id = node.id("id")?;
    let committed_at = node.time("committed_at")?.or(node.time("created_at")?);
    let Some(committed_at) = committed_at else {
        return Err(super::json::fault(
            super::Reason::MissingField,
            "order_edit.committed_at",
            "a time is required",
        ));
    };
    let mut deltas: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    if let Some(items) = node.object("line_items")? {
        for item in items.objects("additions")? {
            deltas.entry(item.id("id")?).or_default().0 += quantity(&item, "delta")?;
        }
        for item in items.objects("removals")? {
            deltas.entry(item.id("id")?).or_default().1 += quantity(&item, "delta")?;
        }
    }
    let lines = deltas.into_iter().map(|(line_item_id, (added, removed))| EditLine {
        edit_id,
        line_item_id,
        committed_at,
        added,
        removed,
    });
    Ok(Fact::Edit {
        order_id: node.id("order_id")?,
        lines: lines.collect(),
    })
}
