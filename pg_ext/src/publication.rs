//! Interactions that touch the domain, and the catalogue that the edge keeps a copy of.
//!
//! Locks are taken in the order of everyone else (privacy, orders, products, salts), with interactions by key between
//! privacy and orders; nothing else takes those.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::DatumWithOid;
use pgrx::spi::{Spi, SpiClient};
use serde::Serialize;
use serde_json::value::RawValue;
use weir_domain::events::{self, EventKey, Provenance};
use weir_domain::order_state::OrderState;
use weir_domain::publication::{CatalogueChange, Interaction};
use weir_domain::sales;
use weir_domain::shopify::json::Json;

use crate::delivery::Verdict;
use crate::privacy;
use crate::readback::{self, Told};
use crate::report;
use crate::store::{self, cell, run, ChangedOrder, InteractionKey, Key, KnownShop, Referred, StoredOrders};

macro_rules! publication_sql {
    ($name:literal) => {
        include_str!(concat!("../../sql/postgres/publication/", $name, ".sql"))
    };
}

const HINT: &str = r#"Give events of publication_v1: [{"event_id": "...", "event_type": "attribution", "order_id": "1", "publisher_id": "...", ...}]."#;
const CATALOGUE_HINT: &str = r#"Give {"shop_domain": "demo.myshopify.com", "publishers": {"p1": {"name": "..."}}, "items": {"i1": {"publisher_id": "p1", "title": "..."}}, "programs": {}, "links": {"code": {"url": "https://...", "publisher_id": "p1"}}}; null takes an entry out."#;
const REFUSED: &str = "the catalogue is refused";

/// An interaction on its way through a call.
struct Entry {
    event_id: Option<String>,
    shop_id: i64,
    interaction: Option<Interaction>,
    /// `None` while undecided.
    verdict: Option<Verdict>,
    reason: Option<&'static str>,
    detail: Option<String>,
    keys: Vec<EventKey>,
}

/// An interaction in the answer.
#[derive(Serialize)]
struct Outcome<'a> {
    event_id: Option<&'a str>,
    verdict: Verdict,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
}

/// The answer of `weir.record_interactions`.
#[derive(Serialize)]
struct Answer<'a> {
    interactions: Vec<Outcome<'a>>,
    events: Vec<Box<RawValue>>,
}

/// Records a batch of interactions and returns the events of the orders whose attribution they changed.
pub fn record(text: &str) -> String {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        report::invalid_argument(
            "the interactions are not a JSON list",
            "The argument is not a JSON array.",
            HINT,
        )
    };
    let mut entries: Vec<Entry> = items.into_iter().map(|item| Entry::read(item.get())).collect();
    Spi::connect_mut(|client| {
        let shops = enter(client, &mut entries);
        pass_over(client, &mut entries);
        write_new(client, &mut entries);
        let orders = attribute(client, &mut entries, &shops);
        let told = entries.iter().flat_map(Entry::told).collect::<Vec<_>>();
        let events = readback::render(client, &shops, &orders, &told);
        let answer = Answer {
            interactions: entries.iter().map(Entry::outcome).collect(),
            events,
        };
        report::json_text(&answer, "weir.record_interactions")
    })
}

impl Entry {
    fn read(text: &str) -> Self {
        let mut entry = Self {
            event_id: None,
            shop_id: 0,
            interaction: None,
            verdict: None,
            reason: None,
            detail: None,
            keys: Vec::new(),
        };
        match Interaction::parse(text) {
            Ok(interaction) => {
                entry.event_id = Some(interaction.event_id.clone());
                entry.interaction = Some(interaction);
            }
            Err(refusal) => {
                entry.event_id = named(text);
                entry.close(Verdict::Rejected, refusal.reason, Some(refusal.detail));
            }
        }
        entry
    }

    /// Ends its way: what it says is not used.
    fn close(&mut self, verdict: Verdict, reason: &'static str, detail: Option<String>) {
        self.interaction = None;
        self.verdict = Some(verdict);
        self.reason = Some(reason);
        self.detail = detail;
    }

    fn close_unknown(&mut self) {
        let detail = "the shop is not registered".to_owned();
        self.close(Verdict::Rejected, "unknown_shop", Some(detail));
    }

    fn shop_domain(&self) -> Option<&str> {
        self.interaction.as_ref().map(|one| one.shop_domain.as_str())
    }

    fn order(&self) -> Option<Key> {
        Some((self.shop_id, self.interaction.as_ref()?.order_id?))
    }

    /// Whom the order named is forgotten, and so is which visitor that was.
    fn forget_visitor(&mut self) {
        if let Some(interaction) = &mut self.interaction {
            (interaction.session_key, interaction.visitor_key) = (None, None);
        }
    }

