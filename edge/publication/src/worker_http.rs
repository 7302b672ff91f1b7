//! Routes.

use serde_json::json;
use weir_edge_shared::http::answer;
use worker::{console_error, console_warn, Context, Env, Method, Request, Response, Result};

use crate::bindings::{Settings, RATE_LIMIT};
use crate::publish::within;
use crate::worker_request::{for_any_page, preflight, Sender};

/// The browser's half, minified; made from `snippet.js` by `scripts/build-snippet.sh`.
const SNIPPET: &str = include_str!("snippet.min.js");

/// Routes a request.
pub async fn route(request: Request, env: Env, context: Context) -> Result<Response> {
    let path = request.path();
    let origin = || request.headers().get("origin");
    match (request.method(), path.as_str()) {
        (Method::Get, "/healthz") => Response::from_json(&json!({"status": "ok"})),
        (Method::Get | Method::Head, "/v1/snippet.js") => snippet(),
        (Method::Options, "/v1/events") => preflight(origin()?.as_deref()),
        (Method::Post, "/v1/events") => {
            let origin = origin()?;
            for_any_page(
                crate::worker_events::batch(request, env, &context).await?,
                origin.as_deref(),
            )
        }
        (Method::Get, "/v1/p.gif") => {
            let origin = origin()?;
            for_any_page(
                crate::worker_events::pixel(request, env, &context).await?,
                origin.as_deref(),
            )
        }
        (_, "/healthz" | "/v1/events" | "/v1/p.gif" | "/v1/snippet.js") => answer(405, "method_not_allowed", ""),
        (Method::Get | Method::Head, path) if path.starts_with("/r/") => {
            crate::worker_redirect::redirect(request, env, &context).await
        }
        (_, path) if path.starts_with("/internal/") => crate::worker_internal::route(request, &env).await,
        _ => answer(404, "not_found", ""),
    }
}

fn snippet() -> Result<Response> {
    let response = Response::ok(SNIPPET)?;
    let headers = response.headers().clone();
    headers.set("content-type", "text/javascript; charset=utf-8")?;
    headers.set("cache-control", "public, max-age=3600")?;
    headers.set("access-control-allow-origin", "*")?;
    headers.set("cross-origin-resource-policy", "cross-origin")?;
    Ok(response.with_headers(headers))
}

/// Whether `sender` is within the rate limit. Without the binding, without an address, or when the binding fails or does not
/// answer in time, it is: losing the limit for a while is better than losing the interactions.
pub async fn is_within_rate(env: &Env, sender: &Sender) -> bool {
    let Ok(limiter) = env.rate_limiter(RATE_LIMIT) else {
        return true;
    };
    let Some(key) = sender.rate_limit_key() else {
        return true;
    };
    let asked = async { limiter.limit(key).await.map_err(|error| error.to_string()) };
    match within(Settings::of(env).patience(), "rate limit", asked).await {
        Ok(outcome) => outcome.success,
        Err(cause) => {
            console_warn!("{cause}; let through");
            true
        }
    }
}

/// 429; the limit's period is a minute (wrangler.jsonc).
pub fn too_many() -> Result<Response> {
    let response = answer(429, "too_many_requests", "try again in a minute")?;
    response.headers().set("retry-after", "60")?;
    Ok(response)
}

/// 401 for a token that is none, here and under `/internal/`.
pub fn unauthorised() -> Result<Response> {
    answer(401, "unauthorised", "the bearer token is missing or wrong")
}

/// 503 for an error of ours, which goes to the log.
pub fn unavailable(what: &str, error: &dyn std::fmt::Display) -> Result<Response> {
    console_error!("{what}: {error}");
    answer(503, "unavailable", "not taken; send it again")
}
