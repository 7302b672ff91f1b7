//! The sync Worker: reads Shopify in bulk into PostgreSQL and the streams, and keeps how far it got.
//!
//! JavaScript (`entry.mjs`, `workflows/`) says which step comes next, since the Workflows runtime replays it; each step is
//! one call of `/internal/step/{name}`, which is here.
//!
//! | what | where |
//! |---|---|
//! | what a step is given, gives back, and how it fails | [`step`] |
//! | SYNC_TELEMETRY of a step | [`telemetry`] |
//! | the queries, and the one API version | [`queries`] |
//! | what an answer of the Admin API means | [`admin`] |
//! | the token that opens a shop | [`token`] |
//! | which access scope what needs | [`scopes`] |
//! | states of a bulk operation | [`operation`] |
//! | lines: parted, counted, parents whose children were cut | [`jsonl`] |
//! | the rest of a cut connection | [`rest`] |
//! | a chunk into PostgreSQL, with what was rejected | [`upsert`] |
//! | events of a run, on their way to the stream | [`settle`] |
//! | may the watermark move? | [`agree`] |
//! | what a replay may read | [`replay`] |
//! | what an answer of the lake means | [`lake`] |
//! | what was deleted at Shopify without a webhook that arrived | [`deletion`] |
//! | does PostgreSQL take the shop, since when, and for what it is? | [`registration`] |
//! | webhook subscriptions that are missing | [`subscriptions`] |
//! | bindings, routes, steps, watermark object (wasm32 only) | `bindings`, `worker_*`, `watermark_object` |

pub mod admin;
pub mod agree;
pub mod deletion;
pub mod jsonl;
pub mod lake;
pub mod operation;
pub mod queries;
pub mod registration;
pub mod replay;
pub mod rest;
pub mod scopes;
pub mod settle;
pub mod step;
pub mod subscriptions;
pub mod telemetry;
pub mod token;
pub mod upsert;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod watermark_object;
#[cfg(target_arch = "wasm32")]
mod worker_admin;
#[cfg(target_arch = "wasm32")]
mod worker_archive;
#[cfg(target_arch = "wasm32")]
mod worker_copy;
#[cfg(target_arch = "wasm32")]
mod worker_deletion;
#[cfg(target_arch = "wasm32")]
mod worker_http;
#[cfg(target_arch = "wasm32")]
mod worker_lake;
#[cfg(target_arch = "wasm32")]
mod worker_postgres;
#[cfg(target_arch = "wasm32")]
mod worker_replay;
#[cfg(target_arch = "wasm32")]
mod worker_shopify;
#[cfg(target_arch = "wasm32")]
mod worker_watermark;

#[cfg(target_arch = "wasm32")]
mod entry {
    use worker::{event, Context, Env, Request, Response, Result};

    #[event(fetch)]
    async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
        crate::worker_http::route(request, env).await
    }
}
