//! The HTTP surface of `weir serve`: state, routing, start and stop.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{header, HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use iceberg::TableIdent;
use serde_json::{json, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_domain::webhook::is_secret;

use crate::lake::catalog_store::CatalogStore;
use crate::lake::maintain::{Done, Merged, Upkeep};
use crate::lake::{catalog_server, tables, CatalogConfig, Lake, TableDefinition};
use crate::pipeline::ingest::{Verdicts, MAX_BODY_BYTES};
use crate::pipeline::{Limits, Pipelines};
use crate::say::note;
use crate::{error, measurement, Error, Result};

/// How to run the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the lake, the journal, the quarantine and the catalog.
    pub warehouse: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bearer token of everything under /v1.
    pub token: String,
    /// Objective specification to publish at start.
    pub objective: Option<PathBuf>,
    /// Another catalog, with the object storage of its tables; the embedded one over local folders if absent.
    pub catalog: Option<CatalogConfig>,
    /// Folder with the streams' SQL; the one checked in if absent.
    pub pipelines: Option<PathBuf>,
    /// How old a journaled row may become before it is committed.
    pub commit_interval: Duration,
    /// Journal bytes of a stream at which a commit happens early.
    pub roll_bytes: u64,
    /// Uncommitted journal bytes above which new rows are refused, see [`Limits::backlog_bytes`].
    pub backlog_bytes: u64,
    /// How far back answers of the past can be given again.
    pub as_of: Duration,
    /// How long a select of `weir lake sql` may take.
    pub sql_limit: Duration,
}

/// What every handler sees.
#[derive(Debug)]
pub struct App {
    /// The tables.
    pub lake: Arc<Lake>,
    /// The streams.
    pub pipelines: Pipelines,
    /// Tables that are kept in shape.
    pub tables: Vec<TableIdent>,
    /// Held for the length of a refresh: refreshes of one lake run one after another.
    pub refresh: tokio::sync::Mutex<()>,
    /// How long a select of `weir lake sql` may take.
    pub sql_limit: Duration,
    /// Whether the server ends.
    stopping: watch::Receiver<bool>,
    as_of: Duration,
    token: String,
}

impl App {
    /// Checks `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the token is absent or another.
    pub fn authorise(&self, headers: &HeaderMap) -> Result<()> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(given) if is_secret(given.as_bytes(), self.token.as_bytes()) => Ok(()),
            _ => Err(Error::Unauthorized),
        }
    }
}

impl App {
    /// Waits until the server ends.
    pub async fn stopping(&self) {
        // An error means that the server is gone.
        let _ = self.stopping.clone().wait_for(|stop| *stop).await;
    }

    /// Merges small files and expires old snapshots of every table. What was done, by table.
    ///
    /// # Errors
    /// Of the first table where it fails; all others are done.
    pub async fn maintain(&self, upkeep: Upkeep) -> Result<BTreeMap<String, Done>> {
        self.maintain_each(|_| upkeep).await
    }

