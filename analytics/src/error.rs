//! What can go wrong, and how HTTP says it.

use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use iceberg::ErrorKind;
use serde_json::json;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Failures of the lake, the pipeline and the measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From the Iceberg library or its catalog client.
    #[error("iceberg: {0}")]
    Iceberg(#[from] iceberg::Error),
    /// From Arrow: rows that do not fit the table's schema.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// From DuckDB.
    #[error("duckdb: {0}")]
    DuckDb(#[from] duckdb::Error),
    /// From the file system.
    #[error("io: {0}")]
    Io(#[from] std::io::Error),
    /// Text that is not the JSON expected.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// An HTTP call failed before it had an answer.
    #[error("http: {0}")]
    Http(#[from] reqwest::Error),
    /// A task of this process panicked or was cancelled.
    #[error("task: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Another process or catalog answered with an error.
    #[error("{status}: {message}")]
    Remote {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Every attempt to commit met a newer version of the table.
    #[error("{table}: still in conflict after {attempts} attempts")]
    Conflict {
        /// The table.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// What a change was computed from is no longer what the table holds.
    #[error(
        "{table}: another writer has changed its rows meanwhile, nothing of this change was committed; run it again"
    )]
    Overtaken {
        /// The table.
        table: String,
    },
    /// No or a wrong bearer token.
    #[error("missing or wrong bearer token")]
    Unauthorized,
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The request cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// The command line cannot be understood; nothing was done.
    #[error("{0}")]
    CommandLine(String),
    /// The body is larger than allowed.
    #[error("the body exceeds {0} bytes")]
    TooLarge(usize),
    /// The journal holds more uncommitted bytes than allowed; try again later.
    #[error("{0}")]
    Busy(String),
    /// There is no room for what has to be kept, until somebody makes some.
    #[error("{0}")]
    Full(String),
    /// A state that should not occur.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether the catalog has no such table, or no such namespace.
    #[must_use]
    pub fn is_for_want_of_the_table(&self) -> bool {
        use ErrorKind::{NamespaceNotFound, TableNotFound};
        matches!(self, Self::Iceberg(error) if matches!(error.kind(), TableNotFound | NamespaceNotFound))
    }

    /// HTTP status of this failure.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) | Self::CommandLine(_) | Self::Json(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Iceberg(_) if self.is_for_want_of_the_table() => StatusCode::NOT_FOUND,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Conflict { .. } | Self::Overtaken { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let answer = answer(self.status(), &self.to_string());
        match self {
            Self::Busy(_) => ([(header::RETRY_AFTER, "1")], answer).into_response(),
            Self::Unauthorized => ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response(),
            _ => answer,
        }
    }
}

/// The answer that says of a request why it failed.
pub(crate) fn answer(status: StatusCode, message: &str) -> Response {
    let error = json!({ "error": { "status": status.as_u16(), "message": message } });
    (status, Json(error)).into_response()
}
