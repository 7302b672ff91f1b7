//! Steps that ask Shopify: may we, start an operation, how is it, which subscriptions are missing.

use serde_json::{json, Value};
use weir_domain::watermark::Window;
use worker::{console_error, console_warn, Env};

use crate::admin::{user_error, Scopes};
use crate::bindings::webhook_url;
use crate::operation::{find_own, Operation};
use crate::queries::bulk_query;
use crate::step::{Counts, Outcome, Run, StepError};
use crate::subscriptions::missing;
use crate::worker_admin::call;
use crate::worker_watermark;

/// Scopes without which nothing can be read.
const NEEDED_SCOPES: [&str; 2] = ["read_orders", "read_products"];

/// Checks scopes and shop before anything is asked for: `{scopes, days_readable}`.
pub async fn preflight(env: &Env, run: &Run) -> Result<Outcome, StepError> {
    let data = call(env, &run.shop_domain, "Preflight", &json!({})).await?;
    let scopes = Scopes::read(&data["currentAppInstallation"]);
    if let Some(absent) = NEEDED_SCOPES.iter().find(|scope| !scopes.has(scope)) {
        let detail = format!(
            "{} has not granted {absent}; install the app again with it",
            run.shop_domain
        );
        console_error!("{detail}");
        return Err(StepError::lasting("missing_scope", detail));
    }
    let everything = scopes.has("read_all_orders");
    if !everything {
        console_warn!(
            "WARNING: {} has not granted read_all_orders: only orders of the last 60 days are readable, older ones stay unknown",
            run.shop_domain
        );
    }
    if data["shop"]["myshopifyDomain"].as_str() != Some(run.shop_domain.as_str()) {
        return Err(StepError::lasting(
            "wrong_shop",
            "the access token belongs to another shop",
        ));
    }
    Ok(Outcome::of(json!({
        "scopes": scopes.handles(), "days_readable": if everything { Value::Null } else { json!(60) },
    })))
}

/// Starts the bulk query `{kind}` of `{window}`, or finds it again: `{operation_id, found}`. Operations `{excluded}` have
/// been tried already. Nobody's operation is cancelled: when five run, this one waits.
pub async fn request(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let bad = |what: &str| StepError::lasting("bad_call", format!("{what}: {input}"));
    let window: Window = serde_json::from_value(input["window"].clone()).map_err(|_| bad("window"))?;
    let excluded: Vec<String> = serde_json::from_value(input["excluded"].clone()).map_err(|_| bad("excluded"))?;
    let kind = input["kind"].as_str().unwrap_or_default();
    let query = bulk_query(kind, &window).ok_or_else(|| bad("kind"))?;
    let recent = call(env, &run.shop_domain, "RecentOperations", &json!({})).await?;
    let found = find_own(&recent["bulkOperations"], &query, &excluded).map(str::to_owned);
    let was_found = found.is_some();
    let operation_id = match found {
        Some(operation_id) => operation_id,
        None => start(env, run, &query).await?,
    };
    let owner = json!({"operation_id": operation_id, "workflow": run.workflow, "instance_id": run.instance_id});
    worker_watermark::call(env, &run.shop_domain, "expect", &owner).await?;
    Ok(Outcome::of(json!({"operation_id": operation_id, "found": was_found})))
}

async fn start(env: &Env, run: &Run, query: &str) -> Result<String, StepError> {
    let data = call(env, &run.shop_domain, "RunBulkQuery", &json!({"query": query})).await?;
    let payload = &data["bulkOperationRunQuery"];
    if let Some(error) = user_error(payload) {
        return Err(error);
    }
    let id = payload["bulkOperation"]["id"].as_str();
    id.map(str::to_owned)
        .ok_or_else(|| StepError::passing("unreadable_answer", "bulkOperationRunQuery gave no operation"))
}

/// The operation `operation_id` now.
pub async fn operation(env: &Env, shop: &str, operation_id: &str) -> Result<Operation, StepError> {
    let data = call(env, shop, "BulkOperation", &json!({"id": operation_id})).await?;
    Operation::read(&data["bulkOperation"])
}

/// States of `{operations}`: `{operations: [{operation_id, started_at, state, error_kind?, halves?}]}`. The address of a
/// result is not among them: it is a secret, and is asked for when it is used.
pub async fn poll(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let mut states = Vec::new();
    for id in input["operations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let operation = operation(env, &run.shop_domain, id).await?;
        let mut state = json!(operation.state());
        state["operation_id"] = id.into();
        state["started_at"] = operation.created_at.into();
        states.push(state);
    }
    Ok(Outcome::of(json!({"operations": states})))
}

/// Creates the subscriptions that are missing: `{created}`.
pub async fn subscriptions(env: &Env, run: &Run) -> Result<Outcome, StepError> {
    let uri = webhook_url(env)?;
    let (mut edges, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut data = call(env, &run.shop_domain, "Subscriptions", &json!({"after": after})).await?;
        let page = data["webhookSubscriptions"].take();
        edges.extend(page["edges"].as_array().cloned().unwrap_or_default());
        if page["pageInfo"]["hasNextPage"].as_bool() != Some(true) {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    let data = call(env, &run.shop_domain, "Preflight", &json!({})).await?;
    let missing = missing(&edges, &uri, &Scopes::read(&data["currentAppInstallation"]));
    for topic in &missing {
        console_warn!(
            "{}: the subscription to {topic} was missing; created again",
            run.shop_domain
        );
        let data = call(env, &run.shop_domain, "Subscribe", &json!({"topic": topic, "uri": uri})).await?;
        if let Some(error) = user_error(&data["webhookSubscriptionCreate"]) {
            return Err(error);
        }
    }
    let created = i64::try_from(missing.len()).unwrap_or(i64::MAX);
    Ok(Outcome {
        output: json!({"created": missing}),
        counts: Counts {
            read: i64::try_from(edges.len()).ok(),
            upserted: Some(created),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}
