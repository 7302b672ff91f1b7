//! Orders and products put together from the lines of a run, applied, and told as events.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::spi::{Spi, SpiClient};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_domain::events::{self, EventKey, EventType, Provenance, Renderer};
use weir_domain::order_state::{OrderState, Product, Raw};
use weir_domain::shopify::bulk::{order_facts, product_fact, Gid, Node, Part};

use super::{operation_id, read_run, refuse, source, time};
use crate::ingest::State;
use crate::jsonb;
use crate::privacy;
use crate::report;
use crate::store::{self, Key, KnownShop, StoredLine};

const DEFAULT_LIMIT: i64 = 500;
const LARGEST_LIMIT: i64 = 10_000;
/// Most bytes of events that a call may ask for; PostgreSQL has no text of more than a gigabyte.
const LARGEST_BYTES: i64 = 1_000_000_000;
/// Orders and products put together at first where bytes are limited: what is told no more is put together once again.
const FIRST_ROOTS: i64 = 50;

#[derive(Deserialize)]
struct Run {
    operation_ids: Vec<String>,
    source: String,
    received_at: String,
    after: Option<String>,
    limit: Option<i64>,
    bytes: Option<i64>,
}

/// The answer of `weir.bulk_events`.
#[derive(Serialize, Default)]
struct Answer {
    events: Vec<Box<RawValue>>,
    /// Where the next page starts; `None` after the last.
    next: Option<String>,
}

/// A page of orders, then products, by number.
struct Page {
    orders: Vec<i64>,
    products: Vec<i64>,
    /// Where the next page starts; `None` after the last.
    next: Option<String>,
}

/// Applies the next page of what a run has read and returns its events as JSON text.
pub fn events(shop_domain: &str, run: &str) -> String {
    let run: Run = read_run(run);
    let operations: Vec<i64> = run.operation_ids.iter().map(|gid| operation_id(gid)).collect();
    let provenance = Provenance {
        received_at: time(&run.received_at, "received_at"),
        source: source(&run.source).to_owned(),
    };
    let limit = run.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        refuse("limit is not from 1 to 10000.");
    }
    if !run.bytes.is_none_or(|bytes| (1..=LARGEST_BYTES).contains(&bytes)) {
        refuse("bytes is not from 1 to 1000000000.");
    }
    let answer = Spi::connect_mut(|client| {
        let shop = store::read_shop(client, shop_domain).unwrap_or_else(|| report::unknown_shop());
        privacy::lock(client, shop.shop_id, false);
        // Again, now that it is locked: it may have moved to another time zone.
        let shop = store::lock_shop(client, shop_domain).unwrap_or_else(|| report::unknown_shop());
        if !store::read_redacted(client, &[(shop.shop_id, 0)].into()).is_empty() {
            return Answer::default();
        }
        store::analyze_grown(client);
        let (mut told, mut after) = (Told::new(limit, run.bytes), run.after);
        loop {
            let page = Page::read(client, shop.shop_id, &operations, after.as_deref(), told.at_once());
            let state = apply(client, &shop, &operations, &page);
            let cut = tell(client, &shop, &page, &state, &provenance, &mut told);
            told.roots += page.roots();
            let is_last = cut.is_some() || page.next.is_none();
            after = cut.or(page.next);
            if is_last || told.is_full() {
                break;
            }
        }
        Answer {
            events: told.events,
            next: after,
        }
    });
    report::json_text(&answer, "weir.bulk_events")
}

/// Events of whole orders and products until there are enough.
struct Told {
    events: Vec<Box<RawValue>>,
    bytes: i64,
    /// Orders and products that were put together.
    roots: i64,
    limit: i64,
    most_bytes: Option<i64>,
}

impl Told {
    fn new(limit: i64, most_bytes: Option<i64>) -> Self {
        Self {
            events: Vec::new(),
            bytes: 0,
            roots: 0,
            limit,
            most_bytes,
        }
    }

    fn add(&mut self, event: Box<RawValue>) {
        self.bytes += i64::try_from(event.get().len()).unwrap_or(i64::MAX);
        self.events.push(event);
    }

    fn has_bytes(&self) -> bool {
        self.most_bytes.is_some_and(|most| self.bytes >= most)
    }

