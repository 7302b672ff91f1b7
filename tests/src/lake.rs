//! `weir serve` with a warehouse of its own.

use std::path::PathBuf;

use serde_json::{json, Value};

use crate::service::{Service, Spec};
use crate::{failed, Result};

/// Bearer token of the test server.
pub const TOKEN: &str = "weir-test-token";

/// A running `weir serve`.
pub struct LakeServer {
    /// Base address, `http://127.0.0.1:PORT`.
    pub url: String,
    client: reqwest::Client,
    service: Service,
    warehouse: PathBuf,
}

impl LakeServer {
    /// Starts `weir serve` over `warehouse`.
    ///
    /// # Errors
    /// When the binary is not built (`make build`) or does not become ready.
    pub fn start(warehouse: PathBuf) -> Result<Self> {
        Self::start_at(warehouse, "127.0.0.1:0")
    }

    fn start_at(warehouse: PathBuf, listen: &str) -> Result<Self> {
        let command = vec![
            weir_binary()?.display().to_string(),
            "serve".into(),
            "--warehouse".into(),
            warehouse.display().to_string(),
            "--listen".into(),
            listen.into(),
            "--token".into(),
            TOKEN.into(),
        ];
        let service = Service::start(Spec {
            name: "weir serve",
            command,
            environment: vec![],
            stop_signal: "TERM",
            remove_directory: None,
            user: None,
        })?;
        let url = listening(&service.next_line()?, "listening")?;
        Ok(Self {
            url,
            client: reqwest::Client::new(),
            service,
            warehouse,
        })
    }

    /// Process id of the server.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.service.pid
    }

    /// Kills the server with SIGKILL and starts it again over the same warehouse, at a new address.
    ///
    /// # Errors
    /// As [`LakeServer::start`].
    pub fn crash_and_restart(mut self) -> Result<Self> {
        self.service.crash();
        Self::start(self.warehouse.clone())
    }

    /// Kills the server with SIGKILL and starts it again over the same warehouse, at the address it had: whoever sends to
    /// it finds it there again.
    ///
    /// # Errors
    /// As [`LakeServer::start`].
    pub fn crash_and_come_back(&mut self) -> Result<()> {
        self.service.crash();
        let address = self.url.trim_start_matches("http://").to_owned();
        *self = Self::start_at(self.warehouse.clone(), &address)?;
        Ok(())
    }

    /// POST with the token; the answer must be 200.
    ///
    /// # Errors
    /// When the server cannot be reached or answers otherwise; the message has status and body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.post_text(path, body.to_string()).await
    }

    /// The same with a body that is JSON text already.
    ///
    /// # Errors
    /// As [`LakeServer::post`].
    pub async fn post_text(&self, path: &str, body: String) -> Result<Value> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(TOKEN)
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            return Err(failed(format!("POST {path} answered {status}: {text}")));
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// GET; the answer must be 200.
    ///
    /// # Errors
    /// When the server cannot be reached or answers otherwise.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let response = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(TOKEN)
            .send()
            .await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            return Err(failed(format!("GET {path} answered {status}: {text}")));
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Commits everything acknowledged so far to Iceberg.
    ///
    /// # Errors
    /// As [`LakeServer::post`].
    pub async fn flush(&self) -> Result<Value> {
        self.post("/v1/flush", &json!({})).await
    }

    /// The rows of an Iceberg table as read by an independent reader (`pyiceberg` or `duckdb`), through the REST catalog.
    ///
    /// # Errors
    /// When the reader fails; the message has its output.
    pub async fn read_back(&self, reader: &str, table: &str) -> Result<Vec<Value>> {
        self.read(&[reader, table]).await
    }

    /// How many rows an Iceberg table has, and how many different values in `column`, as an independent reader sees it.
    ///
    /// # Errors
    /// As [`LakeServer::read_back`].
    pub async fn count(&self, reader: &str, table: &str, column: &str) -> Result<(u64, u64)> {
        let counted = self.read(&[reader, table, column]).await?;
        let number = |name: &str| counted.first().and_then(|one| one[name].as_u64());
        number("rows")
            .zip(number("distinct"))
            .ok_or_else(|| failed(format!("{reader} counted nothing in {table}")))
    }

    async fn read(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let (reader, table) = (arguments[0], arguments[1]);
        let python = std::env::var("WEIR_PYTHON").map_err(|_| failed("WEIR_PYTHON is not set; use `make test`"))?;
        let script = crate::workspace_root()?
            .join("tests/readers/read_table.py")
            .display()
            .to_string();
        let catalog = format!("{}/iceberg", self.url);
        let output = tokio::process::Command::new(python)
            .args([&script, reader, &catalog, "weir"])
            .args(&arguments[1..])
            .output()
            .await?;
        if !output.status.success() {
            return Err(failed(format!(
                "{reader} on {table}: {}",
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        let text = String::from_utf8(output.stdout)?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(Into::into))
            .collect()
    }
}

/// The address in a `{"listening": "..."}` line.
pub(crate) fn listening(line: &str, key: &str) -> Result<String> {
    let value: Value =
        serde_json::from_str(line).map_err(|_| failed(format!("expected an address, the service said: {line}")))?;
    value[key]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| failed(format!("no {key:?} in: {line}")))
}

/// `weir` as built by cargo beside this test or demo binary.
///
/// # Errors
/// When it is not there.
pub fn weir_binary() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let candidates = this.ancestors().skip(1).take(2).map(|directory| directory.join("weir"));
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| failed("the weir binary is not built; run `make build`"))
}
