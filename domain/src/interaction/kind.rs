//! The kinds of interaction.

/// What a visitor, or the publisher on a visitor's behalf, did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An item was clicked.
    Click,
    /// An item came into view.
    Impression,
    /// A page was opened.
    View,
    /// A page was in view for a span of time.
    Engagement,
    /// A visitor became a buyer, as the sender saw it.
    Conversion,
    /// A publisher sent a visitor to the shop.
    Referral,
    /// The publisher states which publisher or program an order is due to.
    Attribution,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Click,
        Self::Impression,
        Self::View,
        Self::Engagement,
        Self::Conversion,
        Self::Referral,
        Self::Attribution,
    ];

    /// The kind called `name` in an event.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its `event_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Impression => "impression",
            Self::View => "view",
            Self::Engagement => "engagement",
            Self::Conversion => "conversion",
            Self::Referral => "referral",
            Self::Attribution => "attribution",
        }
    }

    /// Whether PostgreSQL keeps it too (`weir.record_interactions`), not only the stream.
    #[must_use]
    pub fn is_domain_level(self) -> bool {
        matches!(self, Self::Conversion | Self::Referral | Self::Attribution)
    }

    /// Whether only a sender who holds the token may say it: it decides to whom an order's commission is due, and anybody
    /// can name an order.
    #[must_use]
    pub fn needs_token(self) -> bool {
        self == Self::Attribution
    }

    /// Whether it is about one order.
    #[must_use]
    pub fn is_about_an_order(self) -> bool {
        matches!(self, Self::Conversion | Self::Attribution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_no_other_does() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        for other in ["", "Click", "click ", "purchase"] {
            assert_eq!(Kind::parse(other), None, "{other:?}");
        }
    }
}
