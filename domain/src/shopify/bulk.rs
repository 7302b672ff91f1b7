//! Shopify's bulk operations: the queries weir runs, what each line of their results says, and the facts of a whole order
//! or product put together from its lines.
//!
//! The result of an operation is JSONL, a line a node, in no promised sequence: children name their parent by
//! `__parentId`. A line is read on its own ([`BulkLine::read`]); what belongs together is told once all lines are there
//! ([`order_facts`], [`product_fact`]), as the very facts that webhooks tell.

mod assemble;
mod fields;
mod line;

pub(super) use fields::required_gid;

pub use assemble::{order_facts, product_fact, Node};
pub use line::{BulkLine, Gid, OrderPart, Part};

use crate::events::wire_time;

/// Orders with lines, transactions, refunds and fulfilments.
const ORDERS_CORE: &str = include_str!("queries/orders_core.graphql");
/// Orders with sales agreements and returns.
const ORDERS_LEDGER: &str = include_str!("queries/orders_ledger.graphql");
/// Products with variants.
const PRODUCTS: &str = include_str!("queries/products.graphql");

/// The operations of a synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BulkKind {
    /// Orders with lines, transactions, refunds and fulfilments.
    OrdersCore,
    /// Orders with Shopify's own ledger and returns.
    OrdersLedger,
    /// Products with variants.
    Products,
}

impl BulkKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OrdersCore, Self::OrdersLedger, Self::Products];

    /// Name in the arguments of `weir.ingest_bulk`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrdersCore => "orders_core",
            Self::OrdersLedger => "orders_ledger",
            Self::Products => "products",
        }
    }

    /// The kind of a name, if it is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The query for what was updated from `from` (included) to `to` (excluded), microseconds since 1970. The same window
    /// gives the same text, by which a running operation is found again.
    #[must_use]
    pub fn query(self, from: i64, to: i64) -> String {
        let text = match self {
            Self::OrdersCore => ORDERS_CORE,
            Self::OrdersLedger => ORDERS_LEDGER,
            Self::Products => PRODUCTS,
        };
        text.replace("{from}", &wire_time(from)).replace("{to}", &wire_time(to))
    }
}

#[cfg(test)]
mod tests;
