//! Shops: whose deliveries are recorded.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde::Deserialize;
use serde_json::Value;
use weir_domain::events::Shop;

use crate::privacy;
use crate::report;
use crate::store::{cell, run};
use crate::time_zone::move_ledgers;

const REGISTER: &str = include_str!("../../sql/postgres/shop_register.sql");
const DOMAIN: &str = include_str!("../../sql/postgres/shop_domain.sql");
const REGISTRATION: &str = include_str!("../../sql/postgres/shop_registration.sql");
const HINT: &str = r#"Give {"shop_id": 1, "shop_domain": "demo.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JPY", "name": "Demo"}."#;

#[derive(Deserialize)]
struct Registration {
    shop_id: i64,
    shop_domain: String,
    iana_time_zone: String,
    currency: String,
    name: Option<String>,
    #[serde(default)]
    move_domain: bool,
}

/// Adds or changes a shop. Its currency is fixed once an amount of it is stored. If its time zone changes,
/// ledgers are written anew; batches of the shop wait meanwhile.
pub fn register(text: &str) -> String {
    let shop: Registration = serde_json::from_str(text).unwrap_or_else(|_| {
        report::invalid_argument("the shop is not readable", "A field is missing or mistyped.", HINT)
    });
    if shop.shop_domain.is_empty() || text.contains("\\u0000") {
        report::invalid_argument("the shop is not readable", "A text is empty or holds U+0000.", HINT);
    }
    if shop.shop_domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let detail = "shop_domain has capital letters, and deliveries name it without.";
        report::invalid_argument("the shop is not usable", detail, HINT);
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
        let arguments = [
            DatumWithOid::from(shop.shop_id),
            DatumWithOid::from(shop.shop_domain.as_str()),
            DatumWithOid::from(shop.name.as_deref()),
            DatumWithOid::from(shop.iana_time_zone.as_str()),
            DatumWithOid::from(shop.currency.as_str()),
        ];
        let mut rows = run(client, REGISTER, &arguments);
        let Some(row) = rows.next() else {
            report::invalid_argument(
                "a registered shop keeps its currency",
                "The shop is registered with another currency, in which its amounts are stored.",
                "Give that one, or, if it is wrong, see \"A shop was registered with a wrong currency\" in docs/operate.md.",
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
