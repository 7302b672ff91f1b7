//! Shops: whose deliveries are recorded.

use std::collections::BTreeMap;

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde::de::IgnoredAny;
use serde::Deserialize;
use serde_json::Value;
use weir_domain::events::Shop;
use weir_domain::time_zone::spelling;

use crate::privacy;
use crate::report;
use crate::store::{cell, run};
use crate::time_zone::move_ledgers;

const REGISTER: &str = include_str!("../../sql/postgres/shop_register.sql");
const DOMAIN: &str = include_str!("../../sql/postgres/shop_domain.sql");
const HOLDER: &str = include_str!("../../sql/postgres/privacy/shop_id_read.sql");
const REGISTRATION: &str = include_str!("../../sql/postgres/shop_registration.sql");
const HINT: &str = r#"Give {"shop_id": 1, "shop_domain": "demo.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JPY", "name": "Demo"}."#;

const FIELDS: [&str; 7] = [
    "shop_id",
    "shop_domain",
    "iana_time_zone",
    "currency",
    "name",
    "move_domain",
    "change_currency",
];

#[derive(Deserialize)]
struct Registration {
    shop_id: i64,
    shop_domain: String,
    iana_time_zone: String,
    currency: String,
    name: Option<String>,
    #[serde(default)]
    move_domain: bool,
    #[serde(default)]
    change_currency: bool,
}

/// Adds or changes a shop. Once an amount of it is stored, its currency changes only where that is meant. If its time zone changes,
/// ledgers are written anew; batches of the shop wait meanwhile.
pub fn register(text: &str) -> String {
    let mut shop: Registration = serde_json::from_str(text).unwrap_or_else(|_| {
        report::invalid_argument("the shop is not readable", "A field is missing or mistyped.", HINT)
    });
    if shop.shop_domain.is_empty() || text.contains("\\u0000") {
        report::invalid_argument("the shop is not readable", "A text is empty or holds U+0000.", HINT);
    }
    let given: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
    if let Some(strange) = given.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let detail = format!("{strange}: is not a field; known are {}", FIELDS.join(", "));
        report::invalid_argument("the shop is not readable", &detail, HINT);
    }
    if shop.shop_id < 1 {
        report::invalid_argument("the shop is not usable", "shop_id is not positive.", HINT);
    }
    if shop.shop_domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let detail = "shop_domain has capital letters, and deliveries name it without.";
        report::invalid_argument("the shop is not usable", detail, HINT);
    }
    if !is_permanent(&shop.shop_domain) {
        let detail = "shop_domain is not a shop's permanent domain, NAME.myshopify.com.";
        report::invalid_argument("the shop is not usable", detail, HINT);
    }
    // As Shopify writes it, or a shop/update would be of another zone.
    if let Some(name) = spelling(&shop.iana_time_zone) {
        shop.iana_time_zone = name;
    }
    let in_zone = |zone: &str| Shop::new(&shop.shop_domain, zone, &shop.currency);
    let now = in_zone(&shop.iana_time_zone).unwrap_or_else(|field| {
        report::invalid_argument(
            "the shop is not usable",
            &format!("Field {field} is not a known value."),
            HINT,
        )
    });
    if !now.currency.is_known() {
        report::invalid_argument("the shop is not usable", "Field currency is not a known value.", HINT);
    }
    Spi::connect_mut(|client| {
        privacy::lock(client, shop.shop_id, true);
        let mut rows = run(client, DOMAIN, &[DatumWithOid::from(shop.shop_id)]);
        let known = rows.next().map(|row| cell::<String>(&row, 1));
        if let Some(known) = known.filter(|known| *known != shop.shop_domain && !shop.move_domain) {
            report::invalid_argument(
                "a registered shop keeps its domain",
                &format!("The shop is registered as {known}, under which the lake and its specifications know it."),
                "Give another shop_id, or, if it is the same shop, \"move_domain\": true as docs/operate.md says.",
            )
        }
        let mut rows = run(client, HOLDER, &[DatumWithOid::from(shop.shop_domain.as_str())]);
        let holder = rows.next().map(|row| cell::<i64>(&row, 1));
        if let Some(holder) = holder.filter(|holder| *holder != shop.shop_id) {
            report::invalid_argument(
                "the domain is another shop's",
                &format!("Shop {holder} is registered as {}.", shop.shop_domain),
                "Give that shop_id, or, if the domain is not that shop's any more, register that one under its own first, with \"move_domain\": true.",
            )
        }
        let arguments = [
            DatumWithOid::from(shop.shop_id),
            DatumWithOid::from(shop.shop_domain.as_str()),
            DatumWithOid::from(shop.name.as_deref()),
            DatumWithOid::from(shop.iana_time_zone.as_str()),
            DatumWithOid::from(shop.currency.as_str()),
            DatumWithOid::from(shop.change_currency),
        ];
        let mut rows = run(client, REGISTER, &arguments);
        let Some(row) = rows.next() else {
            report::invalid_argument(
                "a registered shop keeps its currency",
                "The shop is registered with another currency, in which its amounts are stored.",
                "Give that one, or, if the shop has another one now, \"change_currency\": true as docs/operate.md says.",
            )
        };
        let mut answer: Value = serde_json::from_str(&cell::<String>(&row, 1))
            .unwrap_or_else(|_| report::internal("an answer is not readable", "shop_register.sql"));
        let previous = answer["previous_time_zone"].as_str();
        let moved = previous
            .filter(|known| *known != shop.iana_time_zone)
            .map_or(0, |known| {
                let before =
                    in_zone(known).unwrap_or_else(|field| report::internal("a registered shop is not usable", field));
                move_ledgers(shop.shop_id, &before, &now)
            });
        answer["moved_orders"] = moved.into();
        answer.to_string()
    })
}

/// The domain that deliveries name. Under an address, or a domain of the shop's own, nothing would ever arrive.
fn is_permanent(domain: &str) -> bool {
    domain.strip_suffix(".myshopify.com").is_some_and(|name| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
    })
}

/// Since when a shop is registered, as what, and whether it was forgotten since, as JSON text: `{registered_at, iana_time_zone,
/// currency, is_forgotten}`.
pub fn registration(shop_domain: &str) -> String {
    Spi::connect_mut(|client| {
        let mut rows = run(client, REGISTRATION, &[DatumWithOid::from(shop_domain)]);
        let row = rows
            .next()
            .unwrap_or_else(|| report::internal("an aggregate gave no row", "shop_registration.sql"));
        cell(&row, 1)
    })
}
