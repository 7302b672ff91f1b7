//! Shops: whose deliveries are recorded.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde::Deserialize;
use weir_domain::events::Shop;

use crate::report;
use crate::store::{cell, run};

const REGISTER: &str = include_str!("../../sql/postgres/shop_register.sql");
const HINT: &str = r#"Give {"shop_id": 1, "shop_domain": "demo.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JPY", "name": "Demo"}."#;

#[derive(Deserialize)]
struct Registration {
    shop_id: i64,
    shop_domain: String,
    iana_time_zone: String,
    currency: String,
    name: Option<String>,
}

/// Adds or changes a shop. Its currency is fixed once registered: amounts already stored are in it.
pub fn register(text: &str) -> String {
    let shop: Registration = serde_json::from_str(text).unwrap_or_else(|_| {
        report::invalid_argument("the shop is not readable", "A field is missing or mistyped.", HINT)
    });
    if shop.shop_domain.is_empty() || text.contains("\\u0000") {
        report::invalid_argument("the shop is not readable", "A text is empty or holds U+0000.", HINT);
    }
    if let Err(field) = Shop::new(&shop.shop_domain, &shop.iana_time_zone, &shop.currency) {
        report::invalid_argument(
            "the shop is not usable",
            &format!("Field {field} is not a known value."),
            HINT,
        );
    }
    Spi::connect_mut(|client| {
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
                "Register the shop under its own currency.",
            )
        };
        cell::<String>(&row, 1)
    })
}
