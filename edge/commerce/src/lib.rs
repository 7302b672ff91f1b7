//! The commerce Worker: Shopify webhooks in, PostgreSQL and the stream COMMERCE_TELEMETRY out.
//!
//! | step | where |
//! |---|---|
//! | a delivery is admitted or refused | [`admission`] |
//! | what travels on the queue, and when the body goes to R2 instead | [`message`] |
//! | a batch: one `weir.ingest`, the stream, one decision per message | [`consume`] |
//! | a finished bulk operation is told to the sync Worker | [`bulk_finish`] |
//! | what is counted in Analytics Engine | [`counting`] |
//! | what cannot be taken is kept, with the reason | [`quarantine`] |
//! | who is to be forgotten, and what of the edge's objects names them | [`redaction`] |
//! | what such an object holds | [`kept`] |
//! | lines of the raw archive without them | [`archived`] |
//! | interactions of the publication Worker's quarantine without them | [`interactions`] |
//! | who may list, see and replay the quarantine | [`weir_edge_shared::internal`] |
//! | how long R2, the queue and the sync Worker are waited for | [`weir_edge_shared::patience`] |
//! | when a failed message comes back | [`weir_edge_shared::backoff`] |
//! | bindings, routes and queue handlers (wasm32 only) | `worker_http`, `worker_internal`, `worker_queue`, `worker_redaction`, `bindings` |

pub mod admission;
pub mod archived;
pub mod bulk_finish;
pub mod consume;
pub mod counting;
pub mod interactions;
pub mod kept;
pub mod message;
pub mod quarantine;
pub mod redaction;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod worker_http;
#[cfg(target_arch = "wasm32")]
mod worker_internal;
#[cfg(target_arch = "wasm32")]
mod worker_queue;
#[cfg(target_arch = "wasm32")]
mod worker_redaction;
#[cfg(target_arch = "wasm32")]
mod worker_sync;

#[cfg(target_arch = "wasm32")]
mod entry {
    use weir_edge_shared::redelivery::decide_all;
    use worker::js_sys::Promise;
    use worker::wasm_bindgen::prelude::wasm_bindgen;
    use worker::wasm_bindgen::JsValue;
    use worker::web_sys::Request;
    use worker::{event, Context, Env, MessageBatch, Result};

    /// `event(fetch)` would make a future of every request.
    #[wasm_bindgen]
    pub fn fetch(request: Request, env: Env, context: worker::worker_sys::Context) -> Promise {
        crate::worker_http::route(request, env, context)
    }

    /// How webhooks are taken, or undefined before the first one was: what `entry.mjs` asks for.
    #[wasm_bindgen]
    #[must_use]
    pub fn intake() -> JsValue {
        crate::bindings::open_gate().map_or(JsValue::UNDEFINED, |gate| gate.intake.as_js().clone())
    }

    #[event(queue)]
    async fn queue(batch: MessageBatch<String>, env: Env, _context: Context) -> Result<()> {
        decide_all(batch, env, crate::worker_queue::handle).await;
        Ok(())
    }
}
