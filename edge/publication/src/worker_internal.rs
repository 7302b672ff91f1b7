//! `/internal/`: refresh of the catalogue, signing of links, the quarantine. For operators and other Workers, behind a token.

use serde::Deserialize;
use serde_json::json;
use weir_edge_shared::discreet::place;
use weir_edge_shared::http::{answer, read_body};
use weir_edge_shared::internal::{is_authorised, Target};
use weir_edge_shared::quarantine_room::{list, not_replayed, replayed, show, to_replay};
use weir_edge_shared::settings::storage;
use weir_edge_shared::storage::Storage;
use worker::{console_error, Env, Method, Request, Response, Result};

use crate::bindings::{InteractionQueue, Settings, BUCKET, INTERACTIONS};
use crate::message::MessageSender;
use crate::publish::within;
use crate::quarantine::QuarantineRecord;
use crate::redirect::Redirect;
use crate::worker_catalogue::{catalogue_of, refresh};
use crate::worker_http::unauthorised;

const MAX_BODY_BYTES: usize = 16_384;

#[derive(Deserialize)]
struct ShopRequest {
    shop_domain: String,
}

#[derive(Deserialize)]
struct LinkRequest {
    shop_domain: String,
    code: String,
    #[serde(default)]
    url: Option<String>,
}

/// Answers a request under `/internal/`.
pub async fn route(request: Request, env: &Env) -> Result<Response> {
    let authorization = request.headers().get("authorization")?;
    if !is_authorised(authorization.as_deref(), &Settings::of(env).internal_tokens) {
        return unauthorised();
    }
    let path = request.path();
    match (request.method(), path.as_str()) {
        (Method::Post, "/internal/catalogue") => return catalogue(&request, env).await,
        (Method::Post, "/internal/links") => return link(&request, env).await,
        (_, "/internal/catalogue" | "/internal/links") => return answer(405, "method_not_allowed", ""),
        _ => {}
    }
    let storage = storage(env, BUCKET)?;
    match (request.method(), Target::parse(&path)) {
        (_, None) => answer(404, "not_found", ""),
        (Method::Get, Some(Target::Quarantine)) => list(&storage, &request).await,
        (Method::Get, Some(Target::Record(key))) => show(&storage, &key).await,
        (Method::Post, Some(Target::Replay(key))) => replay(env, &storage, &key).await,
        (_, Some(_)) => answer(405, "method_not_allowed", ""),
    }
}

/// `{"shop_domain"}`: PostgreSQL's catalogue to KV.
async fn catalogue(request: &Request, env: &Env) -> Result<Response> {
    let body = read_body(request, MAX_BODY_BYTES).await?.unwrap_or_default();
    let shop_domain = match serde_json::from_slice::<ShopRequest>(&body) {
        Ok(body) => body.shop_domain.to_ascii_lowercase(),
        Err(error) => return answer(422, "parse_failure", &place(&error)),
    };
    if !Settings::of(env).shops()?.contains(&shop_domain) {
        return answer(404, "unknown_shop", "this shop is not registered here");
    }
    match refresh(env, &shop_domain).await {
        Ok(summary) => Response::from_json(&summary),
        Err(error) => {
            console_error!("catalogue of {shop_domain}: {error}");
            answer(503, "refresh_failed", "the catalogue stays as it is; try again")
        }
    }
}

/// `{"shop_domain", "code", "url"?}`: `{"path", "is_known"}` of the signed link. `is_known`: whether the catalogue has the code; null where
/// it cannot be read. It may come later, so a link is signed all the same. With `url` it works without the catalogue, which is not asked.
async fn link(request: &Request, env: &Env) -> Result<Response> {
    let body = read_body(request, MAX_BODY_BYTES).await?.unwrap_or_default();
    let LinkRequest { shop_domain, code, url } = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return answer(422, "parse_failure", &place(&error)),
    };
    let redirect = Redirect {
        shop_domain: shop_domain.to_ascii_lowercase(),
        code,
        url,
    };
    let settings = Settings::of(env);
    if !settings.shops()?.contains(&redirect.shop_domain) {
        return answer(404, "unknown_shop", "this shop is not registered here");
    }
    let newest = settings.link_secrets.first().map_or("", String::as_str);
    let path = match redirect.signed(newest.as_bytes()) {
        Ok(path) => path,
        Err(detail) => return answer(422, "not_signable", detail),
    };
    if redirect.url.is_some() {
        return Response::from_json(&json!({"path": path}));
    }
    let catalogue = catalogue_of(env, &redirect.shop_domain, js_sys::Date::now() as i64).await;
    let is_known = catalogue.map(|catalogue| catalogue.links.contains_key(&redirect.code));
    Response::from_json(&json!({"path": path, "is_known": is_known}))
}

/// Sends the message again. Only when the queue has it, the record is removed: whatever fails in between, it is at worst
/// there twice, which the events' ids make harmless.
async fn replay(env: &Env, storage: &Storage, key: &str) -> Result<Response> {
    let record: QuarantineRecord = match to_replay(storage, key).await? {
        Ok(record) => record,
        Err(answer) => return Ok(answer),
    };
    let message = match record.into_replay() {
        Ok(message) => serde_json::to_string(&message)?,
        Err(detail) => return answer(422, "not_replayable", detail),
    };
    let queue = InteractionQueue(env.queue(INTERACTIONS)?);
    match within(Settings::of(env).patience(), "queue", queue.send(&[message])).await {
        Ok(()) => replayed(storage, key).await,
        Err(cause) => not_replayed(key, &cause),
    }
}
