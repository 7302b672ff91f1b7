//! Names and values that wrangler.jsonc binds.

use jiff::{SignedDuration, Timestamp};
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::pipeline::{streams, PipelineStream};
use weir_edge_shared::settings::{self, number, postgres_timeouts, secret, text};
use weir_edge_shared::storage::Storage;
use weir_edge_shared::versions::StreamVersions;
use worker::{Env, Stub};

use crate::step::StepError;
use crate::token::{access, Access};

/// Shopify's most generous answer is a page of a few megabytes; a bulk result is streamed and has no such limit.
const DEFAULT_PART_BYTES: u64 = 8_000_000;

fn unbound(error: &worker::Error) -> StepError {
    StepError::lasting("not_configured", error.to_string())
}

/// The archive and the quarantine.
pub fn storage(env: &Env) -> Result<Storage, StepError> {
    settings::storage(env, "BUCKET").map_err(|error| unbound(&error))
}

/// PostgreSQL, over a Hyperdrive with caching disabled; vars POSTGRES_CONNECT_TIMEOUT_MILLIS, POSTGRES_STATEMENT_TIMEOUT_MILLIS.
pub fn postgres(env: &Env) -> Result<HyperdriveTransport, StepError> {
    let hyperdrive = env.hyperdrive("POSTGRES").map_err(|error| unbound(&error))?;
    Ok(HyperdriveTransport::new(hyperdrive, postgres_timeouts(env)))
}

/// The bindings `COMMERCE_TELEMETRY`, `COMMERCE_TELEMETRY_V2`.
pub fn commerce_streams(env: &Env) -> Result<StreamVersions<PipelineStream>, StepError> {
    streams(env, "commerce").map_err(|error| unbound(&error))
}

/// The bindings `SYNC_TELEMETRY`, `SYNC_TELEMETRY_V2`.
pub fn sync_streams(env: &Env) -> Result<StreamVersions<PipelineStream>, StepError> {
    streams(env, "sync").map_err(|error| unbound(&error))
}

/// The watermark object of `shop`; each shop has its own.
pub fn watermark_object(env: &Env, shop: &str) -> worker::Result<Stub> {
    env.durable_object("WATERMARKS")?.get_by_name(shop)
}

/// Origin of a shop's Admin API, var SHOPIFY_ORIGIN with `{shop}` in it, and what opens it, from the secret
/// SHOPIFY_ACCESS_TOKENS.
pub fn shopify(env: &Env, shop: &str) -> Result<(String, Access), StepError> {
    let origin = text(env, "SHOPIFY_ORIGIN").unwrap_or_else(|| "https://{shop}".into());
    let access = access(&secret(env, "SHOPIFY_ACCESS_TOKENS"), shop)?;
    Ok((origin.replace("{shop}", shop), access))
}

/// Where webhooks are to be delivered: var WEBHOOK_URL.
pub fn webhook_url(env: &Env) -> Result<String, StepError> {
    text(env, "WEBHOOK_URL").ok_or_else(|| StepError::lasting("not_configured", "WEBHOOK_URL is not set"))
}

/// Base address and token of `weir serve`: var LAKE_URL, secret LAKE_TOKEN.
pub fn lake(env: &Env) -> Result<(String, String), StepError> {
    let url = text(env, "LAKE_URL").ok_or_else(|| StepError::lasting("not_configured", "LAKE_URL is not set"))?;
    Ok((url.trim_end_matches('/').to_owned(), secret(env, "LAKE_TOKEN")))
}

/// How far a window reaches back over the watermark, var OVERLAP_MINUTES.
pub fn overlap(env: &Env) -> SignedDuration {
    number(env, "OVERLAP_MINUTES").map_or(weir_domain::watermark::MIN_OVERLAP, SignedDuration::from_mins)
}

/// Most bytes of the archive that one step takes, var PART_BYTES.
pub fn part_bytes(env: &Env) -> u64 {
    number(env, "PART_BYTES").unwrap_or(DEFAULT_PART_BYTES)
}

/// Now, to the millisecond.
pub fn now() -> Timestamp {
    let millis = worker::Date::now().as_millis();
    i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or_default()
}
