//! Fields of a node, named as the GraphQL Admin API names them, as weir's facts.

use super::super::json::{fault, Node};
use super::super::order::{discount_fits, quantity, rate, referred_by, value_fits};
use super::super::{BodyError, Reason};
use super::line::{Gid, OrderPart, ReadAt};
use crate::money::Currency;
use crate::order_state::{
    Agreement, Amount, Fulfillment, Header, Line, Payment, Product, Raw, Refund, Return, Sale, Variant,
};

pub(super) fn order(node: &Node<'_>, read_at: ReadAt) -> Result<OrderPart, BodyError> {
    let required = |name| {
        node.currency(name)?
            .ok_or_else(|| fault(Reason::MissingField, name, "a currency is required"))
    };
    let (currency, presentment) = (required("currencyCode")?, required("presentmentCurrencyCode")?);
    let updated_at = required_time(node, "updatedAt")?;
    let header = Header {
        order_id: required_gid(node, "id")?.id,
        name: node.text("name")?,
        created_at: node.time("createdAt")?,
        processed_at: node.time("processedAt")?,
        updated_at,
        triggered_at: read_at,
        cancelled_at: node.time("cancelledAt")?,
        financial_status: lower(node, "displayFinancialStatus")?,
        fulfillment_status: fulfillment_status(node)?,
        is_test: node.bool("test")?,
        taxes_included: node.bool("taxesIncluded")?,
        currency: currency.code().to_owned(),
        presentment_currency: presentment.code().to_owned(),
        total_price: match node.object("totalPriceSet")? {
            Some(bag) => Some(money(&bag, "shopMoney")?.0),
            None => None,
        },
        customer_id: None,
        source_name: node.text("sourceName")?,
        referred_by: referred_by(node, "customAttributes", "key"),
        raw: Raw::default(),
    };
    let refunds = node.objects("refunds")?;
    let payments = node.objects("transactions")?;
    let fulfillments = node.objects("fulfillments")?;
    Ok(OrderPart {
        header,
        refunds: refunds
            .iter()
            .map(|one| refund(one, updated_at, read_at))
            .collect::<Result<_, _>>()?,
        payments: payments
            .iter()
            .map(|one| payment(one, read_at))
            .collect::<Result<_, _>>()?,
        fulfillments: fulfillments
            .iter()
            .map(|one| fulfillment(one, read_at))
            .collect::<Result<_, _>>()?,
    })
}

/// The status as webhooks name it. They know no status of work that has not shipped yet.
fn fulfillment_status(node: &Node<'_>) -> Result<Option<String>, BodyError> {
    let status = node.text("displayFulfillmentStatus")?;
    let name = match status.as_deref() {
        Some("FULFILLED") => "fulfilled",
        Some("PARTIALLY_FULFILLED") => "partial",
        Some("RESTOCKED") => "restocked",
        _ => return Ok(None),
    };
    Ok(Some(name.to_owned()))
}

pub(super) fn line_item(node: &Node<'_>) -> Result<Line, BodyError> {
    let units = quantity(node, "quantity")?;
    let unit_price = amount(node, "originalUnitPriceSet")?;
    value_fits(node, unit_price, units)?;
    let mut discount = Amount::default();
    for allocation in node.objects("discountAllocations")? {
        discount = discount + amount(&allocation, "allocatedAmountSet")?;
    }
    let (mut tax, mut tax_rate) = (Amount::default(), 0_i64);
    for one in node.objects("taxLines")? {
        tax = tax + amount(&one, "priceSet")?;
        tax_rate = tax_rate.saturating_add(rate(&one)?);
    }
    let line = Line {
        line_item_id: required_gid(node, "id")?.id,
        product_id: id_of(node, "product")?,
        variant_id: id_of(node, "variant")?,
        title: node.text("title")?,
        vendor: node.text("vendor")?,
        is_gift_card: node.bool("isGiftCard")?,
        // Not told; the sales of its agreements are.
        is_tip: false,
        quantity: units,
        current_quantity: match node.int("currentQuantity")? {
            Some(_) => Some(quantity(node, "currentQuantity")?),
            None => None,
        },
        unit_price,
        discount,
        tax,
        tax_rate,
    };
    discount_fits(node, "discountAllocations", &line)?;
    Ok(line)
}

