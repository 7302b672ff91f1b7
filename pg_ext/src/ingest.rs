//! One batch, one transaction: parse, lock, read, merge, write, answer.
//!
//! Locks are taken in one order by everyone: privacy by shop, orders by key, then products, customers and salts, each by key. Whatever
//! a batch holds, two batches can only wait for each other, never in a circle.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use pgrx::spi::{Spi, SpiClient};
use serde_json::value::RawValue;
use weir_domain::customer::Customer;
use weir_domain::events::{self, EventKey, Renderer, Shop};
use weir_domain::order_state::{Applied, OrderState, Product};
use weir_domain::sales::{self, SalesRow};
use weir_domain::shopify::{self, Context, Fact};

use crate::delivery::{self, Answer, Delivery, Verdict};
use crate::jsonb;
use crate::privacy;
use crate::report;
use crate::store::{self, ChangedOrder, ChangedProduct, Key, KnownShop, Referred, Remembered, StoredOrders};

/// Requests about a customer, who is the same under each domain that their shop had.
const OF_A_CUSTOMER: [&str; 2] = ["customers/redact", "customers/data_request"];

/// Applies a batch and returns the answer as JSON text.
pub fn ingest(text: &str) -> String {
    let mut deliveries = delivery::read(text);
    Spi::connect_mut(|client| {
        let mut before = store::read_shops(client, domains(&deliveries));
        before.extend(store::read_former_shops(client, former_domains(&deliveries, &before)));
        for delivery in deliveries.iter_mut().filter(|delivery| delivery.verdict.is_none()) {
            understand(delivery, &before);
        }
        privacy::enter(client, &deliveries);
        // Again, now that they are locked: a registration that was waited for may have moved one to another time zone or domain,
        // or to another currency.
        let mut shops = store::lock_shops(client, domains(&deliveries));
        shops.extend(store::read_former_shops(client, former_domains(&deliveries, &shops)));
        for delivery in deliveries.iter_mut().filter(|delivery| delivery.fact.is_some()) {
            let domain = &delivery.shop_domain;
            let known = shops.get(domain).filter(|known| known.shop_id == delivery.shop_id);
            match known.filter(|known| is_for(&delivery.topic, known)) {
                None => refuse_unknown(delivery),
                // Amounts were read by the other's decimals.
                Some(known) if known.shop.currency != before[domain].shop.currency => report::currency_changed(),
                Some(_) => {}
            }
        }
        privacy::enforce(client, &mut deliveries);
        let mut state = State::load(client, &deliveries, &shops);
        let remembered = state.apply(client, &mut deliveries, &shops);
        state.write(
            client,
            &shops.values().map(|known| (known.shop_id, &known.shop)).collect(),
        );
        store::remember(client, remembered);
        answer(client, &deliveries, &mut state, &shops)
    })
}

