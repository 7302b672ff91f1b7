//! What was deleted at Shopify without a webhook that arrived: products by Shopify's own record of events, orders and products
//! by comparing all ids of a shop with those that PostgreSQL knows.
//!
//! A deletion is terminal, so nothing is believed on one look: a result whose counts are not proved is not compared, an id
//! that is younger than the operation is left alone, and each that is absent is asked for by itself before it counts.

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use weir_domain::shopify::bulk::Gid;
use weir_domain::watermark::{text, Window, MIN_OVERLAP};
use weir_domain::webhook::{Delivery, Topic};
use weir_edge_shared::lines::Lines;

use crate::step::StepError;

/// Ids that one call of the Admin API looks up: Shopify takes at most 250.
pub const LOOKUP: usize = 250;
/// Ids asked of PostgreSQL at once.
pub const PAGE: u32 = 20_000;
/// How many deletions one run believes unless it is told otherwise. More look like a result that is not the shop's.
pub const MOST: u64 = 1000;

/// What can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// An order.
    Order,
    /// A product.
    Product,
}

impl Resource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Order, Self::Product];

    /// Name in `weir.known_ids`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Product => "product",
        }
    }

    /// Name in global ids.
    #[must_use]
    pub fn gid_name(self) -> &'static str {
        match self {
            Self::Order => "Order",
            Self::Product => "Product",
        }
    }

    /// Name of the bulk query that reads all ids.
    #[must_use]
    pub fn query_name(self) -> &'static str {
        match self {
            Self::Order => "order_ids",
            Self::Product => "product_ids",
        }
    }

    /// That query, for what was created before the end of `window`: all that can be missed.
    #[must_use]
    pub fn query(self, window: &Window) -> String {
        let connection = format!("{}s", self.as_str());
        let until = text(window.to);
        format!("{{ {connection}(query: \"created_at:<'{until}'\", sortKey: CREATED_AT) {{ edges {{ node {{ __typename id }} }} }} }}")
    }

    fn topic(self) -> Topic {
        match self {
            Self::Order => Topic::OrdersDelete,
            Self::Product => Topic::ProductsDelete,
        }
    }
}

/// Something that is gone at Shopify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// What it was.
    pub resource: Resource,
    /// Its number.
    pub id: i64,
    /// When it was deleted, or when it was noticed, RFC 3339.
    pub at: String,
}

impl Deletion {
    /// The webhook that did not come, as `weir.ingest` takes it. It has the same webhook id whenever it is told again, so
    /// that a repeated step answers with the same events.
    #[must_use]
    pub fn delivery(&self, shop_domain: &str, source: &str, received_at: &str) -> Delivery {
        Delivery {
            webhook_id: format!("deleted-{}", self.id),
            topic: self.resource.topic().as_str().to_owned(),
            shop_domain: shop_domain.to_owned(),
            triggered_at: Some(self.at.clone()),
            api_version: None,
            received_at: received_at.to_owned(),
            source: Some(source.to_owned()),
            body: json!({"id": self.id}).to_string(),
        }
    }
}

/// Reads the lines of an id query, in any pieces, into ids.
#[derive(Debug, Default)]
pub struct Ids {
    lines: Lines,
    ids: Vec<i64>,
}

impl Ids {
    /// Takes the next piece; an empty one ends the result.
    ///
    /// # Errors
    /// When a line is not the id of a `resource`: then nothing is known of what is absent.
    pub fn feed(&mut self, resource: Resource, piece: &[u8]) -> Result<(), StepError> {
        for line in self.lines.whole(piece).split(|byte| *byte == b'\n') {
            if !line.iter().all(u8::is_ascii_whitespace) {
                self.ids.push(read_id(resource, line)?);
            }
        }
        Ok(())
    }

    /// The ids in order, each once.
    ///
    /// # Errors
    /// When they are not `lines` different ones.
    pub fn all(mut self, lines: u64) -> Result<Vec<i64>, StepError> {
        self.ids.sort_unstable();
        self.ids.dedup();
        if self.ids.len() as u64 != lines {
            let detail = format!(
                "{} different ids in {lines} lines; nothing was compared",
                self.ids.len()
            );
            return Err(StepError::lasting("unreadable_ids", detail));
        }
        Ok(self.ids)
    }
}

fn read_id(resource: Resource, line: &[u8]) -> Result<i64, StepError> {
    let unreadable = || StepError::lasting("unreadable_ids", "a line holds no id of what was asked for");
    let line: Value = serde_json::from_slice(line).map_err(|_| unreadable())?;
    let gid = line["id"].as_str().and_then(Gid::parse).ok_or_else(unreadable)?;
    (gid.resource == resource.gid_name())
        .then_some(gid.id)
        .ok_or_else(unreadable)
}

