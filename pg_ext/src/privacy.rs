//! Forgetting customers and shops for good, and telling a customer what is kept.
//!
//! Every batch holds a shared lock on the privacy of its shops, forgetting an exclusive one; both are taken before all
//! other locks. So forgetting finds everything that was on its way, and whatever follows finds the tombstone.

use std::collections::{BTreeMap, BTreeSet};

use pgrx::datum::DatumWithOid;
use pgrx::spi::{Spi, SpiClient};
use serde::Deserialize;
use serde_json::{json, Value};
use weir_domain::events::{customer_key, exact_time};
use weir_domain::shopify::{json::instant, Fact};

use crate::delivery::Delivery;
use crate::report;
use crate::store::{
    cell, known_deliveries, lock_shop, read_forgotten, read_redacted, read_shop, run, run_kept, Key, KnownShop,
};

macro_rules! privacy_sql {
    ($name:literal) => {
        include_str!(concat!("../../sql/postgres/privacy/", $name, ".sql"))
    };
}

const HINT: &str =
    r#"Give {"shop_domain": "demo.myshopify.com", "customer_id": 1, "orders": []}; a shop needs no customer_id."#;

/// Everything of a shop, parts before wholes.
const TABLES: [&str; 30] = [
    "publication.publication_telemetry",
    "publication.link",
    "publication.item",
    "publication.program",
    "publication.publisher",
    "publication.catalogue",
    "commerce.sales_ledger",
    "commerce.order_line_item",
    "commerce.refund_line_item",
    "commerce.refund_adjustment",
    "commerce.refund",
    "commerce.payment",
    "commerce.fulfillment_line_item",
    "commerce.fulfillment",
    "commerce.order_edit_line",
    "commerce.order_return",
    "commerce.agreement_sale",
    "commerce.sales_agreement",
    "commerce.agreement_reading",
    "commerce.order_header",
    "commerce.product_variant",
    "commerce.product",
    "commerce.customer",
    "commerce.tombstone",
    "commerce.webhook_delivery",
    "commerce.bulk_line",
    "commerce.bulk_operation",
    "privacy.data_request",
    "privacy.redacted_order",
    "privacy.salt",
];

/// Takes part in the privacy of the shops of a batch, or rules it.
pub fn enter(client: &mut SpiClient<'_>, deliveries: &[Delivery<'_>]) {
    let mut locks: BTreeMap<i64, bool> = BTreeMap::new();
    for delivery in deliveries {
        let Some(fact) = &delivery.fact else { continue };
        let is_merge = matches!(fact, Fact::CustomerMerged { .. });
        *locks.entry(delivery.shop_id).or_default() |= is_merge || fact.is_about_privacy();
    }
    for (shop_id, exclusive) in locks {
        lock(client, shop_id, exclusive);
    }
}

