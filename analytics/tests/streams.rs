//! `weir streams` against a wrangler that notes what it is asked, and by the real one against an account that is played.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Kind, Query, State};
use axum::routing::{get, post};
use axum::Json;
use serde_json::{json, Value};

fn package(path: &str) -> String {
    format!("{}/{path}", std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"))
}

/// A wrangler that appends its arguments to `asked`, lists what `have-*.json` say and fails when told so.
fn fake_wrangler(folder: &Path) {
    let script = r#"#!/bin/bash
case "$*" in
  *"list --page 1 --per-page 20 --json")
    case "$*" in *streams*) kind=streams ;; *sinks*) kind=sinks ;; *) kind=pipelines ;; esac
    cat "$FAKE/have-$kind.json" 2>/dev/null || echo '[]' ;;
  *" list "*) echo '[]' ;;
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
        .args(["--bucket", "lake", "--environment", "dev"])
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

/// Runs the commands of a plan as an operator would, and tells what wrangler was asked.
fn run_by_shell(folder: &Path, plan: &str) -> Vec<String> {
    let commands: Vec<_> = plan.lines().filter(|line| line.starts_with("wrangler ")).collect();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let status = Command::new("bash")
        .args(["-ec", &commands.join("\n")])
        .env("PATH", path)
        .env("FAKE", folder)
        .env("WEIR_CATALOG_TOKEN", "secret-token")
        .status()
        .unwrap();
    assert!(status.success());
    let asked = asked(folder);
    std::fs::remove_file(folder.join("asked")).unwrap();
    asked
}