    fn key(&self) -> Option<InteractionKey> {
        let interaction = self.interaction.as_ref()?;
        Some((self.shop_id, interaction.event_id.clone()))
    }

    fn told(&self) -> Vec<Told> {
        let Some(interaction) = &self.interaction else {
            return Vec::new();
        };
        let provenance = Provenance {
            received_at: interaction.received_at,
            source: interaction.source.clone(),
        };
        let told = |key: &EventKey| Told {
            shop_id: self.shop_id,
            key: key.clone(),
            provenance: provenance.clone(),
        };
        self.keys.iter().map(told).collect()
    }

    fn outcome(&self) -> Outcome<'_> {
        Outcome {
            event_id: self.event_id.as_deref(),
            verdict: self.verdict.unwrap_or(Verdict::Accepted),
            reason: self.reason,
            detail: self.detail.as_deref(),
        }
    }
}

/// The id of an interaction that cannot be used, if it can be said.
fn named(text: &str) -> Option<String> {
    match Json::parse(text).ok()?.member("event_id") {
        Some(Json::String(id)) => Some(id.clone().into_owned()),
        _ => None,
    }
}

/// Finds the shops and takes part in their privacy; the shops as they are then.
fn enter(client: &mut SpiClient<'_>, entries: &mut [Entry]) -> BTreeMap<String, KnownShop> {
    let shops = read_shops(client, entries);
    for entry in entries.iter_mut() {
        match entry.shop_domain().map(|domain| shops.get(domain)) {
            None => {}
            Some(Some(known)) => entry.shop_id = known.shop_id,
            Some(None) => entry.close_unknown(),
        }
    }
    for shop_id in open_shops(entries) {
        privacy::lock(client, shop_id, false);
    }
    // Again, now that they are locked: a registration that was waited for may have moved one to another time zone or domain.
    let shops = read_shops(client, entries);
    for entry in entries.iter_mut() {
        let known = entry.shop_domain().map(|domain| shops.get(domain));
        if known.is_some_and(|known| known.map(|known| known.shop_id) != Some(entry.shop_id)) {
            entry.close_unknown();
        }
    }
    shops
}

fn read_shops(client: &mut SpiClient<'_>, entries: &[Entry]) -> BTreeMap<String, KnownShop> {
    store::read_shops(client, entries.iter().filter_map(Entry::shop_domain).collect())
}

fn open_shops(entries: &[Entry]) -> BTreeSet<i64> {
    let open = entries.iter().filter(|entry| entry.interaction.is_some());
    open.map(|entry| entry.shop_id).collect()
}

/// Passes over what is about a shop that was forgotten, and takes out the visitor where the order's buyer was.
fn pass_over(client: &mut SpiClient<'_>, entries: &mut [Entry]) {
    let asked = open_shops(entries).into_iter().map(|shop_id| (shop_id, 0)).collect();
    let orders = entries.iter().filter_map(Entry::order);
    let forgotten = store::read_forgotten(client, &asked, &orders.collect());
    for entry in entries.iter_mut().filter(|entry| entry.interaction.is_some()) {
        if forgotten.customers.contains(&(entry.shop_id, 0)) {
            entry.close(Verdict::Ignored, "redacted", None);
        } else if entry.order().is_some_and(|order| forgotten.orders.contains(&order)) {
            entry.forget_visitor();
        }
    }
}

/// Writes what is new; what was recorded before, in this batch too, is a duplicate and has the events it had.
fn write_new(client: &mut SpiClient<'_>, entries: &mut [Entry]) {
    let mut first: BTreeMap<InteractionKey, usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(key) = entry.key() {
            first.entry(key).or_insert(index);
        }
    }
    let rows = first.iter().filter_map(|(key, index)| {
        let interaction = entries[*index].interaction.as_ref()?;
        Some((key.0, interaction))
    });
    let new = store::write_interactions(client, &rows.collect::<Vec<_>>());
    let known: BTreeSet<InteractionKey> = first.keys().filter(|key| !new.contains(*key)).cloned().collect();
    // The row of another call has committed by now: writing ours has waited for it.
    let known = store::interaction_events(client, &known);
    for (index, entry) in entries.iter_mut().enumerate() {
        let Some(key) = entry.key() else { continue };
        if new.contains(&key) && first.get(&key) == Some(&index) {
            entry.verdict = Some(Verdict::Accepted);
        } else {
            entry.verdict = Some(Verdict::Duplicate);
            entry.keys = known.get(&key).cloned().unwrap_or_default();
        }
    }
}