    /// As [`Self::maintain`], but what was said of products stays readable for as long as the server was told.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub async fn keep_in_shape(&self, upkeep: Upkeep) -> Result<BTreeMap<String, Done>> {
        self.maintain_each(|table| self.keeping_answers(table, upkeep)).await
    }

    /// Upkeep of a table that lets answers of the past be given again.
    #[must_use]
    pub fn keeping_answers(&self, table: &TableIdent, mut upkeep: Upkeep) -> Upkeep {
        if *table == measurement::tables::performance() {
            upkeep.keep_for = upkeep.keep_for.max(self.as_of);
        }
        upkeep
    }

    async fn maintain_each(&self, upkeep: impl Fn(&TableIdent) -> Upkeep) -> Result<BTreeMap<String, Done>> {
        let (mut done, mut failed) = (BTreeMap::new(), None);
        for table in &self.tables {
            match self.maintain_one(table, upkeep(table)).await {
                Ok(of_table) => {
                    done.insert(table.to_string(), of_table);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn maintain_one(&self, table: &TableIdent, upkeep: Upkeep) -> Result<Done> {
        let merged = self.merge(table, upkeep).await?;
        Ok(merged.and_expired(self.expire(table, upkeep).await?))
    }

    /// Merges small files and many manifests of a table while no refresh runs. Between two tables one that waits has its turn.
    ///
    /// # Errors
    /// As [`Lake::merge`].
    pub async fn merge(&self, table: &TableIdent, upkeep: Upkeep) -> Result<Merged> {
        let _turn = self.refresh.lock().await;
        self.lake.merge(table, upkeep).await
    }

    /// Expires old snapshots of a table and deletes what only they needed; how many snapshots, and how many files.
    ///
    /// # Errors
    /// As [`Lake::expire`].
    pub async fn expire(&self, table: &TableIdent, upkeep: Upkeep) -> Result<(usize, usize)> {
        // A refresh reads the files of snapshots that it found when it began: none goes while one runs. The next finds only
        // those that stay, and need not wait until the manifests of all are read.
        let turn = self.refresh.lock().await;
        let expired = self.lake.expire_snapshots(table, upkeep).await?;
        drop(turn);
        expired.delete_files().await
    }

    async fn maintain_for_ever(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            ticks.tick().await;
            if let Err(error) = self.keep_in_shape(Upkeep::default()).await {
                note!("upkeep: {error}");
            }
        }
    }
}

/// A running server. Dropping it ends it as a crash would: what is journaled stays in the journal.
#[derive(Debug)]
pub struct Server {
    url: String,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    /// Committers and upkeep.
    tasks: Vec<JoinHandle<()>>,
    /// Two servers on one warehouse would each believe to order its commits.
    _lock: File,
}

impl Server {
    /// Binds, creates absent tables, takes over the journal segments of an earlier run, and serves.
    ///
    /// # Errors
    /// If the warehouse is in use or cannot be used, or the address is taken, or the catalog refuses.
    pub async fn start(config: Config) -> Result<Self> {
        if config.token.is_empty() {
            return Err(Error::Invalid("the token is empty".into()));
        }
        let unusable = |error| Error::Invalid(format!("--warehouse {}: {error}", config.warehouse.display()));
        std::fs::create_dir_all(&config.warehouse).map_err(unusable)?;
        let warehouse = config.warehouse.canonicalize().map_err(unusable)?;
        let lock = File::create(warehouse.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::Invalid(format!("{} is in use", warehouse.display())),
            TryLockError::Error(error) => unusable(error),
        })?;

        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .map_err(|error| Error::Invalid(format!("--listen {}: {error}", config.listen)))?;
        let url = format!("http://{}", listener.local_addr()?);
        let open = listener.local_addr()?.ip().is_loopback();
        let catalog_uri = config.catalog.as_ref().map(|catalog| catalog.uri.clone());
        let (lake, embedded) = match config.catalog {
            Some(catalog) => (Lake::connect(catalog).await?, None),
            None => {
                let token = (!open).then(|| config.token.clone());
                let embedded = Arc::new(CatalogStore::open(&warehouse)?);
                (Lake::new(&format!("{url}/iceberg"), token).await?, Some(embedded))
            }
        };
        // The warehouse is this server's alone: what is there was left by one that was killed.
        let spill = warehouse.join("spill");
        match std::fs::remove_dir_all(&spill) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&spill)?,
        }
        let lake = Arc::new(lake.spilling_below(spill));
        let limits = Limits {
            commit_interval: config.commit_interval,
            roll_bytes: config.roll_bytes,
            backlog_bytes: config.backlog_bytes,
        };
        let (pipelines, committers) = Pipelines::open(&warehouse, &lake, limits, config.pipelines.as_deref())?;
        let definitions = definitions()?;
        let (stop, mut stopped) = watch::channel(false);
        let app = Arc::new(App {
            lake,
            pipelines,
            tables: definitions.iter().map(|definition| definition.ident.clone()).collect(),
            refresh: tokio::sync::Mutex::new(()),
            sql_limit: config.sql_limit,
            stopping: stopped.clone(),
            as_of: config.as_of,
            token: config.token,
        });

        let guard = (!open).then(|| {
            let app = app.clone();
            Arc::new(move |headers: &HeaderMap| app.authorise(headers)) as catalog_server::Guard
        });
        let mut router = router(app.clone());
        if let Some(embedded) = embedded {
            router = router.nest("/iceberg", catalog_server::routes(embedded, guard));
        }
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            // An error means that the sender is gone, which ends the server too.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        let server = Self {
            url,
            app,
            stop,
            serving: tokio::spawn(serving.into_future()),
            tasks: committers,
            _lock: lock,
        };
        server.check_catalog(catalog_uri, &definitions[0].ident).await?;
        server.prepare(&definitions, config.objective).await?;
        Ok(server)
    }

    /// Another catalog is asked first of all: what is wrong with it is most likely its address or the token. It is asked for one
    /// of weir's tables, as always afterwards, for the token may be for no others.
    async fn check_catalog(&self, uri: Option<String>, table: &TableIdent) -> Result<()> {
        let Some(uri) = uri else { return Ok(()) };
        match self.app.lake.load(table).await {
            Err(error) if !error.is_for_want_of_the_table() => Err(Error::Invalid(format!(
                "the catalog at {uri} does not say whether it has {table}; is it up, are its address and token right \
                 (--catalog-uri or --r2-catalog, --catalog-token or --catalog-credential)? {error}"
            ))),
            _ => Ok(()),
        }
    }

    /// Tables, then what an earlier run left behind, then the objective given on the command line.
    async fn prepare(&self, definitions: &[TableDefinition], objective: Option<PathBuf>) -> Result<()> {
        for definition in definitions {
            self.app.lake.ensure_table(definition).await?;
        }
        // What cannot be committed now stays in its journal and is tried again: no other stream has to wait for it.
        if let Err(error) = self.app.pipelines.flush().await {
            note!("rows of an earlier run wait in the journal: {error}");
        }
        measurement::start(&self.app, objective.as_deref()).await
    }

    /// Keeps the tables in shape every `interval`, see [`App::maintain`].
    pub fn maintain_every(&mut self, interval: Duration) {
        let upkeep = self.app.clone().maintain_for_ever(interval);
        self.tasks.push(tokio::spawn(upkeep));
    }

    /// `http://host:port` it listens on.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// State, for callers that look behind the HTTP surface.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Refuses new rows, commits what is journaled, and ends.
    ///
    /// # Errors
    /// If the last commit fails; its rows stay in the journal for the next start.
    pub async fn stop(mut self) -> Result<()> {
        self.app.pipelines.close();
        let flushed = self.app.pipelines.flush().await;
        self.stop.send_replace(true);
        // Connections kept alive by clients are closed when idle; a request that hangs is not waited for.
        let served = tokio::time::timeout(Duration::from_secs(10), async {
            // Nobody may wait for a replay any more; nothing is journaled from here on, so that one ends.
            self.app.pipelines.quarantines_at_rest().await;
            (&mut self.serving).await
        });
        if let Ok(served) = served.await {
            served??;
        }
        flushed.map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn definitions() -> Result<Vec<TableDefinition>> {
    let mut definitions = measurement::tables::definitions()?;
    for stream in weir_domain::telemetry::all() {
        definitions.push(tables::stream_definition(&stream)?);
    }
    Ok(definitions)
}

/// What is asked is held in memory: enough for the figures of half a million orders in one `POST /v1/reconcile`.
const MAX_QUESTION_BYTES: usize = 64 << 20;

fn router(app: Arc<App>) -> Router {
    let questions = Router::new()
        .route("/v1/flush", post(flush))
        .route("/v1/maintain", post(maintain))
        .merge(crate::lake::routes::routes())
        .merge(crate::pipeline::replay::routes())
        .merge(measurement::routes())
        .layer(DefaultBodyLimit::max(MAX_QUESTION_BYTES))
        .route_layer(middleware::from_fn_with_state(app.clone(), answer));
    Router::new()
        .route("/healthz", get(health))
        .route("/v1/streams/{stream}", post(ingest))
        .merge(questions)
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .with_state(app)
}

/// Who asks is told nothing without the token, also not what is wrong with the question; and every refusal is JSON.
async fn answer(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response> {
    app.authorise(request.headers())?;
    let response = next.run(request).await;
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_text {
        return Ok(response);
    }
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Err(Error::TooLarge(MAX_QUESTION_BYTES));
    }
    let status = response.status();
    let text = axum::body::to_bytes(response.into_body(), MAX_REFUSAL_BYTES).await;
    let text = text.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(error::answer(status, &String::from_utf8_lossy(&text)))
}

/// What axum says of a question it cannot read is short.
const MAX_REFUSAL_BYTES: usize = 1 << 16;

async fn unknown(uri: Uri) -> Error {
    Error::NotFound(format!("there is no {} here", uri.path()))
}

async fn other_method(method: Method, uri: Uri) -> Response {
    let said = format!("{} does not take {method}", uri.path());
    error::answer(StatusCode::METHOD_NOT_ALLOWED, &said)
}

async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    let streams = app.pipelines.backlog_bytes();
    let all: u64 = streams.values().sum();
    Json(json!({ "status": "ok", "backlog_bytes": all, "backlog_bytes_by_stream": streams }))
}

