//! What is around weir fails: nothing acknowledged is lost or doubled, and senders are told to wait.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use common::object_storage::ObjectStorage;
use common::proxy::{Fault, Proxy};
use common::serve::Serve;
use common::{config, event, event_ids, flush, post, send, start, table, COMMERCE, TOKEN};
use serde_json::{json, Value};
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::lake::CatalogConfig;
use weir_analytics::server::{Config, Server};

const STREAM: &str = "/v1/streams/commerce_v1";

/// A server whose catalog is the embedded one of another, behind a proxy.
struct Behind {
    catalog: Server,
    proxy: Proxy,
    server: Server,
    _folders: [tempfile::TempDir; 2],
}

async fn behind(change: impl FnOnce(&mut Config)) -> Behind {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let proxy = Proxy::start(catalog.url(), |_, _| None).await;
    let mut settings = Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", proxy.url), None)),
        ..config(folders[1].path())
    };
    change(&mut settings);
    let server = Server::start(settings).await.unwrap();
    Behind {
        catalog,
        proxy,
        server,
        _folders: folders,
    }
}

/// Faults for the first so many commits.
fn first_commits(fault: Fault, many: u32) -> impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static {
    let seen = AtomicU32::new(0);
    move |method, path| {
        let is_commit = method == Method::POST && path.contains("/tables/");
        (is_commit && seen.fetch_add(1, Ordering::AcqRel) < many).then_some(fault)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_refuses_or_loses_answers_costs_time_only() {
    let world = behind(|_| {}).await;
    let faults = [
        (Fault::Refuse(409), 3),
        (Fault::RefuseFor1s(429), 1),
        (Fault::Refuse(503), 2),
        (Fault::LoseAnswer, 1),
    ];
    let mut ids = Vec::new();
    for (number, (fault, many)) in faults.into_iter().enumerate() {
        let id = format!("row-{number}");
        send(world.server.url(), &[event(&id, "2026-11-24T10:00:00.000Z")]).await;
        ids.push(id);
        world.proxy.rule(first_commits(fault, many));
        // Committed once by this flush, whatever the first attempts met.
        assert_eq!(flush(world.server.url()).await, 1, "{fault:?}");
        let met = world.proxy.faults().iter().filter(|one| **one == fault).count();
        assert_eq!(met as u32, many, "{fault:?}");
    }
    assert_eq!(event_ids("pyiceberg", world.catalog.url(), COMMERCE).await, ids);
}

/// Sends an event of a step of a workflow.
async fn send_step(url: &str, id: &str) {
    let mut step = event(id, "2026-11-24T10:00:00.000Z");
    for name in ["order_id", "total_price", "customer_key", "sales"] {
        step.as_object_mut().unwrap().remove(name);
    }
    for name in ["workflow", "instance_id", "step", "status"] {
        step[name] = json!("x");
    }
    (step["attempt"], step["duration_ms"], step["started_at"]) = (json!(1), json!(2), step["occurred_at"].clone());
    let (status, said) = post(url, "/v1/streams/sync_v1", json!([step]).to_string()).await;
    assert_eq!((status, &said["accepted"]), (200, &json!(1)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_not_committed_again_also_when_its_snapshot_has_expired_meanwhile() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let uri = format!("{}/iceberg", catalog.url());
    let arguments = ["--catalog-uri", &uri];
    let mut ids = vec!["other".to_owned()];
    send(catalog.url(), &[event("other", "2026-11-24T10:00:00.000Z")]).await;
    assert_eq!(flush(catalog.url()).await, 1);
    for (round, boundary) in [
        "after_lake_commit_before_journal_removal",
        "after_lake_commit_before_reply",
        "after_parquet_write_before_commit",
    ]
    .into_iter()
    .enumerate()
    {
        let environment = [("WEIR_FAILPOINT", boundary)];
        let mut serve = Serve::start(folders[1].path(), &arguments, &environment).await.unwrap();
        assert!(!serve.is_held);
        for (n, day) in [(0, 24), (1, 25)] {
            let id = format!("{round}-{n}");
            send(&serve.url, &[event(&id, &format!("2026-11-{day}T10:00:00.000Z"))]).await;
            ids.push(id);
        }
        // Answered never: it is held and killed.
        let flush_url = format!("{}/v1/flush", serve.url);
        let flushing = reqwest::Client::new().post(flush_url).bearer_auth(TOKEN).send();
        let flushing = tokio::spawn(flushing);
        assert!(serve.held().await, "{boundary}");
        serve.kill().await;
        assert!(flushing.await.unwrap().is_err());
        // The other server goes on, and forgets how.
        let id = format!("{round}-other");
        send(catalog.url(), &[event(&id, "2026-11-24T10:00:00.000Z")]).await;
        ids.push(id);
        assert_eq!(flush(catalog.url()).await, 1);
        let upkeep = Upkeep::keeping(Some(0), Some(1));
        catalog.app().lake.maintain(&table(COMMERCE), upkeep).await.unwrap();
    }
    let serve = Serve::start(folders[1].path(), &arguments, &[]).await.unwrap();
    serve.kill().await;
    ids.sort_unstable();
    assert_eq!(event_ids("pyiceberg", catalog.url(), COMMERCE).await, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_the_table_knows_but_for_what_the_disk_has_lost_is_kept() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let settings = || Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", catalog.url()), None)),
        ..config(folders[1].path())
    };
    let first = Server::start(settings()).await.unwrap();
    for id in ["known", "lost"] {
        send(first.url(), &[event(id, "2026-11-24T10:00:00.000Z")]).await;
    }
    drop(first);
    let journal = folders[1].path().join("journal/commerce_v1");
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&journal).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let segment = files().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    // The sender of one sends it again, to the other server, which forgets how it came.
    for id in ["known", "other"] {
        send(catalog.url(), &[event(id, "2026-11-24T10:00:00.000Z")]).await;
        assert_eq!(flush(catalog.url()).await, 1);
    }
    let upkeep = Upkeep::keeping(Some(0), Some(1));
    catalog.app().lake.maintain(&table(COMMERCE), upkeep).await.unwrap();

    let _second = Server::start(settings()).await.unwrap();
    let ids = event_ids("pyiceberg", catalog.url(), COMMERCE).await;
    assert_eq!(ids, ["known", "other"]);
    assert_eq!(files(), [segment.with_extension("damaged")]);
    assert_eq!(std::fs::read(&files()[0]).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_lists_nothing_to_weir_or_is_busy_at_the_start_will_do_and_no_other() {
    let world = behind(|_| {}).await;
    let asked = AtomicU32::new(0);
    world.proxy.rule(move |method, path| {
        let is_listing = path.ends_with("/namespaces") || path.ends_with("/tables");
        match method == Method::GET {
            true if is_listing => Some(Fault::Refuse(403)),
            true if asked.fetch_add(1, Ordering::AcqRel) < 2 => Some(Fault::Refuse(503)),
            _ => None,
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let started = async |uri: String| {
        let settings = Config {
            catalog: Some(CatalogConfig::embedded(&uri, None)),
            ..config(folder.path())
        };
        Server::start(settings).await
    };
    drop(started(format!("{}/iceberg", world.proxy.url)).await.unwrap());
    let no_catalog = started(format!("{}/elsewhere", world.proxy.url)).await.unwrap_err();
    world.proxy.rule(|_, _| Some(Fault::Refuse(401)));
    let wrong_token = started(format!("{}/iceberg", world.proxy.url)).await.unwrap_err();
    for error in [no_catalog, wrong_token] {
        assert!(error.to_string().contains("does not say whether it has"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_commit_keeps_the_others_from_nothing_also_at_a_start() {
    let Behind {
        catalog,
        proxy,
        server,
        _folders: folders,
    } = behind(|_| {}).await;
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    send_step(server.url(), "s0").await;
    // As a crash would: both wait in their journals.
    drop(server);
    proxy.rule(|method, path| {
        let is_refused = method == Method::POST && path.contains("commerce/tables");
        is_refused.then_some(Fault::Refuse(403))
    });
    let settings = Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", proxy.url), None)),
        backlog_bytes: 20_000,
        ..config(folders[1].path())
    };
    let server = Server::start(settings).await.unwrap();
    let mut ids = vec!["a".to_owned()];
    loop {
        let id = format!("b-{:03}", ids.len());
        let body = json!([event(&id, "2026-11-24T10:00:00.000Z")]).to_string();
        match post(server.url(), STREAM, body).await {
            (200, _) => ids.push(id),
            (status, said) => {
                assert_eq!(status, 503, "{said}");
                break;
            }
        }
    }
    send_step(server.url(), "s1").await;
    let health: Value = reqwest::get(format!("{}/healthz", server.url()))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let of_streams = &health["backlog_bytes_by_stream"];
    assert!(
        of_streams["commerce_v1"].as_u64() > Some(10_000) && of_streams["sync_v1"].as_u64() > Some(100),
        "{health}"
    );
    assert_eq!(post(server.url(), "/v1/flush", String::new()).await.0, 500);
    assert_eq!(
        event_ids("pyiceberg", catalog.url(), "sync.telemetry").await,
        ["s0", "s1"]
    );
    proxy.rule(|_, _| None);
    assert_eq!(flush(server.url()).await, ids.len() as u64);
    assert_eq!(event_ids("pyiceberg", catalog.url(), COMMERCE).await, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_kept_in_shape_holds_up_no_other() {
    let world = behind(|_| {}).await;
    for n in 0..3 {
        let id = format!("e{n}");
        send(world.server.url(), &[event(&id, "2026-11-24T10:00:00.000Z")]).await;
        send_step(world.server.url(), &id).await;
        assert_eq!(flush(world.server.url()).await, 1);
    }
    world.proxy.rule(|method, path| {
        let is_refused = method == Method::POST && path.contains("commerce/tables");
        is_refused.then_some(Fault::Refuse(403))
    });
    let upkeep = Upkeep {
        min_files: 2,
        ..Upkeep::default()
    };
    let failed = world.server.app().maintain(upkeep).await;
    assert!(failed.is_err(), "{failed:?}");
    let files = |name: &'static str| {
        let lake = world.server.app().lake.clone();
        async move { lake.data_files(&table(name), None).await.unwrap().len() }
    };
    assert_eq!((files(COMMERCE).await, files("sync.telemetry").await), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_down_fills_the_journal_and_then_senders_wait() {
    let world = behind(|settings| settings.backlog_bytes = 20_000).await;
    let url = world.server.url();
    // A definite no that waiting does not help: the commit gives up at once, the rows stay.
    world
        .proxy
        .rule(|method, path| (method == Method::POST && path.contains("/tables/")).then_some(Fault::Refuse(400)));
    let mut ids = Vec::new();
    let refused = loop {
        let id = format!("row-{:04}", ids.len());
        let response = reqwest::Client::new()
            .post(format!("{url}{STREAM}"))
            .bearer_auth(TOKEN)
            .body(json!([event(&id, "2026-11-24T10:00:00.000Z")]).to_string())
            .send()
            .await
            .unwrap();
        if response.status() != 200 {
            break response;
        }
        ids.push(id);
        let (status, _) = post(url, "/v1/flush", String::new()).await;
        assert_eq!(status, 500);
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(ids.len() > 5);
    world.proxy.rule(|_, _| None);
    assert_eq!(flush(url).await, ids.len() as u64);
    assert_eq!(event_ids("duckdb", world.catalog.url(), COMMERCE).await, ids);
    // And it takes rows again.
    send(url, &[event("z", "2026-11-24T10:00:00.000Z")]).await;
}

/// Commits, again while the storage makes a commit fail: what it gives up waits in the journal, as at every interval.
async fn flush_at_last(url: &str) {
    let committed = async {
        loop {
            match post(url, "/v1/flush", String::new()).await {
                (200, _) => return,
                (status, body) => assert_eq!(status, 500, "{body}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), committed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_and_failing_object_storage_delays_commits_not_answers() {
    let storage = ObjectStorage::start().await;
    let failures = Arc::new(AtomicU32::new(0));
    let proxy = Proxy::start(&storage.s3_endpoint(), |_, _| None).await;
    let mut catalog = storage.config();
    // The proxy hands on the Host header as it came: the signature covers it.
    catalog.s3.as_mut().unwrap().endpoint = Some(proxy.url.clone());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        catalog: Some(catalog),
        ..config(folder.path())
    })
    .await
    .unwrap();
    send(server.url(), &[event("before", "2026-11-24T10:00:00.000Z")]).await;
    assert_eq!(flush(server.url()).await, 1);
    let count = failures.clone();
    proxy.rule(move |method, _| {
        if method != Method::PUT {
            return Some(Fault::Delay(20));
        }
        // Every other write fails at first; the client of the storage tries again.
        Some(match count.fetch_add(1, Ordering::AcqRel) % 2 {
            0 => Fault::Refuse(503),
            _ => Fault::Delay(200),
        })
    });
    let url = server.url().to_owned();
    let flushing = tokio::spawn({
        let url = url.clone();
        async move { flush_at_last(&url).await }
    });
    for n in 0..5 {
        send(&url, &[event(&format!("during-{n}"), "2026-11-24T10:00:00.000Z")]).await;
    }
    flushing.await.unwrap();
    flush_at_last(&url).await;
    assert!(failures.load(Ordering::Acquire) > 0);
    let rows = storage.read("pyiceberg", COMMERCE).await;
    let mut ids: Vec<_> = rows
        .iter()
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        ["before", "during-0", "during-1", "during-2", "during-3", "during-4"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_to_the_sender_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // No file may grow beyond this: what a full disk looks like to the journal, without needing a disk of our own. The
    // signal that comes with it is ignored as a service manager would, so that the write fails instead.
    let serve = Serve::start_limited(folder.path(), &["--commit-interval-ms", "3600000"], 64).await;
    let mut acknowledged = Vec::new();
    // How many there were at each refusal.
    let mut refused = Vec::new();
    let http = reqwest::Client::new();
    for round in 0..10_000 {
        // Several at a time: of what is written with one sync whole rows may be in the file when it fails.
        let posts = (0..8).map(|number| {
            let id = format!("row-{round:05}-{number}");
            let mut row = event(&id, "2026-11-24T10:00:00.000Z");
            row["order_name"] = Value::from("x".repeat(20_000));
            let body = json!([row]).to_string();
            let request = http
                .post(format!("{}{STREAM}", serve.url))
                .bearer_auth(TOKEN)
                .body(body);
            async move { (id, request.send().await.unwrap()) }
        });
        let mut is_refused = false;
        for (id, response) in futures::future::join_all(posts).await {
            match response.status().as_u16() {
                200 => acknowledged.push(id),
                503 => {
                    assert!(response.headers().contains_key("retry-after"));
                    is_refused = true;
                }
                other => panic!("{other}: {}", response.text().await.unwrap()),
            }
        }
        if is_refused {
            refused.push(acknowledged.len());
        }
        if refused.len() == 3 {
            break;
        }
    }
    // After each refusal rows are taken again, into a segment of their own.
    assert!(
        refused.len() == 3 && refused[0] > 0 && refused.is_sorted_by(|a, b| a < b),
        "{refused:?}"
    );
    acknowledged.sort_unstable();
    serve.kill().await;
    let server = start(folder.path()).await;
    assert_eq!(event_ids("pyiceberg", server.url(), COMMERCE).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_half_file_and_a_replay_on_it_doubles_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<_> = (0..60).map(|n| format!("row-{n:02}")).collect();
    let record = |id: &String| {
        let mut row = event(id, "2026-11-24T10:00:00.000Z");
        row["order_name"] = Value::from("x".repeat(2_000));
        let record =
            json!({ "received_at": "2026-11-24T10:00:01Z", "event_id": id, "reason": "type_mismatch", "row": row });
        format!("{record}\n")
    };
    let quarantine = folder.path().join("quarantine");
    std::fs::create_dir(&quarantine).unwrap();
    let lines: Vec<_> = ids.iter().map(record).collect();
    std::fs::write(quarantine.join("commerce_v1.jsonl"), lines.concat()).unwrap();
    // The file is larger than any may become.
    let serve = Serve::start_limited(folder.path(), &["--commit-interval-ms", "3600000"], 64).await;
    let listed = reqwest::Client::new().get(format!("{}/v1/quarantine", serve.url));
    let listed: Value = listed.bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
    let records: Vec<_> = listed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["id"])
        .collect();
    let files = || std::fs::read_dir(&quarantine).unwrap().count();
    let before = files();
    let ask = |what: &str, body: Value| {
        let (url, path) = (serve.url.clone(), format!("/v1/quarantine/{what}"));
        async move { post(&url, &path, body.to_string()).await }
    };
    let dropped = ask("drop", json!({ "ids": [records[0]] })).await;
    assert_eq!(dropped, (200, json!({ "dropped": 1 })));
    assert_eq!(files(), before);
    // Here the disk refuses to take out what lies behind its end, once the rows are in the journal.
    let some = json!({ "ids": &records[10..30] });
    assert_eq!(ask("replay", some.clone()).await.1["accepted"], 20);
    assert_eq!(ask("replay", some).await.0, 404);
    assert_eq!(
        ask("replay", json!({ "stream": "commerce_v1" })).await.1["accepted"],
        39
    );
    assert_eq!(ask("replay", json!({ "stream": "commerce_v1" })).await.1["accepted"], 0);
    serve.kill().await;
    let server = start(folder.path()).await;
    assert_eq!(event_ids("pyiceberg", server.url(), COMMERCE).await, ids[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_ends_no_task() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let proxy = Proxy::start(catalog.url(), |_, _| None).await;
    let uri = format!("{}/iceberg", proxy.url);
    let arguments = ["--catalog-uri", &uri, "--commit-interval-ms", "100"];
    let Serve {
        child: _child,
        url,
        errors,
        ..
    } = Serve::start(folders[1].path(), &arguments, &[]).await.unwrap();
    drop(errors);
    // The committer has that to say, and goes on.
    proxy.rule(first_commits(Fault::Refuse(400), 1));
    send(&url, &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    let committed = async {
        let lake = &catalog.app().lake;
        while lake.summary(&table(COMMERCE)).await.unwrap().records == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), committed).await.unwrap();
    assert_eq!(proxy.faults(), [Fault::Refuse(400)]);
}

/// Resident memory of a process in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_while_the_catalog_is_down() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = start(folders[0].path()).await;
    let proxy = Proxy::start(catalog.url(), |_, _| None).await;
    let uri = format!("{}/iceberg", proxy.url);
    let limit = (24 << 20).to_string();
    let arguments = [
        "--catalog-uri",
        &uri,
        "--commit-interval-ms",
        "100",
        "--backlog-bytes",
        &limit,
    ];
    let serve = Serve::start(folders[1].path(), &arguments, &[]).await.unwrap();
    let pid = serve.child.id().unwrap();
    proxy.rule(|method, path| (method == Method::POST && path.contains("/tables/")).then_some(Fault::Refuse(500)));
    let rows: Vec<_> = (0..400)
        .map(|n| {
            let mut row = event(&format!("row-{n}"), "2026-11-24T10:00:00.000Z");
            // Random, so that the journal cannot make it much smaller.
            let name: String = (0..16).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
            row["order_name"] = json!(name);
            row
        })
        .collect();
    let body = json!(rows).to_string();
    let before = resident_kib(pid);
    let mut accepted = 0_u64;
    let mut refused = 0;
    let mut most = before;
    // Ten times after the journal is full, too: a refusal must not cost memory either.
    while refused < 100 {
        let (status, _) = post(&serve.url, STREAM, body.clone()).await;
        match status {
            200 => accepted += 400,
            503 => refused += 1,
            other => panic!("{other}"),
        }
        most = most.max(resident_kib(pid));
    }
    let journaled = accepted * (body.len() as u64 / 400) / 1024;
    println!("{accepted} rows, {journaled} KiB journaled, resident {before} KiB before and {most} KiB at most");
    // Decoded rows are kept up to 128 MiB, request bodies up to 64 MiB, encoded rows of a row group, and the allocator's
    // share: a constant, whatever came in. A leak of the refused requests alone would be beyond it.
    assert!(most < before + 400 * 1024, "{most} KiB");
    proxy.rule(|_, _| None);
    let committed = async {
        let lake = &catalog.app().lake;
        loop {
            let snapshots = lake.snapshots(&table(COMMERCE)).await.unwrap();
            if snapshots.first().is_some_and(|newest| newest.total_records == accepted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), committed).await.unwrap();
}
