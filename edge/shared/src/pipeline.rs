//! The Pipelines binding, which the `worker` crate has no type for.
//!
//! Locally Cloudflare's own binding discards events, so there the same name is bound to an RPC class with the same
//! `send(events)`; this code cannot tell them apart, hence the unchecked cast.

use std::rc::Rc;

use js_sys::JSON;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Delay, Env, EnvBinding};

use crate::patience::Patience;
use crate::settings::stream_timeout;
use crate::stream::{StreamError, StreamSender};
use crate::versions::{candidates, StreamVersions};

#[wasm_bindgen]
extern "C" {
    // Compiles to `binding.send(rows)`. Nothing else works on an RPC stub: there every property is a remote method, so
    // `send.call(...)` would ask the receiver for a method named "call".
    type Sendable;

    #[wasm_bindgen(method, catch)]
    async fn send(this: &Sendable, rows: &JsValue) -> Result<JsValue, JsValue>;
}

/// A stream bound under a name such as `COMMERCE_TELEMETRY`.
#[derive(Debug, Clone)]
pub struct PipelineStream {
    binding: Pipeline,
    /// With it: one that never answers would hold a queue's consumer for its 15 minutes.
    patience: Rc<Patience>,
}

#[derive(Debug, Clone)]
#[repr(transparent)]
struct Pipeline(JsValue);

impl EnvBinding for Pipeline {
    const TYPE_NAME: &'static str = "Pipeline";

    // The class name differs between production, wrangler and an RPC stub, so it is not checked.
    fn get(value: JsValue) -> worker::Result<Self> {
        Ok(Self(value))
    }
}

impl JsCast for Pipeline {
    fn instanceof(value: &JsValue) -> bool {
        value.is_object()
    }

    fn unchecked_from_js(value: JsValue) -> Self {
        Self(value)
    }

    fn unchecked_from_js_ref(value: &JsValue) -> &Self {
        // SAFETY: repr(transparent) over JsValue.
        unsafe { &*std::ptr::from_ref(value).cast::<Self>() }
    }
}

impl AsRef<JsValue> for Pipeline {
    fn as_ref(&self) -> &JsValue {
        &self.0
    }
}

impl From<Pipeline> for JsValue {
    fn from(stream: Pipeline) -> Self {
        stream.0
    }
}

impl StreamSender for PipelineStream {
    async fn send(&self, batch: &str) -> Result<(), StreamError> {
        let rows = JSON::parse(batch).map_err(|error| failure(&error))?;
        let binding: &Sendable = self.binding.0.unchecked_ref();
        match self.patience.wait(Delay::from, binding.send(&rows)).await {
            Ok(outcome) => outcome.map(|_| ()).map_err(|error| failure(&error)),
            Err(silence) => Err(StreamError(silence.to_string())),
        }
    }
}

/// The bound versions of the stream `family`; one is enough, two are a dual send. Made for an invocation: one that does not answer it
/// in time is not asked by it again.
///
/// # Errors
/// When none is bound.
pub fn streams(env: &Env, family: &str) -> worker::Result<StreamVersions<PipelineStream>> {
    let timeout = stream_timeout(env);
    let stream = |binding| PipelineStream {
        binding,
        patience: Rc::new(Patience::new("the stream", timeout)),
    };
    StreamVersions::bound(family, |version| env.get_binding(&version.binding).ok().map(stream)).ok_or_else(|| {
        let names: Vec<_> = candidates(family)
            .iter()
            .map(|version| version.binding.as_str())
            .collect();
        worker::Error::RustError(format!("no stream is bound: {}", names.join(", ")))
    })
}

fn failure(error: &JsValue) -> StreamError {
    let message = error
        .dyn_ref::<js_sys::Error>()
        .map(|error| String::from(error.message()));
    StreamError(
        message
            .or_else(|| error.as_string())
            .unwrap_or_else(|| "send failed".into()),
    )
}
