//! The Analytics Engine binding.
//!
//! Locally Cloudflare's own binding keeps nothing, so there the same name is bound to an RPC class with the same
//! `writeDataPoint(point)`. The real one returns nothing and the RPC stub a promise; awaiting takes both. (The `worker`
//! crate's own type drops what is returned, and a call that nobody awaits ends with the request.)

use js_sys::{Promise, JSON};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{console_warn, Env};

use crate::counters::{CounterSink, DataPoint};

#[wasm_bindgen]
extern "C" {
    // Compiles to `binding.writeDataPoint(point)`; see `pipeline` for why nothing else works on an RPC stub.
    type Dataset;

    #[wasm_bindgen(method, catch, js_name = writeDataPoint)]
    fn write_data_point(this: &Dataset, point: &JsValue) -> Result<JsValue, JsValue>;
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
}

impl CounterSink for AnalyticsEngine {
    async fn write(&self, points: &[DataPoint]) {
        let Some(binding) = &self.0 else { return };
        let dataset: &Dataset = binding.unchecked_ref();
        // All calls are made before the first is awaited.
        let calls: Vec<_> = points.iter().map(|point| call(dataset, point)).collect();
        for outcome in calls {
            let outcome = match outcome {
                Ok(returned) => JsFuture::from(Promise::resolve(&returned)).await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                console_warn!("counters: {error:?}");
            }
        }
    }
}

fn call(dataset: &Dataset, point: &DataPoint) -> Result<JsValue, JsValue> {
    let text = serde_json::to_string(point).map_err(|error| JsValue::from_str(&error.to_string()))?;
    dataset.write_data_point(&JSON::parse(&text)?)
}
