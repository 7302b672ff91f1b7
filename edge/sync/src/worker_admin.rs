//! One call of the Admin API, with the shop's access token.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{json, Value};
use worker::{Env, Fetch, Headers, Method, Request, RequestInit};

use crate::admin::{data, Answer};
use crate::bindings::{now, shopify};
use crate::queries::{ADMIN, API_VERSION};
use crate::step::StepError;
use crate::token::{granted, request, Access, Granted};

thread_local! {
    /// Tokens of a day, by shop. Each isolate asks for its own: should that end another's, its next call is answered 401 and asks
    /// anew. A changed secret comes with a new isolate.
    static GRANTED: RefCell<BTreeMap<String, Granted>> = const { RefCell::new(BTreeMap::new()) };
}

/// Runs `operation` of the document [`ADMIN`].
pub async fn call(env: &Env, shop: &str, operation: &str, variables: &Value) -> Result<Value, StepError> {
    let body = json!({"query": ADMIN, "operationName": operation, "variables": variables});
    send(env, shop, &body).await
}

/// Runs a document of its own.
pub async fn query(env: &Env, shop: &str, document: &str, variables: &Value) -> Result<Value, StepError> {
    send(env, shop, &json!({"query": document, "variables": variables})).await
}

async fn send(env: &Env, shop: &str, body: &Value) -> Result<Value, StepError> {
    let (origin, access) = shopify(env, shop)?;
    let url = format!("{origin}/admin/api/{API_VERSION}/graphql.json");
    let body = body.to_string();
    let used = token_of(&origin, shop, &access).await?;
    let mut answer = exchange(&url, Some(&used), &body).await?;
    // A token of a day may have been withdrawn before its time, as when the app was installed again: once anew, then it is so.
    if answer.status == 401 && matches!(access, Access::Client { .. }) {
        forget(shop, &used);
        answer = exchange(&url, Some(&token_of(&origin, shop, &access).await?), &body).await?;
        if answer.status == 401 {
            return Err(StepError::passing(
                "shopify_401",
                "Shopify refuses a token that it has just given",
            ));
        }
    }
    data(&answer)
}

/// The token of `shop` for `access`: the one that was asked for before, or a new one when that is about to expire.
async fn token_of(origin: &str, shop: &str, access: &Access) -> Result<String, StepError> {
    let (id, secret) = match access {
        Access::Token(token) => return Ok(token.clone()),
        Access::Client { id, secret } => (id, secret),
    };
    let now = now().as_millisecond();
    let known = GRANTED.with_borrow(|all| all.get(shop).cloned());
    if let Some(known) = known.filter(|known| now < known.until_millis) {
        return Ok(known.token);
    }
    let url = format!("{origin}/admin/oauth/access_token");
    let answer = exchange(&url, None, &request(id, secret)).await?;
    let fresh = granted(&answer, shop, now)?;
    GRANTED.with_borrow_mut(|all| all.insert(shop.to_owned(), fresh.clone()));
    Ok(fresh.token)
}

/// Forgets the token of `shop` that was refused, unless another call has a newer one already.
fn forget(shop: &str, refused: &str) {
    GRANTED.with_borrow_mut(|all| {
        if all.get(shop).is_some_and(|known| known.token == refused) {
            all.remove(shop);
        }
    });
}

async fn exchange(url: &str, token: Option<&str>, body: &str) -> Result<Answer, StepError> {
    let answer = fetch(url, token, body).await;
    answer.map_err(|error| StepError::passing("shopify_unreachable", error.to_string()))
}

async fn fetch(url: &str, token: Option<&str>, body: &str) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("accept", "application/json")?;
    if let Some(token) = token {
        headers.set("x-shopify-access-token", token)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body.into()));
    // A redirect would carry the token, or the app's secret, to wherever it points.
    init.redirect = worker::RequestRedirect::Manual;
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?).send().await?;
    Ok(Answer {
        status: response.status_code(),
        api_version: response.headers().get("x-shopify-api-version")?,
        retry_after: response.headers().get("retry-after")?,
        body: response.text().await?,
    })
}
