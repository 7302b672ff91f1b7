//! The catalogue: from this isolate's memory or KV on the way of an interaction, from PostgreSQL to KV on refresh.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{json, Value};
use weir_domain::interaction::catalogue::Catalogue;
use weir_edge_shared::discreet::place;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::settings::postgres_timeouts;
use weir_edge_shared::sql::Argument;
use worker::{console_error, console_log, console_warn, Env, Error, Result};

use crate::bindings::{Settings, CATALOGUE, POSTGRES};
use crate::cache::{key, Cached, CatalogueCache};
use crate::publish::within;

thread_local! {
    static CACHE: RefCell<CatalogueCache> = RefCell::default();
}

/// The catalogue of `shop_domain`; while it cannot be read the last one that could, and `None` where there was none. KV is asked
/// again when the time to live is over, and after a failure when [`crate::cache::PAUSE_MILLIS`] are.
pub async fn catalogue_of(env: &Env, shop_domain: &str, now_millis: i64) -> Option<Rc<Catalogue>> {
    let settings = Settings::of(env);
    match CACHE.with_borrow(|cache| cache.get(shop_domain, now_millis, settings.catalogue_ttl_millis)) {
        Cached::Fresh(catalogue) => return Some(catalogue),
        Cached::Paused(last) => return last,
        // One request asks; the others go on with the last one meanwhile.
        Cached::Stale(_) => CACHE.with_borrow_mut(|cache| cache.pause(shop_domain, now_millis)),
        Cached::Absent => {}
    }
    let outcome = within(settings.patience(), "catalogue", read(env, shop_domain)).await;
    CACHE.with_borrow_mut(|cache| match outcome {
        Ok(catalogue) => Some(cache.put(shop_domain, catalogue, now_millis)),
        Err(cause) => {
            console_warn!("{cause}; going on without");
            // Counted from now: the clock has moved on while KV was waited for.
            cache.pause(shop_domain, js_sys::Date::now() as i64);
            cache.last(shop_domain)
        }
    })
}

async fn read(env: &Env, shop_domain: &str) -> std::result::Result<Catalogue, String> {
    let store = env.kv(CATALOGUE).map_err(|error| error.to_string())?;
    let text = store
        .get(&key(shop_domain))
        .text()
        .await
        .map_err(|error| error.to_string())?;
    match text {
        Some(text) => serde_json::from_str(&text).map_err(|error| place(&error)),
        // Not published yet; asked again when the time to live is over.
        None => Ok(Catalogue::default()),
    }
}

/// Reads the catalogue of `shop_domain` from PostgreSQL and writes it to KV. Returns its revision and sizes.
///
/// # Errors
/// When PostgreSQL or KV fails, or the answer is no catalogue; KV keeps what it has then.
pub async fn refresh(env: &Env, shop_domain: &str) -> Result<Value> {
    let failed = |error: &dyn std::fmt::Display| Error::RustError(error.to_string());
    let transport = HyperdriveTransport::new(env.hyperdrive(POSTGRES)?, postgres_timeouts(env));
    let text = transport
        .call("weir.publication_catalogue", &[Argument::Text(shop_domain)])
        .await
        .map_err(|error| failed(&error))?;
    let catalogue: Catalogue = serde_json::from_str(&text).map_err(|error| failed(&place(&error)))?;
    let store = env.kv(CATALOGUE)?;
    let put = store.put(&key(shop_domain), text).map_err(|error| failed(&error))?;
    put.execute().await.map_err(|error| failed(&error))?;
    let summary = json!({
        "shop_domain": shop_domain,
        "revision": catalogue.revision,
        "publishers": catalogue.publishers.len(),
        "items": catalogue.items.len(),
        "programs": catalogue.programs.len(),
        "links": catalogue.links.len(),
    });
    // This isolate knows it at once; others when their time to live is over.
    CACHE.with_borrow_mut(|cache| cache.put(shop_domain, catalogue, js_sys::Date::now() as i64));
    Ok(summary)
}

/// Refreshes every known shop, each by itself: the cron handler.
pub async fn refresh_all(env: &Env) {
    let settings = Settings::of(env);
    let shops = match settings.shops() {
        Ok(shops) => shops,
        Err(error) => return console_error!("catalogue: {error}"),
    };
    for shop_domain in shops {
        match refresh(env, shop_domain).await {
            Ok(summary) => console_log!("catalogue refreshed: {summary}"),
            Err(error) => console_error!("catalogue of {shop_domain} not refreshed: {error}"),
        }
    }
}
