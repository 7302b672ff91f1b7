//! How long a far end is waited for. Without a limit, one that never answers holds a queue's consumer for its 15 minutes, and all
//! messages of the batch.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{select, Either};

/// The outcome of `work`, or `None` when `over` ends first. `work` is dropped then: what it asked for may still happen, or not.
pub async fn within<T>(over: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(over)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(((), _)) => None,
    }
}

/// A far end did not answer in time; what it was asked for may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{far_end} did not answer within {} ms", limit.as_millis())]
pub struct NoAnswer {
    far_end: &'static str,
    limit: Duration,
}

/// The patience that one invocation has with one far end: a limit for each answer, and none after the first that did not come
/// in time. A batch may ask a hundred times, and would outlast its invocation if it waited each time.
#[derive(Debug)]
pub struct Patience {
    far_end: &'static str,
    limit: Duration,
    is_over: Cell<bool>,
}

impl Patience {
    /// Patience with `far_end`, whose answers may take `limit` each.
    #[must_use]
    pub fn new(far_end: &'static str, limit: Duration) -> Self {
        let is_over = Cell::new(false);
        Self {
            far_end,
            limit,
            is_over,
        }
    }

    /// The outcome of `work`, which asks the far end once. `timer` makes a future that ends after a duration.
    ///
    /// # Errors
    /// [`NoAnswer`], also without asking when there was none before.
    pub async fn wait<T, O: Future<Output = ()>>(
        &self,
        timer: impl FnOnce(Duration) -> O,
        work: impl Future<Output = T>,
    ) -> Result<T, NoAnswer> {
        let outcome = match self.is_over.get() {
            true => None,
            false => within(timer(self.limit), work).await,
        };
        outcome.ok_or_else(|| {
            self.is_over.set(true);
            let (far_end, limit) = (self.far_end, self.limit);
            NoAnswer { far_end, limit }
        })
    }
}

#[cfg(target_arch = "wasm32")]
impl Patience {
    /// The outcome of `work`, which asks the far end once, by the platform's own clock.
    ///
    /// # Errors
    /// Of `work`, and [`NoAnswer`].
    pub async fn bound<T>(&self, work: impl Future<Output = worker::Result<T>>) -> worker::Result<T> {
        let outcome = self.wait(worker::Delay::from, work).await;
        outcome.unwrap_or_else(|error| Err(worker::Error::RustError(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready, Pending, Ready};

    use futures_util::FutureExt;

    use super::*;

    fn at_once(_: Duration) -> Ready<()> {
        ready(())
    }

    fn never(_: Duration) -> Pending<()> {
        pending()
    }

    fn patience() -> Patience {
        Patience::new("R2", Duration::from_secs(2))
    }

    #[test]
    fn an_answer_counts_even_when_the_time_is_over() {
        let answer = patience().wait(at_once, ready(7)).now_or_never();
        assert_eq!(answer, Some(Ok(7)));
    }

    #[test]
    fn a_far_end_that_did_not_answer_is_not_asked_again() {
        let patience = patience();
        assert_eq!(patience.wait(never, ready(7)).now_or_never(), Some(Ok(7)));
        let error = patience
            .wait(at_once, pending::<u8>())
            .now_or_never()
            .unwrap()
            .unwrap_err();
        assert_eq!(error.to_string(), "R2 did not answer within 2000 ms");
        let asked = Cell::new(false);
        let work = async { asked.set(true) };
        assert_eq!(patience.wait(never, work).now_or_never(), Some(Err(error)));
        assert!(!asked.get());
    }
}