/// A page of `weir.known_ids`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Known {
    /// Ids, as text.
    pub ids: Vec<String>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What was looked for and not found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Ids that PostgreSQL knows and Shopify's result, `there`, has not.
    pub absent: Vec<i64>,
    /// How many PostgreSQL knows.
    pub known: u64,
}

impl Comparison {
    /// Compares a page with what is `there`, in order.
    ///
    /// # Errors
    /// When the page is not what the contract says.
    pub fn add(&mut self, page: &Known, there: &[i64]) -> Result<(), StepError> {
        for id in &page.ids {
            let unreadable = |_| StepError::passing("unreadable_answer", "weir.known_ids: an id is no number");
            let id: i64 = id.parse().map_err(unreadable)?;
            self.known += 1;
            if there.binary_search(&id).is_err() {
                self.absent.push(id);
            }
        }
        Ok(())
    }

    /// Those that are absent, unless they are more than `most`.
    ///
    /// # Errors
    /// When there are more: then nothing is deleted.
    pub fn believed(self, shop: &str, resource: Resource, there: usize, most: u64) -> Result<Self, StepError> {
        let absent = self.absent.len();
        if absent as u64 > most {
            let detail = format!(
                "{absent} of {} known {}s are not among the {there} that Shopify has; nothing was deleted. If that is right: \
                 weir sync deletions --shop {shop} --most {absent} --again",
                self.known,
                resource.as_str(),
            );
            return Err(StepError::lasting("too_many_deletions", detail));
        }
        Ok(self)
    }
}

/// The argument of `weir.known_ids` for the page after `after`: what was created before the operation of `started_at`, and
/// before the end of its window, `until`, and is not so young that Shopify's search may not have it yet. Without the scope for all orders only those of the last
/// `days_readable` days can be missed.
///
/// # Errors
/// When `started_at` or `until` is no time.
pub fn known_request(
    resource: Resource,
    [started_at, until]: [&str; 2],
    days_readable: Option<i64>,
    after: &str,
) -> Result<Value, StepError> {
    let time = |text: &str| text.parse::<jiff::Timestamp>();
    let bad = |_| StepError::lasting("bad_call", "started_at or until is no time");
    // An operation that had to wait started long after the end of what it reads; one that was found again began before it.
    let started = time(started_at).map_err(bad)?.min(time(until).map_err(bad)?);
    let days = days_readable.filter(|_| resource == Resource::Order);
    // A day less than the shop may show, so that none is at the border.
    let oldest = days.map(|days| started - jiff::SignedDuration::from_hours(24 * (days - 1)));
    let from = oldest.map_or_else(|| "1900-01-01T00:00:00.000Z".to_owned(), text);
    Ok(json!({
        "resource": resource.as_str(), "created_from": from, "created_before": text(started - MIN_OVERLAP),
        "after": after.parse::<i64>().unwrap_or_default(), "limit": PAGE,
    }))
}

/// Which of the `asked` are gone, by an answer of `nodes(ids:)`: it has null in their place.
///
/// # Errors
/// When the answer has not as many nodes.
pub fn gone(asked: &[i64], nodes: &Value) -> Result<Vec<i64>, StepError> {
    let found = nodes.as_array().filter(|nodes| nodes.len() == asked.len());
    let found = found.ok_or_else(|| StepError::passing("unreadable_answer", "nodes: not as many as were asked for"))?;
    let pairs = asked.iter().zip(found);
    Ok(pairs.filter(|(_, node)| node.is_null()).map(|(id, _)| *id).collect())
}

/// The search for products destroyed since `from`.
#[must_use]
pub fn search(from: &str) -> String {
    format!("subject_type:PRODUCT action:destroy created_at:>='{from}'")
}

/// The deletions that a page of events tells of.
#[must_use]
pub fn told(edges: &Value) -> Vec<Deletion> {
    let nodes = edges.as_array().into_iter().flatten().map(|edge| &edge["node"]);
    let product = nodes.filter_map(|node| {
        let gid = node["subjectId"].as_str().and_then(Gid::parse)?;
        // The search is Shopify's to read; what comes is looked at once more.
        let destroyed = node["action"].as_str() == Some("destroy") && gid.resource == "Product";
        destroyed.then(|| Deletion {
            resource: Resource::Product,
            id: gid.id,
            at: node["createdAt"].as_str().unwrap_or_default().to_owned(),
        })
    });
    product.filter(|deletion| !deletion.at.is_empty()).collect()
}

#[cfg(test)]
#[path = "deletion/tests.rs"]
mod tests;
