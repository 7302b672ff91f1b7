//! DuckDB connections that can read the lake's files, wherever they lie.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::Connection;
use uuid::Uuid;

use super::config::S3Config;
use super::Lake;
use crate::measurement::engine;
use crate::Result;

/// Folder with the signed DuckDB extensions of this version; without it DuckDB fetches httpfs itself when needed.
pub const EXTENSION_DIR: &str = "WEIR_DUCKDB_EXTENSION_DIR";

/// How a connection is made ready for the lake; to be handed to a blocking thread.
#[derive(Debug, Clone)]
pub struct DuckDb {
    s3: Option<S3Config>,
    /// Folder of the folders into which databases spill.
    spill_root: PathBuf,
    /// The database behind [`Self::reader`], once one was asked for.
    shared: Arc<Mutex<Option<Shared>>>,
}

impl Default for DuckDb {
    fn default() -> Self {
        Self::new(None)
    }
}

#[derive(Debug)]
struct Shared {
    database: Connection,
    /// Dropped after it.
    _spill: Spill,
}

/// A folder that one database spills into, removed on drop. Two databases must never share one: each takes the files of the
/// other for its own, and reads wrong values from them without an error.
#[derive(Debug)]
pub struct Spill(PathBuf);

impl Spill {
    /// Where it is; `DuckDB` makes it only when it spills.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Lake {
    /// What opens DuckDB connections for this lake.
    #[must_use]
    pub fn duckdb(&self) -> DuckDb {
        self.duckdb.clone()
    }
}

impl DuckDb {
    pub(super) fn new(s3: Option<S3Config>) -> Self {
        Self {
            s3,
            spill_root: std::env::temp_dir(),
            shared: Arc::default(),
        }
    }

    pub(super) fn spilling_below(&mut self, folder: PathBuf) {
        self.spill_root = folder;
    }

    /// A folder for one database to spill into. It has to outlive every connection to it.
    #[must_use]
    pub fn spill(&self, what: &str) -> Spill {
        Spill(self.spill_root.join(format!("weir-{what}-{}", Uuid::new_v4())))
    }

    /// A connection to a database that all readers of this lake share, since to start one takes longer than a short
    /// answer. Each has its own temporary views and nothing else may be created in it. Blocks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reader(&self) -> Result<Connection> {
        // A panic in between leaves a connection or none.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = shared.as_ref() {
            // One that a fatal error has made unusable refuses this, and is replaced.
            if let Ok(reader) = engine::another(&shared.database) {
                return Ok(reader);
            }
        }
        let spill = self.spill("reads");
        let database = self.open(&spill)?;
        let reader = engine::another(&database)?;
        *shared = Some(Shared {
            database,
            _spill: spill,
        });
        Ok(reader)
    }

    /// An in-memory DuckDB that spills into a folder of its own and reads the lake's files. Blocks.
    ///
    /// # Errors
    /// If DuckDB cannot start, or the lake is on S3 and the httpfs extension cannot be had.
    pub fn open(&self, spill: &Spill) -> Result<Connection> {
        let connection = engine::open(spill.path())?;
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
    fn readers_share_a_database_and_see_nothing_of_each_other() {
        let duckdb = DuckDb::default();
        let (one, other) = (duckdb.reader().unwrap(), duckdb.reader().unwrap());
        let number = |reader: &Connection| reader.query_row("select n from told", [], |row| row.get::<_, i64>(0));
        engine::temporary_view(&one, "told", "(select 1 as n)").unwrap();
        assert!(number(&other).is_err());
        engine::temporary_view(&other, "told", "(select 2 as n)").unwrap();
        assert_eq!((number(&one).unwrap(), number(&other).unwrap()), (1, 2));
        let zone = |reader: &Connection| {
            reader.query_row("select current_setting('TimeZone')", [], |row| row.get::<_, String>(0))
        };
        assert_eq!(
            (zone(&one).unwrap(), zone(&other).unwrap()),
            ("UTC".into(), "UTC".into())
        );
        // Of one database: what one creates beyond its temporary views is there for the other.
        one.execute_batch("create table kept as select 3 as n").unwrap();
        engine::temporary_view(&other, "told", "kept").unwrap();
        assert_eq!(number(&other).unwrap(), 3);
    }

    #[test]
    fn no_two_databases_spill_into_one_folder() {
        let duckdb = DuckDb::default();
        let (one, other) = (duckdb.spill("refresh"), duckdb.spill("refresh"));
        assert_ne!(one.path(), other.path());
        let connection = duckdb.open(&one).unwrap();
        let told = "select current_setting('temp_directory')";
        let told: String = connection.query_row(told, [], |row| row.get(0)).unwrap();
        assert_eq!(Path::new(&told), one.path());
        std::fs::create_dir_all(one.path()).unwrap();
        let path = one.path().to_owned();
        drop((connection, one));
        assert!(!path.exists());
    }

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
