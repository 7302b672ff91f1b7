//! One call of the Admin API.

use serde_json::{json, Value};
use worker::{Env, Fetch, Headers, Method, Request, RequestInit};

use crate::admin::{data, Answer};
use crate::bindings::shopify;
use crate::queries::{ADMIN, API_VERSION};
use crate::step::StepError;

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
    let (origin, token) = shopify(env, shop)?;
    let url = format!("{origin}/admin/api/{API_VERSION}/graphql.json");
    let answer = exchange(&url, &token, body).await;
    data(&answer.map_err(|error| StepError::passing("shopify_unreachable", error.to_string()))?)
}

async fn exchange(url: &str, token: &str, body: &Value) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("x-shopify-access-token", token)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body.to_string().into()));
    // A redirect would carry the token to wherever it points.
    init.redirect = worker::RequestRedirect::Manual;
    let mut response = Fetch::Request(Request::new_with_init(url, &init)?).send().await?;
    Ok(Answer {
        status: response.status_code(),
        api_version: response.headers().get("x-shopify-api-version")?,
        retry_after: response.headers().get("retry-after")?,
        body: response.text().await?,
    })
}
