//! The Analytics Engine binding.
//!
//! Locally Cloudflare's own binding keeps nothing, so there the same name is bound to an RPC class with the same
//! `writeDataPoint(point)`. The real one returns nothing and the RPC stub a promise, which is awaited. (The `worker` crate's
//! own type drops what is returned, and a call that nobody awaits ends with the request.)

use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{console_warn, Context, Env};

use crate::counters::{CounterSink, DataPoint};

#[wasm_bindgen(module = "/src/border.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = writePoint)]
    fn write_point(dataset: &JsValue, point: &str) -> Result<JsValue, JsValue>;
}

/// A dataset bound under a name such as `PUBLICATION_COUNTERS`; one that is not bound counts nothing.
#[derive(Debug, Clone)]
pub struct AnalyticsEngine(Option<JsValue>);

impl AnalyticsEngine {
    /// The dataset bound as `name`.
    #[must_use]
    pub fn bound(env: &Env, name: &str) -> Self {
        let binding = js_sys::Reflect::get(env, &JsValue::from_str(name)).ok();
        Self(binding.filter(|binding| !binding.is_undefined() && !binding.is_null()))
    }

    /// Writes the `points`, and leaves what is then still to be awaited to `context`: the answer never waits for it.
    pub fn write_beside(&self, context: &Context, points: impl FnOnce() -> Vec<DataPoint>) {
        if self.0.is_none() {
            return;
        }
        let calls = self.call(&points());
        // The real binding has taken the points by now.
        if !calls.is_empty() {
            context.wait_until(settle(calls));
        }
    }

    /// Makes all calls before any is awaited. Returns the promises among their results.
    fn call(&self, points: &[DataPoint]) -> Vec<Promise> {
        let Some(dataset) = &self.0 else { return vec![] };
        let call = |point: &DataPoint| {
            let text = serde_json::to_string(point).map_err(|error| JsValue::from_str(&error.to_string()));
            match text.and_then(|text| write_point(dataset, &text)) {
                Ok(returned) if returned.is_undefined() => None,
                Ok(returned) => Some(Promise::resolve(&returned)),
                Err(error) => {
                    console_warn!("counters: {error:?}");
                    None
                }
            }
        };
        points.iter().filter_map(call).collect()
    }
}

impl CounterSink for AnalyticsEngine {
    async fn write(&self, points: &[DataPoint]) {
        settle(self.call(points)).await;
    }
}

async fn settle(calls: Vec<Promise>) {
    for call in calls {
        if let Err(error) = JsFuture::from(call).await {
            console_warn!("counters: {error:?}");
        }
    }
}
