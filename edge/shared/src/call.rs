//! How the edge reaches the other functions of schema `weir`.

use std::future::Future;

use crate::ingest::IngestError;
use crate::sql::Argument;

/// Calls of PostgreSQL: Hyperdrive in the Worker, a fault-injecting fake in tests.
pub trait CallTransport {
    /// Calls `function` (schema included; a name of ours) once with `arguments` and returns its one text.
    ///
    /// # Errors
    /// [`IngestError`] when it failed; then it is unknown whether it was committed.
    fn call(&self, function: &str, arguments: &[Argument<'_>]) -> impl Future<Output = Result<String, IngestError>>;
}

#[cfg(target_arch = "wasm32")]
impl CallTransport for crate::hyperdrive::HyperdriveTransport {
    async fn call(&self, function: &str, arguments: &[Argument<'_>]) -> Result<String, IngestError> {
        Self::call(self, function, arguments).await
    }
}
