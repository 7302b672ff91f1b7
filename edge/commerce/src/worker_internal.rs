//! `/internal/quarantine`: what is kept there, one record of it, and its replay. For operators, behind a token.

use weir_edge_shared::internal::{is_authorised, Target};
use weir_edge_shared::quarantine_room::{list, read_text, replayed, show};
use weir_edge_shared::settings::internal_token;
use worker::{console_error, Bucket, Env, Method, Request, Response, Result};

use crate::bindings::{hand_over, BUCKET};
use crate::quarantine::QuarantineRecord;
use crate::worker_queue::{with_body, NoBody};
use weir_edge_shared::http::answer;

/// Answers a request under `/internal/`.
pub async fn route(request: Request, env: &Env) -> Result<Response> {
    let authorization = request.headers().get("authorization")?;
    if !is_authorised(authorization.as_deref(), &internal_token(env)) {
        return answer(401, "unauthorised", "the bearer token is missing or wrong");
    }
    let bucket = env.bucket(BUCKET)?;
    match (request.method(), Target::parse(&request.path())) {
        (_, None) => answer(404, "not_found", ""),
        (Method::Get, Some(Target::Quarantine)) => list(&bucket, &request).await,
        (Method::Get, Some(Target::Record(key))) => show(&bucket, &key).await,
        (Method::Post, Some(Target::Replay(key))) => replay(env, &bucket, &key).await,
        (_, Some(_)) => answer(405, "method_not_allowed", ""),
    }
}

/// Hands the delivery over as a live one is. Only when the queue has it, the record is removed: whatever fails in between,
/// it is at worst there twice, which `weir.ingest` recognises.
async fn replay(env: &Env, bucket: &Bucket, key: &str) -> Result<Response> {
    let Some(record) = read(bucket, key).await? else {
        return answer(404, "not_found", "nothing is kept under this key");
    };
    let message = match record.into_replay() {
        Ok(message) => message,
        Err(detail) => return answer(422, "not_replayable", detail),
    };
    let replays = message.replays;
    let handed_over = match with_body(bucket, message).await {
        Ok(delivery) => hand_over(env, delivery, replays)
            .await
            .map_err(|error| error.to_string()),
        Err(NoBody::Absent(_)) => return answer(422, "not_replayable", "its body is not in R2 any more"),
        Err(NoBody::Failed(cause)) => Err(cause),
    };
    if let Err(cause) = handed_over {
        console_error!("replay of {key} failed: {cause}");
        return answer(503, "hand_over_failed", "it is still in the quarantine; try again");
    }
    replayed(bucket, key).await
}

async fn read(bucket: &Bucket, key: &str) -> Result<Option<QuarantineRecord>> {
    match read_text(bucket, key).await? {
        Some(text) => Ok(Some(serde_json::from_str(&text)?)),
        None => Ok(None),
    }
}
