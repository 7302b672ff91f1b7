//! Where the embedded catalog keeps its state: a folder per namespace, a pointer file per table.
//!
//! ```text
//! catalog/<namespace>/namespace.json      properties
//! catalog/<namespace>/<table>.table       location of the table's current metadata file
//! lake/<namespace>/<table>/metadata/*     the metadata files, manifests
//! lake/<namespace>/<table>/data/*         Parquet
//! ```
//!
//! The pointer is replaced by rename, after the metadata file it names is durable: a crash leaves the old or the new
//! version of a table. One process owns the folder (`weir serve` holds a lock on it), one mutex orders its commits.
//! Locations are absolute, so that the folder works only under the path where it was made.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::{MetadataLocation, TableCreation, TableRequirement, TableUpdate};
use iceberg_catalog_rest::CreateTableRequest;

use super::catalog_error::CatalogError;
use crate::Error;

/// Property under which superseded metadata files are deleted instead of kept for ever.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// A table's current version.
#[derive(Debug, Clone)]
pub struct Version {
    /// Location of the metadata file.
    pub metadata_location: String,
    /// What it holds.
    pub metadata: Arc<TableMetadata>,
}

/// The embedded catalog. All calls block on the file system.
#[derive(Debug)]
pub struct CatalogStore {
    pointers: PathBuf,
    tables: PathBuf,
    /// The lock orders commits.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Current versions of tables loaded before.
    versions: HashMap<Key, Version>,
    /// Tables whose creation a client has begun and not yet committed. They do not survive a restart: the client's
    /// commit fails, and it starts again.
    staged: HashMap<Key, Version>,
}

/// Namespace and table.
type Key = (String, String);

/// Creations begun and never committed are forgotten beyond this number.
const MAX_STAGED: usize = 256;

type Outcome<T> = std::result::Result<T, CatalogError>;

impl CatalogStore {
    /// Opens the catalog of a warehouse folder, creating it if absent.
    ///
    /// # Errors
    /// If the folders cannot be made; [`Error::Invalid`] if the tables lie in another warehouse.
    pub fn open(warehouse: &Path) -> crate::Result<Self> {
        let pointers = warehouse.join("catalog");
        let tables = warehouse.join("lake");
        fs::create_dir_all(&pointers)?;
        fs::create_dir_all(&tables)?;
        sync_folder(warehouse)?;
        let store = Self {
            pointers: pointers.canonicalize()?,
            tables: tables.canonicalize()?,
            state: Mutex::default(),
        };
        store.is_where_it_was_made()?;
        Ok(store)
    }

