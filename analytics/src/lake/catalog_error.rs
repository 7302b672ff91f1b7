//! Why the embedded catalog refuses, and how it says so.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::json;

/// Why the catalog refuses; each is one error type of the REST specification.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoSuchNamespace(String),
    /// There is no such table.
    #[error("there is no table {0}")]
    NoSuchTable(String),
    /// The token is absent or another.
    #[error("{0}")]
    NotAuthorized(String),
    /// Whatever the token.
    #[error("{0}")]
    Forbidden(String),
    /// Namespace or table exists.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// A requirement of the commit does not hold any more.
    #[error("{0}")]
    CommitFailed(String),
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The request asks for what this catalog does not do.
    #[error("{0}")]
    Unsupported(String),
    /// The file system failed.
    #[error("the catalog's files: {0}")]
    Io(#[from] std::io::Error),
    /// A file of the catalog does not hold what it should.
    #[error("the catalog's files: {0}")]
    Corrupt(String),
}

impl IntoResponse for CatalogError {
    /// The error shape of the REST specification.
    fn into_response(self) -> Response {
        let (status, kind) = match &self {
            Self::NoSuchNamespace(_) => (StatusCode::NOT_FOUND, "NoSuchNamespaceException"),
            Self::NoSuchTable(_) => (StatusCode::NOT_FOUND, "NoSuchTableException"),
            Self::NotAuthorized(_) => (StatusCode::UNAUTHORIZED, "NotAuthorizedException"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "ForbiddenException"),
            Self::AlreadyExists(_) => (StatusCode::CONFLICT, "AlreadyExistsException"),
            Self::CommitFailed(_) => (StatusCode::CONFLICT, "CommitFailedException"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequestException"),
            Self::Unsupported(_) => (StatusCode::NOT_ACCEPTABLE, "UnsupportedOperationException"),
            Self::Io(_) | Self::Corrupt(_) => (StatusCode::INTERNAL_SERVER_ERROR, "CommitStateUnknownException"),
        };
        let error = json!({ "message": self.to_string(), "type": kind, "code": status.as_u16() });
        (status, Json(json!({ "error": error }))).into_response()
    }
}
