//! What a request says besides its body, and how answers allow any page to send one.

use std::rc::Rc;

use weir_domain::interaction::record;
use weir_edge_shared::border::HeaderNames;
use weir_edge_shared::internal::is_authorised;
use worker::{Request, Response, Result};

use crate::bindings::Settings;

/// What is asked of every request at once.
const HEADERS: &[&str] = &[
    "cf-connecting-ip",
    "user-agent",
    "dnt",
    "sec-gpc",
    "authorization",
    "referer",
    "sec-purpose",
    "purpose",
];

thread_local! {
    static NAMES: HeaderNames = HeaderNames::new(HEADERS);
}

/// The sender of a request. Address and user agent are held in memory for keyed hashes and the device class only.
pub struct Sender {
    received_at_millis: i64,
    ip: String,
    user_agent: String,
    country: Option<String>,
    do_not_track: bool,
    settings: Rc<Settings>,
    /// Whether it holds a token of the internal routes: a server that tells of visitors.
    is_trusted: bool,
    /// Whether it wants to be taken for that and is not: its secret is wrong, and its events would count as one visitor's.
    pub is_mistaken: bool,
    /// The page that the browser says it is on.
    pub page: Option<String>,
    /// Whether a browser fetches ahead of a click that may never come.
    pub is_prefetch: bool,
}

impl Sender {
    /// The sender of `request`.
    pub fn of(request: &Request, settings: Rc<Settings>) -> Self {
        let head = NAMES.with(|names| names.read(request.inner()));
        let header = |name: &str| head.header(name);
        let says = |name: &str, what: &str| header(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(what));
        let prefetch = |name: &str| header(name).is_some_and(|value| value.to_ascii_lowercase().contains("prefetch"));
        let owned = |name: &str| header(name).map(str::to_owned);
        let is_trusted = is_authorised(header("authorization"), &settings.internal_tokens);
        Self {
            received_at_millis: js_sys::Date::now() as i64,
            ip: owned("cf-connecting-ip").unwrap_or_default(),
            user_agent: owned("user-agent").unwrap_or_default(),
            country: request.cf().and_then(worker::Cf::country),
            do_not_track: says("dnt", "1") || says("sec-gpc", "1"),
            is_trusted,
            is_mistaken: !is_trusted && header("authorization").is_some_and(|value| !is_of_a_page(value)),
            page: owned("referer"),
            is_prefetch: prefetch("sec-purpose") || prefetch("purpose"),
            settings,
        }
    }

    /// As the domain reads it.
    pub fn request(&self) -> record::Request<'_> {
        record::Request {
            received_at_millis: self.received_at_millis,
            ip: &self.ip,
            user_agent: &self.user_agent,
            country: self.country.as_deref(),
            do_not_track: self.do_not_track,
            visitor_secret: self.settings.visitor_secret.as_bytes(),
            is_trusted: self.is_trusted,
        }
    }

    /// The key of the rate limit.
    pub fn rate_limit_key(&self) -> Option<String> {
        weir_domain::interaction::visitor::rate_limit_key(self.settings.visitor_secret.as_bytes(), &self.ip)
    }

    /// Milliseconds since 1970 at receipt.
    pub fn received_at_millis(&self) -> i64 {
        self.received_at_millis
    }
}

/// Whether a browser sends `authorization` by itself: to the host of a page behind a password.
fn is_of_a_page(authorization: &str) -> bool {
    let scheme = authorization.split(' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("basic") || scheme.eq_ignore_ascii_case("digest")
}

/// A key for an event that its sender did not name: each request is one of its own.
pub fn random_key() -> String {
    // 106 bits of the runtime's random source, which is seeded per request.
    let word = || (js_sys::Math::random() * 9_007_199_254_740_992.0) as u64;
    format!("{:x}-{:x}", word(), word())
}

/// `response` as any page may read it that is at `origin`. Nothing here knows a cookie, so any origin is as good as another; but
/// a beacon always has credentials with it, and of JSON a browser asks before whether those are welcome, to which `*` is no answer.
pub fn for_any_page(response: Response, origin: Option<&str>) -> Result<Response> {
    let headers = response.headers().clone();
    headers.set("access-control-allow-origin", origin.unwrap_or("*"))?;
    if origin.is_some() {
        headers.set("access-control-allow-credentials", "true")?;
        headers.set("vary", "origin")?;
    }
    headers.set("cache-control", "no-store")?;
    Ok(response.with_headers(headers))
}

/// The answer to a preflight.
pub fn preflight(origin: Option<&str>) -> Result<Response> {
    let response = for_any_page(Response::empty()?.with_status(204), origin)?;
    let headers = response.headers().clone();
    headers.set("access-control-allow-methods", "POST, OPTIONS")?;
    headers.set("access-control-allow-headers", "content-type, dnt, sec-gpc")?;
    headers.set("access-control-max-age", "86400")?;
    Ok(response.with_headers(headers))
}
