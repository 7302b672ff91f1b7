//! The checked-in Cloudflare stream schemas are what `domain::telemetry` says. `WEIR_BLESS=1` writes them anew.

use std::path::Path;

use weir_domain::telemetry::{all, FieldType};

#[test]
fn checked_in_stream_schemas_have_not_drifted() {
    // At run time, not baked in: a build directory may be shared by several clones.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
    for stream in all() {
        let path = Path::new(&package).join(format!("../sql/pipelines/{}.json", stream.name));
        let expected = serde_json::to_string_pretty(&stream.to_cloudflare_json()).expect("JSON") + "\n";
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&path, &expected).expect("writable");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{} is not what the source says; run with WEIR_BLESS=1",
            path.display()
        );
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
