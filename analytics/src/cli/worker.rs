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
            Error::Remote { status, message } => Error::Remote {
                status,
                message: self.advised(message),
            },
            other => other,
        })
    }

    /// With what to do about it, where the Worker does not say.
    fn advised(&self, message: String) -> String {
        let advice = if message.starts_with("unknown_shop") {
            format!("; the shop is to be in SHOPS of the {} Worker", self.name)
        } else if message.starts_with("not_found: nothing is kept") {
            "; `weir quarantine list` prints what is there, and what was replayed has left it".to_owned()
        } else {
            String::new()
        };
        message + &advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_refuses_says_what_to_do() {
        let worker = Worker {
            client: Client {
                url: String::new(),
                token: String::new(),
                json: false,
            },
            name: "sync",
            url_variable: "WEIR_SYNC_URL",
        };
        let told = |message: &str| {
            let refused = Err(Error::Remote {
                status: 404,
                message: message.to_owned(),
            });
            worker.about(refused).unwrap_err().to_string()
        };
        assert!(told("unknown_shop: this shop is not registered here").ends_with("SHOPS of the sync Worker"));
        assert!(told("not_found: nothing is kept under this key").contains("what was replayed has left it"));
        assert_eq!(told("not_found"), "404: not_found");
    }
}