    fn is_full(&self) -> bool {
        self.roots >= self.limit || self.has_bytes()
    }

    /// How many to put together next, by what those before came to.
    fn at_once(&self) -> i64 {
        let left = self.limit - self.roots;
        match self.most_bytes {
            None => left,
            Some(_) if self.bytes == 0 => left.min(FIRST_ROOTS),
            Some(most) => ((most - self.bytes) * self.roots / self.bytes).clamp(1, left),
        }
    }
}

impl Page {
    fn roots(&self) -> i64 {
        i64::try_from(self.orders.len() + self.products.len()).unwrap_or(i64::MAX)
    }

    fn read(client: &mut SpiClient<'_>, shop_id: i64, operations: &[i64], after: Option<&str>, limit: i64) -> Self {
        let (after_order, after_product) = match after.map(|text| text.split_once('/')) {
            None => (i64::MIN, i64::MIN),
            Some(Some(("Order", id))) => (cursor(id), i64::MIN),
            Some(Some(("Product", id))) => (i64::MAX, cursor(id)),
            Some(_) => refuse("after is no cursor of this function."),
        };
        let orders = store::read_roots(client, shop_id, operations, "Order", after_order, limit);
        let mut page = Self {
            orders,
            products: Vec::new(),
            next: None,
        };
        let rest = limit - i64::try_from(page.orders.len()).unwrap_or(limit);
        if rest > 0 {
            page.products = store::read_roots(client, shop_id, operations, "Product", after_product, rest);
        }
        if page.orders.len() + page.products.len() == usize::try_from(limit).unwrap_or_default() {
            let last_product = page.products.last().map(|id| format!("Product/{id}"));
            page.next = last_product.or_else(|| page.orders.last().map(|id| format!("Order/{id}")));
        }
        page
    }
}

fn cursor(id: &str) -> i64 {
    id.parse()
        .unwrap_or_else(|_| refuse("after is no cursor of this function."))
}

/// Merges the page's orders and products with what is known of them.
fn apply(client: &mut SpiClient<'_>, shop: &KnownShop, operations: &[i64], page: &Page) -> State {
    let keys = |ids: &[i64]| ids.iter().map(|id| (shop.shop_id, *id)).collect::<BTreeSet<Key>>();
    let mut state = State::read(client, &keys(&page.orders), &keys(&page.products));
    let roots = page.orders.iter().map(|id| ("Order", *id));
    let roots: Vec<(&str, i64)> = roots.chain(page.products.iter().map(|id| ("Product", *id))).collect();
    let mut customers = BTreeSet::new();
    let nodes = put_together(store::read_nodes(client, shop.shop_id, operations, &roots));
    customers.extend(nodes.iter().filter_map(|node| Some((shop.shop_id, node.customer_id?))));
    let forgotten = store::read_forgotten(client, &customers, &keys(&page.orders));
    for mut node in nodes {
        let key = (shop.shop_id, node.id);
        let is_product = matches!(node.part, Some(Part::Product(_)));
        let customer = node.customer_id.map(|id| (shop.shop_id, id));
        if customer.is_some_and(|customer| forgotten.customers.contains(&customer))
            || (!is_product && forgotten.orders.contains(&key))
        {
            (node.customer_id, node.raw) = (None, Raw::default());
        }
        if is_product {
            if let Some(product) = product_fact(node, shop.shop.currency) {
                let merged = Product::merged(state.products.get(&key), &product);
                state.products.insert(key, merged);
            }
            continue;
        }
        for fact in order_facts(node) {
            state.orders.entry(key).or_default().apply(&fact);
        }
    }
    state.renew_ledgers();
    state.write(client, &[(shop.shop_id, &shop.shop)].into());
    state
}

/// Trees of the lines, a tree for each root and operation, in the sequence of the operations.
fn put_together(lines: Vec<(i64, StoredLine)>) -> Vec<Node> {
    let mut sequence: Vec<i64> = Vec::new();
    let mut roots: BTreeMap<i64, Vec<StoredLine>> = BTreeMap::new();
    let mut below: BTreeMap<(i64, Gid), Vec<StoredLine>> = BTreeMap::new();
    for (operation, line) in lines {
        if sequence.last() != Some(&operation) {
            sequence.push(operation);
        }
        match &line.parent {
            Some(parent) => below.entry((operation, parent.clone())).or_default().push(line),
            None => roots.entry(operation).or_default().push(line),
        }
    }
    let mut trees = Vec::new();
    for operation in sequence {
        let of_operation = roots.remove(&operation).unwrap_or_default();
        trees.extend(of_operation.into_iter().map(|root| tree(operation, root, &mut below)));
    }
    trees
}

