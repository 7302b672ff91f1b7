//! `weir lake ...` as people call it.

mod common;

use std::time::{Duration, SystemTime};

use common::object_storage::ObjectStorage;
use common::serve::Serve;
use common::{config, event, event_ids, flush, post, send, start, COMMERCE, TOKEN};
use serde_json::{json, Value};
use weir_analytics::server::{Config, Server};
use weir_analytics::Error;

/// What the verb prints, on success.
async fn weir(url: &str, arguments: &[&str]) -> String {
    let output = run(url, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn run(url: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("lake")
        .args(arguments)
        .args(["--url", url, "--token", TOKEN]);
    command.output().await.unwrap()
}

async fn json_of(url: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(&weir(url, &[arguments, &["--json"]].concat()).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_is_listed_kept_in_shape_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    for n in 0..4 {
        send(url, &[event(&format!("e{n}"), "2026-11-24T10:00:00.000Z")]).await;
        flush(url).await;
    }
    let listed = weir(url, &["tables"]).await;
    let line = listed.lines().find(|line| line.starts_with(COMMERCE)).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(&cells[1..3], ["4", "4"], "{listed}");
    let snapshots = json_of(url, &["snapshots", COMMERCE]).await;
    let totals: Vec<_> = snapshots["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["total_records"].clone())
        .collect();
    assert_eq!(totals, [4, 3, 2, 1].map(Value::from));

    let compacted = json_of(url, &["compact", COMMERCE, "--min-files", "2"]).await;
    assert_eq!(
        compacted["tables"][COMMERCE],
        json!({ "files_merged": 4, "files_written": 1, "manifests_merged": 2 })
    );
    let newest = &json_of(url, &["snapshots", COMMERCE]).await["snapshots"][0];
    assert_eq!(
        (&newest["operation"], &newest["total_records"]),
        (&json!("replace"), &json!(4))
    );
    assert_eq!(event_ids("pyiceberg", url, COMMERCE).await, ["e0", "e1", "e2", "e3"]);
    assert_eq!(event_ids("duckdb", url, COMMERCE).await, ["e0", "e1", "e2", "e3"]);
    // The newest ten stay whatever their age, which is said; unless fewer are asked for.
    let expired = run(url, &["expire", COMMERCE, "--keep-hours", "0"]).await;
    let said = String::from_utf8(expired.stderr).unwrap();
    assert!(said.contains("the newest 10 snapshots"), "{said}");
    let snapshots = async || {
        json_of(url, &["snapshots", COMMERCE]).await["snapshots"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = snapshots().await;
    assert!((5..=10).contains(&before), "{before}");
    let expired = json_of(url, &["expire", COMMERCE, "--keep-hours", "0", "--keep-last", "1"]).await;
    assert_eq!(
        expired["tables"][COMMERCE]["snapshots_expired"],
        before - 1,
        "{expired}"
    );
    assert_eq!(snapshots().await, 1);
    assert_eq!(run(url, &["expire", "--keep-last", "0"]).await.status.code(), Some(2));

    let answer = weir(
        url,
        &[
            "sql",
            "select event_id, sales[1].net_sales as net from commerce.telemetry order by 1",
        ],
    )
    .await;
    assert_eq!(
        answer.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["event_id", "net"]
    );
    assert_eq!(
        answer.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(),
        ["e0", "9007199254740993"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_select_over_the_lake_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let secret = folder.path().join("secret.csv");
    std::fs::write(&secret, "a,b\n1,2\n").unwrap();
    for sql in [
        format!("select * from read_csv('{}')", secret.display()),
        format!("select * from '{}'", secret.display()),
        format!("copy (select 1) to '{}'", folder.path().join("x").display()),
        "set enable_external_access = true".to_owned(),
        "select 1; select 2".to_owned(),
        "select nope from commerce.telemetry".to_owned(),
        "show tables".to_owned(),
        "describe select 1".to_owned(),
    ] {
        let output = run(server.url(), &["sql", &sql]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("422"), "{sql}: {said}");
    }
    assert!(!folder.path().join("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_ends_where_its_statement_does() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    for sql in [
        "select 1 as a, 2 as a; -- c",
        "select 1 as a, 2 as a -- c; d",
        "/* ; */ select 1 as a, 2 as a ;; /* e;f */",
        "select 1 as a, length('b;c') - 1 as a",
    ] {
        let answer = json_of(server.url(), &["sql", sql]).await;
        assert_eq!(
            (&answer["columns"], &answer["rows"]),
            (&json!(["a", "a"]), &json!([[1, 2]])),
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    for verb in ["snapshots", "compact", "expire", "orphans"] {
        for table in ["sync.nope", "nope.telemetry"] {
            let output = run(server.url(), &[verb, table]).await;
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                said,
                format!("weir: 404: the lake has no table {table}; `weir lake tables` lists them\n")
            );
        }
    }
    let (status, body) = post(server.url(), "/v1/nope", String::new()).await;
    assert_eq!(
        (status, &body["error"]["message"]),
        (404, &json!("there is no /v1/nope here"))
    );
    for path in ["/healthz", "/v1/lake/tables"] {
        let (status, body) = post(server.url(), path, String::new()).await;
        assert_eq!(
            (status, &body["error"]["message"]),
            (405, &json!(format!("{path} does not take POST")))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_command_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, lake, broken, absent) = (path("file"), path("lake"), path("broken.json"), path("absent.json"));
    std::fs::write(&file, "").unwrap();
    std::fs::write(&broken, "{").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (arguments, code, said) in [
        (
            vec!["serve", "--warehouse", &file, "--listen", free],
            1,
            format!("--warehouse {file}: "),
        ),
        (
            vec!["serve", "--warehouse", &lake, "--listen", &taken],
            1,
            format!("--listen {taken}: Address already in use"),
        ),
        (
            vec!["serve", "--warehouse", &lake, "--listen", free, "--objective", &absent],
            1,
            format!("--objective {absent}: No such file"),
        ),
        (
            vec!["serve", "--warehouse", &lake, "--listen", free, "--objective", &broken],
            1,
            format!("--objective {broken}: EOF"),
        ),
        (
            vec!["serve", "--warehouse", &lake, "--listen", free, "--s3-region", "auto"],
            2,
            "give --catalog-uri".to_owned(),
        ),
        (
            vec!["lake", "tables", "--url", "localhost:8788"],
            2,
            "\"localhost:8788\" is not the URL of a server".to_owned(),
        ),
        (
            vec!["lake", "tables", "--url", "weir"],
            2,
            "\"weir\" is not the URL".to_owned(),
        ),
        (
            vec!["backfill", "--shop", "demo.myshopify.com", "--from", "yesterday"],
            2,
            "\"yesterday\" is not a day".to_owned(),
        ),
        (
            vec!["backfill", "--shop", "demo.myshopify.com", "--from", "2999-01-01"],
            2,
            "is yet to come".to_owned(),
        ),
        (
            vec!["replay", "--shop", "demo.myshopify.com", "foo"],
            2,
            "\"foo\" is not of demo.myshopify.com".to_owned(),
        ),
        (vec!["lake", "quarantine", "replay"], 2, "or --stream".to_owned()),
        (
            vec![
                "serve",
                "--warehouse",
                &lake,
                "--listen",
                free,
                "--catalog-uri",
                "http://127.0.0.1:9",
            ],
            1,
            "the catalog at http://127.0.0.1:9 does not say".to_owned(),
        ),
        (vec!["quarantine", "show", "foo"], 2, "\"foo\" is not a key".to_owned()),
        (
            vec!["db", "install", "--url", "shop"],
            2,
            "--url is not a database URL".to_owned(),
        ),
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = command
            .args(&arguments)
            .env("WEIR_TOKEN", TOKEN)
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.starts_with("weir: ") && errors.contains(&said),
            "{arguments:?}: {errors}"
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_option_is_set_by_its_variable_and_an_address_says_what_it_is() {
    let weir = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = command
            .args(arguments)
            .env("WEIR_TOKEN", TOKEN)
            .env("WEIR_S3_PATH_STYLE", "1");
        String::from_utf8(output.output().await.unwrap().stderr).unwrap()
    };
    let serve = ["serve", "--warehouse", "never", "--listen"];
    for address in ["localhost:8804", "8788"] {
        let said = weir(&[&serve[..], &[address]].concat()).await;
        assert!(
            said.contains("--listen") && said.contains("as 127.0.0.1:8788"),
            "{said}"
        );
    }
    // As far as the next thing that is wrong.
    let said = weir(&[&serve[..], &["127.0.0.1:0", "--s3-region", "auto"]].concat()).await;
    assert!(said.contains("give --catalog-uri"), "{said}");
    let folder = common::in_package("../sql/pipelines");
    let plan = [
        "streams",
        "plan",
        "--bucket",
        "b",
        "--pipelines",
        &folder,
        "--environment",
    ];
    assert_eq!(weir(&[&plan[..], &["dev"]].concat()).await, "");
    assert!(weir(&[&plan[..], &["devv"]].concat())
        .await
        .contains("none of dev, staging, production"));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_json_has_not_are_told_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let sql = "select 0/0 as a, 1/0 as b, [-1/0, 1.5] as c, {'NaN': 'Infinity'} as d";
    let answer = json_of(server.url(), &["sql", sql]).await;
    let expected = json!([["NaN", "Infinity", ["-Infinity", 1.5], { "NaN": "Infinity" }]]);
    assert_eq!(answer["rows"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_numbers_are_told_exactly_and_a_table_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let sql =
        "select 12345678901234567.89::decimal(38,2) as a, 1.10::decimal(10,2) as b, 18446744073709551616::hugeint as c,
        sum(x) as d, {'e': [1.50::decimal(3,2)]} as e, 1.5::double as f from (values (1), (2)) as t(x)";
    let answer = json_of(server.url(), &["sql", sql]).await;
    let expected = json!(["12345678901234567.89", "1.10", "18446744073709551616", 3, { "e": ["1.50"] }, 1.5]);
    assert_eq!(answer["rows"], json!([expected]));
    let odd = "select row(1.50, 2) as a, [row(1, 2)] as b, 'DECIMAL(1)'::enum('DECIMAL(1)') as c,
        {'DECIMAL(1': 1.50::decimal(3,2)} as d";
    let answer = json_of(server.url(), &["sql", odd]).await;
    let expected = json!(["(1.50, 2)", "[(1, 2)]", "DECIMAL(1)", { "DECIMAL(1": "1.50" }]);
    assert_eq!(answer["rows"], json!([expected]));
    let table = weir(server.url(), &["sql", sql]).await;
    assert!(
        table.contains("12345678901234567.89  1.10  18446744073709551616  3"),
        "{table}"
    );
    let described = json_of(server.url(), &["sql", "describe sync.telemetry; -- its columns"]).await;
    assert_eq!(described["columns"][0], "column_name");
    assert_eq!(described["rows"][0][0], "event_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_listed_shown_and_taken_again_once_they_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let sql = tempfile::tempdir().unwrap();
    for stream in ["commerce_v1", "publication_v1", "sync_v1"] {
        let file = format!("{stream}.sql");
        let text = std::fs::read_to_string(common::in_package(&format!("../sql/pipelines/{file}"))).unwrap();
        let text = text.replace(
            "order_name,",
            "cast(cast(order_name as bigint) as varchar) as order_name,",
        );
        std::fs::write(sql.path().join(file), text).unwrap();
    }
    let wrong_sql = Config {
        pipelines: Some(sql.path().to_owned()),
        ..config(folder.path())
    };
    let server = Server::start(wrong_sql).await.unwrap();
    let row = |id: &str, name: &str| {
        let mut row = event(id, "2026-11-24T10:00:00.000Z");
        row["order_name"] = json!(name);
        row
    };
    let mut never = row("never", "1");
    never["total_price"] = json!("text");
    let rows = json!([row("a", "#1"), row("b", "2"), never, row("c", "#3"), row("d", "#4")]);
    let (status, verdicts) = post(server.url(), "/v1/streams/commerce_v1", rows.to_string()).await;
    assert_eq!((status, &verdicts["accepted"]), (200, &json!(1)), "{verdicts}");
    // Mended.
    drop(server);
    let server = start(folder.path()).await;
    let url = server.url();

    let listed = json_of(url, &["quarantine", "list"]).await;
    let records = listed["records"].as_array().unwrap();
    let events: Vec<_> = records
        .iter()
        .map(|record| record["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["a", "never", "c", "d"]);
    assert!(records.iter().all(|record| record.get("row").is_none()));
    assert_eq!(listed["streams"]["commerce_v1"]["records"], 4);
    assert_eq!(listed["streams"]["sync_v1"]["records"], 0);
    let ids: Vec<_> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
    let shown: Value = serde_json::from_str(&weir(url, &["quarantine", "show", ids[0]]).await).unwrap();
    assert_eq!(
        (&shown["row"]["order_name"], &shown["reason"]),
        (&json!("#1"), &json!("type_mismatch"))
    );
    let one = json_of(url, &["quarantine", "list", "--limit", "1", "--stream", "commerce_v1"]).await;
    assert_eq!(
        (one["records"].as_array().unwrap().len(), &one["is_cut_off"]),
        (1, &json!(true))
    );

    let done = json_of(url, &["quarantine", "replay", ids[2]]).await;
    assert_eq!(done, json!({ "accepted": 1, "rejected": 0, "refusals": [] }));
    let unknown = run(url, &["quarantine", "replay", ids[2]]).await;
    assert_eq!(unknown.status.code(), Some(1));
    // What is still wrong stays, and is said.
    let all = run(url, &["quarantine", "replay", "--stream", "commerce_v1"]).await;
    let said = String::from_utf8(all.stderr).unwrap();
    assert_eq!(all.status.code(), Some(1));
    assert!(
        said.contains(ids[1]) && said.contains("total_price") && !said.contains(ids[0]),
        "{said}"
    );
    let left = json_of(url, &["quarantine", "list"]).await;
    assert_eq!(left["records"].as_array().unwrap().len(), 1);
    assert_eq!(
        json_of(url, &["quarantine", "drop", ids[1]]).await,
        json!({ "dropped": 1 })
    );
    assert_eq!(json_of(url, &["quarantine", "list"]).await["records"], json!([]));
    for arguments in [
        ["quarantine", "replay"].as_slice(),
        &["quarantine", "show", "a"],
        &["quarantine", "drop", ids[1], "--stream", "sync_v1"],
    ] {
        assert_eq!(run(url, arguments).await.status.code(), Some(2));
    }
    assert_eq!(flush(url).await, 3);
    assert_eq!(event_ids("pyiceberg", url, COMMERCE).await, ["a", "b", "c", "d"]);
    // And what is wrong from now on is kept where the rest was.
    let wrong = json!([{ "event_id": "e" }]).to_string();
    assert_eq!(post(url, "/v1/streams/commerce_v1", wrong).await.0, 200);
    assert_eq!(
        json_of(url, &["quarantine", "list"]).await["records"][0]["event_id"],
        "e"
    );
}

/// It would take days.
const RUNAWAY: &str = "select count(*) from range(10000000) as a, range(10000000) as b where a.range % 7 < b.range % 5";

#[tokio::test(flavor = "multi_thread")]
async fn a_select_that_takes_too_long_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Config {
        sql_limit: Duration::from_secs(1),
        ..config(folder.path())
    };
    let server = Server::start(settings).await.unwrap();
    let output = run(server.url(), &["sql", RUNAWAY]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("ended after 1 s"), "{said}");
    // The end of this test waits for the thread that ran it.
}

#[tokio::test(flavor = "multi_thread")]
async fn selects_run_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let ask = |sql: &'static str, limit: Duration| {
        let lake = server.app().lake.clone();
        tokio::spawn(async move { lake.query(sql, limit).await })
    };
    let minute = Duration::from_secs(60);
    let runaway = ask(RUNAWAY, minute);
    let taken = async {
        while !matches!(ask("select 1", Duration::ZERO).await.unwrap(), Err(Error::Busy(_))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(minute, taken)
        .await
        .expect("another one has to wait");
    let next = ask("select 1", minute);
    runaway.abort();
    assert_eq!(next.await.unwrap().unwrap().rows, [[json!(1)]]);
}

/// Clock ticks that a process has computed.
fn ticks(pid: u32) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = told.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_waits_for_no_select() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(folder.path(), &[], &[]).await.unwrap();
    let (pid, url) = (serve.child.id().unwrap(), serve.url.clone());
    let asking = tokio::spawn(async move { post(&url, "/v1/lake/sql", json!({ "sql": RUNAWAY }).to_string()).await });
    let before = ticks(pid);
    while ticks(pid) < before + 100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = std::process::Command::new("kill").arg(pid.to_string()).status();
    assert!(told.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(15), serve.child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    assert_eq!(asking.await.unwrap().0, 503);
}

/// A proxy where nothing listens: port 9 is discard.
const DEAD_PROXY: &str = "http://127.0.0.1:9";

fn by_proxy(url: &str) -> [(&'static str, &str); 5] {
    let names = ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"];
    names.map(|name| (name, if name.eq_ignore_ascii_case("no_proxy") { "" } else { url }))
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_asked_by_a_proxy_and_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[], &by_proxy(DEAD_PROXY)).await.unwrap();
    for (url, proxy, is_answered) in [
        (serve.url.as_str(), DEAD_PROXY, true),
        // The server answers as a proxy would.
        ("http://weir.invalid", serve.url.as_str(), true),
        ("http://weir.invalid", DEAD_PROXY, false),
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        command
            .args(["lake", "tables", "--url", url, "--token", TOKEN])
            .envs(by_proxy(proxy));
        let output = command.output().await.unwrap();
        assert_eq!(output.status.success(), is_answered, "{url} by {proxy}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_storage_of_this_machine_is_not_asked_by_a_proxy() {
    let storage = ObjectStorage::start().await;
    let catalog = storage.config();
    let s3 = catalog.s3.unwrap();
    let (id, secret) = s3.keys.unwrap();
    let credential = format!("{id}:{secret}");
    let arguments = [
        ("--catalog-uri", &catalog.uri),
        ("--catalog-warehouse", &catalog.warehouse),
        ("--catalog-credential", &credential),
        ("--s3-endpoint", &s3.endpoint.unwrap()),
        ("--s3-region", &s3.region),
        ("--s3-access-key-id", &id),
        ("--s3-secret-access-key", &secret),
    ];
    let mut arguments: Vec<_> = arguments
        .iter()
        .flat_map(|(name, value)| [*name, value.as_str()])
        .collect();
    arguments.push("--s3-path-style");
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &arguments, &by_proxy(DEAD_PROXY))
        .await
        .unwrap();
    send(&serve.url, &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    assert_eq!(flush(&serve.url).await, 1);
    let found = json_of(&serve.url, &["sql", "select event_id from commerce.telemetry"]).await;
    assert_eq!(found["rows"], json!([["a"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_ends_the_command_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"));
    let mut child = command
        .args(["lake", "tables", "--url", server.url(), "--token", TOKEN])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), b"".as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_listed_first_and_deleted_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    send(url, &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    flush(url).await;
    let data = folder.path().join("lake/commerce/telemetry");
    let orphan = |name: &str, hours: u64| {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "left by a crash").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600))
            .unwrap();
        path
    };
    let old = orphan("data/occurred_at_day=2026-11-24/old.parquet", 80);
    let manifest = orphan("metadata/old-m0.avro", 80);
    let young = orphan("data/young.parquet", 2);
    // What the table needs is old as well.
    for entry in std::fs::read_dir(data.join("metadata")).unwrap() {
        let file = std::fs::File::options()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000 * 3600))
            .unwrap();
    }
    let listed = json_of(url, &["orphans", COMMERCE]).await;
    let mut files: Vec<_> = listed["tables"][COMMERCE]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["file"].as_str().unwrap().to_owned())
        .collect();
    files.sort_unstable();
    let expected = [&old, &manifest].map(|path| path.canonicalize().unwrap().display().to_string());
    assert_eq!(files, expected);
    assert!(old.exists() && manifest.exists());
    weir(url, &["orphans", COMMERCE, "--delete"]).await;
    assert!(!old.exists() && !manifest.exists() && young.exists());
    assert_eq!(event_ids("pyiceberg", url, COMMERCE).await, ["a"]);
    let refused = run(url, &["orphans", COMMERCE, "--older-than", "0", "--delete"]).await;
    assert!(String::from_utf8(refused.stderr)
        .unwrap()
        .contains("60 minutes at least"));
    assert!(young.exists());
}

#[test]
fn the_command_finds_its_libraries_in_any_terminal() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.arg("--version").env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