/// Forgets whom a batch says to forget, and takes whoever was forgotten out of the rest of it.
pub fn enforce(client: &mut SpiClient<'_>, deliveries: &mut [Delivery<'_>]) {
    let (mut asked, mut orders): (BTreeSet<Key>, BTreeSet<Key>) = Default::default();
    for delivery in deliveries.iter() {
        let Some(fact) = &delivery.fact else { continue };
        asked.insert((delivery.shop_id, 0));
        asked.extend(customer_id(fact).map(|id| (delivery.shop_id, id)));
        orders.extend(fact.order_id().map(|id| (delivery.shop_id, id)));
    }
    for delivery in deliveries.iter() {
        let domain = &delivery.shop_domain;
        // Through SQL, since these functions run with their owner's rights.
        let (sql, request) = match &delivery.fact {
            Some(Fact::CustomerRedacted { customer_id, orders }) => (
                "select weir.redact_customer($1::json)",
                json!({"shop_domain": domain, "customer_id": customer_id, "orders": orders}),
            ),
            Some(Fact::ShopRedacted) => {
                let of = delivery.triggered_at.min(delivery.provenance.received_at);
                let request = json!({"shop_domain": domain, "requested_at": exact_time(of)});
                ("select weir.redact_shop($1::json)", request)
            }
            _ => continue,
        };
        run(client, sql, &[DatumWithOid::from(request.to_string())]);
    }
    merge(client, deliveries);
    let forgotten = read_forgotten(client, &asked, &orders);
    // What was answered and deleted does not come back with a repetition. Of one shop only one batch at a time has such requests.
    let requests = deliveries.iter();
    let requests = requests.filter(|one| matches!(one.fact, Some(Fact::CustomerDataRequested { .. })));
    let known = known_deliveries(client, &requests.map(Delivery::key).collect());
    for delivery in deliveries.iter_mut() {
        let is_repeated = !known.is_empty() && known.contains_key(&delivery.key());
        let Some(fact) = &mut delivery.fact else { continue };
        let is_redacted = |id: i64| forgotten.customers.contains(&(delivery.shop_id, id));
        if is_redacted(0) && !fact.is_about_privacy() {
            delivery.ignore_redacted();
            continue;
        }
        if matches!(fact, Fact::ShopRedacted) && !is_redacted(0) {
            delivery.ignore_for("registered_anew");
            continue;
        }
        if let Fact::Order(snapshot) = fact {
            // Told before the merge, or of before it.
            let named = snapshot.header.customer_id;
            let into = named.and_then(|id| forgotten.merged.get(&(delivery.shop_id, id)));
            snapshot.header.customer_id = into.copied().or(named);
        }
        let order = fact.order_id().map(|id| (delivery.shop_id, id));
        if order.is_some_and(|key| forgotten.orders.contains(&key)) {
            fact.forget_customer();
            continue;
        }
        match fact {
            Fact::Order(snapshot) if snapshot.header.customer_id.is_some_and(is_redacted) => {
                snapshot.forget_customer();
            }
            Fact::Customer(customer) if is_redacted(customer.customer_id) => delivery.ignore_redacted(),
            Fact::CustomerMerged { customer_id, .. } if is_redacted(*customer_id) => delivery.ignore_redacted(),
            Fact::CustomerDataRequested {
                customer_id,
                request_id,
            } if !is_redacted(*customer_id) && !is_redacted(0) && !is_repeated => {
                let arguments = [
                    DatumWithOid::from(delivery.shop_id),
                    DatumWithOid::from(*request_id),
                    DatumWithOid::from(*customer_id),
                    DatumWithOid::from(exact_time(delivery.provenance.received_at)),
                ];
                run(client, privacy_sql!("data_request_write"), &arguments);
            }
            _ => {}
        }
    }
}

/// Makes one customer of those that Shopify has merged. Whoever is merged into somebody forgotten is the same person, and
/// is forgotten with them; of whom nothing is known any more nothing is merged.
fn merge(client: &mut SpiClient<'_>, deliveries: &[Delivery<'_>]) {
    for delivery in deliveries {
        let Some(Fact::CustomerMerged { customer_id, into, at }) = delivery.fact else {
            continue;
        };
        let shop_id = delivery.shop_id;
        let redacted = read_redacted(client, &[(shop_id, 0), (shop_id, customer_id), (shop_id, into)].into());
        if redacted.contains(&(shop_id, into)) && !redacted.contains(&(shop_id, 0)) {
            let request = json!({"shop_domain": delivery.shop_domain, "customer_id": customer_id});
            let arguments = [DatumWithOid::from(request.to_string())];
            run(client, "select weir.redact_customer($1::json)", &arguments);
        } else if redacted.is_empty() {
            let arguments = [
                DatumWithOid::from(shop_id),
                DatumWithOid::from(customer_id),
                DatumWithOid::from(into),
                DatumWithOid::from(exact_time(at)),
            ];
            run(client, privacy_sql!("customer_merge"), &arguments);
        }
    }
}