/// The wrangler of package-lock.json, for an account at `api`.
fn real_wrangler(folder: &Path, api: &str) {
    let node = std::env::var("WEIR_NODE").expect("WEIR_NODE (scripts/env.sh)");
    let script = format!(
        "#!/bin/bash\nexport HOME='{0}' XDG_CONFIG_HOME='{0}' WRANGLER_HIDE_BANNER=true WRANGLER_SEND_METRICS=false\n\
         export CLOUDFLARE_API_BASE_URL='{api}' CLOUDFLARE_API_TOKEN=t CLOUDFLARE_ACCOUNT_ID=account\n\
         exec '{node}' '{1}' \"$@\"\n",
        folder.display(),
        package("../node_modules/wrangler/bin/wrangler.js"),
    );
    let path = folder.join("wrangler");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

type Have = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

/// An account's streams, sinks and pipelines as Cloudflare's API tells of them, in pages, beside one pipeline of the first
/// kind.
async fn account(have: Have) -> String {
    #[derive(serde::Deserialize)]
    struct Page {
        page: usize,
        per_page: usize,
    }
    let answer = |result: Value| Json(json!({ "success": true, "errors": [], "messages": [], "result": result }));
    let list = move |State(have): State<Have>, Kind(kind): Kind<String>, Query(asked): Query<Page>| async move {
        let have = have.lock().unwrap();
        let all = have.get(&kind).into_iter().flatten();
        answer(
            all.skip((asked.page - 1) * asked.per_page)
                .take(asked.per_page)
                .cloned()
                .collect(),
        )
    };
    let create = move |State(have): State<Have>, Kind(kind): Kind<String>, Json(mut made): Json<Value>| async move {
        let mut have = have.lock().unwrap();
        let all = have.entry(kind.clone()).or_default();
        made["id"] = json!(format!("{kind}-{}", all.len()));
        made["created_at"] = json!("2026-11-24T10:00:00Z");
        made["modified_at"] = json!("2026-11-24T10:00:00Z");
        if kind == "streams" {
            made["endpoint"] = json!("https://stream.example");
        }
        all.push(made.clone());
        answer(made)
    };
    let first_kind =
        move || async move { answer(json!([{ "name": "old", "id": "0", "endpoint": "https://old.example" }])) };
    let valid = move || async move { answer(json!({ "tables": {} })) };
    let router = axum::Router::new()
        .route("/accounts/account/pipelines", get(first_kind))
        .route("/accounts/account/pipelines/v1/validate_sql", post(valid))
        .route("/accounts/account/pipelines/v1/{kind}", get(list).post(create))
        .with_state(have);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
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
    let commands = run_by_shell(folder.path(), &text);
    assert_eq!(commands.len(), 9);
    assert_eq!(
        commands[0],
        format!("basin pipelines streams create commerce_v1_dev --schema-file {pipelines}/commerce_v1.json")
    );
    assert!(commands[1].starts_with(
        "basin pipelines sinks create commerce_v1_dev_sink --type r2-data-catalog --bucket lake --namespace commerce --table telemetry"
    ));
    let sql = commands[2]
        .strip_prefix("basin pipelines create commerce_v1_dev --sql ")
        .unwrap();
    assert!(
        sql.starts_with("insert into commerce_v1_dev_sink select event_id, ") && sql.ends_with(" from commerce_v1_dev"),
        "{sql}"
    );
    assert!(
        sql.contains("date_trunc('millisecond', occurred_at) as occurred_at"),
        "{sql}"
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
        said.contains("sinks create sync_v1_dev_sink") && !said.contains("secret-token"),
        "{said}"
    );
    std::fs::remove_file(folder.path().join("fail-sinks")).unwrap();
    std::fs::remove_file(folder.path().join("asked")).unwrap();
    std::fs::write(
        folder.path().join("have-streams.json"),
        r#"[{"name":"sync_v1_dev","id":"a1"}]"#,
    )
    .unwrap();
    let applied = weir(folder.path(), &arguments, "");
    assert!(applied.status.success());
    let said = String::from_utf8(applied.stdout).unwrap();
    assert!(
        said.contains("env.dev: SYNC_TELEMETRY -> \"a1\" (sync_v1_dev)"),
        "{said}"
    );
    let asked: Vec<_> = asked(folder.path());
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("pipelines sinks create") && asked[1].starts_with("pipelines create sync_v1_dev"));
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_by_the_real_wrangler_finds_what_there_is_on_every_page() {
    let others = |of: &str| -> Vec<_> {
        let one =
            |n| json!({ "name": format!("other_{n}"), "id": format!("{of}-{n}"), "config": { "bucket": "it's" } });
        (0..20).map(one).collect()
    };
    let have: Have = Arc::default();
    for kind in ["streams", "sinks", "pipelines"] {
        have.lock().unwrap().insert(kind.to_owned(), others(kind));
    }
    let folder = tempfile::tempdir().unwrap();
    real_wrangler(folder.path(), &account(have.clone()).await);
    let pipelines = package("../sql/pipelines");
    let arguments = ["apply", "--yes", "--pipelines", &pipelines, "--stream", "sync_v1"];
    let applied = weir(folder.path(), &arguments, "");
    assert!(applied.status.success(), "{applied:?}");
    let said = String::from_utf8(applied.stdout).unwrap();
    assert!(
        said.contains("env.dev: SYNC_TELEMETRY -> \"streams-20\" (sync_v1_dev)"),
        "{said}"
    );
    let counts = || -> Vec<_> { have.lock().unwrap().values().map(Vec::len).collect() };
    assert_eq!(counts(), [21, 21, 21]);
    let config = have.lock().unwrap()["sinks"][20]["config"].clone();
    assert_eq!(
        (&config["table_name"], &config["token"]),
        (&json!("telemetry"), &json!("secret-token"))
    );

    let again = weir(folder.path(), &arguments, "");
    assert!(again.status.success(), "{again:?}");
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains("nothing to do"), "{said}");
    assert!(said.contains("note: 21 sinks would exist"), "{said}");
    assert_eq!(counts(), [21, 21, 21]);
}

#[test]
fn more_streams_than_an_account_may_have_are_told_before_anything_is_created() {
    let folder = tempfile::tempdir().unwrap();
    fake_wrangler(folder.path());
    let have: Vec<_> = (0..18)
        .map(|n| json!({ "name": format!("other_{n}"), "id": "x" }))
        .collect();
    std::fs::write(folder.path().join("have-streams.json"), json!(have).to_string()).unwrap();
    let pipelines = package("../sql/pipelines");
    let refused = weir(folder.path(), &["apply", "--pipelines", &pipelines], "no\n");
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(
        said.contains("note: 21 streams would exist, and an account has 20 of each"),
        "{said}"
    );
    assert!(!said.contains("sinks would exist"), "{said}");
}

