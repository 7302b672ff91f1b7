//! Steps that ask Shopify: may we, start an operation, how is it, which subscriptions are missing.

use serde_json::{json, Value};
use weir_domain::watermark::Window;
use worker::{console_warn, Env};

use crate::admin::{user_error, Scopes, FULL};
use crate::bindings::webhook_url;
use crate::operation::{alike, running, Operation};
use crate::queries::bulk_query;
use crate::registration::agrees;
use crate::scopes::{enough, refusal, ALL_ORDERS, DAYS_READABLE};
use crate::step::{Counts, Outcome, Run, StepError};
use crate::subscriptions::{enumeration, missing, outdated};
use crate::worker_admin::call;
use crate::worker_postgres::registered;
use crate::worker_watermark;

/// Checks shop and scopes before anything is asked for: `{scopes, days_readable, registered_at}`.
pub async fn preflight(env: &Env, run: &Run) -> Result<Outcome, StepError> {
    let registered = registered(env, &run.shop_domain).await?;
    let data = call(env, &run.shop_domain, "Preflight", &json!({})).await?;
    agrees(&run.shop_domain, &registered, &data["shop"])?;
    let scopes = Scopes::read(&data["currentAppInstallation"]);
    enough(&run.shop_domain, &scopes)?;
    let everything = scopes.has(ALL_ORDERS);
    if !everything {
        console_warn!(
            "WARNING: {} has not granted {ALL_ORDERS}: only orders of the last {DAYS_READABLE} days are readable, older ones stay unknown",
            run.shop_domain
        );
    }
    Ok(Outcome::of(json!({
        "scopes": scopes.handles(), "days_readable": if everything { Value::Null } else { json!(DAYS_READABLE) },
        "registered_at": registered.at,
    })))
}

/// Starts the bulk query `{kind}` of `{window}`, or finds it again: `{operation_id, found}`. Operations `{excluded}` have
/// been tried already. Nobody's operation is cancelled: when five run, the answer is `{full: true}`, and the run asks again with its polls.
pub async fn request(env: &Env, run: &Run, input: &Value) -> Result<Outcome, StepError> {
    let bad = |what: &str| StepError::lasting("bad_call", format!("{what}: {input}"));
    let window: Window = serde_json::from_value(input["window"].clone()).map_err(|_| bad("window"))?;
    let excluded: Vec<String> = serde_json::from_value(input["excluded"].clone()).map_err(|_| bad("excluded"))?;
    let kind = input["kind"].as_str().unwrap_or_default();
    let query = bulk_query(kind, &window).ok_or_else(|| bad("kind"))?;
    let recent = call(env, &run.shop_domain, "RecentOperations", &json!({})).await?;
    let found = own(env, run, alike(&recent["bulkOperations"], &query, &excluded)).await?;
    let was_found = found.is_some();
    let operation_id = match found {
        Some(operation_id) => operation_id,
        None => match start(env, run, &query).await {
            Err(error) if error.kind == FULL => return Ok(Outcome::of(json!({"full": true}))),
            started => started?,
        },
    };
    let owner = json!({"operation_id": operation_id, "workflow": run.workflow, "instance_id": run.instance_id});
    worker_watermark::call(env, &run.shop_domain, "expect", &owner).await?;
    Ok(Outcome::of(json!({"operation_id": operation_id, "found": was_found})))
}

/// The first of `candidates` that no other run waits for or has had: a backfill that is told to read again asks the same as
/// one before.
async fn own(env: &Env, run: &Run, candidates: Vec<&str>) -> Result<Option<String>, StepError> {
    for operation_id in candidates {
        let call = json!({"operation_id": operation_id});
        let owner = worker_watermark::call(env, &run.shop_domain, "whose", &call).await?;
        if owner["instance_id"]
            .as_str()
            .is_none_or(|owner| owner == run.instance_id)
        {
            return Ok(Some(operation_id.to_owned()));
        }
    }
    Ok(None)
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

/// Cancels those of `{operations}` that still run, so that a run that was stopped holds no place at Shopify: `{cancelled}`, how many.
pub async fn cancel(env: &Env, shop: &str, input: &Value) -> Result<Outcome, StepError> {
    let own: Vec<String> = serde_json::from_value(input["operations"].clone()).unwrap_or_default();
    let recent = call(env, shop, "RecentOperations", &json!({})).await?;
    let mut cancelled = 0;
    for id in running(&recent["bulkOperations"], &own) {
        let data = call(env, shop, "CancelOperation", &json!({"id": id})).await?;
        // Shopify refuses one that has ended meanwhile, which is as well.
        cancelled += i64::from(user_error(&data["bulkOperationCancel"]).is_none());
    }
    Ok(Outcome::of(json!({"cancelled": cancelled})))
}

/// Creates the subscriptions that are missing and removes those to an address of before: `{created, removed}`. One that Shopify
/// refuses costs the others nothing; they are all named at the end.
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
    // Known before the first one is made for it, or nobody would know whose it is after a later change.
    let known = worker_watermark::call(env, &run.shop_domain, "address", &json!({"uri": uri})).await?;
    let (mut names, mut refused) = (Vec::new(), Vec::new());
    for topic in missing {
        let name = enumeration(topic);
        match subscribe(env, run, &name, &uri).await? {
            Some(message) => refused.push(refusal(topic, &run.shop_domain, &message)),
            None => {
                console_warn!(
                    "{}: the subscription to {name} was missing; created again",
                    run.shop_domain
                );
                names.push(name);
            }
        }
    }
    let mut removed = 0_i64;
    for id in outdated(&edges, &uri, &known["addresses"]) {
        let data = call(env, &run.shop_domain, "Unsubscribe", &json!({"id": id})).await?;
        match user_error(&data["webhookSubscriptionDelete"]) {
            Some(error) if error.retry_after_millis.is_some() => return Err(error),
            Some(error) => refused.push(format!("{id} at {}: {}", run.shop_domain, error.detail)),
            None => {
                console_warn!("{}: {id} led to an address of before; removed", run.shop_domain);
                removed += 1;
            }
        }
    }
    if !refused.is_empty() {
        return Err(StepError::lasting("subscription_refused", refused.join(", ")));
    }
    let created = i64::try_from(names.len()).unwrap_or(i64::MAX);
    Ok(Outcome {
        output: json!({"created": names, "removed": removed}),
        counts: Counts {
            read: i64::try_from(edges.len()).ok(),
            upserted: Some(created),
            ..Counts::default()
        },
        ..Outcome::default()
    })
}

/// Creates a subscription, or returns why Shopify does not want it.
async fn subscribe(env: &Env, run: &Run, topic: &str, uri: &str) -> Result<Option<String>, StepError> {
    match call(env, &run.shop_domain, "Subscribe", &json!({"topic": topic, "uri": uri})).await {
        Ok(data) => match user_error(&data["webhookSubscriptionCreate"]) {
            Some(error) if error.retry_after_millis.is_some() => Err(error),
            error => Ok(error.map(|error| error.detail)),
        },
        Err(error) if error.kind == "access_denied" => Ok(Some(error.detail)),
        Err(error) => Err(error),
    }
}
