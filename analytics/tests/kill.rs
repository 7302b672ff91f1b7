//! kill -9 of `weir serve` at each durability boundary, under load: what was acknowledged is in the table once, as it was
//! sent.
//!
//! `WEIR_KILL_SEED` repeats a run, `WEIR_KILL_ROUNDS` makes a longer one (default: two rounds of each boundary).

mod common;

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use common::serve::Serve;
use common::{event, event_ids, flush, post, read, start, COMMERCE, TOKEN};
use serde_json::{json, Value};

/// Where the process is held when the signal comes; none: anywhere, after a number of answers.
const BOUNDARIES: [Option<&str>; 6] = [
    Some("after_journal_before_reply"),
    Some("after_encode_before_seal"),
    Some("after_parquet_write_before_commit"),
    Some("after_lake_commit_before_reply"),
    Some("after_lake_commit_before_journal_removal"),
    None,
];

/// SplitMix64: the whole run follows from one number.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// An event whose values follow from its number.
fn made(id: &str, random: &mut Random) -> Value {
    let day = 20 + random.below(5);
    let mut row = event(id, &format!("2026-11-{day}T10:00:00.{:03}Z", random.below(1000)));
    row["total_price"] = json!(random.below(1 << 60));
    row["order_name"] = json!(format!("#{} \u{e9}\"\\", random.below(10_000)));
    row
}

/// What of an event the oracle compares: the whole text of some columns, nested ones included.
fn essence(row: &Value) -> (String, String, String, String) {
    let moment: jiff::Timestamp = row["occurred_at"].as_str().unwrap().parse().unwrap();
    (
        moment.to_string(),
        row["total_price"].to_string(),
        row["order_name"].to_string(),
        row["sales"][0]["gross_sales"].to_string(),
    )
}