fn refund(node: &Node<'_>, observed_at: i64, read_at: ReadAt) -> Result<Refund, BodyError> {
    // What was paid back is told in the currency that was paid in, as a webhook's transactions tell it.
    let paid = match node.object("totalRefundedSet")? {
        Some(bag) => Some(money(&bag, "presentmentMoney")?).filter(|(minor, _)| *minor != 0),
        None => None,
    };
    Ok(Refund {
        refund_id: required_gid(node, "id")?.id,
        created_at: node.time("createdAt")?,
        processed_at: node.time("processedAt")?,
        observed_at,
        triggered_at: read_at,
        is_brief: true,
        paid_amount: paid.map(|(minor, _)| minor),
        paid_currency: paid.map(|(_, currency)| currency.code().to_owned()),
        return_id: id_of(node, "return")?,
        lines: Vec::new(),
        adjustments: Vec::new(),
        raw: Raw::default(),
    })
}

fn payment(node: &Node<'_>, read_at: ReadAt) -> Result<Payment, BodyError> {
    let bag = required_object(node, "amountSet")?;
    let (minor, currency) = money(&bag, "presentmentMoney")?;
    Ok(Payment {
        payment_id: required_gid(node, "id")?.id,
        parent_id: id_of(node, "parentTransaction")?,
        kind: lower(node, "kind")?,
        status: lower(node, "status")?,
        gateway: node.text("gateway")?,
        amount: minor,
        currency: currency.code().to_owned(),
        is_test: node.bool("test")?,
        created_at: node.time("createdAt")?,
        processed_at: node.time("processedAt")?,
        triggered_at: read_at,
        raw: Raw::default(),
    })
}

fn fulfillment(node: &Node<'_>, read_at: ReadAt) -> Result<Fulfillment, BodyError> {
    let status = lower(node, "status")?;
    let updated_at = required_time(node, "updatedAt")?;
    let tracking = node.objects("trackingInfo")?;
    Ok(Fulfillment {
        fulfillment_id: required_gid(node, "id")?.id,
        shipped_at: (status.as_deref() == Some("success")).then_some(updated_at),
        status,
        tracking_company: match tracking.first() {
            Some(first) => first.text("company")?,
            None => None,
        },
        created_at: node.time("createdAt")?,
        updated_at,
        triggered_at: read_at,
        // A connection inside a list, which bulk refuses.
        lines: Vec::new(),
    })
}

pub(super) fn returned(node: &Node<'_>, read_at: ReadAt) -> Result<Return, BodyError> {
    Ok(Return {
        return_id: required_gid(node, "id")?.id,
        name: node.text("name")?,
        status: lower(node, "status")?,
        requested_at: required_time(node, "createdAt")?,
        triggered_at: read_at,
        raw: Raw::default(),
    })
}

pub(super) fn agreement(node: &Node<'_>) -> Result<Agreement, BodyError> {
    Ok(Agreement {
        agreement_id: required_gid(node, "id")?.id,
        happened_at: required_time(node, "happenedAt")?,
        reason: lower(node, "reason")?.unwrap_or_else(|| "unknown".to_owned()),
        refund_id: id_of(node, "refund")?,
        return_id: id_of(node, "return")?,
        sales: Vec::new(),
    })
}

pub(super) fn sale(node: &Node<'_>) -> Result<Sale, BodyError> {
    let line_item = node.object("lineItem")?;
    let (mut line_item_id, mut product_id, mut variant_id) = (None, None, None);
    if let Some(item) = &line_item {
        line_item_id = Some(required_gid(item, "id")?.id);
        (product_id, variant_id) = (id_of(item, "product")?, id_of(item, "variant")?);
    }
    let units = node.int("quantity")?.unwrap_or(0);
    if units.unsigned_abs() > 1_000_000 {
        return Err(node.mismatch("quantity", "expected a quantity up to 1000000"));
    }
    Ok(Sale {
        sale_id: required_gid(node, "id")?.id,
        action_type: lower(node, "actionType")?.unwrap_or_else(|| "unknown".to_owned()),
        line_type: lower(node, "lineType")?.unwrap_or_else(|| "unknown".to_owned()),
        quantity: units,
        line_item_id,
        product_id,
        variant_id,
        total: amount(node, "totalAmount")?,
        discount: amount(node, "totalDiscountAmountBeforeTaxes")?,
        tax: amount(node, "totalTaxAmount")?,
    })
}

