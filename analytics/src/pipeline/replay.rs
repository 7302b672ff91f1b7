//! `/v1/quarantine`: what the streams refused is listed, shown, taken again by the same path as live rows, or dropped.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use uuid::Uuid;

use super::quarantine::{Record, UNREADABLE};
use super::{Pipelines, Stream};
use crate::server::App;
use crate::{Error, Result};

/// Records listed unless more are asked for.
const LISTED: usize = 100;
/// Rows, and bytes of them, that are judged and journaled together.
const TAKEN_ROWS: usize = 500;
const TAKEN_BYTES: usize = 1024 * 1024;
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

async fn list(State(app): State<Arc<App>>, Query(listing): Query<Listing>) -> Result<Json<Value>> {
    let streams = app.pipelines.quarantined(listing.stream.as_deref())?;
    let limit = listing.limit.unwrap_or(LISTED);
    let read = move || {
        let (mut records, mut counts) = (Vec::new(), serde_json::Map::new());
        let mut is_cut_off = false;
        for (name, stream) in streams {
            let (mut count, mut bytes) = (0, 0);
            stream.quarantine.read(|record| {
                count += 1;
                bytes += record.bytes() + 1;
                is_cut_off |= records.len() >= limit;
                if records.len() < limit {
                    records.push(record.told(name, false));
                }
                Ok(true)
            })?;
            counts.insert(name.to_owned(), json!({ "records": count, "bytes": bytes }));
        }
        Ok::<_, Error>(json!({ "streams": counts, "records": records, "is_cut_off": is_cut_off }))
    };
    Ok(Json(tokio::task::spawn_blocking(read).await??))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Json<Value>> {
    let streams = app.pipelines.quarantined(None)?;
    let read = move || {
        for (name, stream) in streams {
            let mut found = None;
            stream.quarantine.read(|record| {
                if record.id == id {
                    found = Some(record.told(name, true));
                }
                Ok(found.is_none())
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(Error::NotFound(format!("there is no record {id} in the quarantine")))
    };
    Ok(Json(tokio::task::spawn_blocking(read).await??))
}

async fn replay(State(app): State<Arc<App>>, Json(chosen): Json<Chosen>) -> Result<Json<Outcome>> {
    let mut outcome = Outcome::default();
    for (_, stream, ids) in app.pipelines.chosen(&chosen).await? {
        let _alone = stream.quarantine.taking.lock().await;
        app.pipelines.take_again(&stream, ids, &mut outcome).await?;
    }
    Ok(Json(outcome))
}

async fn remove(State(app): State<Arc<App>>, Json(chosen): Json<Chosen>) -> Result<Json<Value>> {
    let mut dropped = 0;
    for (_, stream, ids) in app.pipelines.chosen(&chosen).await? {
        let _alone = stream.quarantine.taking.lock().await;
        dropped += removed(&stream, ids).await?;
    }
    Ok(Json(json!({ "dropped": dropped })))
}

async fn removed(stream: &Arc<Stream>, ids: HashSet<Uuid>) -> Result<usize> {
    let stream = stream.clone();
    tokio::task::spawn_blocking(move || stream.quarantine.remove(&ids)).await?
}

/// What became of records that were taken again.
#[derive(Default, Serialize)]
struct Outcome {
    accepted: usize,
    rejected: usize,
    /// The first of those rejected.
    refusals: Vec<Value>,
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
    async fn chosen(&self, chosen: &Chosen) -> Result<Vec<(&'static str, Arc<Stream>, HashSet<Uuid>)>> {
        if chosen.ids.is_none() == chosen.stream.is_none() {
            return Err(Error::Invalid("expected either ids or a stream".into()));
        }
        let streams = self.quarantined(chosen.stream.as_deref())?;
        let wanted = chosen.ids.clone();
        let read = move || {
            let (mut found, mut missing) = (Vec::new(), wanted.clone().unwrap_or_default());
            for (name, stream) in streams {
                let mut ids = HashSet::new();
                stream.quarantine.read(|record| {
                    if wanted.as_ref().is_none_or(|wanted| wanted.contains(&record.id)) {
                        missing.remove(&record.id);
                        ids.insert(record.id);
                    }
                    Ok(true)
                })?;
                if !ids.is_empty() {
                    found.push((name, stream, ids));
                }
            }
            match missing.into_iter().next() {
                Some(id) => Err(Error::NotFound(format!("there is no record {id} in the quarantine"))),
                None => Ok(found),
            }
        };
        tokio::task::spawn_blocking(read).await?
    }

    /// Judges rows of the quarantine anew and journals those that are right now; they leave the quarantine, the others
    /// stay. After a crash in between they are there twice, and known by their ids.
    async fn take_again(&self, stream: &Arc<Stream>, mut ids: HashSet<Uuid>, outcome: &mut Outcome) -> Result<()> {
        while !ids.is_empty() {
            let (source, wanted) = (stream.clone(), ids);
            let read = move || {
                let (mut taken, mut left, mut bytes) = (Vec::new(), wanted, 0);
                source.quarantine.read(|record| {
                    if left.remove(&record.id) {
                        bytes += record.bytes();
                        taken.push(record);
                    }
                    Ok(taken.len() < TAKEN_ROWS && bytes < TAKEN_BYTES)
                })?;
                if taken.is_empty() {
                    // Somebody has dropped them.
                    left.clear();
                }
                Ok::<_, Error>((taken, left))
            };
            let (taken, left) = tokio::task::spawn_blocking(read).await??;
            ids = left;
            self.take(stream, taken, outcome).await?;
        }
        Ok(())
    }

    async fn take(&self, stream: &Arc<Stream>, taken: Vec<Record>, outcome: &mut Outcome) -> Result<()> {
        let (mut rows, mut of_rows) = (Vec::new(), Vec::new());
        for record in taken {
            match record.row() {
                Some(row) => {
                    rows.push(row);
                    of_rows.push(record.id);
                }
                None => outcome.refuse(record.id, UNREADABLE, "", "the line is not JSON"),
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let (judged, frame) = self.judged(stream, serde_json::to_vec(&rows)?).await?;
        let mut accepted: HashSet<_> = of_rows.iter().copied().collect();
        for rejection in &judged.rejected {
            let id = of_rows[rejection.index];
            accepted.remove(&id);
            outcome.refuse(id, &rejection.reason, &rejection.field, &rejection.detail);
        }
        let count = judged.accepted;
        self.journal(stream, (judged, frame)).await?;
        if !accepted.is_empty() {
            removed(stream, accepted).await?;
        }
        outcome.accepted += count;
        Ok(())
    }
}
