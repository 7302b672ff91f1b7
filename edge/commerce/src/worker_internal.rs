//! `/internal/quarantine`: what is kept there, one record of it, and its replay. For operators, behind a token.

use weir_edge_shared::internal::{is_authorised, Target};
use weir_edge_shared::quarantine_room::{list, not_replayed, replayed, show, to_replay};
use weir_edge_shared::settings::internal_tokens;
use worker::{Env, Method, Request, Response, Result};

use crate::bindings::FarEnds;
use crate::quarantine::{QuarantineRecord, NOT_TEXT};
use crate::worker_queue::{with_body, NoBody};
use weir_edge_shared::http::answer;

/// Answers a request under `/internal/`.
pub async fn route(request: Request, env: &Env) -> Result<Response> {
    let authorization = request.headers().get("authorization")?;
    if !is_authorised(authorization.as_deref(), &internal_tokens(env)) {
        return answer(401, "unauthorised", "the bearer token is missing or wrong");
    }
    let far_ends = FarEnds::of(env)?;
    let storage = &far_ends.storage;
    match (request.method(), Target::parse(&request.path())) {
        (_, None) => answer(404, "not_found", ""),
        (Method::Get, Some(Target::Quarantine)) => list(storage, &request).await,
        (Method::Get, Some(Target::Record(key))) => show(storage, &key).await,
        (Method::Post, Some(Target::Replay(key))) => replay(&far_ends, &key).await,
        (_, Some(_)) => answer(405, "method_not_allowed", ""),
    }
}

/// Hands the delivery over as a live one is. Only when the queue has it, the record is removed: whatever fails in between,
/// it is at worst there twice, which `weir.ingest` recognises.
async fn replay(far_ends: &FarEnds, key: &str) -> Result<Response> {
    let storage = &far_ends.storage;
    let record: QuarantineRecord = match to_replay(storage, key).await? {
        Ok(record) => record,
        Err(answer) => return Ok(answer),
    };
    let message = match record.into_replay() {
        Ok(message) => message,
        Err(detail) => return answer(422, "not_replayable", detail),
    };
    let replays = message.replays;
    let handed_over = match with_body(storage, message).await {
        Ok(delivery) => far_ends.hand_over(delivery, replays).await,
        Err(NoBody::Absent(_)) => return answer(422, "not_replayable", "its body is not in R2 any more"),
        Err(NoBody::NotText(..)) => return answer(422, "not_replayable", NOT_TEXT),
        Err(NoBody::Failed(cause)) => return not_replayed(key, &cause),
    };
    match handed_over {
        Ok(()) => replayed(storage, key).await,
        Err(error) => not_replayed(key, &error.to_string()),
    }
}
