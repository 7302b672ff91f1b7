//! The access token of a shop: one that stays, or one that Shopify gives for a day in exchange for an app's client id and secret
//! (the client credentials grant), which is all that an app of the Dev Dashboard has.

use serde_json::{json, Value};

use crate::admin::Answer;
use crate::step::StepError;

/// Key of the secret for all shops that it does not name.
const ALL_SHOPS: &str = "*";
/// Milliseconds before its end at which a token is no longer begun with: an answer of Shopify's may take a minute.
const MARGIN_MILLIS: i64 = 300_000;

/// What the app opens a shop with.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// A token that does not expire.
    Token(String),
    /// What is exchanged for one that does.
    Client {
        /// The app's client id.
        id: String,
        /// Its secret, with which it signs webhooks too.
        secret: String,
    },
}

/// Reads what opens `shop` out of the secret SHOPIFY_ACCESS_TOKENS: by shop, or `*` for all others, a token, or
/// `{"client_id": ..., "client_secret": ...}`.
///
/// # Errors
/// `not_configured`; it tells nothing of what stands there instead.
pub fn access(secret: &str, shop: &str) -> Result<Access, StepError> {
    let wrong = |what: String| StepError::lasting("not_configured", format!("SHOPIFY_ACCESS_TOKENS {what}"));
    let by_shop: Value = serde_json::from_str(secret)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| wrong("is not a JSON object by shop".into()))?;
    let own = by_shop.get(shop).or_else(|| by_shop.get(ALL_SHOPS));
    let own = own.ok_or_else(|| wrong(format!("has nothing for {shop}, nor for {ALL_SHOPS}")))?;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(token) = text(own) {
        return Ok(Access::Token(token));
    }
    match (text(&own["client_id"]), text(&own["client_secret"])) {
        (Some(id), Some(secret)) => Ok(Access::Client { id, secret }),
        _ => Err(wrong(format!(
            "has for {shop} neither a token nor client_id and client_secret"
        ))),
    }
}

/// The body of `POST /admin/oauth/access_token`.
#[must_use]
pub fn request(id: &str, secret: &str) -> String {
    json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret}).to_string()
}

/// A token for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct Granted {
    /// The token.
    pub token: String,
    /// Until when it is used, in milliseconds since 1970: somewhat before it expires.
    pub until_millis: i64,
}

/// Reads what Shopify answers to [`request`] at `now_millis`.
///
/// # Errors
/// [`StepError`]: passing for Shopify's own trouble, lasting (`token_refused`) for what only a person can mend.
pub fn granted(answer: &Answer, shop: &str, now_millis: i64) -> Result<Granted, StepError> {
    match answer.status {
        200 => {}
        429 => {
            return Err(StepError::passing("throttled", "Shopify answered 429 to the request for a token").after(2_000))
        }
        status if status >= 500 => {
            let detail = format!("Shopify answered {status} to the request for a token");
            return Err(StepError::passing("shopify_unavailable", detail));
        }
        status => {
            let detail = format!(
                "Shopify gives no token for {shop} ({status} {}): are client id and secret right, is the app installed there, \
                 and do both belong to one organization",
                reason(&answer.body)
            );
            return Err(StepError::lasting("token_refused", detail));
        }
    }
    let unreadable = || {
        StepError::passing(
            "unreadable_answer",
            "Shopify's answer to the request for a token has none",
        )
    };
    let body: Value = serde_json::from_str(&answer.body).map_err(|_| unreadable())?;
    let token = body["access_token"].as_str().filter(|token| !token.is_empty());
    let seconds = body["expires_in"].as_i64().filter(|seconds| *seconds > 0);
    let (token, seconds) = token.zip(seconds).ok_or_else(unreadable)?;
    let millis = seconds.saturating_mul(1000);
    Ok(Granted {
        token: token.to_owned(),
        until_millis: now_millis.saturating_add(millis - MARGIN_MILLIS.min(millis / 2)),
    })
}

