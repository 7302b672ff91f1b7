//! What the verbs that talk to a running `weir serve` share: where it is, and how its answers are shown.

use serde_json::Value;

use crate::measurement::refresh_route::LINES;
use crate::say::say;
use crate::{http_client, Error, Result};

/// Where the server is, and how the answer is shown.
#[derive(Debug, clap::Args)]
pub struct Client {
    /// URL of a running `weir serve`.
    #[arg(long, env = "WEIR_URL", default_value = "http://127.0.0.1:8788")]
    pub url: String,
    /// Bearer token the server was started with.
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Print the server's JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// One product, for the verbs that tell of one.
#[derive(Debug, clap::Args)]
pub struct OneProduct {
    /// Shopify's product id.
    pub product: String,
    /// The shop, if several have the product.
    #[arg(long)]
    pub shop: Option<String>,
}

/// The products of a day of computation.
#[derive(Debug, clap::Args)]
pub struct ComputedDay {
    /// Only this shop (myshopify.com domain).
    #[arg(long)]
    pub shop: Option<String>,
    /// As computed on this day, yyyy-mm-dd; the newest by default.
    #[arg(long)]
    pub day: Option<String>,
}

impl Client {
    /// `GET path` with the parameters that are given.
    ///
    /// # Errors
    /// [`Error::Remote`] with what the server said; [`Error::NotFound`] if there is no server, saying what to do.
    pub async fn get(&self, path: &str, parameters: &[(&str, Option<&str>)]) -> Result<Value> {
        let given: Vec<_> = parameters
            .iter()
            .filter_map(|(name, value)| value.map(|value| (*name, value)))
            .collect();
        self.answer(self.http()?.get(self.address(path)).query(&given)).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.answer(self.http()?.post(self.address(path)).json(body)).await
    }

    /// As [`Self::post`], for what takes its time: `tell` gets every line of progress as it comes. With `--json` nothing
    /// is told.
    ///
    /// # Errors
    /// As [`Self::get`], and [`Error::Remote`] if the answer breaks off.
    pub async fn post_told(&self, path: &str, body: &Value, tell: impl Fn(&Value)) -> Result<Value> {
        if self.json {
            return self.post(path, body).await;
        }
        let request = self
            .http()?
            .post(self.address(path))
            .header(reqwest::header::ACCEPT, LINES)
            .json(body);
        let mut response = self.sent(request).await?;
        let mut unread = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            unread.extend_from_slice(&chunk);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Value = serde_json::from_slice(&unread[..end])?;
                unread.drain(..=end);
                if let Some(error) = line.get("error") {
                    return Err(Error::Remote {
                        status: error["status"]
                            .as_u64()
                            .and_then(|code| code.try_into().ok())
                            .unwrap_or(500),
                        message: cell(&error["message"]),
                    });
                }
                match line.get("outcome") {
                    Some(outcome) => return Ok(outcome.clone()),
                    None => tell(&line),
                }
            }
        }
        Err(Error::Remote {
            status: 500,
            message: "the server ended before it answered; run it again, what is done is not done twice".into(),
        })
    }

    /// Prints JSON if asked for, else the table that `rows` makes of it.
    pub fn show(&self, answer: &Value, header: &[&str], rows: Vec<Vec<String>>) {
        if self.json {
            say!("{answer:#}");
        } else {
            crate::say::text(&table(header, &rows));
        }
    }

    fn http(&self) -> Result<reqwest::Client> {
        Ok(http_client::of(&self.url).build()?)
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        Ok(serde_json::from_str(&self.sent(request).await?.text().await?)?)
    }

    /// The response to a request that the server took.
    async fn sent(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let response = match request.bearer_auth(&self.token).send().await {
            Err(error) if error.is_connect() => {
                return Err(Error::NotFound(format!(
                    "no weir server answers at {}; start one with `weir serve`, or name another with --url",
                    self.url
                )));
            }
            Err(error) if error.is_builder() => {
                return Err(Error::CommandLine(format!(
                    "{:?} is not the URL of a server; write http://HOST:PORT or https://HOST (--url or its variable)",
                    self.url
                )));
            }
            other => other?,
        };
        let (status, reason) = (response.status().as_u16(), response.status().canonical_reason());
        match status {
            200..=299 => Ok(response),
            401 => Err(Error::Remote {
                status,
                message: "the server refused the token; give the one it was started with (--token or WEIR_TOKEN)"
                    .into(),
            }),
            _ => Err(Error::Remote {
                status,
                message: said(&response.text().await?, reason),
            }),
        }
    }
}

/// The message of the server's error body, or reason and detail of a Worker's, or the body itself; where there is none, what its
/// status is called.
fn said(text: &str, reason: Option<&str>) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let message = match (&body["error"]["message"], &body["reason"], &body["detail"]) {
        (Value::String(message), ..) => Some(message.clone()),
        (_, Value::String(reason), Value::String(detail)) if !detail.is_empty() => Some(format!("{reason}: {detail}")),
        (_, Value::String(reason), _) => Some(reason.clone()),
        _ => None,
    };
    match message.unwrap_or_else(|| text.trim().to_owned()) {
        empty if empty.is_empty() => reason.unwrap_or("no reason was given").to_owned(),
        message => message,
    }
}

/// Text of a JSON value in a table: null is `-`, text without quotes.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Minor units in `currency` as a decimal text.
#[must_use]
pub fn money(minor: &Value, currency: &Value) -> String {
    let currency = currency
        .as_str()
        .and_then(|code| weir_domain::money::Currency::from_code(code).ok());
    match (minor.as_i64(), currency) {
        (Some(minor), Some(currency)) => weir_domain::money::format_minor(minor, currency.exponent()),
        _ => cell(minor),
    }
}

/// A column of a performance row that counts its measure: units, or an amount with its currency.
#[must_use]
pub fn measured(row: &Value, column: &str) -> String {
    match row["measure"].as_str() {
        Some("net_units") => cell(&row[column]),
        _ => format!("{} {}", money(&row[column], &row["currency"]), cell(&row["currency"])),
    }
}

fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let width = |column: usize| {
        rows.iter()
            .chain([&header])
            .filter_map(|row| row.get(column))
            .map(|text| text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in [&header].into_iter().chain(rows) {
        let padded: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["1".to_owned(), "winner".to_owned()],
            vec!["820".to_owned(), "-".to_owned()],
        ];
        assert_eq!(
            table(&["product", "label"], &rows),
            "product  label\n1        winner\n820      -\n"
        );
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        assert_eq!(money(&json!(1230), &json!("EUR")), "12.30");
        assert_eq!(money(&json!(1230), &json!("JPY")), "1230");
    }

    #[test]
    fn an_error_body_is_unwrapped() {
        let error = r#"{"error":{"status":422,"message":"now: bad"}}"#;
        assert_eq!(said(error, Some("Unprocessable Entity")), "now: bad");
        let of_worker = r#"{"reason":"not_found","detail":"nothing is kept under this key"}"#;
        assert_eq!(said(of_worker, None), "not_found: nothing is kept under this key");
        assert_eq!(said(r#"{"reason":"not_found","detail":""}"#, None), "not_found");
        assert_eq!(said("plain\n", Some("Bad Gateway")), "plain");
        assert_eq!(said("", Some("Bad Gateway")), "Bad Gateway");
    }
}
