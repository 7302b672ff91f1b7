//! `weir streams` against a wrangler that notes what it is asked.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{json, Value};

fn package(path: &str) -> String {
    format!("{}/{path}", std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"))
}

/// A wrangler that appends its arguments to `asked`, lists what `have-*.json` say and fails when told so.
fn fake_wrangler(folder: &Path) {
    let script = r#"#!/bin/bash
case "$*" in
  *"list --json")
    case "$*" in *streams*) kind=streams ;; *sinks*) kind=sinks ;; *) kind=pipelines ;; esac
    cat "$FAKE/have-$kind.json" 2>/dev/null || echo '[]' ;;
  *) echo "$*" >>"$FAKE/asked"
     [ ! -e "$FAKE/fail-sinks" ] || case "$*" in *sinks*) exit 1 ;; esac ;;
esac
"#;
    let path = folder.join("wrangler");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn weir(folder: &Path, arguments: &[&str], answer: &str) -> Output {
    use std::io::Write;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("streams")
        .args(arguments)
        .args(["--bucket", "lake"])
        .env("PATH", path)
        .env("FAKE", folder)
        .env("WEIR_CATALOG_TOKEN", "secret-token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not ask has closed its input.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    child.wait_with_output().unwrap()
}

fn asked(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_plan_prints_what_apply_runs_but_for_the_token() {
    let folder = tempfile::tempdir().unwrap();
    fake_wrangler(folder.path());
    let pipelines = package("../sql/pipelines");
    let arguments = ["--pipelines", &pipelines, "--product", "basin"];
    let planned = weir(folder.path(), &[&["plan"], &arguments[..]].concat(), "");
    assert!(planned.status.success(), "{planned:?}");
    let text = String::from_utf8(planned.stdout).unwrap();
    assert!(!text.contains("secret-token"));
    let commands: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("wrangler "))
        .map(|line| line.replace("\"$WEIR_CATALOG_TOKEN\"", "secret-token"))
        .collect();
    assert_eq!(commands.len(), 9);
    assert_eq!(
        commands[0],
        format!("basin pipelines streams create commerce_v1 --schema-file {pipelines}/commerce_v1.json")
    );
    assert!(commands[1].starts_with(
        "basin pipelines sinks create commerce_v1_sink --type r2-data-catalog --bucket lake --namespace commerce --table telemetry"
    ));
    assert_eq!(
        commands[2],
        format!("basin pipelines create commerce_v1 --sql-file {pipelines}/commerce_v1.sql")
    );

    let refused = weir(folder.path(), &[&["apply"], &arguments[..]].concat(), "no\n");
    assert!(!refused.status.success());
    assert!(asked(folder.path()).is_empty());
    let applied = weir(folder.path(), &[&["apply"], &arguments[..]].concat(), "yes\n");
    assert!(applied.status.success(), "{applied:?}");
    assert_eq!(asked(folder.path()), commands);
    assert!(!String::from_utf8(applied.stdout).unwrap().contains("secret-token"));
}

#[test]
fn apply_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    fake_wrangler(folder.path());
    let pipelines = package("../sql/pipelines");
    let arguments = ["apply", "--yes", "--pipelines", &pipelines, "--stream", "sync_v1"];
    std::fs::write(folder.path().join("fail-sinks"), "").unwrap();
    let failed = weir(folder.path(), &arguments, "");
    assert!(!failed.status.success());
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.contains("sinks create sync_v1_sink") && !said.contains("secret-token"),
        "{said}"
    );
    std::fs::remove_file(folder.path().join("fail-sinks")).unwrap();
    std::fs::remove_file(folder.path().join("asked")).unwrap();
    std::fs::write(folder.path().join("have-streams.json"), r#"[{"name":"sync_v1"}]"#).unwrap();
    assert!(weir(folder.path(), &arguments, "").status.success());
    let asked: Vec<_> = asked(folder.path());
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("pipelines sinks create") && asked[1].starts_with("pipelines create sync_v1"));
}

#[test]
fn a_new_version_stands_beside_the_old_one_and_its_view_counts_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    fake_wrangler(folder.path());
    for (name, extra) in [("commerce_v1", None), ("commerce_v2", Some("note"))] {
        let fields: Vec<_> = ["event_id", "received_at", "total_price"]
            .into_iter()
            .chain(extra)
            .map(|field| json!({ "name": field, "type": "string", "required": false }))
            .collect();
        let schema = json!({ "fields": fields }).to_string();
        std::fs::write(folder.path().join(format!("{name}.json")), schema).unwrap();
        std::fs::write(folder.path().join(format!("{name}.sql")), "insert").unwrap();
    }
    let pipelines = folder.path().display().to_string();
    let planned = weir(folder.path(), &["plan", "--pipelines", &pipelines], "");
    let text = String::from_utf8(planned.stdout).unwrap();
    for part in [
        "streams create commerce_v2",
        "--table telemetry_v2",
        "Dual send: in wrangler.jsonc keep COMMERCE_TELEMETRY on commerce_v1 and bind COMMERCE_TELEMETRY_V2 to commerce_v2",
        "Cut over",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("create commerce_v1 "));
    let view = &text[text.find("create or replace view").unwrap()..];
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    duckdb
        .execute_batch(
            "attach ':memory:' as lake; create schema lake.commerce;
             create table lake.commerce.telemetry (event_id text, received_at timestamp, total_price bigint);
             create table lake.commerce.telemetry_v2 (event_id text, received_at timestamp, total_price bigint, note text);
             insert into lake.commerce.telemetry values ('old', '2026-01-01', 1), ('both', '2026-01-02', 2), ('both', '2026-01-02', 2);
             insert into lake.commerce.telemetry_v2 values ('both', '2026-01-02', null, 'n'), ('new', '2026-01-03', 3, null);",
        )
        .unwrap();
    duckdb.execute_batch(view).unwrap();
    let rows: String = duckdb
        .query_row(
            "select to_json(list([event_id, total_price::text, note] order by event_id))::varchar from commerce_telemetry",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(
        rows,
        json!([["both", null, "n"], ["new", "3", null], ["old", "1", null]])
    );
}
