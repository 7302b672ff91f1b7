//! The measurement's HTTP surface. Everything needs the bearer token: sales are nobody else's business.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{json, Value};

use super::explain::Explanation;
use super::reads::{HistoryFilter, PerformanceFilter, SalesFilter};
use super::reconcile::{self, reconcile};
use super::refresh_route::run_refresh;
use super::what_if::{what_if, Answer, Question};
use super::{objective_store, reads};
use crate::server::App;
use crate::Result;

/// The measurement's HTTP routes, mounted at the root of `weir serve`.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/objective", post(publish_objective).get(list_objectives))
        .route("/v1/refresh", post(run_refresh))
        .route("/v1/sales", get(list_sales))
        .route("/v1/performance", get(list_performance))
        .route("/v1/explain", get(explain_product))
        .route("/v1/history", get(tell_history))
        .route("/v1/what-if", get(ask_what_if))
        .route("/v1/reconcile", post(compare_ledgers))
}

async fn publish_objective(State(app): State<Arc<App>>, Json(body): Json<Value>) -> Result<Json<Value>> {
    // Publishing reads, adds and overwrites; two at once would lose one.
    let _turn = app.refresh.lock().await;
    let held = objective_store::publish(&app.lake, &body).await?;
    Ok(Json(json!({ "objectives": held })))
}

async fn list_objectives(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    Ok(Json(json!({ "objectives": objective_store::load(&app.lake).await? })))
}

async fn list_sales(State(app): State<Arc<App>>, Query(filter): Query<SalesFilter>) -> Result<Json<Value>> {
    Ok(Json(json!({ "sales": reads::sales(&app.lake, filter).await? })))
}

async fn list_performance(State(app): State<Arc<App>>, Query(filter): Query<PerformanceFilter>) -> Result<Json<Value>> {
    Ok(Json(
        json!({ "performance": reads::performance_told(&app.lake, filter).await? }),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainFilter {
    shop: Option<String>,
    product: String,
    day: Option<String>,
    /// RFC 3339: the answer as it was given then.
    as_of: Option<String>,
}

async fn explain_product(
    State(app): State<Arc<App>>,
    Query(filter): Query<ExplainFilter>,
) -> Result<Json<Explanation>> {
    let snapshot = match filter.as_of {
        Some(text) => Some(reads::performance_snapshot(&app.lake, reads::instant("as_of", &text)?).await?),
        None => None,
    };
    let product = reads::ProductFilter {
        shop: filter.shop,
        day: filter.day,
        product: filter.product,
        snapshot,
    };
    Ok(Json(reads::explanation(&app.lake, product).await?))
}

async fn tell_history(State(app): State<Arc<App>>, Query(filter): Query<HistoryFilter>) -> Result<Json<Value>> {
    let product = reads::product_id(filter.product.clone());
    let history = reads::history(&app.lake, filter).await?;
    Ok(Json(json!({
        "shop_domain": history[0]["shop_domain"],
        "product_id": product,
        "history": history,
    })))
}

async fn compare_ledgers(State(app): State<Arc<App>>, body: String) -> Result<Json<reconcile::Answer>> {
    let told = serde_json::from_str(&body)?;
    // What is acknowledged and on its way into the lake is not missing there.
    app.pipelines.flush().await?;
    Ok(Json(reconcile(&app.lake, told).await?))
}

async fn ask_what_if(State(app): State<Arc<App>>, Query(question): Query<Question>) -> Result<Json<Answer>> {
    // Refused before the lake is read.
    question.replaced()?;
    // Another measure is read from a second table; a refresh in between would give it another state than the first.
    let _turn = match question.measure {
        Some(_) => Some(app.refresh.lock().await),
        None => None,
    };
    let (shop, day) = (question.shop.clone(), question.day.clone());
    let rows = reads::facts(&app.lake, shop.clone(), day.clone()).await?;
    let windows = match question.measure {
        Some(_) => reads::windows(&app.lake, shop, day).await?,
        None => Vec::new(),
    };
    let specifications = objective_store::load(&app.lake).await?;
    Ok(Json(what_if(&rows, &windows, &specifications, &question)?))
}
