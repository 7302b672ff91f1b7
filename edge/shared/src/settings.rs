//! Variables and secrets that all Workers read alike, and the clock.

use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use worker::{Env, Error, Result};

use crate::backoff::DEFAULT_MAX_DELAY_SECONDS;
use crate::connection::Timeouts;
use crate::discreet::place;
use crate::patience::Patience;
use crate::storage::Storage;

/// A variable, `None` when it is absent or blank.
pub fn text(env: &Env, name: &str) -> Option<String> {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.trim().is_empty())
}

/// A variable that is a number, `None` when it is absent or none.
pub fn number<T: FromStr>(env: &Env, name: &str) -> Option<T> {
    text(env, name).and_then(|value| value.parse().ok())
}

/// A secret, empty when there is none, which opens and signs nothing.
pub fn secret(env: &Env, name: &str) -> String {
    env.secret(name).map(|value| value.to_string()).unwrap_or_default()
}

/// Tokens of the internal routes, secret WEIR_INTERNAL_TOKEN: comma separated, the first one is shown to others, all are valid.
pub fn internal_tokens(env: &Env) -> String {
    secret(env, "WEIR_INTERNAL_TOKEN")
}

/// The known shops, var SHOPS: a JSON array of permanent domains.
pub fn shops(env: &Env) -> Result<Vec<String>> {
    let shops: Vec<String> = serde_json::from_str(&text(env, "SHOPS").unwrap_or_else(|| "[]".into()))
        .map_err(|error| Error::RustError(format!("SHOPS is no JSON array of domains: {}", place(&error))))?;
    Ok(shops.into_iter().map(|shop| shop.to_ascii_lowercase()).collect())
}

/// Longest delay of a retry, var RETRY_MAX_DELAY_SECONDS.
pub fn max_delay_seconds(env: &Env) -> u32 {
    number(env, "RETRY_MAX_DELAY_SECONDS").unwrap_or(DEFAULT_MAX_DELAY_SECONDS)
}

/// Name of the dead-letter queue, var DEAD_LETTER_QUEUE.
pub fn dead_letter_queue(env: &Env) -> Option<String> {
    text(env, "DEAD_LETTER_QUEUE")
}

/// How long PostgreSQL may take, vars POSTGRES_CONNECT_TIMEOUT_MILLIS and POSTGRES_STATEMENT_TIMEOUT_MILLIS.
pub fn postgres_timeouts(env: &Env) -> Timeouts {
    let default = Timeouts::default();
    let millis = |name, default| number(env, name).map_or(default, Duration::from_millis);
    Timeouts {
        connect: millis("POSTGRES_CONNECT_TIMEOUT_MILLIS", default.connect),
        statement: millis("POSTGRES_STATEMENT_TIMEOUT_MILLIS", default.statement),
    }
}

/// How long a stream may take to confirm a batch, var STREAM_TIMEOUT_MILLIS. As long as PostgreSQL may for a statement: a
/// Worker asks both in turn, and both together are far from a queue consumer's 15 minutes.
pub fn stream_timeout(env: &Env) -> Duration {
    number(env, "STREAM_TIMEOUT_MILLIS").map_or(Timeouts::default().statement, Duration::from_millis)
}

/// How long R2, a queue or another Worker may take for one answer, var PLATFORM_TIMEOUT_MILLIS. They answer within tenths of a
/// second; a part of 8 MiB that is written takes longest.
pub fn platform_timeout(env: &Env) -> Duration {
    number(env, "PLATFORM_TIMEOUT_MILLIS").map_or(Duration::from_secs(20), Duration::from_millis)
}

/// How long an invocation goes on with what is left of its batch, var BATCH_BUDGET_MILLIS. The platform ends it after 15 minutes;
/// what was begun needs at most a few: a minute each for PostgreSQL and for a request of the stream.
pub fn batch_budget_millis(env: &Env) -> u64 {
    number(env, "BATCH_BUDGET_MILLIS").unwrap_or(300_000)
}

/// The patience of an invocation with `far_end`, one of the platform's.
pub fn patience(env: &Env, far_end: &'static str) -> Patience {
    Patience::new(far_end, platform_timeout(env))
}

/// The bucket bound as `name`, with patience of its own.
///
/// # Errors
/// When none is bound.
pub fn storage(env: &Env, name: &str) -> Result<Storage> {
    Ok(Storage::new(env.bucket(name)?, Rc::new(patience(env, "R2"))))
}

/// Now, RFC 3339 UTC with milliseconds.
pub fn now() -> String {
    js_sys::Date::new_0().to_iso_string().into()
}
