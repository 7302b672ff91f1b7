//! Which orders and products are known: to be compared with what Shopify still has.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;
use serde::Deserialize;
use serde_json::json;
use weir_domain::events::exact_time;
use weir_domain::shopify::json::instant;

use crate::report;
use crate::store::{cell, read_shop, run};

const KNOWN_IDS: &str = include_str!("../../sql/postgres/known_ids.sql");
const LARGEST_LIMIT: i64 = 100_000;
const HINT: &str = r#"Give {"resource": "order", "created_from": "2025-01-01T00:00:00.000Z", "created_before": "2026-11-24T10:00:00.000Z", "after": 0, "limit": 10000}; resource is order or product."#;

#[derive(Deserialize)]
struct Request<'a> {
    resource: &'a str,
    created_from: &'a str,
    created_before: &'a str,
    after: i64,
    limit: i64,
}

/// A page of the ids of a shop's orders or products that are not deleted, as JSON text: `{ids, next}`. Ids are text; `next`
/// is where the next page starts, null after the last.
pub fn ids(shop_domain: &str, request: &str) -> String {
    let refuse = |detail: &str| -> ! { report::invalid_argument("the request is not readable", detail, HINT) };
    let request: Request<'_> =
        serde_json::from_str(request).unwrap_or_else(|_| refuse("A field is missing or mistyped."));
    if !["order", "product"].contains(&request.resource) {
        refuse("resource is neither order nor product.");
    }
    if !(1..=LARGEST_LIMIT).contains(&request.limit) {
        refuse("limit is not from 1 to 100000.");
    }
    let time = |text| exact_time(instant(text).unwrap_or_else(|| refuse("A time is not RFC 3339.")));
    let (from, before) = (time(request.created_from), time(request.created_before));
    Spi::connect_mut(|client| {
        let shop = read_shop(client, shop_domain).unwrap_or_else(|| report::unknown_shop());
        let arguments = [
            DatumWithOid::from(shop.shop_id),
            DatumWithOid::from(request.resource),
            DatumWithOid::from(from),
            DatumWithOid::from(before),
            DatumWithOid::from(request.after),
            DatumWithOid::from(request.limit),
        ];
        let ids: Vec<i64> = run(client, KNOWN_IDS, &arguments).map(|row| cell(&row, 1)).collect();
        let is_full = ids.len() == usize::try_from(request.limit).unwrap_or_default();
        let next = ids.last().filter(|_| is_full).map(i64::to_string);
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        json!({"ids": ids, "next": next}).to_string()
    })
}
