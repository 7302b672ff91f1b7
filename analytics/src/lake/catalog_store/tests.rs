//! The catalog's files over restarts, and what it refuses.

use super::*;
use crate::lake::tables::stream_definition;

fn request(name: &str) -> CreateTableRequest {
    CreateTableRequest {
        name: name.to_owned(),
        location: None,
        schema: stream_definition(&weir_domain::telemetry::sync()).unwrap().schema,
        partition_spec: None,
        write_order: None,
        stage_create: None,
        properties: HashMap::new(),
    }
}

fn set(key: &str) -> Vec<TableUpdate> {
    vec![TableUpdate::SetProperties {
        updates: HashMap::from([(key.to_owned(), "1".to_owned())]),
    }]
}

#[test]
fn versions_survive_a_restart_and_requirements_hold() {
    let folder = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(folder.path()).unwrap();
    store.create_namespace("n", &HashMap::new()).unwrap();
    let created = store.create("n", request("t")).unwrap();
    assert!(matches!(
        store.create("n", request("t")),
        Err(CatalogError::AlreadyExists(_))
    ));

    let uuid = created.metadata.uuid();
    let committed = store
        .commit("n", "t", &[TableRequirement::UuidMatch { uuid }], set("a"))
        .unwrap();
    assert!(committed.metadata_location.contains("/metadata/00001-"));
    let refused = store.commit(
        "n",
        "t",
        &[TableRequirement::RefSnapshotIdMatch {
            r#ref: "main".into(),
            snapshot_id: Some(1),
        }],
        set("b"),
    );
    assert!(matches!(refused, Err(CatalogError::CommitFailed(_))));

    let again = CatalogStore::open(folder.path()).unwrap();
    let loaded = again.load("n", "t").unwrap();
    assert_eq!(loaded.metadata_location, committed.metadata_location);
    assert_eq!(loaded.metadata, committed.metadata);
    assert_eq!(again.tables("n").unwrap(), ["t"]);
    assert_eq!(again.namespaces().unwrap(), ["n"]);
}

#[test]
fn a_staged_table_exists_from_its_first_commit_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(folder.path()).unwrap();
    store.create_namespace("n", &HashMap::new()).unwrap();
    let staged = CreateTableRequest {
        stage_create: Some(true),
        ..request("t")
    };
    store.create("n", staged.clone()).unwrap();
    assert!(matches!(store.load("n", "t"), Err(CatalogError::NoSuchTable(_))));
    assert!(matches!(
        store.commit("n", "t", &[], set("a")),
        Err(CatalogError::NoSuchTable(_))
    ));
    let first = store.commit("n", "t", &[TableRequirement::NotExist], set("a")).unwrap();
    assert_eq!(first.metadata.properties()["a"], "1");
    assert_eq!(store.load("n", "t").unwrap().metadata, first.metadata);
    let second = store.commit("n", "t", &[TableRequirement::NotExist], set("b"));
    assert!(matches!(second, Err(CatalogError::CommitFailed(_))));
    assert!(matches!(store.create("n", staged), Err(CatalogError::AlreadyExists(_))));
}

#[test]
fn names_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = CatalogStore::open(folder.path()).unwrap();
    for name in ["", ".", "..", "a/b", "a\\b", "a\0b", "é"] {
        assert!(matches!(
            store.create_namespace(name, &HashMap::new()),
            Err(CatalogError::BadRequest(_))
        ));
        assert!(matches!(store.load(name, "t"), Err(CatalogError::NoSuchTable(_))));
        assert!(matches!(store.tables(name), Err(CatalogError::NoSuchNamespace(_))));
    }
}
