//! The harness: starts the real parts on free ports, plays Shopify, and stops everything on drop.
//!
//! - [`service`]: a child process that cannot outlive the test that started it
//! - [`postgres`]: a temporary cluster with the extension, one template database, a copy per test
//! - [`lake`]: `weir serve`  - [`workerd`]: the commerce Worker in workerd  - [`stack`]: all of them together
//! - [`gate`]: holds back what goes through it, so that a kill falls between two steps
//! - [`glossary`]: the part of GLOSSARY.md that is generated
//! - [`shop`]: a made-up shop's history as signed webhook deliveries, with the sales it must lead to
//! - [`bulk_jsonl`]: the same shop as the JSONL lines of Shopify's bulk operations
//! - [`publication`]: the publication Worker in workerd, with a publisher's catalogue
//! - [`sync`]: the sync Worker in workerd, and Shopify's Admin API played beside it
//! - [`told_rows`]: what PostgreSQL keeps, to compare who told it

#![recursion_limit = "256"] // one json! literal is a whole Shopify order

mod bulk_agreements;
pub mod bulk_jsonl;
pub mod gate;
pub mod glossary;
pub mod lake;
pub mod postgres;
pub mod process;
pub mod publication;
pub mod service;
pub mod shop;
pub mod shopify_body;
pub mod stack;
pub mod sync;
pub mod told_rows;
pub mod workerd;

/// What the harness reports when a part cannot be started or does not answer: what, where, what to do.
#[derive(Debug)]
pub struct HarnessError(pub String);

impl std::fmt::Display for HarnessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HarnessError {}

/// The checkout that is being tested. Asked at run time, not baked in when compiling: a build directory may be shared by
/// several clones, and the one that compiled this may be gone.
///
/// # Errors
/// When neither cargo nor `scripts/env.sh` set the environment.
pub fn workspace_root() -> Result<std::path::PathBuf> {
    if let Some(root) = std::env::var_os("WEIR_ROOT") {
        return Ok(root.into());
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    let root = package.as_deref().and_then(std::path::Path::parent);
    root.map(Into::into)
        .ok_or_else(|| failed("WEIR_ROOT is not set; use `make`, or `. scripts/env.sh` first"))
}

/// Result of harness calls.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Shorthand for a [`HarnessError`].
pub fn failed(message: impl Into<String>) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(HarnessError(message.into()))
}
