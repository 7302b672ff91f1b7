//! `/v1/quarantine`: what the streams refused is listed, shown, taken again by the same path as live rows, or dropped.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::quarantine::{Record, Taking, UNREADABLE};
use super::{Pipelines, Stream};
use crate::server::App;
use crate::{Error, Result};

/// Records listed unless more are asked for.
const LISTED: usize = 100;
/// Refusals that an answer to a replay names; the others are counted.
const NAMED: usize = 100;

/// Routes to merge into the server's.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/quarantine", get(list))
        .route("/v1/quarantine/{id}", get(show))
        .route("/v1/quarantine/replay", post(replay))
        .route("/v1/quarantine/drop", post(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    stream: Option<String>,
    limit: Option<usize>,
}

/// Which records: those named, or all of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    stream: Option<String>,
    ids: Option<HashSet<Uuid>>,
}

/// Ids of a stream, or all of it.
type Wanted = Option<HashSet<Uuid>>;

async fn list(State(app): State<Arc<App>>, Query(listing): Query<Listing>) -> Result<Json<Value>> {
    let streams = app.pipelines.quarantined(listing.stream.as_deref())?;
    let limit = listing.limit.unwrap_or(LISTED);
    let (mut records, mut counts) = (Vec::new(), serde_json::Map::new());
    let mut is_cut_off = false;
    for (name, stream) in streams {
        let alone = stream.quarantine.alone().await;
        let wanted = limit - records.len();
        let read = move || {
            let (mut records, mut count, mut bytes) = (Vec::new(), 0, 0);
            stream.quarantine.read(&alone, |record| {
                count += 1;
                bytes += record.bytes() + 1;
                if records.len() < wanted {
                    records.push(record.told(name, false));
                }
                Ok(true)
            })?;
            Ok::<_, Error>((records, count, bytes))
        };
        let (of_stream, count, bytes) = spawn_blocking(read).await??;
        is_cut_off |= of_stream.len() < count;
        records.extend(of_stream);
        counts.insert(name.to_owned(), json!({ "records": count, "bytes": bytes }));
    }
    Ok(Json(
        json!({ "streams": counts, "records": records, "is_cut_off": is_cut_off }),
    ))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Json<Value>> {
    for (name, stream) in app.pipelines.quarantined(None)? {
        let alone = stream.quarantine.alone().await;
        let read = move || {
            let mut found = None;
            stream.quarantine.read(&alone, |record| {
                if record.id == id {
                    found = Some(record.told(name, true));
                }
                Ok(found.is_none())
            })?;
            Ok::<_, Error>(found)
        };
        if let Some(found) = spawn_blocking(read).await?? {
            return Ok(Json(found));
        }
    }
    Err(absent(id))
}

fn absent(id: Uuid) -> Error {
    Error::NotFound(format!("there is no record {id} in the quarantine"))
}

async fn replay(State(app): State<Arc<App>>, Json(chosen): Json<Chosen>) -> Result<Json<Outcome>> {
    to_its_end(async move {
        let mut outcome = Outcome::default();
        for (stream, wanted) in app.pipelines.chosen(chosen).await? {
            match app.pipelines.take_again(&stream, wanted, &mut outcome).await {
                Ok(()) => {}
                // What was done until then is told with it.
                Err(error) if outcome.accepted + outcome.rejected > 0 => {
                    outcome.stopped_by = Some(error.to_string());
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Json(outcome))
    })
    .await
}

async fn remove(State(app): State<Arc<App>>, Json(chosen): Json<Chosen>) -> Result<Json<Value>> {
    to_its_end(async move {
        let mut dropped = 0;
        for (stream, wanted) in app.pipelines.chosen(chosen).await? {
            let mut taking = stream.quarantine.take(wanted).await?;
            let removed = drop_all(&mut taking).await;
            taking.end().await?;
            dropped += removed?;
        }
        Ok(Json(json!({ "dropped": dropped })))
    })
    .await
}

async fn drop_all(taking: &mut Taking) -> Result<usize> {
    let mut dropped = 0;
    loop {
        let part = taking.part().await?;
        if part.is_empty() {
            return Ok(dropped);
        }
        dropped += part.len();
        taking.out(part).await?;
    }
}

/// Goes on when nobody waits for the answer any more, which ends what a handler does: rows that were journaled and did not
/// leave the quarantine would be taken a second time.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await?
}

/// What became of records that were taken again.
#[derive(Default, Serialize)]
struct Outcome {
    accepted: usize,
    rejected: usize,
    /// The first of those rejected.
    refusals: Vec<Value>,
    /// Why the others stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<String>,
}

impl Outcome {
    fn refuse(&mut self, id: Uuid, reason: &str, field: &str, detail: &str) {
        self.rejected += 1;
        if self.refusals.len() < NAMED {
            self.refusals
                .push(json!({ "id": id, "reason": reason, "field": field, "detail": detail }));
        }
    }
}

impl Pipelines {
    /// The streams whose quarantine is asked for, all unless one is named.
    fn quarantined(&self, name: Option<&str>) -> Result<BTreeMap<&'static str, Arc<Stream>>> {
        if let Some(name) = name {
            self.stream(name)?;
        }
        let streams = self
            .streams
            .iter()
            .filter(|(stream, _)| name.is_none_or(|name| name == **stream));
        Ok(streams.map(|(name, stream)| (*name, stream.clone())).collect())
    }

    /// The records chosen, by stream. All that are named must be there.
    async fn chosen(&self, chosen: Chosen) -> Result<Vec<(Arc<Stream>, Wanted)>> {
        let mut missing = match chosen {
            Chosen {
                stream: Some(stream),
                ids: None,
            } => return Ok(vec![(self.stream(&stream)?.clone(), None)]),
            Chosen {
                stream: None,
                ids: Some(ids),
            } => ids,
            _ => return Err(Error::Invalid("expected either ids or a stream".into())),
        };
        let streams = self.quarantined(None)?;
        let find = move || {
            let mut found = Vec::new();
            for stream in streams.into_values() {
                let kept = stream.quarantine.those_kept(&missing)?;
                missing.retain(|id| !kept.contains(id));
                if !kept.is_empty() {
                    found.push((stream, Some(kept)));
                }
            }
            missing.into_iter().next().map_or(Ok(found), |id| Err(absent(id)))
        };
        spawn_blocking(find).await?
    }

    /// Waits until nobody takes records out of a quarantine.
    pub(crate) async fn quarantines_at_rest(&self) {
        for stream in self.streams.values() {
            drop(stream.quarantine.alone().await);
        }
    }

    /// Judges rows of the quarantine anew and journals those that are right now; they leave the quarantine, the others
    /// stay. After a crash in between the rows of a part are there twice, and known by their ids.
    async fn take_again(&self, stream: &Stream, wanted: Wanted, outcome: &mut Outcome) -> Result<()> {
        let mut taking = stream.quarantine.take(wanted).await?;
        let taken = self.take_parts(stream, &mut taking, outcome).await;
        taking.end().await?;
        taken
    }

    async fn take_parts(&self, stream: &Stream, taking: &mut Taking, outcome: &mut Outcome) -> Result<()> {
        loop {
            let part = taking.part().await?;
            if part.is_empty() {
                return Ok(());
            }
            self.take_part(stream, taking, part, outcome).await?;
        }
    }

    async fn take_part(
        &self,
        stream: &Stream,
        taking: &mut Taking,
        part: Vec<Record>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (mut rows, mut of_rows) = (Vec::new(), Vec::new());
        for record in part {
            match record.row() {
                Some(row) => {
                    rows.push(row);
                    of_rows.push(record);
                }
                None => outcome.refuse(record.id, UNREADABLE, "", "the line is not JSON"),
            }
        }
        let (judged, frame) = self.judged(stream, serde_json::to_vec(&rows)?).await?;
        let mut refused = HashSet::new();
        for rejection in &judged.rejected {
            refused.insert(rejection.index);
            let id = of_rows[rejection.index].id;
            outcome.refuse(id, &rejection.reason, &rejection.field, &rejection.detail);
        }
        let accepted = of_rows.into_iter().enumerate();
        let accepted = accepted.filter(|(index, _)| !refused.contains(index));
        let accepted: Vec<_> = accepted.map(|(_, record)| record).collect();
        self.journal(stream, (judged, frame)).await?;
        outcome.accepted += accepted.len();
        taking.out_for_good(accepted).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lake::tables::stream_table;
    use crate::server::{Config, Server};

    const STREAM: &str = "sync_v1";

    fn row(id: &str) -> Value {
        json!({
            "event_id": id, "event_type": "step", "schema_version": 1, "source": "workflow",
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "shop_domain": "demo.myshopify.com", "workflow": "w",
            // Does not become smaller in the journal.
            "instance_id": format!("{}{}", Uuid::new_v4(), Uuid::new_v4()), "step": "s", "attempt": 1,
            "status": "succeeded", "started_at": "2026-11-24T10:00:00.000Z", "duration_ms": 1,
        })
    }

    /// A server that finds these rows in its quarantine.
    async fn start(folder: &std::path::Path, rows: &[Value], backlog_bytes: u64) -> Server {
        let line = |row| json!({ "received_at": "2026-11-24T10:00:01Z", "reason": "type_mismatch", "row": row });
        let lines: Vec<_> = rows.iter().map(|row| format!("{}\n", line(row))).collect();
        std::fs::create_dir(folder.join("quarantine")).unwrap();
        std::fs::write(folder.join(format!("quarantine/{STREAM}.jsonl")), lines.concat()).unwrap();
        let config = Config {
            warehouse: folder.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            token: "t".into(),
            objective: None,
            catalog: None,
            pipelines: None,
            commit_interval: Duration::from_secs(3600),
            roll_bytes: 16 << 20,
            backlog_bytes,
            as_of: Duration::ZERO,
            sql_limit: Duration::from_secs(60),
        };
        Server::start(config).await.unwrap()
    }

    fn all() -> Json<Chosen> {
        Json(Chosen {
            stream: Some(STREAM.into()),
            ids: None,
        })
    }

    async fn kept(app: &Arc<App>) -> usize {
        let stream = app.pipelines.stream(STREAM).unwrap();
        let (mut count, alone) = (0, stream.quarantine.alone().await);
        let each = |_| {
            count += 1;
            Ok(true)
        };
        stream.quarantine.read(&alone, each).unwrap();
        count
    }

    /// Commits; rows in the table.
    async fn committed(app: &Arc<App>) -> u64 {
        app.pipelines.flush().await.unwrap();
        let table = stream_table(&weir_domain::telemetry::sync()).unwrap();
        app.lake.summary(&table).await.unwrap().records
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_are_taken_once_also_when_nobody_waits_for_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), &[row("a"), row("b")], 1 << 20).await;
        let app = server.app();
        let held = app.pipelines.stream(STREAM).unwrap().journal.hold_answers();
        let replaying = tokio::spawn(replay(State(app.clone()), all()));
        while app.pipelines.backlog_bytes()[STREAM] == 0 {
            tokio::task::yield_now().await;
        }
        // As the server does when the client goes away.
        replaying.abort();
        assert!(replaying.await.is_err());
        drop(held);
        let emptied = async {
            while kept(app).await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), emptied).await.unwrap();
        assert_eq!(replay(State(app.clone()), all()).await.unwrap().accepted, 0);
        assert_eq!(committed(app).await, 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_that_stay_wrong_hold_up_none_and_what_was_taken_before_a_failure_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = |n| {
            let mut row = row(&format!("wrong-{n}"));
            row["duration_ms"] = json!("text");
            row
        };
        let mut rows: Vec<_> = (0..700).map(wrong).collect();
        rows.extend((0..1_000).map(|n| row(&format!("right-{n}"))));
        // A part of 500 rows is some 20 KB of journal; two eighths are the other streams'.
        let server = start(folder.path(), &rows, 33_000).await;
        let app = server.app();
        let mut accepted = 0;
        for expected in [300, 300, 400] {
            let outcome = replay(State(app.clone()), all()).await.unwrap().0;
            accepted += outcome.accepted;
            assert_eq!((outcome.accepted, outcome.rejected), (expected, 700));
            assert_eq!(outcome.refusals.len(), NAMED);
            let reason = outcome.stopped_by.unwrap_or_default();
            assert_eq!(reason.contains("wait to be committed"), accepted < 1_000, "{reason}");
            assert_eq!(kept(app).await, 1_700 - accepted);
            assert_eq!(committed(app).await, accepted as u64);
        }
    }
}
