//! Tells the sync Worker that a bulk operation has finished.

use weir_domain::webhook::Delivery;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::internal::newest;
use weir_edge_shared::patience::Patience;
use weir_edge_shared::settings::{internal_tokens, patience};
use worker::{Env, Headers, Method, RequestInit};

use crate::bindings::SYNC;
use crate::bulk_finish::{is_notice, notice};

/// The sync Worker, with the patience of one invocation.
pub struct Sync(Patience);

impl Sync {
    /// That of `env`.
    pub fn of(env: &Env) -> Self {
        Self(patience(env, "it"))
    }

    /// What to do with `delivery` after the sync Worker was told; `None` when it is not its business, or not bound.
    pub async fn tell(&self, env: &Env, delivery: &Delivery) -> Option<Decision> {
        if !is_notice(delivery) {
            return None;
        }
        let sync = env.service(SYNC).ok()?;
        let body = match notice(delivery) {
            Ok(body) => body,
            Err(field) => return Some(Decision::quarantine("missing_field", field)),
        };
        let called = self.0.bound(async {
            let headers = Headers::new();
            headers.set("content-type", "application/json")?;
            headers.set("authorization", &format!("Bearer {}", newest(&internal_tokens(env))))?;
            let mut init = RequestInit::new();
            init.with_method(Method::Post)
                .with_headers(headers)
                .with_body(Some(body.into()));
            let answer = sync.fetch("http://sync/internal/finished", Some(init)).await?;
            Ok(answer.status_code())
        });
        Some(match called.await {
            Ok(200..=299) => Decision::Acknowledge,
            // It knows no such shop, and will not know it by being told again.
            Ok(404) => Decision::quarantine("unknown_shop", "the sync Worker does not know this shop"),
            Ok(status) => Decision::Retry {
                cause: format!("sync Worker: {status}"),
            },
            Err(error) => Decision::Retry {
                cause: format!("sync Worker: {error}"),
            },
        })
    }
}
