//! Bodies of `customers/create`, `customers/update`, `customers/enable`, `customers/disable`, `customers/merge`,
//! `customers/redact`, and the copy inside an order.

use super::bulk::required_gid;
use super::json::Node;
use super::{BodyError, Context, Fact, Reason};
use crate::customer::Customer;

pub(super) fn customer(node: &Node<'_>, context: Context) -> Result<Customer, BodyError> {
    let consent = |name: &str| match node.object(name)? {
        Some(consent) => consent.text("state"),
        None => Ok(None),
    };
    Ok(Customer {
        created_at: node.time("created_at")?,
        updated_at: node.time("updated_at")?,
        is_whole: true,
        state: node.text("state")?,
        is_email_verified: node.bool("verified_email")?,
        is_tax_exempt: node.bool("tax_exempt")?,
        email_consent: consent("email_marketing_consent")?,
        sms_consent: consent("sms_marketing_consent")?,
        currency: node.text("currency")?,
        deleted_at: None,
        ..Customer::deleted(node.id("id")?, context.triggered_at)
    })
}

/// The customer of an order's body. Whatever is wrong in it does not hold up the order: then only its id is known.
pub(super) fn embedded(node: &Node<'_>, context: Context) -> Result<Option<Customer>, BodyError> {
    let Some(customer_id) = node.int("id")? else {
        return Ok(None);
    };
    let unknown = Customer {
        deleted_at: None,
        ..Customer::deleted(customer_id, context.triggered_at)
    };
    Ok(Some(Customer {
        is_whole: false,
        ..customer(node, context).unwrap_or(unknown)
    }))
}

/// Body of `customers/merge`, which is sent at each step of a merge; only the completed one has changed anything.
pub(super) fn merge(node: &Node<'_>, context: Context) -> Result<Fact, BodyError> {
    let status = node.text("status")?.unwrap_or_default();
    if !status.eq_ignore_ascii_case("completed") {
        return Ok(Fact::CustomerMergeOpen);
    }
    let customer = |name: &str| {
        let gid = required_gid(node, name)?;
        let is_customer = gid.resource == "Customer";
        is_customer
            .then_some(gid.id)
            .ok_or_else(|| node.mismatch(name, "expected a global id of Shopify"))
    };
    Ok(Fact::CustomerMerged {
        customer_id: customer("admin_graphql_api_customer_deleted_id")?,
        into: customer("admin_graphql_api_customer_kept_id")?,
        at: context.triggered_at,
    })
}

/// Body of `customers/redact`. Somebody without an account is named by their orders. An e-mail address or a phone number alone
/// names nobody here: none is kept that it could be compared with.
pub(super) fn redaction(node: &Node<'_>) -> Result<Fact, BodyError> {
    let customer_id = match node.object("customer")? {
        Some(customer) => customer.int("id")?,
        None => None,
    };
    let orders = node.ids("orders_to_redact")?;
    if customer_id.is_none() && orders.is_empty() {
        return Err(BodyError {
            reason: Reason::MissingField,
            path: "customer.id".to_owned(),
            detail: "whom to forget is named by this or by orders_to_redact",
        });
    }
    Ok(Fact::CustomerRedacted { customer_id, orders })
}