fn tree(operation: i64, line: StoredLine, below: &mut BTreeMap<(i64, Gid), Vec<StoredLine>>) -> Node {
    let children = below.remove(&(operation, line.gid.clone())).unwrap_or_default();
    let part = line.content.map(|content| {
        serde_json::from_str(&content)
            .unwrap_or_else(|error| report::internal("a kept line is not readable", &error.to_string()))
    });
    Node {
        id: line.gid.id,
        part,
        customer_id: line.customer_id,
        raw: line
            .raw
            .as_deref()
            .map_or_else(Raw::default, |raw| Raw::of(jsonb::encode_text(raw))),
        children: children
            .into_iter()
            .map(|child| tree(operation, child, below))
            .collect(),
    }
}

/// All events of the page's orders and products as they are now, whether or not this run changed them: a run that died
/// before its events were sent must not lose them. The ids are those of the webhooks. Returns the last one told where those after it
/// are too many bytes.
fn tell(
    client: &mut SpiClient<'_>,
    shop: &KnownShop,
    page: &Page,
    state: &State,
    provenance: &Provenance,
    told: &mut Told,
) -> Option<String> {
    let orders: Vec<(i64, &OrderState)> = page
        .orders
        .iter()
        .filter_map(|id| Some((*id, state.orders.get(&(shop.shop_id, *id))?)))
        .collect();
    let products = orders.iter().flat_map(|(_, order)| &order.lines);
    let products: BTreeSet<Key> = products
        .filter_map(|line| Some((shop.shop_id, line.product_id?)))
        .collect();
    let mut products = store::read_products(client, &products);
    products.extend(state.products.iter().map(|(key, product)| (*key, product.clone())));
    let products: BTreeMap<i64, Product> = products.into_iter().map(|(key, product)| (key.1, product)).collect();
    let customers = orders
        .iter()
        .filter_map(|(_, order)| Some((shop.shop_id, order.header.as_ref()?.customer_id?)));
    let salts = store::read_salts(client, &customers.collect());
    let salts: BTreeMap<i64, String> = salts.into_iter().map(|(key, salt)| (key.1, salt)).collect();
    let renderer = Renderer {
        shop: &shop.shop,
        products: &products,
        salts: &salts,
    };
    let mut last = None;
    for (order_id, order) in orders {
        if told.has_bytes() {
            return last;
        }
        let ledger = state.ledger((shop.shop_id, order_id), order, &shop.shop);
        for key in order_keys(order_id, order, shop, provenance.received_at) {
            told.add(renderer.order_with(&key, order, &ledger, provenance));
        }
        last = Some(format!("Order/{order_id}"));
    }
    for id in &page.products {
        if told.has_bytes() {
            return last;
        }
        let Some(product) = products.get(id) else { continue };
        if let Some(key) = events::product_event(None, product) {
            told.add(renderer.product(&key, product, provenance));
        }
        last = Some(format!("Product/{id}"));
    }
    None
}

/// What an order has to tell from its beginning, and its ledger as of now: an event that was sent before carries the ledger
/// of its time, and a consumer that keeps the first of two equal ids would never see the new one.
fn order_keys(order_id: i64, order: &OrderState, shop: &KnownShop, received_at: i64) -> Vec<EventKey> {
    let unknown = OrderState::default();
    let mut keys = events::order_events(order_id, &unknown, order, &shop.shop.zone, received_at);
    let updated_at = order.header.as_ref().map(|header| header.updated_at);
    let occurred_at = order.deleted_at.or(updated_at);
    let is_told = keys.iter().any(|key| key.event_type == EventType::OrderUpdated);
    if let Some(occurred_at) = occurred_at.filter(|_| !is_told) {
        keys.push(EventKey {
            event_type: EventType::OrderUpdated,
            entity_id: order_id,
            discriminator: order.revision.to_string(),
            occurred_at,
            order_id: Some(order_id),
        });
    }
    keys
}
