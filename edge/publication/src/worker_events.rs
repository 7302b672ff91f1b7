//! `POST /v1/events` and `GET /v1/p.gif`.

use std::collections::{HashMap, HashSet};

use serde_json::json;
use weir_domain::interaction::given::{Given, Refusal as EventRefusal};
use weir_domain::telemetry::publication;
use weir_edge_shared::analytics_engine::AnalyticsEngine;
use weir_edge_shared::counters::{CounterSink, Counters};
use weir_edge_shared::http::{answer, read_body};
use weir_edge_shared::pipeline::streams;
use worker::{console_error, console_warn, Context, Env, Request, Response, ResponseBuilder, Result};

use crate::batch::{read, Refusal, MAX_BODY_BYTES};
use crate::bindings::{InteractionQueue, Settings, COUNTERS, INTERACTIONS, PUBLICATION_STREAM};
use crate::prepare::{prepare, Prepared, Surroundings, Verdict};
use crate::publish::publish;
use crate::query::pixel as read_pixel;
use crate::worker_catalogue::catalogue_of;
use crate::worker_http::{is_within_rate, too_many, unauthorised, unavailable};
use crate::worker_request::{random_key, Sender};

/// A transparent GIF of one pixel.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Takes a batch. Answered when each event is where the promise of [`crate::publish`] says, or says `retry`.
pub async fn batch(request: Request, env: Env, context: &Context) -> Result<Response> {
    let sender = Sender::of(&request, Settings::of(&env));
    if !is_within_rate(&env, &sender).await {
        return too_many();
    }
    if sender.is_mistaken {
        return mistaken(&env, context);
    }
    let content_type = request.headers().get("content-type")?;
    let is_beacon = content_type
        .as_deref()
        .is_some_and(|value| value.starts_with("text/plain"));
    let events = match read_body(&request, MAX_BODY_BYTES).await? {
        Some(body) => read(&body, content_type.as_deref()),
        None => Err(Refusal::too_large()),
    };
    match events {
        Ok(events) => match take(events, &sender, &env, context).await {
            Ok(verdicts) => answer_batch(&verdicts, is_beacon),
            Err(error) => unavailable("events", &error),
        },
        Err(Refusal { status, reason, detail }) => answer(status, reason, &detail),
    }
}

/// 202 with all verdicts (204 to a beacon, which nobody reads), 422 when all are rejected, 503 when one must come again.
fn answer_batch(verdicts: &[Verdict], is_beacon: bool) -> Result<Response> {
    let count = |what| verdicts.iter().filter(|verdict| verdict.verdict == what).count();
    let (rejected, retry) = (count("rejected"), count("retry"));
    let status = match () {
        () if retry > 0 => 503,
        () if rejected == verdicts.len() => 422,
        () if is_beacon && rejected == 0 => return Ok(Response::empty()?.with_status(204)),
        () => 202,
    };
    let body = json!({
        "accepted": count("accepted"), "duplicate": count("duplicate"), "retry": retry, "rejected": rejected, "verdicts": verdicts,
    });
    Ok(Response::from_json(&body)?.with_status(status))
}

/// Takes one event from a query. A pure interaction is answered at once and published afterwards, unless its shop is unknown; a
/// domain-level one is answered when it is durable.
pub async fn pixel(request: Request, env: Env, context: &Context) -> Result<Response> {
    let sender = Sender::of(&request, Settings::of(&env));
    if !is_within_rate(&env, &sender).await {
        return too_many();
    }
    if sender.is_mistaken {
        return mistaken(&env, context);
    }
    let given = match read_pixel(&request.inner().url(), sender.page.as_deref(), &random_key()) {
        Ok(given) => given,
        Err(EventRefusal { reason, detail }) => return answer(422, reason, &detail),
    };
    if sender.is_prefetch {
        // Of a page that nobody may ever see.
        return image();
    }
    let settings = Settings::of(&env);
    let is_of_a_shop = settings.shops().is_ok_and(|shops| shops.contains(&given.shop_domain));
    if is_of_a_shop && !given.kind.is_domain_level() {
        context.wait_until(record(given, sender, env));
        return image();
    }
    match take(vec![Ok(given)], &sender, &env, context).await {
        Ok(verdicts) => match &verdicts[..] {
            [Verdict {
                verdict: "rejected",
                reason,
                detail,
                ..
            }] => answer(422, reason.unwrap_or_default(), detail.as_deref().unwrap_or_default()),
            [Verdict { verdict: "retry", .. }] => answer(503, "unavailable", "not taken; send it again"),
            _ => image(),
        },
        Err(error) => unavailable("pixel", &error),
    }
}

