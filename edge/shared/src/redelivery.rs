//! A queue message that comes back.

use std::future::Future;

use worker::{
    console_error, console_warn, Date, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder, RawMessage, Result,
};

use crate::backoff::retry_delay_seconds;
use crate::settings::max_delay_seconds;

/// Has the queue deliver `raw` once more, at most `max_delay` seconds from now, and logs why.
pub fn retry(raw: &RawMessage, cause: &str, max_delay: u32) {
    let delay = again_later(raw, max_delay);
    console_warn!("message {} again in {delay} s: {cause}", raw.id());
}

/// Has `handle` decide the messages of `batch`. Those that it left undecided when it failed the queue delivers once more, each after its
/// own delay: were the error returned, they would come at once, and their 100 attempts would be over in minutes.
pub async fn decide_all<H>(batch: MessageBatch<String>, env: Env, handle: impl FnOnce(MessageBatch<String>, Env) -> H)
where
    H: Future<Output = Result<()>>,
{
    let (messages, max_delay): (Vec<RawMessage>, _) = (batch.raw_iter().collect(), max_delay_seconds(&env));
    let Err(error) = handle(batch, env).await else { return };
    // What a message was decided to be first holds; the platform passes over what is said of it afterwards.
    let delays: Vec<_> = messages.iter().map(|raw| again_later(raw, max_delay)).collect();
    let longest = delays.iter().max().copied().unwrap_or_default();
    console_error!(
        "what is open of {} messages again in up to {longest} s: {error}",
        delays.len()
    );
}

/// The longest delay that a queue knows, in seconds: 12 hours.
const LONGEST_DELAY_SECONDS: u32 = 43_200;

/// Has the queue deliver `raw` once more in `seconds`, or as late as it can.
pub fn later(raw: &RawMessage, seconds: u32) {
    let delay = seconds.min(LONGEST_DELAY_SECONDS);
    raw.retry_with_options(&QueueRetryOptionsBuilder::new().with_delay_seconds(delay).build());
}

/// How long `raw` has to wait after a failure, in seconds.
#[must_use]
pub fn delay_seconds(raw: &RawMessage, max_delay: u32) -> u32 {
    let age_millis = Date::now().as_millis().saturating_sub(raw.timestamp().as_millis());
    retry_delay_seconds(age_millis, max_delay)
}

/// The delay, in seconds.
fn again_later(raw: &RawMessage, max_delay: u32) -> u32 {
    let delay = delay_seconds(raw, max_delay);
    later(raw, delay);
    delay
}