/// Applies new attributions in the sequence of the batch; returns the orders, as they are now.
fn attribute(client: &mut SpiClient<'_>, entries: &mut [Entry], shops: &BTreeMap<String, KnownShop>) -> StoredOrders {
    let order_of = |entry: &Entry| Some((entry.shop_id, entry.interaction.as_ref()?.attribution()?.0));
    let orders: BTreeSet<Key> = entries.iter().filter_map(order_of).collect();
    let known = store::lock_orders(client, &orders);
    let StoredOrders {
        states: before,
        mut old_ledgers,
    } = store::read_orders(client, &known);
    let mut after = before.clone();
    let mut renewed = BTreeMap::new();
    let mut remembered = Vec::new();
    for entry in entries.iter_mut().filter(|one| one.verdict == Some(Verdict::Accepted)) {
        let Some(interaction) = &entry.interaction else {
            continue;
        };
        let (Some((order_id, attribution)), Some(known)) =
            (interaction.attribution(), shops.get(&interaction.shop_domain))
        else {
            continue;
        };
        let key = (entry.shop_id, order_id);
        let state = after.entry(key).or_default();
        let old = state.clone();
        state.change_since(known.since, |state| state.attribute(&attribution));
        // Who brought the buyer changes no sale, but a ledger that other rules have written is written anew with its order.
        let mut is_renewed = false;
        if *state != old {
            if let Some(stored) = old_ledgers.remove(&key) {
                let ledger = sales::ledger(state, &known.shop.zone);
                is_renewed = ledger != stored;
                renewed.extend(is_renewed.then_some((key, (ledger, !stored.is_empty()))));
            }
        }
        entry.keys = events::order_events_with(order_id, &old, state, || is_renewed, interaction.received_at);
        if !entry.keys.is_empty() {
            let keys = serde_json::to_string(&entry.keys)
                .unwrap_or_else(|_| report::internal("event keys cannot be written", "weir.record_interactions"));
            remembered.push(((entry.shop_id, interaction.event_id.clone()), keys));
        }
    }
    let unknown = OrderState::default();
    let changed = after.iter().filter_map(|(key, after)| {
        let before = before.get(key).unwrap_or(&unknown);
        let ledger = renewed.get(key);
        (before != after).then_some(ChangedOrder {
            key: *key,
            before,
            after,
            ledger: ledger.map(|(rows, _)| rows.as_slice()),
            had_ledger: ledger.is_some_and(|(_, had_ledger)| *had_ledger),
            is_created: false,
        })
    });
    let referred = Referred::by_this_call(false);
    store::write_orders(client, &changed.collect::<Vec<_>>(), &referred);
    store::remember_interaction_events(client, &remembered);
    StoredOrders {
        states: after,
        old_ledgers,
    }
}

/// Changes a shop's catalogue; the revision rises if that changed anything.
pub fn publish_catalogue(text: &str) -> String {
    let change = CatalogueChange::parse(text)
        .unwrap_or_else(|detail| report::invalid_argument(REFUSED, &detail, CATALOGUE_HINT));
    let text = serde_json::to_string(&change)
        .unwrap_or_else(|_| report::internal("a catalogue cannot be written", "weir.publish_catalogue"));
    Spi::connect_mut(|client| {
        let known = privacy::enter_shop(client, &change.shop_domain);
        let shop_id = known.map_or_else(|| report::unknown_shop(), |known| known.shop_id);
        run(
            client,
            publication_sql!("catalogue_lock"),
            &[DatumWithOid::from(shop_id)],
        );
        let arguments = [DatumWithOid::from(shop_id), DatumWithOid::from(text)];
        let mut rows = run(client, publication_sql!("catalogue_write"), &arguments);
        let changed: i64 = rows.next().map_or(0, |row| cell(&row, 1));
        let mut rows = run(
            client,
            publication_sql!("catalogue_dangling"),
            &[DatumWithOid::from(shop_id)],
        );
        if let Some(row) = rows.next() {
            let entry: String = cell(&row, 1);
            let detail = format!("{entry} names an entry that is not in the catalogue.");
            report::invalid_argument(REFUSED, &detail, CATALOGUE_HINT);
        }
        let arguments = [
            DatumWithOid::from(shop_id),
            DatumWithOid::from(changed),
            DatumWithOid::from(change.shop_domain.as_str()),
        ];
        let mut rows = run(client, publication_sql!("catalogue_revise"), &arguments);
        let row = rows.next();
        row.map_or_else(
            || report::internal("no revision was written", "catalogue_revise.sql"),
            |row| cell(&row, 1),
        )
    })
}

/// A shop's catalogue.
pub fn catalogue(shop_domain: &str) -> String {
    Spi::connect_mut(|client| {
        let arguments = [DatumWithOid::from(shop_domain)];
        let mut rows = run(client, publication_sql!("catalogue_read"), &arguments);
        rows.next().map_or_else(|| report::unknown_shop(), |row| cell(&row, 1))
    })
}
