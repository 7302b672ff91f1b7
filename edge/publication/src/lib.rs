//! The publication Worker: what visitors do with published items, to the stream PUBLICATION_TELEMETRY, to counters, and,
//! where it concerns the domain, to PostgreSQL.
//!
//! | step | where |
//! |---|---|
//! | a request's body or query becomes events, each read or refused alone | [`batch`], [`query`] |
//! | shop, token, catalogue, row; one verdict per event | [`prepare`] |
//! | stream and queue at the same time, and what is promised | [`mod@publish`] |
//! | a redirect's signature and its goal | [`redirect`] |
//! | the catalogue in this isolate's memory | [`cache`] |
//! | what travels on the queue | [`message`] |
//! | the consumer: `weir.record_interactions`, COMMERCE_TELEMETRY | [`consume`] |
//! | what cannot be taken is kept, with the reason | [`quarantine`] |
//! | the browser's half | `snippet.js` |
//! | bindings, routes, queue, cron (wasm32 only) | `bindings`, `worker_*` |

pub mod batch;
pub mod cache;
pub mod consume;
pub mod message;
pub mod prepare;
pub mod publish;
pub mod quarantine;
pub mod query;
pub mod redirect;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod worker_catalogue;
#[cfg(target_arch = "wasm32")]
mod worker_events;
#[cfg(target_arch = "wasm32")]
mod worker_http;
#[cfg(target_arch = "wasm32")]
mod worker_internal;
#[cfg(target_arch = "wasm32")]
mod worker_queue;
#[cfg(target_arch = "wasm32")]
mod worker_redirect;
#[cfg(target_arch = "wasm32")]
mod worker_request;

#[cfg(target_arch = "wasm32")]
mod entry {
    use weir_edge_shared::redelivery::decide_all;
    use worker::{event, Context, Env, MessageBatch, Request, Response, Result, ScheduleContext, ScheduledEvent};

    #[event(fetch)]
    async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
        crate::worker_http::route(request, env, context).await
    }

    #[event(queue)]
    async fn queue(batch: MessageBatch<String>, env: Env, _context: Context) -> Result<()> {
        decide_all(batch, env, crate::worker_queue::handle).await;
        Ok(())
    }

    #[event(scheduled)]
    async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
        crate::worker_catalogue::refresh_all(&env).await;
    }
}