/// The class of a refusal, as `app_not_installed`: of JSON its `error`, of a page the word after "Oauth error". Nothing else of
/// what was answered is told.
fn reason(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let of_json = json.as_ref().and_then(|body| body["error"].as_str());
    let of_page = || body.split_once("Oauth error ").map(|(_, rest)| rest);
    let text = of_json.or_else(of_page).unwrap_or_default();
    let word: String = text
        .chars()
        .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
        .take(60)
        .collect();
    if word.is_empty() {
        "without a reason".into()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"{"a.myshopify.com": "shpat_1", "b.myshopify.com": {"client_id": "B", "client_secret": "b"},
        "c.myshopify.com": {"client_id": "C"}, "d.myshopify.com": "", "*": {"client_id": "I", "client_secret": "S"}}"#;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.into(),
            ..Answer::default()
        }
    }

    fn kind(answer: &Answer) -> (String, bool) {
        let error = granted(answer, "s", 0).err().unwrap();
        assert!(!error.detail.contains("shpat_"), "{}", error.detail);
        (error.kind, error.retry_after_millis.is_some())
    }

    #[test]
    fn a_shop_has_a_token_or_a_client_of_its_own_or_that_of_all() {
        let client = |id: &str, secret: &str| Access::Client {
            id: id.into(),
            secret: secret.into(),
        };
        assert!(access(SECRET, "a.myshopify.com").ok() == Some(Access::Token("shpat_1".into())));
        assert!(access(SECRET, "b.myshopify.com").ok() == Some(client("B", "b")));
        assert!(access(SECRET, "x.myshopify.com").ok() == Some(client("I", "S")));
        for (secret, shop) in [
            (SECRET, "c.myshopify.com"),
            (SECRET, "d.myshopify.com"),
            ("{}", "a"),
            ("shpat_1", "a"),
            ("[]", "a"),
        ] {
            let error = access(secret, shop).err().unwrap();
            assert_eq!(
                (error.kind.as_str(), error.retry_after_millis),
                ("not_configured", None)
            );
            assert!(!error.detail.contains("shpat_1"), "{}", error.detail);
        }
    }

    #[test]
    fn a_token_is_used_until_shortly_before_it_expires() {
        let until = |seconds: i64| {
            let body = format!(r#"{{"access_token": "shpat_2", "scope": "read_orders", "expires_in": {seconds}}}"#);
            let granted = granted(&answer(200, &body), "s", 1_000).ok().unwrap();
            assert_eq!(granted.token, "shpat_2");
            granted.until_millis
        };
        assert_eq!(until(86_399), 1_000 + 86_399_000 - MARGIN_MILLIS);
        assert_eq!(until(10), 1_000 + 5_000);
        for body in [r#"{"access_token": "shpat_2"}"#, r#"{"expires_in": 86399}"#, "shpat_2"] {
            assert_eq!(kind(&answer(200, body)), ("unreadable_answer".into(), true), "{body}");
        }
    }

    #[test]
    fn a_refusal_names_its_class_and_nothing_else() {
        let page = "<html>Oauth error shop_not_permitted: Client credentials cannot be performed on this shop.</html>";
        let json = r#"{"error": "app_not_installed", "error_description": "shpat_3"}"#;
        for (body, reason) in [
            (page, "shop_not_permitted"),
            (json, "app_not_installed"),
            ("shpat_4", "without a reason"),
        ] {
            let refused = answer(400, body);
            assert_eq!(kind(&refused), ("token_refused".into(), false));
            let detail = granted(&refused, "s", 0).err().unwrap().detail;
            assert!(detail.contains(&format!("for s (400 {reason})")), "{detail}");
        }
        assert_eq!(kind(&answer(503, "")), ("shopify_unavailable".into(), true));
        assert_eq!(kind(&answer(429, "")), ("throttled".into(), true));
    }
}