async fn ingest(State(app): State<Arc<App>>, Path(stream): Path<String>, request: Request) -> Result<Json<Verdicts>> {
    let admitted = app
        .authorise(request.headers())
        .and_then(|()| app.pipelines.stream(&stream).map(drop));
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let room = admitted.and_then(|()| {
        app.pipelines
            .admit(length.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES))
    });
    let limit = if room.is_ok() { MAX_BODY_BYTES } else { 0 };
    let body = read(request.into_body(), length.unwrap_or(0), limit).await;
    let _room = room?;
    Ok(Json(app.pipelines.ingest(&stream, body?).await?))
}

/// Reads a body of at most `limit` bytes, of which the sender announced so many. The rest of a larger one is read too, up
/// to a bound, and forgotten: a client that is still sending when the connection closes does not see the answer.
async fn read(body: axum::body::Body, announced: usize, limit: usize) -> Result<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let mut kept = Vec::with_capacity(announced.min(limit));
    let mut length = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::Invalid(format!("the body broke off: {error}")))?;
        length += chunk.len();
        if length <= limit {
            kept.extend_from_slice(&chunk);
        } else {
            kept = Vec::new();
            if length > 4 * MAX_BODY_BYTES {
                break;
            }
        }
    }
    if length > limit {
        return Err(Error::TooLarge(limit));
    }
    Ok(kept)
}

async fn flush(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    Ok(Json(json!({ "committed": app.pipelines.flush().await? })))
}

/// Body of `POST /v1/maintain`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintain {
    keep_hours: Option<u64>,
    keep_last: Option<usize>,
}

async fn maintain(State(app): State<Arc<App>>, body: axum::body::Bytes) -> Result<Json<Value>> {
    let request: Maintain = if body.is_empty() {
        Maintain::default()
    } else {
        serde_json::from_slice(&body)?
    };
    let upkeep = Upkeep::keeping(request.keep_hours, request.keep_last);
    let done = match request.keep_hours {
        None => app.keep_in_shape(upkeep).await?,
        Some(_) => app.maintain(upkeep).await?,
    };
    Ok(Json(json!({ "tables": done })))
}
