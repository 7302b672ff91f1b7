//! DuckDB connections that can read the lake's files, wherever they lie.

use std::path::{Path, PathBuf};

use duckdb::Connection;

use super::config::S3Config;
use super::Lake;
use crate::measurement::engine;
use crate::Result;

/// Folder with the signed DuckDB extensions of this version; without it DuckDB fetches httpfs itself when needed.
pub const EXTENSION_DIR: &str = "WEIR_DUCKDB_EXTENSION_DIR";

/// How a connection is made ready for the lake; to be handed to a blocking thread.
#[derive(Debug, Clone, Default)]
pub struct DuckDb {
    s3: Option<S3Config>,
}

impl Lake {
    /// What opens DuckDB connections for this lake.
    #[must_use]
    pub fn duckdb(&self) -> DuckDb {
        DuckDb {
            s3: self.config.s3.clone(),
        }
    }
}

impl DuckDb {
    /// An in-memory DuckDB that spills into `spill_folder` and reads the lake's files. Blocks.
    ///
    /// # Errors
    /// If DuckDB cannot start, or the lake is on S3 and the httpfs extension cannot be had.
    pub fn open(&self, spill_folder: &Path) -> Result<Connection> {
        let connection = engine::open(spill_folder)?;
        if let Some(s3) = &self.s3 {
            let folder = std::env::var_os(EXTENSION_DIR).map(PathBuf::from);
            connection.execute_batch(&s3_settings(s3, folder.as_deref()))?;
        }
        Ok(connection)
    }
}

fn s3_settings(s3: &S3Config, extensions: Option<&Path>) -> String {
    let mut settings = match extensions {
        Some(folder) => format!(
            "load {}; ",
            literal(&folder.join("httpfs.duckdb_extension").to_string_lossy())
        ),
        None => "install httpfs; load httpfs; ".to_owned(),
    };
    let mut options = vec!["type s3".to_owned(), format!("region {}", literal(&s3.region))];
    if let Some((id, secret)) = &s3.keys {
        options.push(format!("key_id {}", literal(id)));
        options.push(format!("secret {}", literal(secret)));
    }
    if let Some(endpoint) = &s3.endpoint {
        let tls = !endpoint.starts_with("http://");
        let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
        options.push(format!("endpoint {}", literal(host.trim_end_matches('/'))));
        options.push(format!("use_ssl {tls}"));
    }
    options.push(format!("url_style '{}'", if s3.path_style { "path" } else { "vhost" }));
    settings.push_str(&format!("create or replace secret lake ({})", options.join(", ")));
    settings
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as SQL writes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Texts as SQL writes the elements of a list.
pub(crate) fn literals(texts: &[String]) -> String {
    let literals: Vec<_> = texts.iter().map(|text| literal(text)).collect();
    literals.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_is_described_to_duckdb() {
        let s3 = S3Config {
            endpoint: Some("http://127.0.0.1:9000/".into()),
            region: "us-east-1".into(),
            keys: Some(("a".into(), "b'c".into())),
            path_style: true,
        };
        assert_eq!(
            s3_settings(&s3, Some(Path::new("/x"))),
            "load '/x/httpfs.duckdb_extension'; create or replace secret lake (type s3, region 'us-east-1', key_id 'a', \
             secret 'b''c', endpoint '127.0.0.1:9000', use_ssl false, url_style 'path')"
        );
    }
}
