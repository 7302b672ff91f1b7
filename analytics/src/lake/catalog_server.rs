//! The embedded Iceberg REST catalog: the part of the specification that pyiceberg, DuckDB and iceberg-rust use to read
//! and to write tables.
//!
//! On loopback it asks for no token, for reading or for commits, so that readers on the machine need none; so any account of
//! the machine may commit to its tables, whoever may read their files (docs/deploy.md). On any other address every call needs
//! the server's bearer token.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{header, HeaderMap};
use axum::middleware::{from_fn, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use iceberg::{NamespaceIdent, TableIdent};
use iceberg_catalog_rest::{
    CommitTableRequest, CommitTableResponse, CreateNamespaceRequest, CreateTableRequest, ListNamespaceResponse,
    ListTablesResponse, LoadTableResult, NamespaceResponse,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::catalog_error::CatalogError;
use super::catalog_store::{CatalogStore, Version};

/// A commit carries snapshots' summaries, not data.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// What clients may call, in the notation of the specification; they skip what is not listed.
const ENDPOINTS: [&str; 9] = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

type Store = State<Arc<CatalogStore>>;
type Reply = std::result::Result<Response, CatalogError>;

/// Says whether a request may pass.
pub type Guard = Arc<dyn Fn(&HeaderMap) -> crate::Result<()> + Send + Sync>;

/// Routes to nest under `/iceberg`. With a `guard` each request is shown to it first.
pub fn routes(store: Arc<CatalogStore>, guard: Option<Guard>) -> Router {
    Router::new()
        .route("/v1/config", get(config))
        .route("/v1/namespaces", get(namespaces).post(create_namespace))
        .route("/v1/namespaces/{namespace}", get(namespace))
        .route("/v1/namespaces/{namespace}/tables", get(tables).post(create_table))
        .route(
            "/v1/namespaces/{namespace}/tables/{table}",
            get(load_table).post(commit),
        )
        .fallback(|| async { CatalogError::Unsupported("not an endpoint of this catalog".into()) })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(move |request, next| admit(guard.clone(), request, next)))
        .with_state(store)
}

/// No reader of tables is a web page; a page that calls a catalog on the visitor's loopback is an attack.
async fn admit(guard: Option<Guard>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return CatalogError::Forbidden("not for web pages".into()).into_response();
    }
    match guard.map_or(Ok(()), |guard| guard(request.headers())) {
        Ok(()) => next.run(request).await,
        Err(error) => CatalogError::NotAuthorized(error.to_string()).into_response(),
    }
}

async fn config() -> Response {
    Json(json!({ "defaults": {}, "overrides": {}, "endpoints": ENDPOINTS })).into_response()
}

async fn namespaces(State(store): Store, query: axum::extract::Query<HashMap<String, String>>) -> Reply {
    // Namespaces have one level: nothing has children.
    if let Some(parent) = query.get("parent").filter(|parent| !parent.is_empty()) {
        let parent = parent.clone();
        run(store, move |store| store.namespace(&parent)).await?;
        return ok(&ListNamespaceResponse {
            namespaces: Vec::new(),
            next_page_token: None,
        });
    }
    let names = run(store, CatalogStore::namespaces).await?;
    ok(&ListNamespaceResponse {
        namespaces: names.into_iter().map(NamespaceIdent::new).collect(),
        next_page_token: None,
    })
}

async fn create_namespace(State(store): Store, body: axum::body::Bytes) -> Reply {
    let request: CreateNamespaceRequest = parse(&body)?;
    let [name] = request.namespace.as_ref().as_slice() else {
        return Err(CatalogError::BadRequest("namespaces have one level here".into()));
    };
    let (name, properties) = (name.clone(), request.properties.clone());
    run(store, move |store| store.create_namespace(&name, &properties)).await?;
    ok(&NamespaceResponse {
        namespace: request.namespace,
        properties: request.properties,
    })
}

async fn namespace(State(store): Store, Path(namespace): Path<String>) -> Reply {
    let name = namespace.clone();
    let properties = run(store, move |store| store.namespace(&name)).await?;
    ok(&NamespaceResponse {
        namespace: NamespaceIdent::new(namespace),
        properties,
    })
}

async fn tables(State(store): Store, Path(namespace): Path<String>) -> Reply {
    let name = namespace.clone();
    let names = run(store, move |store| store.tables(&name)).await?;
    let namespace = NamespaceIdent::new(namespace);
    ok(&ListTablesResponse {
        identifiers: names
            .into_iter()
            .map(|name| TableIdent::new(namespace.clone(), name))
            .collect(),
        next_page_token: None,
    })
}

async fn create_table(State(store): Store, Path(namespace): Path<String>, body: axum::body::Bytes) -> Reply {
    let request: CreateTableRequest = parse(&body)?;
    let version = run(store, move |store| store.create(&namespace, request)).await?;
    loaded(version)
}

async fn load_table(State(store): Store, Path((namespace, table)): Path<(String, String)>) -> Reply {
    loaded(run(store, move |store| store.load(&namespace, &table)).await?)
}

async fn commit(
    State(store): Store,
    Path((namespace, table)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Reply {
    let request: CommitTableRequest = parse(&body)?;
    let version = run(store, move |store| {
        store.commit(&namespace, &table, &request.requirements, request.updates)
    })
    .await?;
    ok(&CommitTableResponse {
        metadata_location: version.metadata_location,
        metadata: (*version.metadata).clone(),
    })
}

fn loaded(version: Version) -> Reply {
    ok(&LoadTableResult {
        metadata_location: Some(version.metadata_location),
        metadata: (*version.metadata).clone(),
        config: HashMap::new(),
        storage_credentials: None,
    })
}

/// Runs a blocking call of the store.
async fn run<T, F>(store: Arc<CatalogStore>, call: F) -> std::result::Result<T, CatalogError>
where
    T: Send + 'static,
    F: FnOnce(&CatalogStore) -> std::result::Result<T, CatalogError> + Send + 'static,
{
    tokio::task::spawn_blocking(move || call(&store))
        .await
        .map_err(|error| CatalogError::Corrupt(error.to_string()))?
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> std::result::Result<T, CatalogError> {
    serde_json::from_slice(body).map_err(|error| CatalogError::BadRequest(error.to_string()))
}

fn ok(body: &impl serde::Serialize) -> Reply {
    Ok(Json(serde_json::to_value(body).map_err(|error| CatalogError::Corrupt(error.to_string()))?).into_response())
}
