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
const LARGEST_LIMIT: usize = 10_000;
/// Most bytes of events that a call may ask for; PostgreSQL has no text of more than a gigabyte.
const LARGEST_BYTES: usize = 1_000_000_000;
/// Orders and products put together at first where bytes are limited: what is told no more is put together once again.
const FIRST_ROOTS: usize = 50;

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

/// What is put together at once of a page.
struct Piece<'p> {
    orders: &'p [i64],
    products: &'p [i64],
}

/// Those of a page of which something was known.
struct Known {
    orders: BTreeSet<Key>,
    products: BTreeSet<Key>,
}

/// Applies the next page of what a run has read and returns its events as JSON text.
pub fn events(shop_domain: &str, run: &str) -> String {
    let run: Run = read_run(run);
    let operations: Vec<i64> = run.operation_ids.iter().map(|gid| operation_id(gid)).collect();
    let provenance = Provenance {
        received_at: time(&run.received_at, "received_at"),
        source: source(&run.source).to_owned(),
    };
    let within = |count: i64, most: usize| usize::try_from(count).ok().filter(|count| (1..=most).contains(count));
    let limit = within(run.limit.unwrap_or(DEFAULT_LIMIT), LARGEST_LIMIT)
        .unwrap_or_else(|| refuse("limit is not from 1 to 10000."));
    let most_bytes = run
        .bytes
        .map(|bytes| within(bytes, LARGEST_BYTES).unwrap_or_else(|| refuse("bytes is not from 1 to 1000000000.")));
    let answer = Spi::connect_mut(|client| {
        let shop = privacy::enter_shop(client, shop_domain).unwrap_or_else(|| report::unknown_shop());
        if !store::read_redacted(client, &[(shop.shop_id, 0)].into()).is_empty() {
            return Answer::default();
        }
        store::analyze_grown(client);
        let page = Page::read(client, shop.shop_id, &operations, run.after.as_deref(), limit);
        let known = Known::lock(client, shop.shop_id, &operations, &page);
        let mut told = Told::new(limit, most_bytes);
        while told.roots < page.roots() && !told.has_bytes() {
            let piece = page.piece(told.roots, told.at_once());
            let state = apply(client, &shop, &operations, &piece, &known);
            told.roots += tell(client, &shop, &piece, &state, &provenance, &mut told);
        }
        Answer {
            next: page.after(told.roots),
            events: told.events,
        }
    });
    report::json_text(&answer, "weir.bulk_events")
}

/// Events of whole orders and products until there are enough.
struct Told {
    events: Vec<Box<RawValue>>,
    bytes: usize,
    /// Orders and products that were told.
    roots: usize,
    limit: usize,
    most_bytes: Option<usize>,
}

impl Told {
    fn new(limit: usize, most_bytes: Option<usize>) -> Self {
        Self {
            events: Vec::new(),
            bytes: 0,
            roots: 0,
            limit,
            most_bytes,
        }
    }

    fn add(&mut self, event: Box<RawValue>) {
        self.bytes += event.get().len();
        self.events.push(event);
    }

    fn has_bytes(&self) -> bool {
        self.most_bytes.is_some_and(|most| self.bytes >= most)
    }

    /// How many to put together next, by what those before came to.
    fn at_once(&self) -> usize {
        let left = self.limit - self.roots;
        match self.most_bytes {
            None => left,
            Some(_) if self.bytes == 0 => left.min(FIRST_ROOTS),
            Some(most) => ((most - self.bytes) * self.roots / self.bytes).clamp(1, left),
        }
    }
}

impl Page {
    fn read(client: &mut SpiClient<'_>, shop_id: i64, operations: &[i64], after: Option<&str>, limit: usize) -> Self {
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
        let rest = limit - page.orders.len();
        if rest > 0 {
            page.products = store::read_roots(client, shop_id, operations, "Product", after_product, rest);
        }
        if page.roots() == limit {
            page.next = page.cursor(limit);
        }
        page
    }

    fn roots(&self) -> usize {
        self.orders.len() + self.products.len()
    }

    /// `count` of them, or as many as are left, behind the first `done`.
    fn piece(&self, done: usize, count: usize) -> Piece<'_> {
        let (orders, products) = (&self.orders, &self.products);
        let of = |place: usize| {
            (
                place.min(orders.len()),
                place.saturating_sub(orders.len()).min(products.len()),
            )
        };
        let (from, to) = (of(done), of(done + count));
        Piece {
            orders: &orders[from.0..to.0],
            products: &products[from.1..to.1],
        }
    }

    /// The last of the first `done`.
    fn cursor(&self, done: usize) -> Option<String> {
        let piece = self.piece(done - 1, 1);
        let product = piece.products.first().map(|id| format!("Product/{id}"));
        product.or_else(|| piece.orders.first().map(|id| format!("Order/{id}")))
    }

    /// Where the next page starts when the first `done` are told.
    fn after(&self, done: usize) -> Option<String> {
        if done < self.roots() {
            self.cursor(done)
        } else {
            self.next.clone()
        }
    }
}

