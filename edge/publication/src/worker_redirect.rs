//! `GET /r/{code}`: to the goal at once; the click is recorded afterwards, if it can be.

use weir_domain::interaction::address::is_redirect_target;
use weir_edge_shared::http::answer;
use worker::{console_error, Context, Env, Method, Request, Response, ResponseBuilder, Result};

use crate::batch::Refusal;
use crate::bindings::Settings;
use crate::query::click;
use crate::redirect::Redirect;
use crate::worker_catalogue::catalogue_of;
use crate::worker_events::record;
use crate::worker_http::is_within_rate;
use crate::worker_request::{random_key, Sender};

/// When KV is asked again ([`crate::cache::PAUSE_MILLIS`]).
const RETRY_AFTER_SECONDS: &str = "10";

/// Answers a redirect. Recording never holds it up nor fails it.
pub async fn redirect(request: Request, env: Env, context: &Context) -> Result<Response> {
    let settings = Settings::of(&env);
    let secrets: Vec<&[u8]> = settings.link_secrets.iter().map(String::as_bytes).collect();
    let link = match Redirect::read(&request.path(), &request.inner().url(), &secrets) {
        Ok(link) => link,
        Err(Refusal { status, reason, detail }) => return answer(status, reason, &detail),
    };
    let sender = Sender::of(&request, settings.clone());
    if sender.is_prefetch {
        // A browser would keep the redirect and answer the click with it, of which nothing would come here. What is no success it does
        // not keep: the click, if there is one, comes by itself.
        let response = answer(503, "prefetch", "a link is followed when it is clicked")?;
        response.headers().set("cache-control", "no-store")?;
        return Ok(response);
    }
    let goal = match &link.url {
        Some(url) => url.clone(),
        None => match catalogue_of(&env, &link.shop_domain, sender.received_at_millis()).await {
            Some(catalogue) => match catalogue.links.get(&link.code) {
                Some(known) => known.url.clone(),
                None => return answer(404, "not_found", "the catalogue has no such link"),
            },
            None => {
                // Whoever keeps links would strike this one off at a 404.
                let response = answer(503, "unavailable", "the catalogue is not there; try again")?;
                response.headers().set("retry-after", RETRY_AFTER_SECONDS)?;
                return Ok(response);
            }
        },
    };
    if !is_redirect_target(&goal) {
        console_error!("link {} leads to no http(s) address", link.code);
        return answer(404, "not_found", "the link leads nowhere");
    }
    // A HEAD is no click; and who clicks faster than the limit is sent on all the same.
    if request.method() == Method::Get {
        let given = click(&link.shop_domain, &link.code, sender.page.as_deref(), &random_key());
        context.wait_until(async move {
            if is_within_rate(&env, &sender).await {
                record(given, sender, env).await;
            }
        });
    }
    Ok(ResponseBuilder::new()
        .with_status(302)
        .with_header("location", &goal)?
        .with_header("cache-control", "no-store")?
        .empty())
}
