//! `POST /v1/refresh`: one answer at the end, or, for who accepts `application/x-ndjson`, a line as each step begins and
//! the answer on the last line.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{header, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::Json;
use futures::StreamExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{json, Value};
use tokio::sync::mpsc::{self, UnboundedSender};

use super::reads::instant;
use super::refresh::{self, How, Outcome, Request};
use super::steps::{Progress, Told};
use super::telemetry;
use crate::say::note;
use crate::server::App;
use crate::{Error, Result};

/// Media type of an answer in lines.
pub const LINES: &str = "application/x-ndjson";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    now: Option<String>,
    #[serde(default)]
    full: bool,
    since: Option<String>,
}

fn read(body: &str) -> Result<Request> {
    let given: Asked = match body.trim() {
        "" => Asked::default(),
        text => serde_json::from_str(text)?,
    };
    let how = match (given.full, given.since) {
        (true, Some(_)) => return Err(Error::Invalid("full and since: give one of them".into())),
        (true, None) => How::Full,
        (false, Some(day)) => How::Since(
            day.parse()
                .map_err(|_| Error::Invalid(format!("since: {day:?} is not a day, yyyy-mm-dd")))?,
        ),
        (false, None) => How::Incremental,
    };
    let now = match given.now {
        None => Timestamp::now(),
        Some(text) => instant("now", &text)?,
    };
    Ok(Request { now, how })
}

/// The handler.
pub(super) async fn run_refresh(State(app): State<Arc<App>>, headers: HeaderMap, body: String) -> Result<Response> {
    let request = read(&body)?;
    let in_lines = headers
        .get(header::ACCEPT)
        .is_some_and(|accepted| accepted.as_bytes() == LINES.as_bytes());
    // On its own: whoever asked may go away, and half a refresh is of no use. It keeps its turn until it has ended.
    if !in_lines {
        let refresh = tokio::spawn(run(app, request, None));
        return Ok(Json(refresh.await??).into_response());
    }
    let (listener, told) = mpsc::unbounded_channel();
    let (answer, answered) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let last = match run(app, request, Some(listener)).await {
            Ok(outcome) => json!({ "outcome": outcome }),
            Err(error) => json!({ "error": { "status": error.status().as_u16(), "message": error.to_string() } }),
        };
        // As above: nobody may be there to hear it.
        let _ = answer.send(last);
    });
    let steps = futures::stream::unfold(told, |mut told| async { Some((line(&step(told.recv().await?)), told)) });
    let last = futures::stream::unfold(answered, |mut answered| async {
        Some((line(&answered.recv().await?), answered))
    });
    let lines = Body::from_stream(steps.chain(last));
    Ok(([(header::CONTENT_TYPE, LINES)], lines).into_response())
}

async fn run(app: Arc<App>, request: Request, listener: Option<UnboundedSender<Told>>) -> Result<Outcome> {
    let _turn = app.refresh.lock().await;
    let mut earlier = None;
    for pass in refresh::all_of(&app.lake, request).await? {
        let outcome = run_pass(&app, pass, listener.clone()).await?;
        earlier = Some(match earlier {
            None => outcome,
            Some(ended) => outcome.after(ended),
        });
    }
    earlier.ok_or_else(|| Error::Internal("a refresh of nothing".to_owned()))
}

async fn run_pass(app: &App, request: Request, listener: Option<UnboundedSender<Told>>) -> Result<Outcome> {
    let progress = Arc::new(Progress::told_to(listener, request.how));
    let result = refresh::run(&app.lake, request, &progress).await;
    // What was done is the answer, also where nobody can be told of its steps now.
    if let Err(error) = telemetry::report(&app.pipelines, &progress, &result).await {
        note!("the steps of a refresh are not told: {error}");
    }
    result
}

fn step(told: Told) -> Value {
    json!({ "pass": told.pass, "step": told.step.name(), "rows": told.rows })
}

fn line(value: &Value) -> Result<String, std::convert::Infallible> {
    Ok(format!("{value}\n"))
}