pub(super) fn product(node: &Node<'_>, read_at: ReadAt) -> Result<Product, BodyError> {
    Ok(Product {
        product_id: required_gid(node, "id")?.id,
        title: node.text("title")?,
        vendor: node.text("vendor")?,
        product_type: node.text("productType")?,
        status: lower(node, "status")?,
        created_at: node.time("createdAt")?,
        published_at: node.time("publishedAt")?,
        updated_at: Some(required_time(node, "updatedAt")?),
        triggered_at: Some(read_at),
        deleted_at: None,
        variants: Vec::new(),
        raw: Raw::default(),
    })
}

pub(super) fn variant(node: &Node<'_>) -> Result<Variant, BodyError> {
    // In the shop's currency, which the line does not name: read when the product is put together.
    Ok(Variant {
        variant_id: required_gid(node, "id")?.id,
        title: node.text("title")?,
        sku: node.text("sku")?,
        price: None,
        price_text: node.decimal("price")?.map(str::to_owned),
        told_updated_at: None,
        told_triggered_at: None,
    })
}

/// A `MoneyBag`, both sides of it.
fn amount(node: &Node<'_>, name: &str) -> Result<Amount, BodyError> {
    let bag = required_object(node, name)?;
    Ok(Amount {
        shop: money(&bag, "shopMoney")?.0,
        presentment: money(&bag, "presentmentMoney")?.0,
    })
}

/// A `MoneyV2`: minor units, and the currency they are of.
fn money(bag: &Node<'_>, name: &str) -> Result<(i64, Currency), BodyError> {
    let node = required_object(bag, name)?;
    let missing = |field| fault(Reason::MissingField, &node.path(field), "an amount names its currency");
    let currency = node.currency("currencyCode")?.ok_or_else(|| missing("currencyCode"))?;
    let minor = node.money("amount", currency)?.ok_or_else(|| missing("amount"))?;
    Ok((minor, currency))
}

/// An enum value as webhooks write it.
fn lower(node: &Node<'_>, name: &str) -> Result<Option<String>, BodyError> {
    Ok(node.text(name)?.map(|value| value.to_ascii_lowercase()))
}

fn required_object<'a>(node: &Node<'a>, name: &str) -> Result<Node<'a>, BodyError> {
    let missing = || fault(Reason::MissingField, &node.path(name), "the query asks for it");
    node.object(name)?.ok_or_else(missing)
}

pub(super) fn required_time(node: &Node<'_>, name: &str) -> Result<i64, BodyError> {
    let missing = || fault(Reason::MissingField, &node.path(name), "a time is required");
    node.time(name)?.ok_or_else(missing)
}

pub(super) fn gid_of(node: &Node<'_>, name: &str) -> Result<Option<Gid>, BodyError> {
    let Some(text) = node.text(name)? else { return Ok(None) };
    let gid = Gid::parse(&text).ok_or_else(|| node.mismatch(name, "expected a global id of Shopify"))?;
    Ok(Some(gid))
}

pub(in crate::shopify) fn required_gid(node: &Node<'_>, name: &str) -> Result<Gid, BodyError> {
    let reason = if node.is_null(name) {
        Reason::NullValue
    } else {
        Reason::MissingField
    };
    gid_of(node, name)?.ok_or_else(|| fault(reason, &node.path(name), "an id is required"))
}

/// Number of the id of a nested object, if it is there.
fn id_of(node: &Node<'_>, name: &str) -> Result<Option<i64>, BodyError> {
    match node.object(name)? {
        Some(object) => Ok(Some(required_gid(&object, "id")?.id)),
        None => Ok(None),
    }
}