/// Refuses a server whose token is none. Counted, for what it tells is lost until somebody looks: no browser sends a token.
fn mistaken(env: &Env, context: &Context) -> Result<Response> {
    let mut counters = Counters::default();
    counters.count("refused", &["", "rejected", "unauthorised"], &[]);
    AnalyticsEngine::bound(env, COUNTERS).write_beside(context, || counters.points());
    unauthorised()
}

fn image() -> Result<Response> {
    Ok(ResponseBuilder::new()
        .with_header("content-type", "image/gif")?
        .fixed(GIF.to_vec()))
}

/// Publishes `given`, which nobody waits for. Best effort: when stream and queue both fail, it is lost and logged.
pub async fn record(given: Given, sender: Sender, env: Env) {
    let prepared = match prepared(vec![Ok(given)], &sender, &env).await {
        Ok(prepared) => prepared,
        Err(error) => return console_error!("interaction lost: {error}"),
    };
    let counted = AnalyticsEngine::bound(&env, COUNTERS);
    let points = prepared.counters.points();
    let (verdicts, ()) = futures_util::future::join(deliver(prepared, &env), counted.write(&points)).await;
    match verdicts {
        Ok(verdicts) if verdicts.iter().any(|verdict| verdict.verdict == "retry") => {
            console_error!("interaction lost: neither stream nor queue took it");
        }
        Ok(_) => {}
        Err(error) => console_error!("interaction lost: {error}"),
    }
}

/// Takes `events`: one verdict each.
async fn take(
    events: Vec<std::result::Result<Given, EventRefusal>>,
    sender: &Sender,
    env: &Env,
    context: &Context,
) -> Result<Vec<Verdict>> {
    let prepared = prepared(events, sender, env).await?;
    // At the same time as the rest, and never waited for.
    AnalyticsEngine::bound(env, COUNTERS).write_beside(context, || prepared.counters.points());
    deliver(prepared, env).await
}

async fn prepared(
    events: Vec<std::result::Result<Given, EventRefusal>>,
    sender: &Sender,
    env: &Env,
) -> Result<Prepared> {
    let settings = Settings::of(env);
    let shops = settings.shops()?;
    let named: HashSet<&String> = events.iter().flatten().map(|given| &given.shop_domain).collect();
    let mut catalogues = HashMap::new();
    for shop_domain in named.into_iter().filter(|shop| shops.contains(shop)) {
        if let Some(catalogue) = catalogue_of(env, shop_domain, sender.received_at_millis()).await {
            catalogues.insert(shop_domain.clone(), catalogue);
        }
    }
    let around = Surroundings {
        request: sender.request(),
        shops,
        catalogues: &catalogues,
        schema: &publication(),
    };
    Ok(prepare(events, &around))
}

/// Publishes what was accepted; an event that neither far end holds as promised becomes `retry`.
async fn deliver(mut prepared: Prepared, env: &Env) -> Result<Vec<Verdict>> {
    if prepared.rows.is_empty() {
        return Ok(prepared.verdicts);
    }
    let streams = streams(env, PUBLICATION_STREAM)?;
    let queue = InteractionQueue(env.queue(INTERACTIONS)?);
    let settings = Settings::of(env);
    let outcome = publish(&prepared.rows, &streams, &queue, || settings.patience()).await;
    for cause in &outcome.causes {
        console_warn!("publish: {cause}");
    }
    for row in prepared.rows.iter().filter(|row| !outcome.is_durable(row)) {
        prepared.verdicts[row.index].verdict = "retry";
    }
    Ok(prepared.verdicts)
}