fn domains<'d>(deliveries: &'d [Delivery<'_>]) -> BTreeSet<&'d str> {
    deliveries
        .iter()
        .map(|delivery| delivery.shop_domain.as_str())
        .collect()
}

/// Domains that no shop has, of requests about a customer: those of a shop that has another one now are its own.
fn former_domains<'d>(deliveries: &'d [Delivery<'_>], shops: &BTreeMap<String, KnownShop>) -> BTreeSet<&'d str> {
    let asks = deliveries.iter();
    let asks = asks.filter(|one| OF_A_CUSTOMER.contains(&one.topic.as_str()));
    let domains = asks.map(|one| one.shop_domain.as_str());
    domains.filter(|domain| !shops.contains_key(*domain)).collect()
}

/// Whether what names the domain is taken for this shop.
fn is_for(topic: &str, known: &KnownShop) -> bool {
    known.has_domain || OF_A_CUSTOMER.contains(&topic)
}

/// Reads the body, or decides that the delivery goes no further.
fn understand(delivery: &mut Delivery<'_>, shops: &BTreeMap<String, KnownShop>) {
    let known = shops.get(&delivery.shop_domain);
    let Some(known) = known.filter(|known| is_for(&delivery.topic, known)) else {
        return refuse_unknown(delivery);
    };
    delivery.shop_id = known.shop_id;
    if delivery.topic == shopify::SHOP_UPDATE {
        return compare(delivery, &known.shop);
    }
    let context = Context {
        currency: known.shop.currency,
        triggered_at: delivery.triggered_at,
    };
    match shopify::parse_encoding(&delivery.topic, &delivery.body, context, jsonb::encode) {
        Ok(Some(fact)) => delivery.fact = Some(fact),
        Ok(None) => delivery.ignore(),
        Err(error) => delivery.reject_body(&error),
    }
}

fn refuse_unknown(delivery: &mut Delivery<'_>) {
    delivery.reject("unknown_shop", "the shop is not registered".to_owned());
}

/// Of a shop's own data only its currency and time zone count here. To change one is for its owner to decide: a move rewrites
/// ledgers, and the lake has to be told all orders again. But nobody may miss that amounts are read by the wrong decimals, or days
/// counted in the wrong zone.
fn compare(delivery: &mut Delivery<'_>, registered: &Shop) {
    let told = match shopify::told_shop(&delivery.body) {
        Ok(told) => told,
        Err(error) => return delivery.reject_body(&error),
    };
    let (zone, currency) = (registered.time_zone.as_str(), registered.currency.code());
    if told.currency.is_some_and(|told| told != currency) {
        delivery.reject(
            "currency_changed",
            format!(
                "currency: expected {currency}, as registered; register the shop with what the body says, as docs/operate.md \
                 has it, and replay this"
            ),
        );
    } else if told.time_zone.is_some_and(|told| !told.eq_ignore_ascii_case(zone)) {
        // Earlier versions kept a zone as it was written.
        delivery.reject(
            "time_zone_changed",
            format!(
                "iana_timezone: expected {zone}, as registered; call weir.register_shop with what the body says, run \
                 weir backfill from its first order --until now --again, and replay this"
            ),
        );
    } else {
        delivery.ignore();
    }
}

/// An order whose row this call created.
#[derive(Default)]
struct Created {
    /// As its row was written: after all facts of the call about it. Taken where that is how the order is.
    state: Option<OrderState>,
    /// What the only fact about it did; `None` where there are several.
    by_one_fact: Option<Applied>,
}

impl Created {
    /// Whether the row says what the order is.
    fn is(&self, order: &OrderState) -> bool {
        self.state.as_ref().is_none_or(|state| state == order)
    }
}

/// The ledgers of an order, each computed once for a version of it.
struct Ledgers {
    /// As it is stored: what the stored facts give in the shop's zone ([`crate::time_zone`]), or what was read of one that
    /// other rules have written.
    stored: Vec<SalesRow>,
    /// As it is.
    now: Vec<SalesRow>,
    /// Whether `now` is what other rules have written, which stays until the order is changed: then it is told and written anew.
    is_old: bool,
}

impl Ledgers {
    fn of_stored(order: &OrderState, shop: &Shop, old: Option<&Vec<SalesRow>>) -> Self {
        let stored = old.map_or_else(|| sales::ledger(order, &shop.zone), Clone::clone);
        Self {
            now: stored.clone(),
            stored,
            is_old: old.is_some(),
        }
    }
}

/// Orders and products of a call: as they were and as they are.
pub struct State {
    created: BTreeMap<Key, Created>,
    orders_before: BTreeMap<Key, OrderState>,
    /// Orders as they are.
    pub orders: BTreeMap<Key, OrderState>,
    /// Ledgers that other rules have written, as they are stored.
    old_ledgers: BTreeMap<Key, Vec<SalesRow>>,
    /// Of orders that the call may have changed.
    ledgers: BTreeMap<Key, Ledgers>,
    products_before: BTreeMap<Key, Product>,
    /// Products as they are.
    pub products: BTreeMap<Key, Product>,
    /// Customers that the call tells of.
    customers: BTreeMap<Key, Customer>,
    referred: Referred,
}

impl State {
    /// Locks and reads what the batch touches. Orders that turn out to be new are created as the batch tells them. The shops are
    /// locked.
    fn load(client: &mut SpiClient<'_>, deliveries: &[Delivery<'_>], shops: &BTreeMap<String, KnownShop>) -> Self {
        let referred = Referred::by_this_call(true);
        let (mut told, mut product_keys) = (BTreeMap::<Key, Created>::new(), BTreeSet::new());
        for delivery in deliveries {
            let Some(fact) = &delivery.fact else { continue };
            if let Some(order_id) = fact.order_id() {
                let key = (delivery.shop_id, order_id);
                let is_first = !told.contains_key(&key);
                let created = told.entry(key).or_default();
                let since = shops.get(&delivery.shop_domain).map_or(0, |known| known.since);
                let state = created.state.get_or_insert_default();
                let applied = state.change_since(since, |state| state.apply(fact));
                created.by_one_fact = is_first.then_some(applied);
            }
            product_keys.extend(fact.product_id().map(|id| (delivery.shop_id, id)));
        }
        let states = told
            .iter()
            .filter_map(|(key, created)| Some((*key, created.state.as_ref()?)));
        let known = store::create_orders(client, &states.collect::<Vec<_>>(), &referred);
        told.retain(|key, _| !known.contains(key));
        let known_products = store::lock_products(client, &product_keys);
        let mut state = Self::of(client, &known, &known_products, referred);
        state
            .orders
            .extend(told.keys().map(|key| (*key, OrderState::default())));
        state.created = told;
        state
    }

    /// Reads known orders and products that are locked, as their shops are.
    pub fn read(client: &mut SpiClient<'_>, orders: &BTreeSet<Key>, products: &BTreeSet<Key>) -> Self {
        Self::of(client, orders, products, Referred::by_this_call(true))
    }

    fn of(
        client: &mut SpiClient<'_>,
        known_orders: &BTreeSet<Key>,
        known_products: &BTreeSet<Key>,
        referred: Referred,
    ) -> Self {
        let StoredOrders {
            states: orders_before,
            old_ledgers,
        } = store::read_orders(client, known_orders);
        let products_before = store::read_products(client, known_products);
        Self {
            created: BTreeMap::new(),
            orders: orders_before.clone(),
            old_ledgers,
            orders_before,
            ledgers: BTreeMap::new(),
            products: products_before.clone(),
            products_before,
            customers: BTreeMap::new(),
            referred,
        }
    }

    /// Decides every open delivery in the sequence of the batch; returns those to remember.
    fn apply(
        &mut self,
        client: &mut SpiClient<'_>,
        deliveries: &mut [Delivery<'_>],
        shops: &BTreeMap<String, KnownShop>,
    ) -> Vec<Remembered> {
        // What tells of an order that had no row was never applied before.
        let is_new = |delivery: &&Delivery<'_>| {
            let order_id = delivery.fact.as_ref().and_then(Fact::order_id);
            order_id.is_some_and(|id| self.created.contains_key(&(delivery.shop_id, id)))
        };
        let open = deliveries.iter().filter(|delivery| delivery.fact.is_some());
        let open = open.filter(|delivery| !is_new(delivery));
        // Asked after the locks: the other delivery of the same webhook id is about the same order or product, and has
        // committed by now.
        let mut known = store::known_deliveries(client, &open.map(Delivery::key).collect());
        let mut remembered = Vec::new();
        for delivery in deliveries {
            let (Some(fact), Some(shop)) = (delivery.fact.take(), shops.get(&delivery.shop_domain)) else {
                continue;
            };
            let key = delivery.key();
            if let Some(keys) = known.get(&key) {
                delivery.verdict = Some(Verdict::Duplicate);
                delivery.keys.clone_from(keys);
                continue;
            }
            self.meet(&fact, delivery.shop_id);
            let (verdict, keys) = self.apply_one(&fact, delivery, shop);
            delivery.verdict = Some(verdict);
            delivery.keys = keys;
            known.insert(key.clone(), delivery.keys.clone());
            remembered.push(Remembered {
                key,
                received_at: delivery.provenance.received_at,
                event_keys: report::json_text(&delivery.keys, "weir.ingest"),
            });
        }
        remembered
    }

    /// Keeps the newest version of the customer that the fact tells of, if any.
    fn meet(&mut self, fact: &Fact, shop_id: i64) {
        let new = match fact {
            Fact::Customer(customer) => (**customer).clone(),
            Fact::Order(snapshot) => match &snapshot.customer {
                Some(customer) => customer.clone(),
                None => return,
            },
            _ => return,
        };
        let key = (shop_id, new.customer_id);
        let merged = match self.customers.remove(&key) {
            Some(known) => Customer::merged(known, new),
            None => new,
        };
        self.customers.insert(key, merged);
    }

    fn apply_one(&mut self, fact: &Fact, delivery: &Delivery<'_>, shop: &KnownShop) -> (Verdict, Vec<EventKey>) {
        if let Some(order_id) = fact.order_id() {
            return self.apply_to_order(fact, order_id, delivery, shop);
        }
        let new = match fact {
            Fact::Product(product) => (**product).clone(),
            Fact::ProductDeleted { product_id, at } => Product::deleted(*product_id, *at),
            // Nothing to keep, or done by `privacy::enforce`.
            _ => return (Verdict::Accepted, Vec::new()),
        };
        let key = (delivery.shop_id, new.product_id);
        let known = self.products.get(&key);
        let merged = Product::merged(known, &new);
        let is_old = known.is_some_and(|known| {
            let deletion = new.deleted_at.is_some();
            !deletion
                && (known.deleted_at.is_some()
                    || (new.updated_at, new.triggered_at) < (known.updated_at, known.triggered_at))
        });
        let event = events::product_event(known, &merged);
        self.products.insert(key, merged);
        (
            if is_old { Verdict::Stale } else { Verdict::Accepted },
            event.into_iter().collect(),
        )
    }

    fn apply_to_order(
        &mut self,
        fact: &Fact,
        order_id: i64,
        delivery: &Delivery<'_>,
        known: &KnownShop,
    ) -> (Verdict, Vec<EventKey>) {
        let shop = &known.shop;
        let key = (delivery.shop_id, order_id);
        let state = self.orders.entry(key).or_default();
        let ledgers = self
            .ledgers
            .entry(key)
            .or_insert_with(|| Ledgers::of_stored(state, shop, self.old_ledgers.get(&key)));
        let alone = self.created.get_mut(&key).and_then(|created| {
            let applied = created.by_one_fact?;
            Some((created.state.take()?, applied))
        });
        let (before, applied) = match alone {
            // The row is written as this fact tells the order, and nothing else will change it.
            Some((created, applied)) => (std::mem::replace(state, created), applied),
            None => (
                state.clone(),
                state.change_since(known.since, |state| state.apply(fact)),
            ),
        };
        if ledgers.is_old && *state != before {
            ledgers.is_old = false;
            // What was only told later makes no revision, but the new ledger needs one.
            if state.revision == before.revision {
                state.advance(known.since);
            }
        }
        let ledger = if ledgers.is_old {
            ledgers.now.clone()
        } else {
            sales::ledger(state, &shop.zone)
        };
        let ledger_changed = || ledgers.now != ledger;
        let received_at = delivery.provenance.received_at;
        let keys = events::order_events_with(order_id, &before, state, ledger_changed, received_at);
        ledgers.now = ledger;
        let verdict = match applied {
            Applied::Stale => Verdict::Stale,
            Applied::Changed | Applied::Unchanged => Verdict::Accepted,
        };
        (verdict, keys)
    }

    /// The order's ledger as it is stored when this call ends.
    pub fn ledger(&self, key: Key, order: &OrderState, shop: &Shop) -> Cow<'_, [SalesRow]> {
        let known = self.ledgers.get(&key).map(|ledgers| &ledgers.now);
        match known.or_else(|| self.old_ledgers.get(&key)) {
            Some(ledger) => Cow::Borrowed(ledger),
            None => Cow::Owned(sales::ledger(order, &shop.zone)),
        }
    }

    /// Has the ledgers that other rules have written written anew, of orders that this call has not changed too: all will be
    /// told, and what is told is what is stored. They are of one shop, which was registered anew at `since`, 0 where it was not.
    pub fn renew_ledgers(&mut self, since: i64) {
        for key in self.old_ledgers.keys() {
            let (Some(before), Some(order)) = (self.orders_before.get(key), self.orders.get_mut(key)) else {
                continue;
            };
            if order.revision == before.revision {
                order.advance(since);
            }
        }
    }

    /// Writes what changed; `shops` by id.
    pub fn write(&mut self, client: &mut SpiClient<'_>, shops: &BTreeMap<i64, &Shop>) {
        let unknown = OrderState::default();
        let mut changed = Vec::new();
        for (key, after) in &self.orders {
            let before = self.orders_before.get(key).unwrap_or(&unknown);
            let Some(shop) = shops.get(&key.0) else { continue };
            let is_as_created = self.created.get(key).map(|created| created.is(after));
            if before != after || is_as_created == Some(false) {
                self.ledgers.entry(*key).or_insert_with(|| Ledgers {
                    now: sales::ledger(after, &shop.zone),
                    ..Ledgers::of_stored(before, shop, self.old_ledgers.get(key))
                });
                changed.push((*key, before, after, is_as_created == Some(true)));
            }
        }
        let orders = changed.into_iter().filter_map(|(key, before, after, is_created)| {
            let ledgers = self.ledgers.get(&key)?;
            Some(ChangedOrder {
                key,
                before,
                after,
                ledger: (ledgers.stored != ledgers.now).then_some(&ledgers.now),
                had_ledger: !ledgers.stored.is_empty(),
                is_created,
            })
        });
        let orders: Vec<ChangedOrder<'_>> = orders.collect();
        store::write_orders(client, &orders, &self.referred);
        let products = self.products.iter().map(|(key, after)| ChangedProduct {
            key: *key,
            before: self.products_before.get(key),
            after,
        });
        store::write_products(
            client,
            &products.filter(|row| row.before != Some(row.after)).collect::<Vec<_>>(),
        );
        store::write_customers(client, &self.customers, &self.referred);
    }
}

