//! A customer as far as weir keeps one: no name, no address, no e-mail, no telephone number.
//!
//! What is not kept need not be protected or forgotten; what is kept goes with the customer's redaction.

/// Newest version of a customer. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Customer {
    pub customer_id: i64,
    pub created_at: Option<i64>,
    /// Absent in the bodies of some orders; such a version is older than any other of its kind.
    pub updated_at: Option<i64>,
    /// Told by a topic of its own. The copy inside an order lacks fields, such as consents, and gives way to it also where it is
    /// newer: what it tells anew comes by that topic too.
    pub is_whole: bool,
    pub triggered_at: i64,
    /// disabled, invited, enabled or declined.
    pub state: Option<String>,
    pub is_email_verified: bool,
    pub is_tax_exempt: bool,
    /// State of the consent to e-mails: subscribed, unsubscribed, not_subscribed, pending, ...
    pub email_consent: Option<String>,
    /// State of the consent to text messages.
    pub sms_consent: Option<String>,
    pub currency: Option<String>,
    /// When the customer was deleted at Shopify; terminal.
    pub deleted_at: Option<i64>,
}

impl Customer {
    /// A customer of whom only the deletion is known, and kept.
    #[must_use]
    pub fn deleted(customer_id: i64, at: i64) -> Self {
        Self {
            customer_id,
            created_at: None,
            updated_at: None,
            is_whole: true,
            triggered_at: at,
            state: None,
            is_email_verified: false,
            is_tax_exempt: false,
            email_consent: None,
            sms_consent: None,
            currency: None,
            deleted_at: Some(at),
        }
    }

    /// The newer of two versions, the earlier of two deletions; a deletion is never undone. `customer_write.sql` holds the
    /// stored row to the same rule.
    #[must_use]
    pub fn merged(known: Self, new: Self) -> Self {
        let version = |one: &Self| (one.is_whole, one.updated_at, one.triggered_at);
        let replaces = match (known.deleted_at, new.deleted_at) {
            (Some(known), Some(new)) => new < known,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => version(&new) >= version(&known),
        };
        if replaces {
            new
        } else {
            known
        }
    }
}
