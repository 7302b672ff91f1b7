//! Accepted events on their ways: the stream and the queue at the same time, neither waiting for the other.
//!
//! What is promised, by the time a sender hears "accepted":
//!
//! - every event is in the stream, or on the queue from where it goes to the stream;
//! - a domain-level event is on the queue from where it goes to PostgreSQL.
//!
//! Nothing here waits for PostgreSQL, and for each far end only as long as `patience` lasts.

use std::future::Future;

use futures_util::future::join;
use weir_edge_shared::patience;
use weir_edge_shared::stream::StreamSender;
use weir_edge_shared::versions::StreamVersions;

use crate::message::{interactions, rows as row_messages, MessageSender};
use crate::prepare::Row;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streamed {
    /// The stream has the rows.
    Accepted,
    /// The stream failed or was too slow; the queue has the rows and the consumer sends them.
    Deferred,
    /// Neither has them.
    Failed,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The rows' way to the stream.
    pub streamed: Streamed,
    /// Whether the queue has the domain-level events (true when there is none).
    pub queued: bool,
    /// What failed, for the log.
    pub causes: Vec<String>,
}

impl Outcome {
    /// Whether the promise holds for `row`; otherwise it must be sent again.
    #[must_use]
    pub fn is_durable(&self, row: &Row) -> bool {
        self.streamed != Streamed::Failed && (self.queued || !row.kind.is_domain_level())
    }
}

/// Publishes `rows`. `patience` makes a future that ends when a far end has had its time.
pub async fn publish<P: Future<Output = ()>>(
    rows: &[Row],
    streams: &StreamVersions<impl StreamSender>,
    queue: &impl MessageSender,
    patience: impl Fn() -> P,
) -> Outcome {
    let to_stream = to_streams(rows, streams);
    let to_queue = enqueue(queue, interactions(rows));
    let (streamed, queued) = join(
        within(patience(), "stream", to_stream),
        within(patience(), "queue", to_queue),
    )
    .await;
    let mut outcome = Outcome {
        streamed: Streamed::Accepted,
        queued: true,
        causes: Vec::new(),
    };
    if let Err(cause) = queued {
        outcome.queued = false;
        outcome.causes.push(cause);
    }
    if let Err(cause) = streamed {
        outcome.causes.push(cause);
        outcome.streamed = match within(patience(), "queue", enqueue(queue, row_messages(rows))).await {
            Ok(()) => Streamed::Deferred,
            Err(cause) => {
                outcome.causes.push(cause);
                Streamed::Failed
            }
        };
    }
    outcome
}

/// Sends the rows to each version of the stream. What one of them would drop goes to the others, and then fails here: the
/// consumer of the queue quarantines it.
async fn to_streams(rows: &[Row], streams: &StreamVersions<impl StreamSender>) -> Result<(), String> {
    let (mut ready, mut refused) = (streams.rows(), Ok(()));
    for row in rows {
        let added = streams.add_checked(&mut ready, &row.event, &row.text);
        refused = refused.and(added.map_err(|violation| violation.detail));
    }
    streams.send(&ready).await.map_err(|error| error.to_string())?;
    refused
}

async fn enqueue(queue: &impl MessageSender, messages: Vec<String>) -> Result<(), String> {
    if messages.is_empty() {
        return Ok(());
    }
    queue.send(&messages).await
}

/// The outcome of `work`, or an error when `over` ends first.
pub async fn within<T>(
    over: impl Future<Output = ()>,
    what: &str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    match patience::within(over, work).await {
        Some(outcome) => outcome.map_err(|cause| format!("{what}: {cause}")),
        None => Err(format!("{what}: no answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use serde_json::json;
    use weir_domain::interaction::Kind;
    use weir_edge_shared::stream::StreamError;

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Way {
        Open,
        Failing,
        Hanging,
    }

    struct End {
        way: Way,
        got: RefCell<Vec<String>>,
    }

    impl End {
        fn new(way: Way) -> Self {
            Self {
                way,
                got: RefCell::default(),
            }
        }

        async fn take(&self, texts: &[String]) -> Result<(), String> {
            match self.way {
                Way::Open => {
                    self.got.borrow_mut().extend_from_slice(texts);
                    Ok(())
                }
                Way::Failing => Err("down".into()),
                Way::Hanging => pending().await,
            }
        }
    }

    impl StreamSender for &End {
        async fn send(&self, batch: &str) -> Result<(), StreamError> {
            self.take(&[batch.to_owned()]).await.map_err(StreamError)
        }
    }

    impl MessageSender for End {
        async fn send(&self, messages: &[String]) -> Result<(), String> {
            self.take(messages).await
        }
    }

    fn rows() -> [Row; 2] {
        [Kind::Click, Kind::Conversion].map(|kind| {
            let event = json!({"event_type": kind.as_str()});
            Row {
                index: 0,
                kind,
                text: event.to_string(),
                event,
            }
        })
    }

    fn run(stream: &End, queue: &End) -> (Outcome, [bool; 2]) {
        // Patience that has run out already still lets everything that is ready go first.
        let streams = StreamVersions::bound("publication", |one| (one.stream == "publication_v1").then_some(stream));
        let outcome = pollster::block_on(publish(&rows(), &streams.unwrap(), queue, || ready(())));
        let durable = rows().map(|row| outcome.is_durable(&row));
        (outcome, durable)
    }

    #[test]
    fn all_rows_stream_and_the_domain_level_ones_are_queued() {
        let (stream, queue) = (End::new(Way::Open), End::new(Way::Open));
        let (outcome, durable) = run(&stream, &queue);
        assert_eq!(
            (outcome.streamed, outcome.queued, durable),
            (Streamed::Accepted, true, [true, true])
        );
        assert_eq!(
            *stream.got.borrow(),
            [r#"[{"event_type":"click"},{"event_type":"conversion"}]"#]
        );
        assert_eq!(queue.got.borrow().len(), 1);
    }

    #[test]
    fn a_stream_that_fails_or_hangs_leaves_the_queue_and_is_made_good_by_it() {
        for way in [Way::Failing, Way::Hanging] {
            let (stream, queue) = (End::new(way), End::new(Way::Open));
            let (outcome, durable) = run(&stream, &queue);
            assert_eq!((outcome.streamed, durable), (Streamed::Deferred, [true, true]));
            let messages = queue.got.borrow();
            assert!(
                messages[0].starts_with(r#"{"kind":"interaction""#),
                "the conversion went without waiting"
            );
            assert!(messages[1].starts_with(r#"{"kind":"rows""#));
        }
    }

    #[test]
    fn a_queue_that_fails_or_hangs_leaves_the_stream_and_fails_what_needs_it() {
        for way in [Way::Failing, Way::Hanging] {
            let (stream, queue) = (End::new(Way::Open), End::new(way));
            let (outcome, durable) = run(&stream, &queue);
            assert_eq!((outcome.streamed, outcome.queued), (Streamed::Accepted, false));
            assert_eq!(
                durable,
                [true, false],
                "the click is in the stream, the conversion must come again"
            );
            assert_eq!(stream.got.borrow().len(), 1);
        }
    }

    #[test]
    fn with_both_down_nothing_is_promised() {
        let (outcome, durable) = run(&End::new(Way::Failing), &End::new(Way::Failing));
        assert_eq!((outcome.streamed, durable), (Streamed::Failed, [false, false]));
        assert_eq!(outcome.causes.len(), 3);
    }
}