impl Known {
    /// Locks all that the page may tell, and makes the salts of its customers. Later on it would be too late: part of it may be told
    /// by then, and salts are locked after all orders and in the sequence of their customers.
    fn lock(client: &mut SpiClient<'_>, shop_id: i64, operations: &[i64], page: &Page) -> Self {
        let known = Self {
            orders: store::lock_orders(client, &keys(shop_id, &page.orders)),
            products: store::lock_products(client, &keys(shop_id, &page.products)),
        };
        store::make_page_salts(client, shop_id, operations, &page.orders);
        known
    }
}

fn keys(shop_id: i64, ids: &[i64]) -> BTreeSet<Key> {
    ids.iter().map(|id| (shop_id, *id)).collect()
}

fn cursor(id: &str) -> i64 {
    id.parse()
        .unwrap_or_else(|_| refuse("after is no cursor of this function."))
}

/// Merges a piece's orders and products with what is known of them.
fn apply(client: &mut SpiClient<'_>, shop: &KnownShop, operations: &[i64], piece: &Piece<'_>, known: &Known) -> State {
    let (orders, products) = (keys(shop.shop_id, piece.orders), keys(shop.shop_id, piece.products));
    let mut state = State::read(client, &(&orders & &known.orders), &(&products & &known.products));
    let roots = piece.orders.iter().map(|id| ("Order", *id));
    let roots: Vec<(&str, i64)> = roots.chain(piece.products.iter().map(|id| ("Product", *id))).collect();
    let mut customers = BTreeSet::new();
    let nodes = put_together(store::read_nodes(client, shop.shop_id, operations, &roots));
    customers.extend(nodes.iter().filter_map(|node| Some((shop.shop_id, node.customer_id?))));
    let forgotten = store::read_forgotten(client, &customers, &orders);
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
            let order = state.orders.entry(key).or_default();
            order.change_since(shop.since, |order| order.apply(&fact));
        }
    }
    state.renew_ledgers(shop.since);
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

/// All events of a piece's orders and products as they are now, whether or not this run changed them: a run that died
/// before its events were sent must not lose them. The ids are those of the webhooks. Ends where there are bytes enough; returns
/// how many orders and products it came to.
fn tell(
    client: &mut SpiClient<'_>,
    shop: &KnownShop,
    piece: &Piece<'_>,
    state: &State,
    provenance: &Provenance,
    told: &mut Told,
) -> usize {
    let order_of = |id: i64| state.orders.get(&(shop.shop_id, id));
    let orders = || piece.orders.iter().filter_map(|id| order_of(*id));
    let products = orders().flat_map(|order| &order.lines);
    let products: BTreeSet<Key> = products
        .filter_map(|line| Some((shop.shop_id, line.product_id?)))
        .collect();
    let mut products = store::read_products(client, &products);
    products.extend(state.products.iter().map(|(key, product)| (*key, product.clone())));
    let products: BTreeMap<i64, Product> = products.into_iter().map(|(key, product)| (key.1, product)).collect();
    let customers = orders().filter_map(|order| Some((shop.shop_id, order.header.as_ref()?.customer_id?)));
    let salts = store::read_salts(client, &customers.collect());
    let salts: BTreeMap<i64, String> = salts.into_iter().map(|(key, salt)| (key.1, salt)).collect();
    let renderer = Renderer {
        shop: &shop.shop,
        products: &products,
        salts: &salts,
    };
    for (place, order_id) in piece.orders.iter().enumerate() {
        if told.has_bytes() {
            return place;
        }
        let Some(order) = order_of(*order_id) else { continue };
        let ledger = state.ledger((shop.shop_id, *order_id), order, &shop.shop);
        for key in order_keys(*order_id, order, shop, provenance.received_at) {
            told.add(renderer.order_with(&key, order, &ledger, provenance));
        }
    }
    for (place, id) in piece.products.iter().enumerate() {
        if told.has_bytes() {
            return piece.orders.len() + place;
        }
        let Some(product) = products.get(id) else { continue };
        if let Some(key) = events::product_event(None, product) {
            told.add(renderer.product(&key, product, provenance));
        }
    }
    piece.orders.len() + piece.products.len()
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