/// Streams that the Workers of the checkout bind in `environment`, as (binding, stream); binding arrays are not inherited.
fn bound(environment: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for worker in ["commerce", "publication", "sync"] {
        let text = std::fs::read_to_string(package(&format!("../edge/{worker}/wrangler.jsonc"))).unwrap();
        let config: Value = serde_json::from_str(&without_comments(&text)).unwrap();
        let pipelines = config["env"][environment]["pipelines"].as_array().expect("an array");
        assert!(!pipelines.is_empty(), "{worker}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found.extend(
            pipelines
                .iter()
                .map(|one| (text(&one["binding"]), text(&one["pipeline"]))),
        );
    }
    found
}

/// JSON of JSON with comments to the end of the line.
fn without_comments(text: &str) -> String {
    let cut = |line: &str| {
        let outside = |position: usize| {
            line[..position]
                .replace("\\\"", "")
                .matches('"')
                .count()
                .is_multiple_of(2)
        };
        let comment = line
            .match_indices("//")
            .map(|(position, _)| position)
            .find(|position| outside(*position));
        line[..comment.unwrap_or(line.len())].to_owned()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_creates_the_streams_that_the_workers_bind_in_each_environment() {
    let folder = tempfile::tempdir().unwrap();
    let pipelines = package("../sql/pipelines");
    for environment in ["dev", "staging", "production"] {
        let planned = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["streams", "plan", "--bucket", "lake", "--pipelines", &pipelines])
            .args(["--environment", environment])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(planned.status.success(), "{planned:?}");
        let text = String::from_utf8(planned.stdout).unwrap();
        let after = |prefix: &str, end: &str| -> BTreeSet<String> {
            let named = text.lines().filter_map(|line| line.strip_prefix(prefix));
            named.map(|rest| rest.split_once(end).unwrap().0.to_owned()).collect()
        };
        let created = after("wrangler pipelines streams create ", " ");
        let bound = bound(environment);
        let streams: BTreeSet<_> = bound.iter().map(|(_, stream)| stream.clone()).collect();
        assert_eq!(created, streams, "{environment}");
        let told = after("# Bind ", &format!(" in env.{environment} "));
        let expected = bound.iter().map(|(binding, stream)| format!("{binding} to {stream}"));
        assert_eq!(told, expected.collect(), "{environment}");
        assert_eq!(after("wrangler pipelines create ", " "), created);
        let sinks = created.iter().map(|stream| format!("{stream}_sink")).collect();
        assert_eq!(after("wrangler pipelines sinks create ", " "), sinks);
    }
}

#[test]
fn an_environment_that_is_none_is_refused() {
    for environment in ["", "Production", "a-b", "dev;true"] {
        let refused = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["streams", "plan", "--bucket", "lake", "--environment", environment])
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{environment}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("as in env.production of wrangler.jsonc"), "{said}");
    }
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
        std::fs::write(
            folder.path().join(format!("{name}.sql")),
            format!("insert into {name}_sink select * from {name}"),
        )
        .unwrap();
    }
    let pipelines = folder.path().display().to_string();
    let planned = weir(folder.path(), &["plan", "--pipelines", &pipelines], "");
    let text = String::from_utf8(planned.stdout).unwrap();
    for part in [
        "streams create commerce_v2_dev ",
        "--table telemetry_v2",
        "every Worker that binds COMMERCE_TELEMETRY, keep it and bind COMMERCE_TELEMETRY_V2 beside it",
        "Bind COMMERCE_TELEMETRY_V2 to commerce_v2_dev in env.dev of wrangler.jsonc",
        "Cut over: when every reader uses the view or the new table, remove the binding COMMERCE_TELEMETRY ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("create commerce_v1"));
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