/// The customer that a fact names, to be looked up among the forgotten.
fn customer_id(fact: &Fact) -> Option<i64> {
    match fact {
        Fact::Order(snapshot) => snapshot.header.customer_id,
        Fact::Customer(customer) => Some(customer.customer_id),
        Fact::CustomerDataRequested { customer_id, .. } | Fact::CustomerMerged { customer_id, .. } => {
            Some(*customer_id)
        }
        _ => None,
    }
}

/// Takes part in a shop's privacy (shared) or rules it (exclusive), to the end of the transaction.
pub fn lock(client: &mut SpiClient<'_>, shop_id: i64, exclusive: bool) {
    report::require_read_committed();
    let sql = if exclusive {
        privacy_sql!("lock_exclusive")
    } else {
        privacy_sql!("lock_shared")
    };
    run_kept(client, sql, &[DatumWithOid::from(shop_id)]);
}

/// Takes part in the privacy of the shop of this domain; the shop as it is then, if it is one.
pub fn enter_shop(client: &mut SpiClient<'_>, shop_domain: &str) -> Option<KnownShop> {
    let shop_id = read_shop(client, shop_domain)?.shop_id;
    lock(client, shop_id, false);
    // Again, now that it is locked: a registration that was waited for may have moved it to another time zone or domain.
    lock_shop(client, shop_domain).filter(|known| known.shop_id == shop_id)
}

/// Forgets a customer, or somebody known by their orders alone: the salt goes, orders lose the customer, tombstones stay.
pub fn redact_customer(text: &str) -> String {
    let request = Request::read(text);
    let customer_id = request.person();
    Spi::connect_mut(|client| {
        let shop_id = request.shop_of_person(client);
        lock(client, shop_id, true);
        let arguments = [
            DatumWithOid::from(shop_id),
            DatumWithOid::from(customer_id),
            DatumWithOid::from(request.orders),
        ];
        let mut rows = run(client, privacy_sql!("redact_customer"), &arguments);
        rows.next().map_or_else(no_certificate, |row| cell(&row, 1))
    })
}

/// Forgets a shop: all commerce and all salts go; the shop's row stays, so that what arrives late is known and dropped. A request
/// of before the shop registered, first or anew, finds nothing that it is about.
pub fn redact_shop(text: &str) -> String {
    let request = Request::read(text);
    let requested_at = request.requested_at();
    Spi::connect_mut(|client| {
        let shop_id = request.shop_id(client);
        lock(client, shop_id, true);
        if let Some(requested_at) = requested_at {
            let arguments = [
                DatumWithOid::from(shop_id),
                DatumWithOid::from(exact_time(requested_at)),
            ];
            let renewed = run(client, privacy_sql!("shop_renewed"), &arguments).next();
            if let Some(row) = renewed {
                return cell(&row, 1);
            }
        }
        let mut removed = serde_json::Map::new();
        let mut total = 0;
        for table in TABLES {
            let sql =
                format!("with gone as (delete from {table} where shop_id = $1 returning 1) select count(*) from gone");
            let mut rows = run(client, &sql, &[DatumWithOid::from(shop_id)]);
            let count: i64 = rows.next().map_or(0, |row| cell(&row, 1));
            // The request itself is a delivery by now: it must not make a repetition look like a redaction.
            if table != "commerce.webhook_delivery" {
                total += count;
            }
            removed.insert(table.to_owned(), count.into());
        }
        run(
            client,
            "update commerce.shop set name = null where shop_id = $1",
            &[DatumWithOid::from(shop_id)],
        );
        let arguments = [
            DatumWithOid::from(shop_id),
            DatumWithOid::from(Value::Object(removed).to_string()),
            DatumWithOid::from(total),
        ];
        let mut rows = run(client, privacy_sql!("redact_shop"), &arguments);
        rows.next().map_or_else(no_certificate, |row| cell(&row, 1))
    })
}

#[derive(Deserialize)]
struct Salt {
    customer_id: i64,
    salt: String,
}