    /// In a copy of the folder the pointers lead into the original: the copy would change its tables and delete their files.
    fn is_where_it_was_made(&self) -> crate::Result<()> {
        let unreadable = |error: CatalogError| Error::Internal(error.to_string());
        for namespace in self.namespaces().map_err(unreadable)? {
            for table in self.tables(&namespace).map_err(unreadable)? {
                let location = fs::read_to_string(self.pointer(&namespace, &table))?;
                let Some(tables) = tables_of(&location, &namespace, &table) else {
                    continue;
                };
                if !is_one_folder(&tables, &self.tables) {
                    return Err(Error::Invalid(format!(
                        "the tables of {} lie in {}: it is a copy of that warehouse, or was moved, and works only under the \
                         path where it was made",
                        self.tables.display(),
                        tables.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Namespaces, sorted.
    ///
    /// # Errors
    /// [`CatalogError::Io`].
    pub fn namespaces(&self) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.pointers)? {
            let entry = entry?;
            if entry.path().join("namespace.json").is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Properties of a namespace.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchNamespace`].
    pub fn namespace(&self, namespace: &str) -> Outcome<HashMap<String, String>> {
        checked(namespace).map_err(|_| CatalogError::NoSuchNamespace(namespace.to_owned()))?;
        match fs::read(self.pointers.join(namespace).join("namespace.json")) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| CatalogError::Corrupt(error.to_string())),
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                Err(CatalogError::NoSuchNamespace(namespace.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a namespace.
    ///
    /// # Errors
    /// [`CatalogError::AlreadyExists`], [`CatalogError::BadRequest`] for a name that is no folder name.
    pub fn create_namespace(&self, namespace: &str, properties: &HashMap<String, String>) -> Outcome<()> {
        checked(namespace)?;
        let _ordered = self.lock();
        let folder = self.pointers.join(namespace);
        if folder.join("namespace.json").exists() {
            return Err(CatalogError::AlreadyExists(namespace.to_owned()));
        }
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_vec(properties).map_err(|error| CatalogError::BadRequest(error.to_string()))?;
        replace(&folder.join("namespace.json"), &text)?;
        sync_folder(&self.pointers)?;
        Ok(())
    }

    /// Tables of a namespace, sorted.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchNamespace`].
    pub fn tables(&self, namespace: &str) -> Outcome<Vec<String>> {
        self.namespace(namespace)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(self.pointers.join(namespace))? {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .and_then(|name| name.strip_suffix(".table"))
                    .map(str::to_owned),
            );
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A table's current version.
    ///
    /// # Errors
    /// [`CatalogError::NoSuchTable`].
    pub fn load(&self, namespace: &str, table: &str) -> Outcome<Version> {
        self.current(&mut self.lock(), namespace, table)
    }

    /// Creates a table, or if the request asks to stage it, prepares what the first commit will create.
    ///
    /// # Errors
    /// [`CatalogError::AlreadyExists`], [`CatalogError::NoSuchNamespace`], [`CatalogError::BadRequest`], and
    /// [`CatalogError::Unsupported`] for another format version than 2.
    pub fn create(&self, namespace: &str, request: CreateTableRequest) -> Outcome<Version> {
        self.namespace(namespace)?;
        checked(&request.name)?;
        if request
            .properties
            .get("format-version")
            .is_some_and(|version| version != "2")
        {
            return Err(CatalogError::Unsupported("only format version 2 is supported".into()));
        }
        let name = request.name.clone();
        let stage = request.stage_create == Some(true);
        let mut state = self.lock();
        if self.pointer(namespace, &name).exists() {
            return Err(CatalogError::AlreadyExists(format!("{namespace}.{name}")));
        }
        let location = match request.location {
            Some(location) => location.trim_end_matches('/').to_owned(),
            None => format!("file://{}", self.tables.join(namespace).join(&name).display()),
        };
        let mut properties = request.properties;
        properties.remove("format-version");
        let creation = TableCreation::builder()
            .name(name.clone())
            .location(location.clone())
            .schema(request.schema)
            .partition_spec_opt(request.partition_spec)
            .sort_order_opt(request.write_order)
            .properties(properties)
            .build();
        let metadata = TableMetadataBuilder::from_table_creation(creation)
            .and_then(TableMetadataBuilder::build)
            .map_err(|error| CatalogError::BadRequest(error.to_string()))?
            .metadata;
        let metadata_location = MetadataLocation::new_with_metadata(location, &metadata).to_string();
        if !stage {
            return self.publish(&mut state, namespace, &name, metadata_location, metadata);
        }
        if state.staged.len() >= MAX_STAGED {
            state.staged.clear();
        }
        let version = Version {
            metadata_location,
            metadata: Arc::new(metadata),
        };
        state.staged.insert((namespace.to_owned(), name), version.clone());
        Ok(version)
    }

    /// Applies updates if every requirement holds for the current version.
    ///
    /// # Errors
    /// [`CatalogError::CommitFailed`] if a requirement does not hold, [`CatalogError::BadRequest`] if an update cannot
    /// be applied, [`CatalogError::NoSuchTable`].
    pub fn commit(
        &self,
        namespace: &str,
        table: &str,
        requirements: &[TableRequirement],
        updates: Vec<TableUpdate>,
    ) -> Outcome<Version> {
        let mut state = self.lock();
        let key = (namespace.to_owned(), table.to_owned());
        let (current, exists) = match self.current(&mut state, namespace, table) {
            Ok(current) => (current, true),
            Err(CatalogError::NoSuchTable(name)) => match state.staged.get(&key) {
                Some(staged) if requirements.contains(&TableRequirement::NotExist) => (staged.clone(), false),
                _ => return Err(CatalogError::NoSuchTable(name)),
            },
            Err(error) => return Err(error),
        };
        for requirement in requirements {
            requirement
                .check(exists.then_some(&*current.metadata))
                .map_err(|error| CatalogError::CommitFailed(error.to_string()))?;
        }
        let bad = |error: iceberg::Error| CatalogError::BadRequest(error.to_string());
        let log = exists.then(|| current.metadata_location.clone());
        let mut builder = TableMetadataBuilder::new_from_metadata((*current.metadata).clone(), log);
        for update in updates {
            builder = update.apply(builder).map_err(bad)?;
        }
        let built = builder.build().map_err(bad)?;
        if !exists {
            // The location may be among the updates.
            let location = MetadataLocation::new_with_metadata(built.metadata.location(), &built.metadata).to_string();
            let created = self.publish(&mut state, namespace, table, location, built.metadata)?;
            state.staged.remove(&key);
            return Ok(created);
        }
        if built.changes.is_empty() {
            return Ok(current);
        }
        let location = MetadataLocation::from_str(&current.metadata_location)
            .map_err(|error| CatalogError::Corrupt(error.to_string()))?
            .with_next_version()
            .with_new_metadata(&built.metadata)
            .to_string();
        let version = self.publish(&mut state, namespace, table, location, built.metadata)?;
        if version
            .metadata
            .properties()
            .get(DELETE_AFTER_COMMIT)
            .is_some_and(|on| on == "true")
        {
            for log in built.expired_metadata_logs {
                if let Some(path) = super::write::local_path(&log.metadata_file) {
                    // The version is published; a file that stays costs only space.
                    let _ = fs::remove_file(path);
                }
            }
        }
        Ok(version)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made in the files first, so that a panic elsewhere cannot leave a wrong entry.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn pointer(&self, namespace: &str, table: &str) -> PathBuf {
        self.pointers.join(namespace).join(format!("{table}.table"))
    }

    fn current(&self, state: &mut State, namespace: &str, table: &str) -> Outcome<Version> {
        let key = (namespace.to_owned(), table.to_owned());
        if let Some(version) = state.versions.get(&key) {
            return Ok(version.clone());
        }
        let missing = || CatalogError::NoSuchTable(format!("{namespace}.{table}"));
        checked(namespace)
            .and_then(|()| checked(table))
            .map_err(|_| missing())?;
        let metadata_location = match fs::read_to_string(self.pointer(namespace, table)) {
            Ok(location) => location,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        let path = super::write::local_path(&metadata_location)
            .ok_or_else(|| CatalogError::Corrupt(format!("{metadata_location} is not a local file")))?;
        let metadata = serde_json::from_slice(&fs::read(path)?)
            .map_err(|error| CatalogError::Corrupt(format!("{metadata_location}: {error}")))?;
        let version = Version {
            metadata_location,
            metadata: Arc::new(metadata),
        };
        state.versions.insert(key, version.clone());
        Ok(version)
    }

    fn publish(
        &self,
        state: &mut State,
        namespace: &str,
        table: &str,
        metadata_location: String,
        metadata: TableMetadata,
    ) -> Outcome<Version> {
        let path = super::write::local_path(&metadata_location)
            .ok_or_else(|| CatalogError::BadRequest("this catalog keeps tables in local folders only".into()))?;
        let folder = path
            .parent()
            .ok_or_else(|| CatalogError::BadRequest(format!("{metadata_location} is no place for a table")))?;
        fs::create_dir_all(folder)?;
        let text = serde_json::to_vec(&metadata).map_err(|error| CatalogError::BadRequest(error.to_string()))?;
        let mut file = File::create_new(&path)?;
        file.write_all(&text)?;
        file.sync_all()?;
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.tables)) {
            sync_folder(folder)?;
        }
        sync_folder(folder)?;
        replace(&self.pointer(namespace, table), metadata_location.as_bytes())?;
        let version = Version {
            metadata_location,
            metadata: Arc::new(metadata),
        };
        state
            .versions
            .insert((namespace.to_owned(), table.to_owned()), version.clone());
        Ok(version)
    }
}

/// Names become folder and file names: letters, digits, `_`, `-` and inner dots only.
fn checked(name: &str) -> Outcome<()> {
    let fits = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if fits {
        Ok(())
    } else {
        Err(CatalogError::BadRequest(format!(
            "{name:?} is not a name this catalog accepts"
        )))
    }
}

/// The folder of all tables that the location of a table's metadata names; none if its creator chose the place.
fn tables_of(metadata_location: &str, namespace: &str, table: &str) -> Option<PathBuf> {
    let path = super::write::local_path(metadata_location)?;
    let of_table = Path::new("lake").join(namespace).join(table).join("metadata");
    let folder = path.parent()?;
    folder
        .ends_with(of_table)
        .then(|| folder.ancestors().nth(3).map(Path::to_path_buf))?
}

/// Whether two paths lead to one folder, by way of links or mounts or not.
fn is_one_folder(left: &Path, right: &Path) -> bool {
    match (fs::metadata(left), fs::metadata(right)) {
        (Ok(left), Ok(right)) => (left.dev(), left.ino()) == (right.dev(), right.ino()),
        _ => false,
    }
}

/// Replaces a file's content so that a crash leaves the old or the new one.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
