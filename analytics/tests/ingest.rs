//! Rows in: verdicts, the journal, and what a crash leaves.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{config, event, event_ids, flush, post, send, start, table, COMMERCE, TOKEN};
use serde_json::{json, Value};
use weir_analytics::server::{Config, Server};
use weir_analytics::Error;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_has_its_verdict_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut wrong_type = event("wrong", "2026-11-24T10:00:00.000Z");
    wrong_type["total_price"] = json!("12");
    let mut missing = event("x", "2026-11-24T10:00:00.000Z");
    missing.as_object_mut().unwrap().remove("event_id");
    // A year that a 64-bit nanosecond clock does not reach; the table has microseconds.
    let far = event("far", "2999-12-31T00:00:00.000Z");
    // What the stream's check lets pass and the table's type does not would block every row behind it.
    let short = event("short", "2026-11-24T10Z");
    let rows = json!([
        event("good", "2026-11-24T10:00:00.000Z"),
        wrong_type,
        missing,
        "text",
        far,
        short
    ]);
    let (status, verdicts) = post(server.url(), "/v1/streams/commerce_v1", rows.to_string()).await;
    assert_eq!(status, 200);
    assert_eq!(verdicts["accepted"], 2, "{verdicts}");
    let rejected: Vec<_> = verdicts["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["index"].as_u64().unwrap(),
                one["event_id"].as_str(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rejected,
        [
            (1, Some("wrong"), "type_mismatch"),
            (2, None, "missing_field"),
            (3, None, "parse_failure"),
            (5, Some("short"), "type_mismatch")
        ]
    );
    assert_eq!(verdicts["rejected"][0]["field"], "total_price");

    let kept = std::fs::read_to_string(folder.path().join("quarantine/commerce_v1.jsonl")).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.len(), 4);
    assert_eq!(kept[0]["row"]["total_price"], "12");
    assert_eq!(kept[0]["reason"], "type_mismatch");

    assert_eq!(flush(server.url()).await, 2);
    assert_eq!(event_ids("duckdb", server.url(), COMMERCE).await, ["far", "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url();
    assert_eq!(post(url, "/v1/streams/commerce_v1", "{}".into()).await.0, 422);
    assert_eq!(post(url, "/v1/streams/commerce_v1", "[{]".into()).await.0, 422);
    assert_eq!(post(url, "/v1/streams/other_v1", "[]".into()).await.0, 404);
    assert_eq!(post(url, "/v1/streams/commerce_v1", "[]".into()).await.0, 200);
    let large = format!("[{}]", " ".repeat(5 * 1024 * 1024));
    assert_eq!(post(url, "/v1/streams/commerce_v1", large).await.0, 413);
    for token in [
        None,
        Some("test-tokem"),
        Some(""),
        Some("test-toke"),
        Some("test-token2"),
    ] {
        for path in ["/v1/streams/commerce_v1", "/v1/flush"] {
            let mut request = reqwest::Client::new().post(format!("{url}{path}")).body("[]");
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            assert_eq!(request.send().await.unwrap().status(), 401);
        }
    }
    let health = reqwest::get(format!("{url}/healthz")).await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(matches!(
        Server::start(config(folder.path())).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_nearly_all_wrong_is_refused_whole_and_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let path = "/v1/streams/commerce_v1";
    let good = event("good", "2026-11-24T10:00:00.000Z");
    let many = |wrong: &str, count: usize| format!("[{good}{}]", format!(",{wrong}").repeat(count));
    // A time that only the decoder finds wrong.
    let late = event("late", "2026-11-24T10Z").to_string();
    for (wrong, count, reason) in [
        ("{}", 5 * 1024 * 1024 / 3 - 1_000, "row 1: missing_field"),
        ("1", 1_001, "row 1: parse_failure"),
        (&late, 1_001, "row 1: type_mismatch"),
    ] {
        let (status, said) = post(server.url(), path, many(wrong, count)).await;
        assert_eq!(status, 422);
        let said = said.to_string();
        assert!(
            said.len() < 1_000 && said.contains("more than 1000 rows are wrong"),
            "{said}"
        );
        assert!(said.contains(reason), "{said}");
    }
    let kept = folder.path().join("quarantine/commerce_v1.jsonl");
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), 0);
    assert_eq!(flush(server.url()).await, 0);
    let (status, verdicts) = post(server.url(), path, many("{}", 1_000)).await;
    assert_eq!((status, &verdicts["accepted"]), (200, &json!(1)));
    assert_eq!(verdicts["rejected"].as_array().unwrap().len(), 1_000);
    assert_eq!(flush(server.url()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_that_cannot_be_used_keeps_no_server_from_starting_and_no_right_row_from_being_taken() {
    let folder = tempfile::tempdir().unwrap();
    let unusable = folder.path().join("quarantine/commerce_v1.jsonl");
    std::fs::create_dir_all(&unusable).unwrap();
    let server = start(folder.path()).await;
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    let mut wrong = event("wrong", "2026-11-24T10:00:00.000Z");
    wrong["total_price"] = json!("12");
    let body = json!([wrong]).to_string();
    let (status, said) = post(server.url(), "/v1/streams/commerce_v1", body.clone()).await;
    let said = said.to_string();
    assert!(status == 503 && said.contains("commerce_v1.jsonl"), "{status} {said}");
    std::fs::remove_dir(&unusable).unwrap();
    let (status, said) = post(server.url(), "/v1/streams/commerce_v1", body).await;
    assert_eq!((status, said["rejected"][0]["event_id"].as_str()), (200, Some("wrong")));
    assert_eq!(flush(server.url()).await, 1);
    assert_eq!(event_ids("duckdb", server.url(), COMMERCE).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_says_503_and_takes_rows_again_after_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        backlog_bytes: 1_500,
        ..config(folder.path())
    })
    .await
    .unwrap();
    let body = json!([event("a", "2026-11-24T10:00:00.000Z")]).to_string();
    let path = "/v1/streams/commerce_v1";
    let mut accepted = 0;
    while post(server.url(), path, body.clone()).await.0 == 200 {
        accepted += 1;
    }
    let refused = reqwest::Client::new()
        .post(format!("{}{path}", server.url()))
        .bearer_auth(TOKEN)
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(accepted > 0);
    // What is wrong in a request that comes again and again is one finding.
    let mixed = json!([event("b", "2026-11-24T10:00:00.000Z"), { "event_id": "wrong" }]).to_string();
    for _ in 0..5 {
        assert_eq!(post(server.url(), path, mixed.clone()).await.0, 503);
    }
    assert_eq!(flush(server.url()).await, accepted);
    assert_eq!(post(server.url(), path, mixed).await.1["accepted"], 1);
    let kept = std::fs::read_to_string(folder.path().join("quarantine/commerce_v1.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_acknowledged_before_a_flush_is_committed_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let url = server.url().to_owned();
    let clients = (0..8).map(|client| {
        let url = url.clone();
        let lake = server.app().lake.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let id = format!("{client}-{round}");
                send(&url, &[event(&id, "2026-11-24T10:00:00.000Z")]).await;
                flush(&url).await;
                let relation = lake.duckdb_relation(&table(COMMERCE), None).await.unwrap();
                let found: i64 = tokio::task::spawn_blocking(move || {
                    let duckdb = duckdb::Connection::open_in_memory().unwrap();
                    let sql = format!("select count(*) from {relation} as t where event_id = ?");
                    duckdb.query_row(&sql, [id], |row| row.get(0)).unwrap()
                })
                .await
                .unwrap();
                assert_eq!(found, 1);
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    assert_eq!(event_ids("pyiceberg", &url, COMMERCE).await.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_commits_without_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        commit_interval: Duration::from_millis(50),
        ..config(folder.path())
    })
    .await
    .unwrap();
    send(server.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    let lake = &server.app().lake;
    let committed = async {
        while lake.data_files(&table(COMMERCE), None).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), committed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    send(first.url(), &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    send(first.url(), &[event("b", "2026-11-24T10:00:00.000Z")]).await;
    drop(first);

    let second = start(folder.path()).await;
    assert_eq!(event_ids("duckdb", second.url(), COMMERCE).await, ["a", "b"]);

    // A crash after the commit and before the deletion: the segment is still there, its name is in the history.
    send(second.url(), &[event("c", "2026-11-24T10:00:00.000Z")]).await;
    let journal = folder.path().join("journal/commerce_v1");
    let segments: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [segment] = segments.as_slice() else {
        panic!("{segments:?}");
    };
    let copy = std::fs::read(segment).unwrap();
    assert_eq!(flush(second.url()).await, 1);
    assert!(!segment.exists());
    drop(second);
    std::fs::write(segment, copy).unwrap();

    let third = start(folder.path()).await;
    assert_eq!(event_ids("pyiceberg", third.url(), COMMERCE).await, ["a", "b", "c"]);
    assert!(!segment.exists());
}

/// Sends an event for each id, each a batch, ends the server as a crash would, flips a bit of each of these bytes of its
/// segment, counted from the end where negative, and starts again: events found, and whether the segment is kept.
async fn after_damage(ids: &[&str], places: &[isize]) -> (Vec<String>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    for id in ids {
        send(first.url(), &[event(id, "2026-11-24T10:00:00.000Z")]).await;
    }
    drop(first);
    let journal = folder.path().join("journal/commerce_v1");
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&journal).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let segment = files().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    for place in places {
        let place = place.rem_euclid(bytes.len() as isize) as usize;
        bytes[place] ^= 1;
    }
    std::fs::write(&segment, &bytes).unwrap();

    let second = start(folder.path()).await;
    let found = event_ids("duckdb", second.url(), COMMERCE).await;
    let kept = files();
    if let [kept] = kept.as_slice() {
        assert_eq!(*kept, segment.with_extension("damaged"));
        assert_eq!(std::fs::read(kept).unwrap(), bytes);
    }
    (found, !kept.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_the_disk_has_changed_is_kept_and_the_rest_of_it_committed() {
    let ids = ["a", "b", "c", "d", "e"];
    let of = |found: &[&str]| found.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // A payload, and that of the last batch.
    assert_eq!(after_damage(&ids, &[20]).await, (of(&ids[1..]), true));
    assert_eq!(after_damage(&ids, &[-1]).await, (of(&ids[..4]), true));
    // The length of the first batch: nothing is lost.
    assert_eq!(after_damage(&ids, &[2]).await, (of(&ids), false));
    assert_eq!(after_damage(&ids, &[2, 20]).await, (of(&ids[1..]), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_on_sigterm_with_its_rows_committed_and_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = spawn(folder.path()).await;
    send(&url, &[event("a", "2026-11-24T10:00:00.000Z")]).await;
    child.start_kill().unwrap();
    child.wait().await.unwrap();

    let (mut child, url) = spawn(folder.path()).await;
    send(&url, &[event("b", "2026-11-24T10:00:00.000Z")]).await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap()
        .success());
    assert!(child.wait().await.unwrap().success());
    let left = std::fs::read_dir(folder.path().join("journal/commerce_v1"))
        .unwrap()
        .count();
    assert_eq!(left, 0);

    let server = start(folder.path()).await;
    assert_eq!(event_ids("duckdb", server.url(), COMMERCE).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_each_acknowledged_row_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sent, mut acknowledged) = (HashSet::new(), HashSet::new());
    for round in 0..6 {
        let (mut child, url) = spawn_with(folder.path(), "5").await;
        let (acks, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..4 {
            let (url, acks) = (url.clone(), acks.clone());
            clients.spawn(async move {
                let http = reqwest::Client::new();
                for n in 0.. {
                    let id = format!("{round}-{client}-{n}");
                    let request = http
                        .post(format!("{url}/v1/streams/commerce_v1"))
                        .bearer_auth(TOKEN)
                        .body(json!([event(&id, "2026-11-24T10:00:00.000Z")]).to_string());
                    let answered = request.send().await.is_ok_and(|response| response.status() == 200);
                    acks.send((id, answered)).unwrap();
                    if !answered {
                        return;
                    }
                }
            });
        }
        drop(acks);
        let mut living = 0;
        while let Some((id, answered)) = answers.recv().await {
            sent.insert(id.clone());
            if answered {
                acknowledged.insert(id);
                living += 1;
                // Other numbers each round, so that the end meets other steps of a commit.
                if living == 40 + 17 * round {
                    child.start_kill().unwrap();
                }
            }
        }
        child.wait().await.unwrap();
    }
    let server = start(folder.path()).await;
    let found = event_ids("duckdb", server.url(), COMMERCE).await;
    let distinct: HashSet<_> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len());
    assert!(acknowledged.is_subset(&distinct));
    assert!(distinct.is_subset(&sent));
}

async fn spawn(warehouse: &std::path::Path) -> (tokio::process::Child, String) {
    spawn_with(warehouse, "3600000").await
}

async fn spawn_with(warehouse: &std::path::Path, commit_interval_ms: &str) -> (tokio::process::Child, String) {
    use tokio::io::AsyncBufReadExt;
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["serve", "--listen", "127.0.0.1:0", "--token", TOKEN])
        .args(["--commit-interval-ms", commit_interval_ms, "--warehouse"])
        .arg(warehouse)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["listening"].as_str().unwrap().to_owned())
}
