//! What is generated from `domain::telemetry` and checked in has not drifted. `WEIR_BLESS=1` writes it anew.

use std::path::Path;

use weir_domain::telemetry::{all, family_and_version, versions, FieldType};

/// A file of the checkout under test, named at run time: a build directory may be shared by several clones.
fn check(path: &str, expected: &str) {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
    let path = Path::new(&package).join("..").join(path);
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, expected).expect("writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the source says; run with WEIR_BLESS=1",
        path.display()
    );
}

#[test]
fn checked_in_stream_schemas_have_not_drifted() {
    for stream in all() {
        let pretty = |value| serde_json::to_string_pretty(&value).expect("JSON") + "\n";
        check(
            &format!("sql/pipelines/{}.json", stream.name),
            &pretty(stream.to_cloudflare_json()),
        );
        check(
            &format!("docs/streams/{}.schema.json", stream.name),
            &pretty(stream.to_json_schema()),
        );
        check(&format!("docs/streams/{}.md", stream.name), &stream.to_markdown());
    }
}

/// A version that `domain` does not describe differs from the one before in SQL or sink only: the Workers check its rows
/// against that schema (`weir_edge_shared::versions`), and with another one the stream would drop rows unseen.
#[test]
fn every_stream_schema_is_the_one_that_senders_check() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
    for entry in std::fs::read_dir(Path::new(&package).join("../sql/pipelines")).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let (family, number) = family_and_version(&name).expect("a version in the name");
        let checked = versions(family)
            .into_iter()
            .rfind(|version| version.version() <= number)
            .expect("a family that domain describes");
        let text = std::fs::read_to_string(&path).expect("readable");
        let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(found, checked.to_cloudflare_json(), "{name}");
    }
}

#[test]
fn ids_are_text_and_money_is_whole() {
    for stream in all() {
        for field in &stream.fields {
            if field.name.ends_with("_id") {
                assert_eq!(field.field_type, FieldType::String, "{}.{}", stream.name, field.name);
            }
            assert!(
                field.field_type != FieldType::Float64 || field.name == "engaged_seconds",
                "{}.{} is a float",
                stream.name,
                field.name
            );
        }
    }
}