/// All that is kept of a customer and of those merged with them, and the keys under which telemetry knows them.
pub fn customer_data(text: &str) -> String {
    report::require_read_committed();
    let request = Request::read(text);
    let customer_id = request.customer_id();
    Spi::connect_mut(|client| {
        let shop_id = request.shop_of_person(client);
        let arguments = [DatumWithOid::from(shop_id), DatumWithOid::from(customer_id)];
        let mut rows = run(client, privacy_sql!("customer_data"), &arguments);
        let Some(row) = rows.next() else {
            report::internal("no data was read", "customer_data.sql")
        };
        let mut data: Value = serde_json::from_str(&cell::<String>(&row, 1))
            .unwrap_or_else(|_| report::internal("data is not readable", "customer_data.sql"));
        let salts: Vec<Salt> = serde_json::from_str(&cell::<String>(&row, 2))
            .unwrap_or_else(|_| report::internal("salts are not readable", "customer_data.sql"));
        let domains: Vec<String> = serde_json::from_str(&cell::<String>(&row, 3))
            .unwrap_or_else(|_| report::internal("domains are not readable", "customer_data.sql"));
        let key = |one: &Salt, domain: &str| customer_key(&one.salt, domain, one.customer_id);
        let own = salts.iter().find(|one| one.customer_id == customer_id);
        data["shop_domain"] = request.shop_domain.as_str().into();
        data["customer_id"] = customer_id.to_string().into();
        data["customer_key"] = json!(own.map(|one| key(one, &request.shop_domain)));
        let keys = salts.iter().flat_map(|one| {
            domains.iter().map(|domain| {
                json!({"shop_domain": domain, "customer_id": one.customer_id.to_string(), "customer_key": key(one, domain)})
            })
        });
        data["customer_keys"] = keys.collect();
        data.to_string()
    })
}

fn no_certificate() -> String {
    report::internal("no certificate was written", "privacy.redaction")
}

#[derive(Deserialize)]
struct Request {
    shop_domain: String,
    customer_id: Option<i64>,
    #[serde(default)]
    orders: Vec<i64>,
    requested_at: Option<String>,
}

impl Request {
    fn read(text: &str) -> Self {
        let refuse = |detail| report::invalid_argument("the request is not readable", detail, HINT);
        if text.contains("\\u0000") {
            refuse("A text holds U+0000.");
        }
        serde_json::from_str(text).unwrap_or_else(|_| refuse("A field is missing or mistyped."))
    }

    /// The moment of the request, in microseconds since 1970, where it says it.
    fn requested_at(&self) -> Option<i64> {
        let told = self.requested_at.as_deref()?;
        let refuse =
            || report::invalid_argument("the request is not readable", "A field is missing or mistyped.", HINT);
        Some(instant(told).unwrap_or_else(refuse))
    }

    fn customer_id(&self) -> i64 {
        self.customer_id
            .unwrap_or_else(|| report::invalid_argument("the request is not readable", "customer_id is missing.", HINT))
    }

    /// The customer to forget; `None` where it is somebody known by their orders alone.
    fn person(&self) -> Option<i64> {
        if self.customer_id.is_none() && self.orders.is_empty() {
            let detail = "Neither customer_id nor orders name anybody.";
            report::invalid_argument("the request is not readable", detail, HINT);
        }
        self.customer_id
    }

    /// The shop that has the domain.
    fn shop_id(&self, client: &mut SpiClient<'_>) -> i64 {
        self.shop_by(client, privacy_sql!("shop_id_read"))
    }

    /// The shop that has the domain, or had it: its customers are the same.
    fn shop_of_person(&self, client: &mut SpiClient<'_>) -> i64 {
        self.shop_by(client, privacy_sql!("shop_of_person"))
    }

    fn shop_by(&self, client: &mut SpiClient<'_>, sql: &'static str) -> i64 {
        let arguments = [DatumWithOid::from(self.shop_domain.as_str())];
        let mut rows = run(client, sql, &arguments);
        let shop_id = rows.next().and_then(|row| row.get(1).ok().flatten());
        shop_id.unwrap_or_else(|| {
            report::invalid_argument("the shop is not registered", "No shop has this shop_domain.", HINT)
        })
    }
}