/// Reads back what events need besides the orders, and writes the answer.
fn answer(
    client: &mut SpiClient<'_>,
    deliveries: &[Delivery<'_>],
    state: &mut State,
    shops: &BTreeMap<String, KnownShop>,
) -> String {
    let (mut customers, mut products) = (BTreeSet::new(), BTreeSet::new());
    for delivery in deliveries {
        for order_id in delivery.keys.iter().filter_map(|key| key.order_id) {
            let Some(order) = state.orders.get(&(delivery.shop_id, order_id)) else {
                continue;
            };
            let customer_id = order.header.as_ref().and_then(|header| header.customer_id);
            customers.extend(customer_id.map(|id| (delivery.shop_id, id)));
            products.extend(
                order
                    .lines
                    .iter()
                    .filter_map(|line| Some((delivery.shop_id, line.product_id?))),
            );
        }
    }
    products.retain(|key| !state.products.contains_key(key));
    state.products.extend(store::read_products(client, &products));
    let salts = store::read_salts(client, &customers);
    let of_shop = |shop_id: i64| {
        let products = state.products.iter().filter(move |(key, _)| key.0 == shop_id);
        let salts = salts.iter().filter(move |(key, _)| key.0 == shop_id);
        let products: BTreeMap<i64, Product> = products.map(|(key, product)| (key.1, product.clone())).collect();
        let salts: BTreeMap<i64, String> = salts.map(|(key, salt)| (key.1, salt.clone())).collect();
        (products, salts)
    };
    let context: BTreeMap<i64, _> = shops
        .values()
        .map(|known| (known.shop_id, of_shop(known.shop_id)))
        .collect();
    let mut rendered: HashSet<String> = HashSet::new();
    let mut answer = Answer {
        deliveries: Vec::with_capacity(deliveries.len()),
        events: Vec::new(),
    };
    for delivery in deliveries {
        let mut ids = Vec::new();
        if let (Some(known), Some((products, salts))) =
            (shops.get(&delivery.shop_domain), context.get(&delivery.shop_id))
        {
            let renderer = Renderer {
                shop: &known.shop,
                products,
                salts,
            };
            for key in &delivery.keys {
                let id = renderer.id(key);
                if !rendered.contains(&id) {
                    let Some(event) = render(&renderer, key, delivery, state) else {
                        continue;
                    };
                    answer.events.push(event);
                    rendered.insert(id.clone());
                }
                ids.push(id);
            }
        }
        answer.deliveries.push(delivery.outcome(ids));
    }
    report::json_text(&answer, "weir.ingest")
}

fn render(renderer: &Renderer<'_>, key: &EventKey, delivery: &Delivery<'_>, state: &State) -> Option<Box<RawValue>> {
    let provenance = &delivery.provenance;
    match key.order_id {
        Some(order_id) => {
            let place = (delivery.shop_id, order_id);
            let order = state.orders.get(&place)?;
            let ledger = state.ledger(place, order, renderer.shop);
            Some(renderer.order_with(key, order, &ledger, provenance))
        }
        None => {
            let product = state.products.get(&(delivery.shop_id, key.entity_id))?;
            Some(renderer.product(key, product, provenance))
        }
    }
}
