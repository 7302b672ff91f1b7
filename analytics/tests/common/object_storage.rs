//! A real S3 and Iceberg REST server (SeaweedFS, one binary) on free ports over a temporary folder.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{json, Value};
use weir_analytics::lake::config::{Access, CatalogConfig, S3Config};

const KEY: &str = "weir-test-key";
const SECRET: &str = "weir-test-secret";
/// The table bucket, which is what the catalog calls the warehouse.
const WAREHOUSE: &str = "weir";

/// Ends with the test, also when the test is killed.
pub struct ObjectStorage {
    process: Child,
    catalog_port: u16,
    s3_port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl ObjectStorage {
    pub async fn start() -> Self {
        // A port found free may be taken by another test before the server binds it: then it ends at once.
        for _ in 0..5 {
            if let Some(storage) = Self::attempt().await {
                return storage;
            }
        }
        panic!("the object storage did not start five times");
    }

    async fn attempt() -> Option<Self> {
        let weed = std::env::var("WEIR_WEED").expect("WEIR_WEED (scripts/env.sh)");
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "master.port",
            "master.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "s3.port",
            "s3.port.grpc",
            "s3.port.iceberg",
            "admin.port",
            "admin.port.grpc",
        ];
        // All bound at once, so that they differ.
        let bound: Vec<_> = names
            .iter()
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .collect();
        let ports: Vec<_> = bound
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        drop(bound);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(weed);
        command
            .arg("mini")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.lance=0"])
            .args(["-webdav=false", "-admin.ui=false", "-master.telemetry=false"])
            .args(names.iter().zip(&ports).map(|(name, port)| format!("-{name}={port}")))
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("S3_TABLE_BUCKET", WAREHOUSE)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let mut process = command.spawn().unwrap();
        let (catalog_port, s3_port) = (ports[8], ports[6]);
        let http = reqwest::Client::new();
        let ready = async {
            loop {
                if process.try_wait().unwrap().is_some() {
                    return false;
                }
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", KEY),
                    ("client_secret", SECRET),
                ];
                let url = format!("http://127.0.0.1:{catalog_port}/v1/oauth/tokens");
                if let Ok(response) = http.post(url).form(&form).send().await {
                    let token: Value = response.json().await.unwrap_or(Value::Null);
                    let namespaces = format!("http://127.0.0.1:{catalog_port}/v1/{WAREHOUSE}/namespaces");
                    let request = http
                        .get(namespaces)
                        .bearer_auth(token["access_token"].as_str().unwrap_or_default());
                    if request.send().await.is_ok_and(|response| response.status() == 200) {
                        return true;
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let is_ready = tokio::time::timeout(Duration::from_secs(60), ready).await == Ok(true);
        let storage = Self {
            process,
            catalog_port,
            s3_port,
            _folder: folder,
        };
        is_ready.then_some(storage)
    }

    pub fn catalog_uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.catalog_port)
    }

    pub fn s3_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// What weir needs to know to work on it.
    pub fn config(&self) -> CatalogConfig {
        CatalogConfig {
            uri: self.catalog_uri(),
            warehouse: WAREHOUSE.to_owned(),
            access: Access::ClientCredentials {
                id: KEY.to_owned(),
                secret: SECRET.to_owned(),
            },
            s3: Some(S3Config {
                endpoint: Some(self.s3_endpoint()),
                region: "us-east-1".to_owned(),
                keys: Some((KEY.to_owned(), SECRET.to_owned())),
                path_style: true,
            }),
        }
    }

    /// A table's rows as an independent reader sees them.
    pub async fn read(&self, reader: &str, table: &str) -> Vec<Value> {
        let properties = json!({
            "credential": format!("{KEY}:{SECRET}"), "s3.endpoint": self.s3_endpoint(), "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET, "s3.region": "us-east-1", "s3.path-style-access": "true",
        });
        super::read_with(reader, &self.catalog_uri(), table, Some(properties)).await
    }
}