/// Clients that send until the server is gone, each request a few events. What was sent and what was acknowledged is
/// told as it happens.
fn load(
    url: &str,
    round: u64,
    random: &mut Random,
    told: &tokio::sync::mpsc::UnboundedSender<(Vec<Value>, bool)>,
) -> tokio::task::JoinSet<()> {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (url, told) = (url.to_owned(), told.clone());
        let mut random = Random(random.below(u64::MAX));
        clients.spawn(async move {
            let http = reqwest::Client::new();
            for n in 0.. {
                let rows: Vec<_> = (0..=random.below(4))
                    .map(|row| made(&format!("{round}-{client}-{n}-{row}"), &mut random))
                    .collect();
                let request = http
                    .post(format!("{url}/v1/streams/commerce_v1"))
                    .bearer_auth(TOKEN)
                    .body(json!(rows).to_string());
                let answered = request.send().await.is_ok_and(|response| response.status() == 200);
                // The receiver goes when enough is known.
                if told.send((rows, answered)).is_err() || !answered {
                    return;
                }
            }
        });
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_boundary_each_acknowledged_row_is_there_once_as_it_was_sent() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("WEIR_KILL_SEED").unwrap_or(now.as_micros() as u64);
    let rounds = number("WEIR_KILL_ROUNDS").unwrap_or(2 * BOUNDARIES.len() as u64);
    println!("WEIR_KILL_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let (mut sent, mut acknowledged) = (HashMap::new(), HashSet::new());
    for round in 0..rounds {
        let boundary = BOUNDARIES[(round % BOUNDARIES.len() as u64) as usize];
        let nth = 1 + random.below(8);
        let failpoint = boundary.map(|name| format!("{name}:{nth}"));
        let environment: Vec<_> = failpoint.iter().map(|text| ("WEIR_FAILPOINT", text.as_str())).collect();
        // Commits every few milliseconds, so that requests and commits interleave.
        let arguments = ["--commit-interval-ms", "3", "--roll-bytes", "16000"];
        let started = Serve::start(folder.path(), &arguments, &environment).await;
        let mut serve = match started {
            Ok(serve) => serve,
            Err(said) => panic!("round {round}, {boundary:?}: {said}"),
        };
        if serve.is_held {
            serve.kill().await;
            continue;
        }
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let clients = load(&serve.url, round, &mut random, &told);
        drop(told);
        let answers = 20 + random.below(60);
        let mut seen = 0;
        let mut note = |(rows, answered): (Vec<Value>, bool)| {
            for row in rows {
                let id = row["event_id"].as_str().unwrap().to_owned();
                if answered {
                    acknowledged.insert(id.clone());
                }
                sent.insert(id, essence(&row));
            }
        };
        if boundary.is_some() {
            assert!(serve.held().await, "round {round}: {boundary:?} was never reached");
        } else {
            while seen < answers {
                note(heard.recv().await.unwrap());
                seen += 1;
            }
        }
        serve.kill().await;
        // What the clients still have to say, answered before the signal or never.
        clients.join_all().await;
        while let Some(news) = heard.recv().await {
            note(news);
        }
    }
    println!(
        "{rounds} rounds, {} rows sent, {} acknowledged",
        sent.len(),
        acknowledged.len()
    );
    assert!(acknowledged.len() as u64 > rounds);
    let server = start(folder.path()).await;
    let mut found = HashMap::new();
    for row in read("pyiceberg", server.url(), COMMERCE).await {
        let id = row["event_id"].as_str().unwrap().to_owned();
        let twice = found.insert(id.clone(), essence(&row));
        assert!(twice.is_none(), "{id} is there twice; WEIR_KILL_SEED={seed}");
    }
    for id in &acknowledged {
        assert_eq!(found.get(id), sent.get(id), "{id}; WEIR_KILL_SEED={seed}");
    }
    // Rows that were never acknowledged may be there; rows that were never sent may not, nor with other values.
    for (id, row) in &found {
        assert_eq!(Some(row), sent.get(id), "{id}; WEIR_KILL_SEED={seed}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("journal/commerce_v1"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_replays_a_quarantine_the_rows_of_one_part_are_there_twice_and_no_other_is_lost() {
    const PART: usize = 500;
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<_> = (0..2 * PART + PART / 2).map(|n| format!("{n:05}")).collect();
    let line = |id: &String| {
        let row = event(id, "2026-11-24T10:00:00.000Z");
        format!(
            "{}\n",
            json!({ "received_at": "2026-11-24T10:00:01Z", "reason": "of before", "row": row })
        )
    };
    std::fs::create_dir(folder.path().join("quarantine")).unwrap();
    let lines: Vec<_> = ids.iter().map(line).collect();
    std::fs::write(folder.path().join("quarantine/commerce_v1.jsonl"), lines.concat()).unwrap();
    // The second part is in the journal and not yet out of the quarantine.
    let environment = [("WEIR_FAILPOINT", "after_journal_before_reply:2")];
    let mut serve = Serve::start(folder.path(), &[], &environment).await.unwrap();
    let replay = format!("{}/v1/quarantine/replay", serve.url);
    let replaying = reqwest::Client::new().post(replay).bearer_auth(TOKEN);
    let replaying = tokio::spawn(replaying.json(&json!({ "stream": "commerce_v1" })).send());
    assert!(serve.held().await);
    serve.kill().await;
    assert!(replaying.await.unwrap().is_err());

    let server = start(folder.path()).await;
    let body = json!({ "stream": "commerce_v1" }).to_string();
    let (status, told) = post(server.url(), "/v1/quarantine/replay", body).await;
    let expected = json!({ "accepted": ids.len() - PART, "rejected": 0, "refusals": [] });
    assert_eq!((status, told), (200, expected));
    flush(server.url()).await;
    let mut expected = [&ids[..], &ids[PART..2 * PART]].concat();
    expected.sort_unstable();
    assert_eq!(event_ids("pyiceberg", server.url(), COMMERCE).await, expected);
}
