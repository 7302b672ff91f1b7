//! A queue message that comes back.

use worker::{console_warn, Date, MessageExt, QueueRetryOptionsBuilder, RawMessage};

use crate::backoff::retry_delay_seconds;

/// Has the queue deliver `raw` once more, at most `max_delay` seconds from now, and logs why.
pub fn retry(raw: &RawMessage, cause: &str, max_delay: u32) {
    let age_millis = Date::now().as_millis().saturating_sub(raw.timestamp().as_millis());
    let delay = retry_delay_seconds(age_millis, max_delay);
    console_warn!("message {} again in {delay} s: {cause}", raw.id());
    raw.retry_with_options(&QueueRetryOptionsBuilder::new().with_delay_seconds(delay).build());
}
