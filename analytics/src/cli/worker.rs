//! What the verbs that talk to a Worker's internal routes share: [`Client`] with errors that speak of the Worker.

use serde_json::Value;

use super::client::Client;
use crate::{Error, Result};

/// A Worker whose internal routes the token opens.
pub struct Worker {
    /// Where it is, and how its answers are shown.
    pub client: Client,
    /// Its name, such as `commerce`.
    pub name: &'static str,
    /// Environment variable that names its URL.
    pub url_variable: &'static str,
}

impl Worker {
    /// As [`Client::get`].
    ///
    /// # Errors
    /// [`Error::NotFound`] when no Worker answers; [`Error::Remote`] with what it said otherwise.
    pub async fn get(&self, path: &str, parameters: &[(&str, Option<&str>)]) -> Result<Value> {
        self.about(self.client.get(path, parameters).await)
    }

    /// As [`Client::post`].
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.about(self.client.post(path, body).await)
    }

    /// What its quarantine lists, page after page; `parameters` narrow it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn quarantined(&self, parameters: &[(&str, Option<&str>)]) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let parameters = [parameters, &[("cursor", cursor.as_deref())]].concat();
            let page = self.get("/internal/quarantine", &parameters).await?;
            records.extend(page["records"].as_array().cloned().unwrap_or_default());
            cursor = page["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(records);
            }
        }
    }

    /// The same with what to do about it: these answers come from the Worker, not from `weir serve`.
    fn about(&self, answer: Result<Value>) -> Result<Value> {
        answer.map_err(|error| match error {
            Error::NotFound(_) => Error::NotFound(format!(
                "no {} Worker answers at {}; name it with --url or {}",
                self.name, self.client.url, self.url_variable
            )),
            Error::Remote { status: 401, .. } => Error::Remote {
                status: 401,
                message:
                    "the Worker refused the token; give its secret WEIR_INTERNAL_TOKEN (--token or the same variable)"
                        .into(),
            },
            other => other,
        })
    }
}
