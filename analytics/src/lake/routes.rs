//! `/v1/lake/...`: listing, upkeep and queries, behind the server's token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use iceberg::TableIdent;
use serde::Deserialize;
use serde_json::{json, Value};

use super::maintain::Upkeep;
use crate::server::App;
use crate::{Error, Result};

/// Routes to merge into the server's.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/lake/tables", get(tables))
        .route("/v1/lake/snapshots", get(snapshots))
        .route("/v1/lake/compact", post(compact))
        .route("/v1/lake/expire", post(expire))
        .route("/v1/lake/orphans", post(orphans))
        .route("/v1/lake/sql", post(sql))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    table: String,
}

/// Body of the calls that change something; without `table` they go over all of weir's tables.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Work {
    table: Option<String>,
    keep_hours: Option<u64>,
    keep_last: Option<usize>,
    min_files: Option<usize>,
    older_than_hours: Option<u64>,
    delete: bool,
}

impl Work {
    fn read(body: &Bytes) -> Result<Self> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| Error::Invalid(format!("the body: {error}")))
    }

    fn tables(&self, app: &App) -> Result<Vec<TableIdent>> {
        match &self.table {
            Some(name) => Ok(vec![ident(name)?]),
            None => Ok(app.tables.clone()),
        }
    }

    fn upkeep(&self) -> Upkeep {
        let mut upkeep = Upkeep::keeping(self.keep_hours, self.keep_last);
        if let Some(files) = self.min_files {
            upkeep.min_files = files;
        }
        upkeep
    }
}

fn ident(name: &str) -> Result<TableIdent> {
    match name.split_once('.') {
        Some((namespace, table)) if !namespace.is_empty() && !table.is_empty() && !table.contains('.') => {
            Ok(TableIdent::from_strs([namespace, table])?)
        }
        _ => Err(Error::Invalid(format!("{name:?} is not namespace.table"))),
    }
}

/// What fails for want of the table says which.
fn about(table: &TableIdent) -> impl Fn(Error) -> Error + '_ {
    move |error| match error.is_for_want_of_the_table() {
        true => Error::NotFound(format!("the lake has no table {table}; `weir lake tables` lists them")),
        false => error,
    }
}

async fn tables(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    let mut summaries = Vec::new();
    for table in app.lake.tables().await? {
        summaries.push(app.lake.summary(&table).await?);
    }
    Ok(Json(json!({ "tables": summaries })))
}

async fn snapshots(State(app): State<Arc<App>>, query: Query<Named>) -> Result<Json<Value>> {
    let table = ident(&query.table)?;
    let snapshots = app.lake.snapshots(&table).await.map_err(about(&table))?;
    Ok(Json(json!({ "table": query.table, "snapshots": snapshots })))
}

async fn compact(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>> {
    let work = Work::read(&body)?;
    let mut done = serde_json::Map::new();
    for table in work.tables(&app)? {
        let merged = app.merge(&table, work.upkeep()).await.map_err(about(&table))?;
        done.insert(table.to_string(), serde_json::to_value(merged)?);
    }
    Ok(Json(json!({ "tables": done })))
}

async fn expire(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>> {
    let work = Work::read(&body)?;
    let mut done = serde_json::Map::new();
    for table in work.tables(&app)? {
        let upkeep = match work.keep_hours {
            Some(_) => work.upkeep(),
            None => app.keeping_answers(&table, work.upkeep()),
        };
        let (snapshots_expired, files_deleted) = app.expire(&table, upkeep).await.map_err(about(&table))?;
        let counts = json!({ "snapshots_expired": snapshots_expired, "files_deleted": files_deleted });
        done.insert(table.to_string(), counts);
    }
    Ok(Json(json!({ "tables": done })))
}

async fn orphans(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>> {
    let work = Work::read(&body)?;
    let age = Duration::from_secs(work.older_than_hours.unwrap_or(72).saturating_mul(3600));
    let _alone = app.refresh.lock().await;
    let mut found = serde_json::Map::new();
    for table in work.tables(&app)? {
        let orphans = app
            .lake
            .orphans(&table, age, work.delete)
            .await
            .map_err(about(&table))?;
        found.insert(table.to_string(), json!(orphans));
    }
    Ok(Json(json!({ "deleted": work.delete, "tables": found })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sql {
    sql: String,
}

async fn sql(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>> {
    let request: Sql = serde_json::from_slice(&body)?;
    let answer = tokio::select! {
        answer = app.lake.query(&request.sql, app.sql_limit) => answer?,
        () = app.stopping() => return Err(Error::Busy("the server ends".into())),
    };
    Ok(Json(serde_json::to_value(answer)?))
}
